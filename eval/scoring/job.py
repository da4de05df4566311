"""Runs the Beam job of coltran-fid: images -> features, kept by chunk -> statistics of tenths of sets -> scores.

A worker gets some tasks. A task names a chunk of a folder (a shard, or some PNG files), and the sets that its images
belong to. Each image goes through the network once, even if it is in several sets. Features that an earlier run kept
are not computed again.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np

from coltran import storage
from coltran.records.folder import COMPLETED
from eval.distances.combine import CombineStatistics
from eval.distances.statistics import Statistics
from eval.features.inception_graph import FEATURE_DIMS
from eval.images import color_figures
from eval.images.reading import read_chunk
from eval.scoring import feature_store, network
from eval.scoring.arguments import Options
from eval.scoring.feature_store import Features
from eval.scoring.finish import Scoring, finish
from eval.scoring.group_statistics import write_group
from eval.scoring.layout import Layout
from eval.scoring.plan import distinct_sets
from eval.scoring.tasks import Task, in_groups, tasks_of
from pipelines.beam import counters, engine, options as beam_options
from pipelines.shards import submission

_images_done = 0  # The number of images that this process has finished. The progress bar shows it.
_REMOTE_SECONDS = 5.0  # between two looks at features that are computed elsewhere
_COMPUTED = "computed"  # the output with numbers of images
_FULL_BATCHES = 16  # A worker computes this many batches at a time. At worst one batch in seventeen is padding.


def run(scoring: Scoring, options: Options, engine_options: Any, hints: Mapping[str, str]) -> bool:
    """Runs the job, from the images to a finished folder.

    Args:
      scoring: what to score, and where.
      options: the command's options.
      engine_options: Beam's options from `beam_options`.
      hints: resource hints for the workers that run the network.
    Returns:
      True if the folder is finished, or False if the job was only submitted, or written as a template.
    """
    layout = scoring.layout
    sets = distinct_sets(scoring.rows).values()
    tasks = tasks_of(sets, scoring.extractor, layout.features)
    if not tasks and not beam_options.only_writes_template(engine_options):
        finish(scoring, computed=0)
        return True
    with _progress(tasks, layout, engine_options):
        return engine.run_pipeline(
            lambda pipeline: build(pipeline, tasks, options, scoring, hints),
            engine_options,
            submitted=lambda job_id: submission.keep(layout.out, job_id, engine_options),
        )


def _progress(tasks: Sequence[Task], layout: Layout, engine_options: Any) -> contextlib.AbstractContextManager[None]:
    if beam_options.is_local(engine_options):
        before = _images_done
        total = sum(len(task.memberships) for task in tasks)
        return engine.watched(lambda: (_images_done - before, ""), total, "features", "images")
    wanted = {task.path for task in tasks}

    def look() -> tuple[int, str]:
        names = storage.list_files(layout.features) if storage.is_folder(layout.features) else []
        return len(wanted & {storage.join(layout.features, name) for name, _ in names}), ""

    return engine.watched(look, len(wanted), "features", "chunks", every=_REMOTE_SECONDS)


def build(
    pipeline: beam.Pipeline, tasks: Sequence[Task], options: Options, scoring: Scoring, hints: Mapping[str, str]
) -> None:
    """Adds all steps to the pipeline. The last one scores the sets and finishes the folder, so that no driver need.

    Args:
      pipeline: an empty pipeline.
      tasks: tasks from `tasks_of`.
      options: the command's options.
      scoring: what the last step scores. The statistics go below its folder, one file for each tenth of each set.
      hints: resource hints for the step that runs the network.
    """
    folder, completed = scoring.layout.work, scoring.layout.path(COMPLETED)

    def keep(tenth: tuple[str, int], statistics: Statistics) -> None:
        write_group(folder, *tenth, statistics=statistics)
        if storage.exists(completed):  # a late duplicate of a finished job leaves no work behind
            storage.remove_folder(folder)

    extracting = beam.ParDo(ExtractFeatures(options))
    extracting.with_resource_hints(**hints)
    made = (
        pipeline
        | "Tasks" >> beam.Create(in_groups(tasks, _FULL_BATCHES * options.batch_size), reshuffle=False)
        | "Spread" >> beam.Reshuffle()
        | "Features" >> extracting.with_outputs(_COMPUTED, main="features")
    )
    computed = made[_COMPUTED] | "Count computed" >> beam.CombineGlobally(sum)
    _ = (
        made.features
        | "Sum up" >> beam.CombinePerKey(CombineStatistics(FEATURE_DIMS))
        | "Keep" >> beam.MapTuple(keep)
        | "Wait for all" >> beam.combiners.Count.Globally()
        | "Score" >> beam.ParDo(Finish(scoring), beam.pvalue.AsSingleton(computed))
    )


class Finish(beam.DoFn):
    """Scores the sets and finishes the folder, once the statistics of all tenths are on disk."""

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring

    def process(self, _: int, computed: int) -> None:
        """Finishes the folder. `computed` is the number of images whose features this job computed."""
        finish(self._scoring, computed)


class ExtractFeatures(beam.DoFn):
    """Turns lists of tasks into ((set, tenth), float32 [images, 2048]), and counts the images that it computed."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def setup(self) -> None:
        self._extractor = network.shared_extractor(self._options)

    def process(self, tasks: Sequence[Task]) -> Iterator[tuple[tuple[str, int], np.ndarray] | beam.pvalue.TaggedOutput]:
        """Yields ((set, tenth), float32 [images, 2048]) for the images of some tasks, and how many were computed."""
        kept = [feature_store.load(task.path) for task in tasks]
        missing = [task.memberships.keys() - set(found.names) for task, found in zip(tasks, kept, strict=True)]
        _count(sum(len(task.memberships) for task in tasks) - sum(map(len, missing)))
        made = self._compute(tasks, missing)
        for task, found, new in zip(tasks, kept, made, strict=True):
            if new:
                found = feature_store.joined([found, *new])
                feature_store.save(task.path, found)
            counters.count({"read": len(task.memberships)})
            yield from _by_member(task, found.select(task.memberships))
        yield beam.pvalue.TaggedOutput(_COMPUTED, sum(map(len, missing)))

    def _compute(self, tasks: Sequence[Task], missing: Sequence[set[str]]) -> list[list[Features]]:
        """Computes the new features of each task in full batches. A batch may reach from one task into the next."""
        made: list[list[Features]] = [[] for _ in tasks]
        chosen = (
            (place, *image)
            for place, (task, names) in enumerate(zip(tasks, missing, strict=True))
            for image in read_chunk(task.source, task.index, names)
        )
        while batch := list(itertools.islice(chosen, self._options.batch_size)):
            features = self._features([pixels for _, _, pixels, _ in batch])
            for place, same_task in itertools.groupby(range(len(batch)), lambda row: batch[row][0]):
                rows = list(same_task)
                made[place].append(
                    Features(
                        names=tuple(batch[row][1] for row in rows),
                        features=features[rows],
                        colorfulness=np.array([color_figures.colorfulness(batch[row][2]) for row in rows], np.float32),
                        diversity=np.array([batch[row][3] for row in rows], np.float32),
                    )
                )
        return made

    def _features(self, pixels: list[np.ndarray]) -> np.ndarray:
        # We fill up a batch that is not full. If all batches have one size, an image's features are the same bits
        # whatever is beside it. So another grouping, or a rerun after a kill, changes nothing.
        filled = np.zeros((self._options.batch_size, *pixels[0].shape), np.uint8)
        filled[: len(pixels)] = pixels
        with network.in_use:
            features = self._extractor.features(filled)
            _count(len(pixels))
        return features[: len(pixels)]


def _by_member(task: Task, found: Features) -> Iterator[tuple[tuple[str, int], np.ndarray]]:
    rows: dict[tuple[str, int], list[int]] = collections.defaultdict(list)
    for row, members in enumerate(task.memberships.values()):
        for member in members:
            rows[member].append(row)
    for member, chosen in rows.items():
        yield member, found.features[chosen]


def _count(images_more: int) -> None:
    global _images_done
    _images_done += images_more
