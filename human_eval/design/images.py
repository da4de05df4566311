"""Runs the Beam job that makes both images of every trial, and then finishes the study folder.

Workers make images in any order, which must not show in the result. So they write to a folder that no rater sees, and
the last step of the pipeline makes the public files from these, one after the other, in the order of opaque names.
"""

from __future__ import annotations

import collections
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np

from coltran import storage
from coltran.errors import UserError
from coltran.images import colors
from human_eval.design import finishing
from human_eval.design.reading import ReadPixels
from human_eval.design.sources import TRUTH, Source
from human_eval.design.wrong_colors import wrong_colors
from human_eval.folder import opaque_files
from human_eval.folder.forms import WRONG_COLORS, Form, Trial, Variant
from human_eval.folder.layout import private_file
from pipelines.beam import engine, options as beam_options

_TRUTH = Variant(model=TRUTH, sample=0)
_WRONG = Variant(model=WRONG_COLORS, sample=0)
Wanted = collections.defaultdict[str, set[tuple[str, int]]]  # It holds (key, sample) for each source.


def write_images(
    truth: Source,
    models: Sequence[Source],
    forms: Sequence[Form],
    key: bytes,
    folder: finishing.Place,
    luma: str,
    options: Any,
) -> bool:
    """Writes all image files of the forms, and finishes the study folder.

    Args:
      truth, models: the sources of the pixels.
      forms: the forms whose trials are written.
      key: the study's key of names.
      folder: where the images and the study are. A worker must be able to write the images.
      luma: local file for the mean absolute difference in luma between truth and colorization, by model, as JSON. It is
        empty for no file, as on a cluster, whose workers have another disk.
      options: Beam's options.

    Returns:
      False if the job was only handed over to an engine, which now runs it without this process.

    Raises:
      UserError: an image cannot be read or has another size, or the leak audit found a leak.
    """
    trials, wanted = _by_image(forms)

    def build(pipeline: beam.Pipeline) -> None:
        read = [
            pipeline | f"Read {number} {source.model}" >> ReadPixels(source, wanted[source.model])
            for number, source in enumerate((truth, *models))
            if wanted[source.model]
        ]
        by_image = (
            read
            | "All" >> beam.Flatten()
            | "Encode" >> beam.FlatMap(_encoded, wanted[WRONG_COLORS])
            | "By image" >> beam.GroupByKey()
        )
        _ = (
            by_image
            | "Write" >> beam.Map(_write_trials, trials, key, folder.staging)
            | "Images" >> beam.combiners.Count.Globally()
            | "Finish" >> beam.Map(finishing.finish, folder, key)
        )
        if luma:
            _write_luma(by_image, luma)

    run: Any = engine.run_pipeline  # It returns False if it only handed the job over.
    if storage.is_gcs(folder.staging) or not beam_options.is_local(options):
        return run(build, options) is not False
    os.makedirs(folder.staging, mode=0o700, exist_ok=True)
    with engine.watched(lambda: (_count(folder.staging), ""), folder.expected, "images", "files", every=2.0):
        return run(build, options) is not False


def _count(folder: str) -> int:
    return len(os.listdir(folder)) if os.path.isdir(folder) else 0


def _by_image(
    forms: Sequence[Form],
) -> tuple[dict[str, list[Trial]], collections.defaultdict[str, set[tuple[str, int]]]]:
    """Returns the trials of each image, and for each source the (key, sample) of all images that they show."""
    trials: dict[str, list[Trial]] = collections.defaultdict(list)
    wanted: Wanted = collections.defaultdict(set)
    for form in forms:
        for trial in form.trials:
            trials[trial.key].append(trial)
            wanted[TRUTH].add((trial.key, 0))
            wanted[trial.model].add((trial.key, trial.sample))
    return dict(trials), wanted


def _encoded(read: tuple[str, Variant, np.ndarray], wrong: set[tuple[str, int]]) -> Iterator[tuple]:
    """Yields (key, (variant, PNG)). It encodes before the grouping, so that Beam moves PNGs and not pixels."""
    key, variant, pixels = read
    yield key, (variant, opaque_files.encode(pixels))
    if variant == _TRUTH and (key, 0) in wrong:
        yield key, (_WRONG, opaque_files.encode(wrong_colors(pixels, key)))


def _write_trials(
    grouped: tuple[str, Iterable[tuple[Variant, bytes]]], trials: Mapping[str, list[Trial]], secret: bytes, staging: str
) -> None:
    key, found = grouped[0], dict(grouped[1])
    for trial in trials[key]:
        names = {"truth": _TRUTH, "colorized": Variant(model=trial.model, sample=trial.sample)}
        missing = [variant for variant in names.values() if variant not in found]
        if missing:
            raise UserError(f"'{key}' has no {missing[0].model} {missing[0].sample}; was a folder changed meanwhile?")
        for role in opaque_files.ROLES:
            name = opaque_files.opaque_name(secret, trial.id, role)
            storage.write_bytes(storage.join(staging, name), found[names[role]], durable=False)


def _write_luma(by_image: beam.PCollection, path: str) -> None:
    """Adds the steps that write each model's mean difference in luma."""
    _ = (
        by_image
        | "Luma" >> beam.FlatMap(_luma_differences)
        | "Mean by model" >> beam.combiners.Mean.PerKey()
        | "As one" >> beam.combiners.ToDict()
        | "Note" >> beam.Map(_note, path)
    )


def _luma_differences(grouped: tuple[str, Iterable[tuple[Variant, bytes]]]) -> Iterator[tuple[str, float]]:
    """Yields (model, mean absolute difference from the truth in luma) for each colorization of an image."""
    found = dict(grouped[1])
    for variant in found.keys() - {_TRUTH, _WRONG}:
        truth, colorized = (colors.luma(opaque_files.decode(found[name])) for name in (_TRUTH, variant))
        yield variant.model, float(np.abs(truth - colorized).mean())


def _note(means: Mapping[str, float], path: str) -> None:
    found = {model: round(mean, 3) for model, mean in sorted(means.items())}
    private_file(pathlib.Path(path), json.dumps(found).encode())
