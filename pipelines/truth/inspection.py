"""`coltran-preprocess --verify` checks that a record folder is whole, and `--describe` tells what is in it."""

from __future__ import annotations

import concurrent.futures
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from coltran import cli, storage
from coltran.errors import UserError
from coltran.images import colors
from coltran.records import folder as record_folder, schema
from coltran.records.folder import RecordFolder, Shard
from pipelines.shards.earlier import read_run
from pipelines.shards.repair import checksum

_READERS = 4
_VALUES_EVERY = 16


def verify(path: str) -> tuple[RecordFolder, list[str]]:
    """Checks every shard of a record folder.

    Args:
      path: a finished folder, truth or colorized, local or gs://.
    Returns:
      The folder, and one line for each error: counts that do not add up, a missing or superfluous shard, a file's
      wrong size or checksum, a damaged record, a wrong count or feature, or, in every 16th record, values that do not
      follow from each other.
    Raises:
      UserError: there is no finished record folder.
    """
    folder = record_folder.open_folder(path)
    shards = folder.manifest.shards
    with (
        concurrent.futures.ThreadPoolExecutor(_READERS) as readers,
        cli.progress_bar(len(shards), "verify", "shards") as bar,
    ):
        wrong = [*_counts(folder), *_listing(folder)]
        for lines in readers.map(lambda shard: list(_check_shard(folder, shard)), shards):
            wrong += lines
            bar.update()
    return folder, wrong


def describe(path: str) -> Iterator[str]:
    """Yields lines that tell people what a finished record folder holds. Raises UserError if there is none."""
    folder = record_folder.open_folder(path)
    manifest = folder.manifest
    counts = ", ".join(f"{number} {name}" for name, number in sorted(manifest.counts.items()))
    rejected = ", ".join(f"{number} {reason}" for reason, number in sorted(manifest.rejected_by_reason.items()))
    passed_over = ", ".join(f"{number} {reason}" for reason, number in sorted(manifest.passed_over.items()))
    yield cli.table(
        [
            ("records", f"{folder.num_records} {manifest.schema} records, split {manifest.split}"),
            ("images", counts),
            ("rejected", rejected or "none"),
            ("shards", f"{len(manifest.shards)}, {sum(shard.size for shard in manifest.shards) / 1e6:.1f} MB"),
            ("passed over", passed_over or "none"),
            *_origin(path),
            ("fingerprint", manifest.fingerprint),
            ("made with", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        ]
    )
    yield "features"
    for feature in folder.schema.select(manifest.features):
        shape = "x".join(map(str, feature.shape(folder.sizes))) or "scalar"
        yield f"  {feature.name:14} {feature.dtype:8} {shape:11} {feature.meaning}"
    yield "options"
    yield cli.table([(name, value) for name, value in sorted(manifest.options.items())] or [("none", "")])


def _origin(path: str) -> Iterator[tuple[str, str]]:
    """Yields where the folder comes from, as far as its run.json tells."""
    origin = read_run(path).get("origin") or {}
    for name in ("source", "command", "planned"):
        if name in origin:
            yield name, origin[name]


def _counts(folder: RecordFolder) -> Iterator[str]:
    """Checks that every entry of the source is accounted for: found = written + rejected + passed over."""
    manifest = folder.manifest
    counts = manifest.counts
    written, rejected = counts.get("written", 0), counts.get("rejected", 0)
    if counts.get("read") != written + rejected:
        yield f"manifest.json: {counts.get('read')} read, but {written} written and {rejected} rejected"
    if sum(manifest.rejected_by_reason.values()) != rejected:
        yield f"manifest.json: {rejected} rejected, but the reasons are {manifest.rejected_by_reason}"
    found = read_run(folder.path).get("found")
    passed_over = sum(manifest.passed_over.values())
    if found is not None and found != written + rejected + passed_over:
        yield f"run.json: {found} found, but {written} written, {rejected} rejected and {passed_over} passed over"


def _listing(folder: RecordFolder) -> Iterator[str]:
    present = dict(storage.list_files(folder.path))
    expected = {shard.name: shard.size for shard in folder.manifest.shards}
    for name in sorted(expected.keys() - present.keys()):
        yield f"{name}: missing"
    for name in sorted(present.keys() - expected.keys()):
        if ".tfrecord-" in name:
            yield f"{name}: not in the manifest"


def _check_shard(folder: RecordFolder, shard: Shard) -> Iterator[str]:
    path = folder.shard_path(shard)
    if not storage.exists(path):
        return
    size, found = checksum(path)
    if (size, found) != (shard.size, shard.crc32c):
        yield f"{shard.name}: {size} bytes with crc32c {found}, expected {shard.size} with {shard.crc32c}"
    try:
        for number, values in zip(itertools.count(), folder.read_shard(shard), strict=False):
            yield from _check_record(folder, shard, values, deep=number % _VALUES_EVERY == 0)
    except UserError as error:
        yield str(error)


def _check_record(folder: RecordFolder, shard: Shard, values: dict[str, Any], *, deep: bool) -> Iterator[str]:
    where = f"{shard.name}: record '{values.get(schema.KEY)}'"
    if set(values) != set(folder.manifest.features):
        yield f"{where} has {', '.join(sorted(values))}, expected {', '.join(sorted(folder.manifest.features))}"
    elif deep:
        for name, made in _derived(folder, values):
            if not np.array_equal(made, values[name]):
                yield f"{where}: {name} does not follow from its image"


def _derived(folder: RecordFolder, values: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Computes again from the images the grays and coarse colors that truth records hold too."""
    if folder.schema is not schema.TRUTH:
        return
    for rgb, gray in ((schema.RGB_HI, schema.GRAY_HI), (schema.RGB_LO, schema.GRAY_LO)):
        if rgb in values and gray in values:
            yield gray, colors.rgb_to_gray(values[rgb])
    if schema.RGB_LO in values and schema.COARSE_LO in values:
        yield schema.COARSE_LO, colors.rgb_to_coarse(values[schema.RGB_LO])
