"""coltran-sample: the Beam job that colorizes a record folder. `coltran-sample --help` says how to use it.

Every input shard gives the output shard with the same number. So a killed run goes on with the missing shards, and no
image is lost or made twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import TYPE_CHECKING

from coltran import cli, storage
from coltran.errors import UserError
from coltran.options import deciding, flag_names
from coltran.records import folder as record_folder, partition, schema
from coltran.records.folder import RecordFolder
from eval.sampling.arguments import PROG, Options, parse

if TYPE_CHECKING:
    from pipelines.shards.job import ShardJob
    from pipelines.shards.run import ShardRun

GALLERY = "gallery.png"
_FULL_BATCHES = 4  # A worker makes this many batches at a time. At worst one batch in five is padding.


def run(options: Options, beam_arguments: Sequence[str] = ()) -> ShardRun:
    """Runs the job to its end. It raises a UserError for errors that the user can fix."""
    from eval.sampling.shard import SampleShards, needed_features
    from pipelines.beam import options as beam_options
    from pipelines.shards import run as shard_run

    engine_options = beam_options.beam_options(beam_arguments, flag_names(Options))
    source = record_folder.open_folder(options.records, schema=schema.TRUTH, needs=needed_features(options))
    job = _plan_job(source, options)
    result = shard_run.run_shards(
        job,
        lambda: _choose(source, options),
        SampleShards(source, job, options),
        engine_options,
        what="sample",
        group=lambda missing, planned: _grouped(missing, planned, _FULL_BATCHES * options.batch_size),
    )
    _write_gallery(source, options)
    return result


def _write_gallery(source: RecordFolder, options: Options) -> None:
    """Adds the picture to a finished folder that has none. A run may have been killed just before making it."""
    from eval.sampling import gallery

    path = storage.join(options.out, GALLERY)
    if options.gallery and not storage.exists(path):
        made = record_folder.open_folder(options.out)
        storage.write_bytes(path, gallery.gallery(source, made, options.gallery, options.seed))


def _grouped(missing: Sequence[int], planned: Sequence[Sized], least: int) -> list[list[int]]:
    """Groups the missing shards. A group has at least `least` samples, so that few batches end half empty."""
    groups: list[list[int]] = []
    samples = least
    for index in missing:
        if samples >= least:
            groups.append([])
            samples = 0
        groups[-1].append(index)
        samples += len(planned[index])
    return groups


def _choose(source: RecordFolder, options: Options) -> list[list[dict[str, object]]]:
    """Lists for each input shard the (key, sample) pairs to make, in its order. Only first crops count."""
    keys = [
        [
            values[schema.KEY]
            for values in source.read_shard(shard, [schema.KEY, schema.CROP])
            if not values[schema.CROP]
        ]
        for shard in source.manifest.shards
    ]
    flat = [key for shard_keys in keys for key in shard_keys]
    if not flat:
        raise UserError(f"{source.path}: holds no records, so there is nothing to colorize")
    chosen = partition.choose(flat, seed=options.seed, part=options.part, num=options.num)
    return [
        [{"key": key, "sample": sample} for key in shard_keys if key in chosen for sample in range(options.samples)]
        for shard_keys in keys
    ]


def _plan_job(source: RecordFolder, options: Options) -> ShardJob:
    from eval.sampling.shard import sampler_options
    from pipelines.shards import job as shard_job

    sampler_options(options)
    kept = deciding(options) | _check_checkpoints(source, options)
    made = {schema.COARSE_LO, *schema.COLORIZED.required}
    made |= {schema.LOG_LIKELIHOOD} if options.coarse == "model" else set()
    made |= {schema.RGB_LO} if options.color_upsampler else set()
    made |= {schema.RGB_HI} if options.spatial_upsampler else set()
    return shard_job.ShardJob(
        folder=options.out,
        schema=schema.COLORIZED.name,
        split="colorized",
        sizes=schema.Sizes(lo=source.sizes.lo, hi=source.sizes.hi if options.spatial_upsampler else None),
        features=tuple(name for name in schema.COLORIZED.features if name in made),
        options=kept | {"records_fingerprint": source.manifest.fingerprint},
        fingerprint=shard_job.fingerprint("sample", kept, source.manifest.fingerprint),
        num_shards=len(source.manifest.shards),
    )


def _check_checkpoints(source: RecordFolder, options: Options) -> dict[str, object]:
    """Looks up each given checkpoint's step and the sha256 of its weights, for the manifest and the fingerprint.

    It raises a UserError for a checkpoint of another stage or size.
    """
    from coltran.networks import config as configs
    from coltran.weights import checkpoint

    facts: dict[str, object] = {}
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
        known = config.num_symbols if isinstance(config, configs.ColorizerConfig) else None
        if known is not None and options.top_k is not None and options.top_k > known:
            raise UserError(f"--top_k {options.top_k}: {found} knows {known} colors")
        facts[stage] = {
            "step": metadata["step"],
            "weights_sha256": checkpoint.recorded_checksum(found, options.weights),
        }
    return facts


def report(result: ShardRun, options: Options) -> Iterator[str]:
    """Yields the lines that the command prints at the end."""
    manifest = result.manifest
    if result.made == 0:
        yield f"{options.out}: already finished, nothing to do"
    written = manifest.counts["written"]
    yield f"{written} samples written: {written // options.samples} images x {options.samples}"
    rows = [
        ("features", " ".join(manifest.features)),
        ("rate", f"{result.rate:.2f} samples/s" if result.rate else "-"),
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
    """Runs coltran-sample and returns the exit status."""
    return cli.run_command(PROG, lambda: _command(argv))


if __name__ == "__main__":
    raise SystemExit(main())
