"""coltran-sample: the Beam job that colorizes a record folder. `coltran-sample --help` says how to use it.

Every input shard gives the output shard with the same number. So a killed run goes on with the missing shards, and no
image is lost or made twice.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from coltran import cli, storage
from coltran.errors import UserError
from coltran.options import deciding, flag_names
from coltran.records import folder as record_folder, partition, schema
from coltran.records.folder import Manifest, RecordFolder
from coltran.records.stages import STAGES
from coltran.weights import built_in
from eval.sampling.arguments import PROG, Options, fingerprinted, needed_features, parse, sampler_options

if TYPE_CHECKING:
    import apache_beam as beam

    from pipelines.shards.job import ShardJob
    from pipelines.shards.report import ShardReport
    from pipelines.shards.run import ShardRun

GALLERY = "gallery.png"
_FOLDERS = ("records", "out", *STAGES, "png_folder", "uncertainty")
_FULL_BATCHES = 4  # A worker makes this many batches at a time. At worst one batch in five is padding.


def run(options: Options, beam_arguments: Sequence[str] = ()) -> ShardRun | None:
    """Runs the job to its end. Returns None if the job ends without this driver.

    Raises:
      UserError: the user can fix it.
    """
    from pipelines.beam import options as beam_options
    from pipelines.beam.hints import take_network_hints
    from pipelines.beam.worker_paths import for_workers
    from pipelines.shards import run as shard_run

    engine_options = beam_options.asked(beam_arguments, flag_names(Options))
    folders = [name for name in _FOLDERS if getattr(options, name) != built_in.NAME]  # a worker has its own copy
    options = for_workers(options, engine_options, folders)
    hints = take_network_hints(engine_options)
    source = record_folder.open_folder(options.records, schema=schema.TRUTH, needs=needed_features(options))
    job = _plan_job(source, options)
    _warn(options)
    work = shard_run.Work(
        folder=options.out,
        request={"options": job.options, "fingerprint": job.fingerprint},
        source=options.records,
        plan=lambda _: shard_run.Planned(job=job, inputs=_choose(source, options)),
        make_shard=lambda job: _make_shards(source, job, options),
        what="sample",
        summarize=functools.partial(_gallery, source, options),
        group=lambda missing, counts: _grouped(missing, counts, _FULL_BATCHES * options.batch_size),
        repair=options.repair,
        hints=hints,
    )
    result = shard_run.run_shards(work, engine_options)
    if result is not None:
        _add_gallery(source, options, result.manifest)
    return result


def _make_shards(source: RecordFolder, job: ShardJob, options: Options) -> beam.DoFn:
    from eval.sampling.shard import SampleShards  # imports Beam, which takes seconds

    return SampleShards(source, job, options)


def _warn(options: Options) -> None:
    """Says on stderr which networks were trained too little."""
    from coltran.weights import maturity

    for line in maturity.doubts({stage: getattr(options, stage) for stage in STAGES}):
        _say(f"{PROG}: {line}")


@functools.cache  # coltran-fid --protocol table2 samples from the same network many times
def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _gallery(
    source: RecordFolder, options: Options, job: ShardJob, _: Sequence[ShardReport], manifest: Manifest
) -> Iterator[tuple[str, bytes]]:
    """Yields (name, bytes) of the picture that goes with a finished folder."""
    from eval.sampling import gallery

    if options.gallery:
        made = RecordFolder(path=job.folder, manifest=manifest)
        yield GALLERY, gallery.gallery(source, made, options.gallery, options.seed)


def _add_gallery(source: RecordFolder, options: Options, manifest: Manifest) -> None:
    """Adds the picture to a folder that was finished without one."""
    from eval.sampling import gallery

    path = storage.join(options.out, GALLERY)
    if options.gallery and not storage.exists(path):
        made = RecordFolder(path=options.out, manifest=manifest)
        storage.write_bytes(path, gallery.gallery(source, made, options.gallery, options.seed))


def _grouped(missing: Sequence[int], counts: Sequence[int], least: int) -> list[list[int]]:
    """Groups the missing shards. A group has at least `least` samples, so that few batches end half empty."""
    groups: list[list[int]] = []
    samples = least
    for index in missing:
        if samples >= least:
            groups.append([])
            samples = 0
        groups[-1].append(index)
        samples += counts[index]
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
        fingerprint=shard_job.fingerprint("sample", fingerprinted(kept), source.manifest.fingerprint),
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
    if result.repaired:
        yield f"{options.out}: repaired, made shards {', '.join(map(str, result.shards_made))} again"
    elif result.made == 0:
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
    result = run(options, beam_arguments)
    if result is not None:
        print(*report(result, options), sep="\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs coltran-sample and returns the exit status."""
    return cli.run_command(PROG, lambda: _command(argv))


if __name__ == "__main__":
    raise SystemExit(main())
