"""Computes the fingerprint of a run, and reads the result of an earlier run in the same folder."""

from __future__ import annotations

from collections.abc import Sequence

from coltran import storage
from coltran.errors import UserError
from coltran.options import deciding
from coltran.records.folder import COMPLETED
from eval.features.extractors import Extractor
from eval.images.sets import ImageSet
from eval.scoring.arguments import Options
from eval.scoring.layout import Layout
from eval.scoring.plan import Row
from eval.scoring.result import FidResult
from pipelines.shards import job as shard_job


def fingerprint(rows: Sequence[Row], extractor: Extractor, options: Options) -> str:
    """Returns a sha256 over all that affects the numbers: the rows' sets, the extractor, and the deciding options."""
    sets = [
        [
            _given_name(row, options),
            row.step,
            [[pair.seed, *_identities(pair.real, pair.fake, pair.floor)] for pair in row.pairs],
        ]
        for row in rows
    ]
    own = deciding(options)
    bits = own.pop("bits")
    made_by = [extractor.name, extractor.weights_sha256, extractor.resize, *own.values()]
    return shard_job.fingerprint("fid", sets, made_by, bits)


def _given_name(row: Row, options: Options) -> str | None:
    """Returns the row's name, or None for that of --fake, which only spells the paths of folders."""
    return None if options.fake and row.name == options.fake_row else row.name


def _identities(*sets: ImageSet | None) -> list[str | None]:
    return [None if images is None else images.identity for images in sets]


def finished_result(layout: Layout, expected_fingerprint: str) -> FidResult | None:
    """Reads the result in the folder, or returns None if no run has finished (the folder carries no COMPLETED).

    Raises:
      UserError: the folder holds a result for other images or options.
    """
    if not storage.exists(layout.result):
        return None
    found = FidResult.from_json(storage.read_bytes(layout.result))
    if found.fingerprint != expected_fingerprint:
        raise UserError(
            f"{layout.result} is of other images or options; name another --out (with --features "
            f"{layout.path('features')}, features that are the same are not computed again)"
        )
    return found if storage.exists(layout.path(COMPLETED)) else None
