"""`coltran-preprocess --dry_run` tries a few images and estimates how many images, how much space and how long."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence

from coltran import cli, storage
from coltran.images.decoding import ImageRejected
from coltran.records import framing
from pipelines.sources.image_ref import ImageRef
from pipelines.sources.reading import read_images
from pipelines.truth.arguments import Options
from pipelines.truth.record import make_records
from pipelines.truth.selection import Selection

_SAMPLE = 64


def estimate(options: Options, found: int, chosen: Selection, num_shards: int, workers: int) -> Iterator[str]:
    """Estimates space and time on a few images, and yields lines for people. It writes nothing.

    Args:
      options: the job's options.
      found: how many images of the split the source has.
      chosen: the images among them that become records.
      num_shards: how many shards are planned.
      workers: how many workers share the work on this machine.
    """
    tried = chosen.images[:_SAMPLE]  # a random choice, because they are in the order of hashes
    seconds, size, rejected = _try(tried, options)
    images = len(chosen.images)
    needed = size * images / len(tried)
    split = f"{images} of {found}" + (f", {chosen.held_out} held out" if chosen.held_out else "")
    usable = f"all {len(tried)} tried are usable"
    if rejected:
        usable = f"{rejected} of {len(tried)} tried would be rejected"
        if rejected > options.max_reject_fraction * len(tried):
            usable += f": THE JOB WILL FAIL, as --max_reject_fraction is {options.max_reject_fraction:g}"
    yield "dry run: nothing was written"
    yield cli.table(
        [
            ("images", split),
            *_twins(chosen.duplicates),
            ("usable", usable),
            ("output", f"{_bytes(needed)} in {num_shards} shards ({options.out})"),
            ("free", _free(options.out, needed)),
            ("time", f"{_duration(seconds * images / len(tried) / workers)} with {workers} workers on this machine"),
        ]
    )


def _twins(duplicates: Sequence[ImageRef]) -> Iterator[tuple[str, str]]:
    """Yields what becomes of images whose record key another image has, such as a.png beside a.jpg."""
    if duplicates:
        first = duplicates[0]
        yield (
            "same key",
            f"{len(duplicates)} will be rejected because another image has the same key, first '{first.name}' with the "
            f"key '{first.key}'; rename them to keep both",
        )


def _try(refs: Sequence[ImageRef], options: Options) -> tuple[float, int, int]:
    """Measures seconds, bytes of all records, and rejects of a few images."""
    size = rejected = 0
    started = time.perf_counter()
    for ref, data in read_images(refs):
        try:
            size += sum(len(record) + framing.FRAME_BYTES for record in make_records(ref, data, options).encoded)
        except ImageRejected:
            rejected += 1
    return time.perf_counter() - started, size, rejected


def _free(folder: str, needed: float) -> str:
    if storage.is_gcs(folder):
        return "not known of Cloud Storage"
    place = os.path.abspath(folder)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    free = shutil.disk_usage(place).free
    return f"{_bytes(free)}" + ("" if free > 1.02 * needed else ": NOT ENOUGH")


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit in ("B", "kB") else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
