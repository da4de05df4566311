"""coltran-preprocess: photos in, a record folder out.

    coltran-preprocess --source photos/ --out records/train --split train

reads a folder of images (class folders or loose files), Kaggle's ImageNet zip, or the official tars of ILSVRC 2012, as
they are, and writes sharded TFRecords with, for each photo, the 256x256 and 64x64 images, their grayscale, and the 512
coarse colors at 64x64. Prints how many images were read, written and rejected, and why. On 2 cores, over a hundred
photos a second. Interrupted runs go on where they stopped; a finished one is not repeated.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from coltran import cli, records
from pipelines import selection
from pipelines.preprocess_options import PROG, Inspection, Options, parse, parser
from pipelines.selection import Selection

if TYPE_CHECKING:
    from pipelines.shard_run import ShardRun

_SHARD_BYTES = 150_000_000
_MIN_SHARDS = 8  # enough for small folders to be spread over the workers


def run(options: Options, beam_arguments: Sequence[str] = ()) -> ShardRun:
    """Runs the job to its end; see the module's text. Raises UserError for what the user can put right."""
    from pipelines import beam_options, shard_run, sources, truth_summary
    from pipelines.write_truth import WriteTruthShard

    engine_options = beam_options.beam_options(beam_arguments, parser()._option_string_actions)
    index = sources.index_images(options.source, "train" if options.split == selection.HOLDOUT else options.split)
    chosen = selection.select(
        index.images, split=options.split, holdout=options.holdout, limit=options.limit, seed=options.seed
    )
    job = _plan_job(options, chosen)
    return shard_run.run_shards(
        job,
        lambda: _inputs(job, chosen),
        WriteTruthShard(job, options),
        engine_options,
        what="preprocess",
        max_reject_fraction=options.max_reject_fraction,
        facts={"files_ignored": index.ignored, "held_out": chosen.held_out},
        summarize=truth_summary.summary_files,
    )


def _plan_job(options: Options, chosen: Selection):
    from pipelines import shard_job

    listing = [[ref.key, ref.label, ref.name, ref.size] for ref in [*chosen.images, *chosen.duplicates]]
    record_bytes = sum(
        math.prod(feature.shape(options.sizes)) * (2 if feature.dtype == "uint16" else 1)
        for feature in records.TRUTH.select(options.features)
    )
    by_size = math.ceil(record_bytes * options.crops * len(chosen.images) / _SHARD_BYTES)
    wanted = options.num_shards or max(by_size, min(_MIN_SHARDS, math.ceil(len(chosen.images) / 32)))
    num_shards = min(wanted, len(chosen.images))
    kept = dataclasses.asdict(options)
    for name in ("source", "out", "max_reject_fraction", "holdout", "limit"):  # what they decide is in the listing
        del kept[name]
    kept |= {"num_shards": num_shards, "crop": "random" if options.random_crop else "center"}
    kept["stages"] = list(options.stages)
    return shard_job.ShardJob(
        folder=options.out,
        schema=records.TRUTH.name,
        split=options.split,
        sizes=options.sizes,
        features=options.features,
        options=kept,
        fingerprint=shard_job.fingerprint("preprocess", kept, listing),
        num_shards=num_shards,
    )


def _inputs(job, chosen: Selection) -> list[list[dict]]:
    inputs = [[] for _ in range(job.num_shards)]
    for place, ref in enumerate(chosen.images):
        inputs[place % job.num_shards].append(dataclasses.asdict(ref))
    for ref in chosen.duplicates:
        inputs[0].append(dataclasses.asdict(ref) | {"duplicate": True})
    return inputs


def report(result: ShardRun, options: Options) -> Iterator[str]:
    """The lines that the command ends with."""
    manifest = result.manifest
    counts = manifest.counts
    if result.made == 0:
        yield f"{options.out}: already finished, nothing to do"
    yield f"{counts['read']} read = {counts['written']} written + {counts['rejected']} rejected"
    for reason, number in sorted(manifest.rejected_by_reason.items()):
        yield f"  rejected, {reason}: {number} (listed in {options.out}/rejects.jsonl)"
    rate = f"{result.rate:.0f} images/s" if result.rate else "-"
    size = sum(shard.size for shard in manifest.shards)
    yield cli.table(
        [
            ("grayscale", f"{counts.get('grayscale', 0)} of {counts['written']} (no color in the source)"),
            ("shards", f"{len(manifest.shards)}, {size / 1e6:.1f} MB"),
            ("features", " ".join(manifest.features)),
            ("rate", rate),
            ("folder", f"{options.out} (look at preview.png and statistics.png)"),
        ]
    )


def _inspect(asked: Inspection) -> int:
    from pipelines import inspection

    if asked.action == "describe":
        print(*inspection.describe(asked.folder), sep="\n")
        return 0
    folder, wrong = inspection.verify(asked.folder)
    shards = f"{len(folder.manifest.shards)} shards, {folder.num_records} records"
    print(*wrong, f"{asked.folder}: {shards}, {f'{len(wrong)} things are wrong' if wrong else 'all right'}", sep="\n")
    return 1 if wrong else 0


def _command(argv: Sequence[str] | None) -> int:
    options, beam_arguments = parse(argv)
    if isinstance(options, Inspection):
        return _inspect(options)
    print(*report(run(options, beam_arguments), options), sep="\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of coltran-preprocess; returns the exit status."""
    return cli.run_command(PROG, lambda: _command(argv))


if __name__ == "__main__":
    raise SystemExit(main())
