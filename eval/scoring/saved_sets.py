"""Checks the statistics files that a run is given, and writes one for each of its sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from coltran.errors import UserError
from eval.distances import saved_statistics
from eval.features.extractors import Extractor
from eval.images.sets import ImageSet
from eval.scoring.layout import Layout
from eval.scoring.plan import Row
from eval.scoring.set_features import Load


def check(sets: Iterable[ImageSet], extractor: Extractor, image: str) -> None:
    """Raises a UserError if a statistics file has another extractor, resize or resolution."""
    for images in sets:
        if not images.saved or images.saved.about is None:
            continue
        for name, expected in _about(extractor, images, image).items():
            found = images.saved.about.get(name)
            if name != "image_size" and found != expected:
                raise UserError(
                    f"{images.saved.path}: its {name} is {found}, this run's {expected}: their distance means nothing"
                )


def write(rows: Sequence[Row], load: Load, extractor: Extractor, image: str, layout: Layout) -> None:
    """Writes statistics/<row>-<number>.npz and statistics/real-seed<seed>.npz. Later runs can take them as --real."""
    written: dict[str, str] = {}
    for row in rows:
        for number, pair in enumerate(row.pairs, 1):
            named = {f"real-seed{pair.seed}": pair.real, f"{_slug(row.name)}-{number}": pair.fake}
            for name, images in named.items():
                if images.saved or images.identity in written.values():
                    continue
                name = f"{name}-{images.identity[:6]}" if name in written else name
                written[name] = images.identity
                summed = load(images)
                kept = summed.features
                names = None if kept is None else kept.names
                saved_statistics.write(
                    layout.saved_set(name),
                    summed.merged,
                    about=_about(extractor, images, image),
                    features=None if kept is None else kept.features,
                    keys=names if images.keys is not None else None,
                    names=names if images.keys is None else None,
                )


def _about(extractor: Extractor, images: ImageSet, image: str) -> dict[str, object]:
    made_by = {"extractor": extractor.name, "weights_sha256": extractor.weights_sha256, "resize": extractor.resize}
    return {**made_by, "image": image, "image_size": images.size}


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("_") or "row"
