"""Finds the images nearest to and farthest from the truth in feature space, and draws them for people to look at."""

from __future__ import annotations

import dataclasses

import numpy as np

from coltran.images.contact_sheet import contact_sheet, thumbnail
from eval.distances import neighbors
from eval.images.reading import read_chunk
from eval.images.sets import ImageSet
from eval.scoring.pairs import Pair
from eval.scoring.set_features import Load

_SHOWN = 8
_SIDE = 128  # pixels of a thumbnail


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extremes:
    """The names of images and their distances to the nearest truth in feature space.

    `nearest` begins with the nearest image, and `farthest` begins with the farthest one.
    """

    nearest: tuple[tuple[str, float], ...]
    farthest: tuple[tuple[str, float], ...]


def find(pair: Pair, load: Load, shown: int = _SHOWN) -> Extremes | None:
    """Finds the fake images nearest to any truth and farthest from all of it. Returns None if features are not kept."""
    real, fake = load(pair.real).features, load(pair.fake).features
    if real is None or fake is None or pair.fake.saved:
        return None
    distances = neighbors.nearest_distances(fake.features, real.features)
    near, far = neighbors.extremes(distances, min(shown, len(distances) // 2))
    return Extremes(
        nearest=tuple((fake.names[row], float(distances[row])) for row in near),
        farthest=tuple((fake.names[row], float(distances[row])) for row in far),
    )


def sheet(pair: Pair, load: Load) -> bytes | None:
    """Draws the nearest and the farthest fake images with their distances as PNG bytes.

    It returns None if `find` finds no images.
    """
    found = find(pair, load)
    if found is None or not found.nearest:
        return None
    pixels = _pixels(pair.fake, {name for name, _ in found.nearest + found.farthest})
    cells = [[thumbnail(pixels[name], _SIDE) for name, _ in named] for named in (found.nearest, found.farthest)]
    captions = [
        f"{word}: {', '.join(f'{distance:.1f}' for _, distance in named)}"
        for word, named in (("nearest", found.nearest), ("farthest", found.farthest))
    ]
    return contact_sheet(cells, [str(place + 1) for place in range(len(cells[0]))], captions=captions)


def _pixels(images: ImageSet, names: set[str]) -> dict[str, np.ndarray]:
    """Reads {name: uint8 [h, w, 3]} from all chunks that hold one of the images."""
    found: dict[str, np.ndarray] = {}
    for source in images.sources:
        for index, chunk in enumerate(source.chunks):
            found |= {name: pixels for name, pixels, _ in read_chunk(source, index, names & set(chunk))}
    return found
