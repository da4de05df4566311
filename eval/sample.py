"""coltran-sample: the Beam job that colorizes a record folder. `coltran-sample --help` says how it is used.

Shard in, shard out: every input shard gives the output shard of the same number, so that a killed run goes on with the
shards that are missing, and no image is lost or made twice.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence

from coltran import cli, partition, record_folder, records, storage
from coltran.errors import UserError
from coltran.record_folder import RecordFolder
from eval.sample_options import PROG, Options, parse, parser

GALLERY = "gallery.png"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a run did: the folder's manifest, and how many samples this run itself made."""

    manifest: record_folder.Manifest
    made: int
    seconds: float


def run(options: Options, beam_arguments: Sequence[str] = ()) -> Result:
    """Runs the job to its end. Raises UserError for what the user can put right."""
    from eval import gallery
    from pipelines import beam_options, engine, shard_job

    engine_options = beam_options.beam_options(beam_arguments, parser()._option_string_actions)
    source = record_folder.open_folder(options.records, schema=records.TRUTH, needs=_needs(options))
    inputs = _choose(source, options)
    job = _plan_job(source, options)
    total = sum(map(len, inputs))
    started = time.monotonic()
    if shard_job.is_finished(job):
        return Result(manifest=record_folder.open_folder(options.out).manifest, made=0, seconds=0.0)
    missing = shard_job.plan(job, inputs)
    before = shard_job.count_done(job)
    if missing:
        with engine.watched_job(job, engine_options, total, "sample", "images"):
            engine.run_pipeline(lambda pipeline: _build(pipeline, source, job, options, missing), engine_options)
    seconds = time.monotonic() - started
    figures = {"seconds": seconds, "images_made": total - before, "images_per_second": (total - before) / seconds}
    manifest = shard_job.finish(job, max_reject_fraction=0.0, run={**figures, "shards_made": missing})
    if options.gallery:
        picture = gallery.gallery(source, record_folder.open_folder(options.out), options.gallery, options.seed)
        storage.write_bytes(storage.join(options.out, GALLERY), picture)
    return Result(manifest=manifest, made=total - before, seconds=seconds)


def _needs(options: Options) -> list[str]:
    needs = [records.KEY, records.CROP, records.GRAY_LO]
    return [*needs, records.GRAY_HI] if options.spatial_upsampler else needs


def _choose(source: RecordFolder, options: Options) -> list[list[dict[str, object]]]:
    """Per input shard, the (key, sample) pairs to make, in its order. Only the first crop of an image counts."""
    keys = [
        [
            values[records.KEY]
            for values in source.read_shard(shard, [records.KEY, records.CROP])
            if not values[records.CROP]
        ]
        for shard in source.manifest.shards
    ]
    flat = [key for part in keys for key in part]
    if not flat:
        raise UserError(f"{source.path}: holds no records, so there is nothing to colorize")
    chosen = partition.choose(flat, seed=options.seed, part=options.part, num=options.num)
    return [
        [{"key": key, "sample": sample} for key in part if key in chosen for sample in range(options.samples)]
        for part in keys
    ]


def _plan_job(source: RecordFolder, options: Options):
    from eval.sample_shard import sampler_options
    from pipelines import shard_job

    sampler_options(options)
    kept = dataclasses.asdict(options) | _check_checkpoints(source, options)
    for name in ("records", "out", "png_folder", "gallery"):  # none of these changes a record
        del kept[name]
    made = {records.COARSE_LO, records.LOG_LIKELIHOOD, *records.COLORIZED.required}
    made |= {records.RGB_LO} if options.color_upsampler else set()
    made |= {records.RGB_HI} if options.spatial_upsampler else set()
    return shard_job.ShardJob(
        folder=options.out,
        schema=records.COLORIZED.name,
        split="colorized",
        sizes=records.Sizes(lo=source.sizes.lo, hi=source.sizes.hi if options.spatial_upsampler else None),
        features=tuple(name for name in records.COLORIZED.features if name in made),
        options=kept | {"records_fingerprint": source.manifest.fingerprint},
        fingerprint=shard_job.fingerprint("sample", kept, source.manifest.fingerprint),
        num_shards=len(source.manifest.shards),
    )


def _check_checkpoints(source: RecordFolder, options: Options) -> dict[str, object]:
    """Each given checkpoint's step and sha256, for manifest and fingerprint; refuses one of another stage or size."""
    from coltran import checkpoint
    from coltran import config as configs

    facts = {}
    for stage, side in (("colorizer", "lo"), ("color_upsampler", "lo"), ("spatial_upsampler", "hi")):
        folder = getattr(options, stage)
        if folder is None:
            continue
        found, _, config, metadata = checkpoint.describe(folder, stage=stage)
        size = getattr(source.sizes, side)
        # A smaller colorizer (the paper's ColTran-S) is enlarged for the color upsampler.
        smaller = stage == "colorizer" and options.color_upsampler and max(config.height, config.width) < size
        if (config.height, config.width) != (size, size) and not smaller:
            raise UserError(
                f"{found}: was trained for {config.height}x{config.width} pixels, and the {side} images of "
                f"{source.path} are {size}x{size}; train on such records, or preprocess with --{side} {config.height}"
            )
        joint = configs.joins_color_and_space(stage, config)
        if stage == "spatial_upsampler" and not joint and not options.color_upsampler:
            raise UserError(f"{found}: starts from the color upsampler's image; give --color_upsampler too")
        if stage == "colorizer" and options.top_k is not None and options.top_k > config.num_symbols:
            raise UserError(f"--top_k {options.top_k}: {found} knows {config.num_symbols} colors")
        facts[stage] = {"step": metadata["step"], "ema_sha256": metadata["ema_sha256"]}
    return facts


def _build(pipeline, source: RecordFolder, job, options: Options, missing: Sequence[int]) -> None:
    import apache_beam as beam

    from eval.sample_shard import SampleShard

    _ = (
        pipeline
        | "Shards" >> beam.Create(list(missing), reshuffle=False)
        | "Spread" >> beam.Reshuffle()
        | "Sample" >> beam.ParDo(SampleShard(source, job, options))
    )


def report(result: Result, options: Options) -> Iterator[str]:
    """The lines that the command ends with."""
    manifest = result.manifest
    if result.made == 0:
        yield f"{options.out}: already finished, nothing to do"
    written = manifest.counts["written"]
    yield f"{written} samples written: {written // options.samples} images x {options.samples}"
    rows = [
        ("features", " ".join(manifest.features)),
        ("rate", f"{result.made / result.seconds:.2f} samples/s" if result.made else "-"),
        ("folder", options.out),
    ]
    if options.gallery:
        rows.append(("gallery", storage.join(options.out, GALLERY)))
    yield cli.table(rows)


def _command(argv: Sequence[str] | None) -> None:
    options, beam_arguments = parse(argv)
    for line in report(run(options, beam_arguments), options):
        print(line)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of coltran-sample; returns the exit status."""
    return cli.run_command(PROG, lambda: _command(argv))


if __name__ == "__main__":
    raise SystemExit(main())
