"""coltran-preprocess turns photos into a record folder.

    coltran-preprocess --source photos/ --out records/train --split train

The driver lists the images, chooses some of them, and plans shards. Workers make the shards (`truth/shard.py`). See
`truth/arguments.py` for the text that users read.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from coltran import cli, storage
from coltran.options import deciding
from coltran.records import schema
from pipelines.truth import selection
from pipelines.truth.arguments import PROG, SHARD_BYTES, Inspection, Options, parse, parser
from pipelines.truth.selection import Selection

if TYPE_CHECKING:
    from pipelines.shards.job import ShardJob
    from pipelines.shards.run import ShardRun
    from pipelines.sources.image_ref import ImageRef
    from pipelines.sources.index import Index

_MIN_SHARDS = 8  # enough to spread small folders over the workers


def choose(options: Options) -> tuple[Index, Selection]:
    """Finds the images that the source has, and chooses those that become records."""
    from pipelines.sources import index as source_index

    for path in (options.source, options.out):
        storage.check_access(path)
    split = "train" if options.split == selection.HOLDOUT else options.split
    index = source_index.index_images(options.source, split, kind=options.source_kind, labels=options.labels)
    chosen = selection.select(
        index.images, split=options.split, holdout=options.holdout, limit=options.limit, seed=options.seed
    )
    return index, chosen


def run(options: Options, beam_arguments: Sequence[str] = ()) -> ShardRun:
    """Runs the job to its end, as the module's text says. Raises UserError for what the user can correct."""
    from pipelines.beam import options as beam_options
    from pipelines.shards import run as shard_run
    from pipelines.truth import summary
    from pipelines.truth.shard import WriteTruthShard

    engine_options = beam_options.beam_options(beam_arguments, parser()._option_string_actions)
    index, chosen = choose(options)
    job = _plan_job(options, chosen)
    return shard_run.run_shards(
        job,
        lambda: _inputs(job, chosen),
        WriteTruthShard(job, options),
        engine_options,
        what="preprocess",
        max_reject_fraction=options.max_reject_fraction,
        facts={"files_ignored": index.ignored, "held_out": chosen.held_out},
        summarize=summary.summary_files,
    )


def _plan_job(options: Options, chosen: Selection) -> ShardJob:
    from pipelines.shards import job as shard_job

    listed = itertools.chain(chosen.images, chosen.duplicates)
    listing = shard_job.digest_listing((ref.key, ref.label, ref.name, ref.size) for ref in listed)
    record_bytes = sum(
        math.prod(feature.shape(options.sizes)) * (2 if feature.dtype == "uint16" else 1)
        for feature in schema.TRUTH.select(options.features)
    )
    by_size = math.ceil(record_bytes * options.crops * len(chosen.images) / SHARD_BYTES)
    wanted = options.num_shards or max(by_size, min(_MIN_SHARDS, math.ceil(len(chosen.images) / 32)))
    num_shards = min(wanted, len(chosen.images))
    kept = deciding(options) | {"num_shards": num_shards, "crop": "random" if options.random_crop else "center"}
    kept["stages"] = list(options.stages)
    return shard_job.ShardJob(
        folder=options.out,
        schema=schema.TRUTH.name,
        split=options.split,
        sizes=options.sizes,
        features=options.features,
        options=kept,
        fingerprint=shard_job.fingerprint("preprocess", kept, listing),
        num_shards=num_shards,
    )


@dataclasses.dataclass(frozen=True)
class _ShardInputs:
    """One shard's inputs as JSON objects. They are made only while they are written, to save gigabytes."""

    images: Sequence[ImageRef]
    duplicates: Sequence[ImageRef] = ()

    def __len__(self) -> int:
        return len(self.images) + len(self.duplicates)

    def __iter__(self) -> Iterator[dict[str, object]]:
        yield from (ref.to_json() for ref in self.images)
        yield from (ref.to_json() | {"duplicate": True} for ref in self.duplicates)


def _inputs(job: ShardJob, chosen: Selection) -> list[_ShardInputs]:
    """Assigns the images to shards in the order of their hashes. Parquet images that lie together stay together."""
    if chosen.images[0].place[:1] == ("parquet",):
        together = sorted(chosen.images, key=lambda ref: (ref.path, ref.place))
        bounds = [index * len(together) // job.num_shards for index in range(job.num_shards + 1)]
        shards: list[Sequence[ImageRef]] = [together[start:end] for start, end in itertools.pairwise(bounds)]
    else:
        shards = [chosen.images[index :: job.num_shards] for index in range(job.num_shards)]
    return [_ShardInputs(shards[0], chosen.duplicates), *map(_ShardInputs, shards[1:])]


def report(result: ShardRun, options: Options) -> Iterator[str]:
    """Yields the lines that the command prints at its end."""
    manifest = result.manifest
    counts = manifest.counts
    if result.seconds == 0.0:
        yield f"{options.out}: already finished, nothing to do"
    elif len(result.shards_made) < len(manifest.shards):
        made = ", ".join(map(str, result.shards_made)) or "none"
        done = len(manifest.shards) - len(result.shards_made)
        yield f"went on after {done} of {len(manifest.shards)} shards; made shards {made}"
    yield f"{counts['read']} read = {counts['written']} written + {counts['rejected']} rejected"
    for reason, number in sorted(manifest.rejected_by_reason.items()):
        yield f"  rejected, {reason}: {number} (listed in {options.out}/rejects.jsonl)"
    rate = f"{result.rate:.0f} images/s" if result.rate else "-"
    size = sum(shard.size for shard in manifest.shards)
    yield cli.table(
        [
            ("grayscale", f"{counts.get('grayscale', 0)} of {counts['written']} (no color in the source)"),
            ("converted", f"{counts.get('converted', 0)} of {counts['written']} (by their color profiles, to sRGB)"),
            ("shards", f"{len(manifest.shards)}, {size / 1e6:.1f} MB"),
            ("features", " ".join(manifest.features)),
            ("rate", rate),
            ("folder", f"{options.out} (look at preview.png and statistics.png)"),
        ]
    )


def _inspect(asked: Inspection) -> int:
    from pipelines.truth import inspection

    if asked.action == "describe":
        print(*inspection.describe(asked.folder), sep="\n")
        return 0
    folder, wrong = inspection.verify(asked.folder)
    shards = f"{len(folder.manifest.shards)} shards, {folder.num_records} records"
    print(*wrong, f"{asked.folder}: {shards}, {f'{len(wrong)} things are wrong' if wrong else 'all right'}", sep="\n")
    return 1 if wrong else 0


def _try_out(options: Options, beam_arguments: Sequence[str]) -> Iterator[str]:
    from apache_beam.options.pipeline_options import DirectOptions

    from pipelines.beam import options as beam_options
    from pipelines.truth import dry_run

    engine_options = beam_options.beam_options(beam_arguments, parser()._option_string_actions)
    index, chosen = choose(options)
    job = _plan_job(options, chosen)
    workers = engine_options.view_as(DirectOptions).direct_num_workers or os.cpu_count() or 1
    yield from dry_run.estimate(options, len(index.images), chosen, job.num_shards, workers)


def _command(argv: Sequence[str] | None) -> int:
    options, beam_arguments = parse(argv)
    if isinstance(options, Inspection):
        return _inspect(options)
    if options.dry_run:
        print(*_try_out(options, beam_arguments), sep="\n")
        return 0
    print(*report(run(options, beam_arguments), options), sep="\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs coltran-preprocess and returns the exit status."""
    return cli.run_command(PROG, lambda: _command(argv))


if __name__ == "__main__":
    raise SystemExit(main())
