"""Draws a picture for people. It has one row per image, with its grayscale, its samples and the truth."""

from __future__ import annotations

import numpy as np

from coltran.errors import UserError
from coltran.images import colors
from coltran.images.contact_sheet import contact_sheet
from coltran.records import partition, schema
from coltran.records.folder import RecordFolder

_MAX_SAMPLES = 6


def gallery(truth: RecordFolder, colorized: RecordFolder, rows: int, seed: int) -> bytes:
    """Draws a table of images with gray, samples and truth as PNG bytes. It shows the first by hash of (seed, key).

    Args:
      truth: the records that were colorized.
      colorized: their samples.
      rows: maximum number of images.
      seed: seed of the choice.

    Raises:
      UserError: no image is in both folders.
    """
    hi = schema.RGB_HI in colorized.manifest.features
    gray, rgb = (schema.GRAY_HI, schema.RGB_HI) if hi else (schema.GRAY_LO, schema.RGB_LO)
    keys = {values[schema.KEY] for values in colorized.read([schema.KEY])}
    chosen = partition.shuffled(keys, seed)[:rows]
    samples = _read_samples(colorized, rgb, set(chosen))
    names = [schema.KEY, schema.CROP, gray, *([rgb] if rgb in truth.manifest.features else [])]
    truths = {
        values[schema.KEY]: values
        for values in truth.read(names)
        if values[schema.KEY] in set(chosen) and not values[schema.CROP]
    }
    cells = []
    for key in chosen:
        if key not in truths:
            raise UserError(f"{truth.path}: holds no '{key}', which was colorized; give the folder it was made from")
        shown = [samples[key][index] for index in sorted(samples[key])[:_MAX_SAMPLES]]
        plane = np.repeat(truths[key][gray][..., None], 3, axis=-1)
        cells.append([plane, *shown, *([truths[key][rgb]] if rgb in truths[key] else [])])
    titles = ["gray", *(f"sample {i}" for i in range(len(cells[0]) - 1 - (rgb in names))), *["truth"] * (rgb in names)]
    return contact_sheet(cells, titles)


def _read_samples(colorized: RecordFolder, rgb: str, chosen: set[str]) -> dict[str, dict[int, np.ndarray]]:
    coarse_only = rgb not in colorized.manifest.features
    pixels = schema.COARSE_LO if coarse_only else rgb
    found: dict[str, dict[int, np.ndarray]] = {}
    for values in colorized.read([schema.KEY, schema.SAMPLE, pixels]):
        if values[schema.KEY] not in chosen:
            continue
        image = colors.coarse_to_rgb(values[pixels]) if coarse_only else values[pixels]
        found.setdefault(values[schema.KEY], {})[values[schema.SAMPLE]] = image
    return found
