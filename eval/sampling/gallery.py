"""A picture for people: one row an image, with its grayscale, its samples and the truth."""

from __future__ import annotations

import numpy as np

from coltran import colors, partition, records
from coltran.contact_sheet import contact_sheet
from coltran.errors import UserError
from coltran.record_folder import RecordFolder

_MAX_SAMPLES = 6


def gallery(truth: RecordFolder, colorized: RecordFolder, rows: int, seed: int) -> bytes:
    """PNG bytes of a table: gray, samples, truth; the images are the first by hash of (seed, key).

    Args:
      truth: the records that were colorized.
      colorized: their samples.
      rows: at most so many images.
      seed: of the choice.
    Raises:
      UserError: no image is in both folders.
    """
    hi = records.RGB_HI in colorized.manifest.features
    gray, rgb = (records.GRAY_HI, records.RGB_HI) if hi else (records.GRAY_LO, records.RGB_LO)
    keys = {values[records.KEY] for values in colorized.read([records.KEY])}
    chosen = partition.shuffled(keys, seed)[:rows]
    samples = _read_samples(colorized, rgb, set(chosen))
    names = [records.KEY, records.CROP, gray, *([rgb] if rgb in truth.manifest.features else [])]
    truths = {
        values[records.KEY]: values
        for values in truth.read(names)
        if values[records.KEY] in set(chosen) and not values[records.CROP]
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
    pixels = records.COARSE_LO if coarse_only else rgb
    found: dict[str, dict[int, np.ndarray]] = {}
    for values in colorized.read([records.KEY, records.SAMPLE, pixels]):
        if values[records.KEY] not in chosen:
            continue
        image = colors.coarse_to_rgb(values[pixels]) if coarse_only else values[pixels]
        found.setdefault(values[records.KEY], {})[values[records.SAMPLE]] = image
    return found
