"""coltran-preprocess turns photos into a record folder.

    coltran-preprocess --source photos/ --out records/train --split train

The driver lists the images, chooses some of them, and plans shards. Workers make the shards (`truth/shard.py`). See
`truth/arguments.py` for the text that users read.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from coltran import cli, storage
from coltran.images.formats import heic_hint
from coltran.options import deciding, flag_names
from coltran.records import schema
from coltran.walking import describe_passed_over
from pipelines.truth import selection
from pipelines.truth.arguments import PROG, SHARD_BYTES, SHARDS_PER_WORKER, Inspection, Options, asked, parse
from pipelines.truth.selection import Selection

if TYPE_CHECKING:
    import apache_beam as beam

    from pipelines.shards.job import ShardJob
    from pipelines.shards.run import Planned, ShardRun
    from pipelines.sources.image_ref import ImageRef
    from pipelines.sources.index import Index

_MIN_SHARDS = 8  # enough to spread small folders over the workers
_MIN_IMAGES = 32  # in a shard, unless the user wants smaller ones


def choose(options: Options) -> tuple[Index, Selection]:
    """Finds the images that the source has, and chooses those that become records."""
    from pipelines.sources import index as source_index

    split = "train" if options.split == selection.HOLDOUT else options.split
    index = source_index.index_images(
        options.source,
        split,
        kind=options.source_kind,
        labels=options.labels,
        skip_unreadable=options.skip_unreadable,
        allow_missing_shards=options.allow_missing_shards,
    )
    chosen = selection.select(
        index.images, split=options.split, holdout=options.holdout, limit=options.limit, seed=options.seed
    )
    return index, chosen


def run(options: Options, beam_arguments: Sequence[str] = ()) -> ShardRun | None:
    """Runs the job to its end, as the module's text says. Returns None if the job ends without this driver.

    Raises:
      UserError: the user can correct it.
    """
    from pipelines.beam import options as beam_options
    from pipelines.beam.worker_paths import for_workers
    from pipelines.shards import run as shard_run
    from pipelines.truth import summary

    engine_options = beam_options.asked(beam_arguments, flag_names(Options))
    options = for_workers(options, engine_options, ("source", "out", "labels"))
    for path in (options.source, options.out):
        storage.check_access(path)
    work = shard_run.Work(
        folder=options.out,
        request=asked(options),
        source=options.source,
        plan=lambda num_shards: _plan(options, beam_options.workers(engine_options), num_shards),
        make_shard=lambda job: _make_shard(job, options),
        what="preprocess",
        max_reject_fraction=options.max_reject_fraction,
        summarize=summary.summary_files,
        repair=options.repair,
    )
    return shard_run.run_shards(work, engine_options)


def _make_shard(job: ShardJob, options: Options) -> beam.DoFn:
    from pipelines.truth.shard import WriteTruthShard  # imports Beam, which takes seconds

    return WriteTruthShard(job, options)


def _plan(options: Options, workers: int, num_shards: int | None) -> Planned:
    """Lists the source and plans the job. An earlier run of the folder may have chosen the number of shards."""
    from pipelines.shards.run import Planned
    from pipelines.truth import sizes

    index, chosen = choose(options)
    if warning := sizes.enlargement_warning(options, chosen.images):
        print(f"{PROG}: {warning}", file=sys.stderr)
    job = plan_job(options, chosen, workers, num_shards)
    facts = {"found": index.found, "held_out": chosen.held_out}
    return Planned(job=job, inputs=assign(job, chosen), passed_over=passed_over(index, chosen), facts=facts)


def passed_over(index: Index, chosen: Selection) -> dict[str, int]:
    """Counts by reason what becomes neither record nor reject: found = written + rejected + passed over."""
    counts = {**index.passed_over, **chosen.passed_over}
    accounted = len(chosen.images) + len(chosen.duplicates) + sum(counts.values())
    if accounted != index.found:
        raise RuntimeError(f"{index.found} entries found, but {accounted} are accounted for: {counts}")
    return counts


def plan_job(options: Options, chosen: Selection, workers: int = 1, num_shards: int | None = None) -> ShardJob:
    """Plans the job of the chosen images.

    Args:
      options: the command's options.
      chosen: the images.
      workers: how many worker threads the engine has, which decides how many shards there are at least.
      num_shards: the number of shards that an earlier run of the same folder chose.
    """
    from pipelines.shards import job as shard_job

    listed = itertools.chain(chosen.images, chosen.duplicates)
    listing = shard_job.digest_listing((ref.key, ref.label, ref.name, ref.size) for ref in listed)
    wanted = options.num_shards or num_shards or _enough_shards(options, len(chosen.images), workers)
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


def _enough_shards(options: Options, images: int, workers: int) -> int:
    """Returns a number of shards that are not too large, and enough for all workers, but not nearly empty."""
    record_bytes = sum(
        math.prod(feature.shape(options.sizes)) * (2 if feature.dtype == "uint16" else 1)
        for feature in schema.TRUTH.select(options.features)
    )
    by_size = math.ceil(record_bytes * options.crops * images / SHARD_BYTES)
    by_workers = min(max(_MIN_SHARDS, SHARDS_PER_WORKER * workers), math.ceil(images / _MIN_IMAGES))
    return max(by_size, by_workers)


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


def assign(job: ShardJob, chosen: Selection) -> list[_ShardInputs]:
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
    yield from went_on(result, options.out)
    yield f"{counts['read']} read = {counts['written']} written + {counts['rejected']} rejected"
    for reason, number in sorted(manifest.rejected_by_reason.items()):
        yield f"  rejected, {reason}: {number} (listed in {options.out}/rejects.jsonl)"
    if others := describe_passed_over(manifest.passed_over):
        yield others + heic_hint(manifest.passed_over)
    rate = f"{result.rate:.0f} images/s" if result.rate else "-"
    size = sum(shard.size for shard in manifest.shards)
    if left_out := counts.get("left_out"):
        yield f"{left_out} further pages or frames of these files left out"
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


def went_on(result: ShardRun, out: str) -> Iterator[str]:
    """Yields what to say if this run did not make all shards."""
    shards = len(result.manifest.shards)
    made = ", ".join(map(str, result.shards_made)) or "none"
    if result.repaired:
        yield f"{out}: repaired, made shards {made} again; they have the bytes that the manifest names"
    elif result.finished_before:
        yield f"{out}: already finished, nothing to do"
    elif len(result.shards_made) < shards:
        yield f"went on after {shards - len(result.shards_made)} of {shards} shards; made shards {made}"


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
    from pipelines.beam import options as beam_options
    from pipelines.truth import dry_run, sizes

    workers = beam_options.workers(beam_options.asked(beam_arguments, flag_names(Options)))
    index, chosen = choose(options)
    num_shards = plan_job(options, chosen, workers).num_shards
    yield from dry_run.estimate(options, len(index.images), chosen, num_shards, workers)
    if others := describe_passed_over(passed_over(index, chosen)):
        yield others + heic_hint(index.passed_over)
    if warning := sizes.enlargement_warning(options, chosen.images):
        yield warning


def _command(argv: Sequence[str] | None) -> int:
    options, beam_arguments = parse(argv)
    if isinstance(options, Inspection):
        return _inspect(options)
    if options.dry_run:
        print(*_try_out(options, beam_arguments), sep="\n")
        return 0
    result = run(options, beam_arguments)
    if result is not None:
        print(*report(result, options), sep="\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs coltran-preprocess and returns the exit status."""
    return cli.run_command(PROG, lambda: _command(argv))


if __name__ == "__main__":
    raise SystemExit(main())
