"""Accounts for every image of the folders that a run scores, for run.json: found = scored + not chosen + passed over.

No image is rejected, because a damaged one ends the run.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

from eval.images.sets import ImageSet
from eval.images.sources import Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderCount:
    """What became of the files or records of one folder. A folder of which both colors and gray are scored has two.

    Attributes:
      path: the folder, as the user wrote it first.
      feature: which pixels of the records; None for files.
      found: all that is in it; of records with several samples or crops, those that were asked for.
      scored: images that are in some set. Each counts once, even if it is in several sets.
      not_chosen: images that no half and no --num chose.
      passed_over: files that are no images.
    """

    path: str
    feature: str | None
    found: int
    scored: int
    not_chosen: int
    passed_over: int


def count_folders(sets: Iterable[ImageSet]) -> list[FolderCount]:
    """Counts what is in the folders of some sets. Equal folders count once, however their paths are spelled."""
    sources: dict[tuple[str, str | None, int], Source] = {}
    scored: dict[tuple[str, str | None, int], set[str]] = collections.defaultdict(set)
    for images in sets:
        for source in images.sources:
            same = (source.fingerprint, source.feature, source.index)
            sources.setdefault(same, source)
            scored[same].update(name.removeprefix(source.prefix) for name in source.names if name in images.chosen)
    counted = []
    for same, source in sources.items():
        images_there, used = len(source.names), len(scored[same])
        counted.append(
            FolderCount(
                path=source.path,
                feature=source.feature,
                found=images_there + source.passed_over,
                scored=used,
                not_chosen=images_there - used,
                passed_over=source.passed_over,
            )
        )
    return counted
