"""Defines a set of images to score. It holds chosen images of some folders, or the statistics of an earlier set."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeGuard

from coltran import storage
from coltran.errors import UserError
from coltran.records import partition, schema
from eval.distances import array_file, saved_statistics
from eval.distances.saved_statistics import SavedStatistics
from eval.images import lossless_files, sample_dumps, sources as image_sources
from eval.images.sources import Source

STATISTICS_KIND = "statistics file"
GROUPS = 10  # A set is split into disjoint tenths. The standard error of a result comes from them.


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Images of one size from one kind of source.

    Attributes:
      sources: the folders; empty for a statistics file.
      chosen: names of the images that belong to the set.
      part: the `condition` or `truth` half, or None for all images.
      seed: the seed that decides the halves and the choice.
      saved: the statistics file, or None for folders.
    """

    sources: tuple[Source, ...] = ()
    chosen: frozenset[str] = frozenset()
    part: str | None = None
    seed: int | None = None
    saved: SavedStatistics | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The folders of the set, or its statistics file."""
        return (self.saved.path,) if self.saved else tuple(source.path for source in self.sources)

    @property
    def kind(self) -> str:
        """What the set comes from: a kind of `Source`, or a statistics file."""
        return STATISTICS_KIND if self.saved else self.sources[0].kind

    @property
    def size(self) -> tuple[int, int] | None:
        """The (height, width) of every image, or None if a statistics file does not name it."""
        if self.saved is None:
            return self.sources[0].size
        said = (self.saved.about or {}).get("image_size")
        if said is None:
            return None
        height, width = said
        return height, width

    @property
    def count(self) -> int | None:
        """The number of images, or None if a statistics file does not name it."""
        return self.saved.count if self.saved else len(self.chosen)

    @property
    def keys(self) -> frozenset[str] | None:
        """The record keys, or None for images and statistics that have no keys."""
        if self.saved:
            return None if self.saved.keys is None else frozenset(self.saved.keys)
        return self.chosen if self.sources[0].has_keys else None

    @property
    def sample(self) -> int | None:
        """Which sample of each image counts, or None if the images are not colorized records."""
        if self.saved or self.sources[0].index_feature != schema.SAMPLE:
            return None
        return self.sources[0].index

    @property
    def told(self) -> tuple[str, ...]:
        """What a reader of the numbers must know about the sources, in words."""
        return tuple(line for source in self.sources for line in source.told)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """A fingerprint of each source's content, or of the mean and covariance of a statistics file."""
        if self.saved:
            return (hashlib.sha256(self.saved.mean.tobytes() + self.saved.covariance.tobytes()).hexdigest(),)
        return tuple(source.fingerprint for source in self.sources)

    @functools.cached_property
    def identity(self) -> str:
        """A hash that is equal for sets of the same images and pixels, whatever the paths of their folders.

        It lets us sum up their features only once.
        """
        pixels = [source.feature for source in self.sources]
        told_by = [self.kind, self.fingerprints, pixels, self.sample, sorted(self.chosen)]
        return hashlib.sha256(json.dumps(told_by).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @functools.cached_property
    def groups(self) -> Mapping[str, int]:
        """The tenth that each chosen image belongs to. The sizes of the tenths differ by 1 at most."""
        return grouped(self.chosen)


# One option of the command names this: folders, or a statistics file.
Opened = tuple[Source, ...] | SavedStatistics


def can_choose(opened: Opened) -> TypeGuard[tuple[Source, ...]]:
    """Says whether a half, or a number of images, can be chosen. Only records allow that."""
    return not isinstance(opened, SavedStatistics) and opened[0].has_keys


def has_halves(opened: Opened) -> TypeGuard[tuple[Source]]:
    """Says whether this is one folder of truth records, which has two halves."""
    return can_choose(opened) and len(opened) == 1 and opened[0].holds_truth


def grouped(names: Iterable[str]) -> dict[str, int]:
    """Deals images into tenths, {name: 0..9}, by their rank in an order of hashes. The folders' order has no effect."""
    return {name: rank % GROUPS for rank, name in enumerate(partition.shuffled(names, seed=0))}


def open_sources(paths: Sequence[str], image: str, sample: int, alpha: str | None = None) -> Opened:
    """Opens what an option names: record folders, folders or files of images, or one statistics file.

    Args:
      paths: the folders or files.
      image, sample: as in `sources.open_records`.
      alpha: as in `lossless_files.open_images`.

    Raises:
      UserError: kinds or sizes differ, two folders hold the same key, or a folder or file cannot be opened.
    """
    sources: list[Source] = []
    for path in paths:
        if storage.is_folder(path):
            is_images = lossless_files.is_image_folder(path)
            opened = lossless_files.open_images(path, alpha) if is_images else None
            sources.append(opened or image_sources.open_records(path, image, sample))
            continue
        if not array_file.is_array_file(path):
            _refuse_file(path)
            sources.append(image_sources.open_records(path, image, sample))  # which says that nothing is there
            continue
        headers = array_file.headers(path)
        if sample_dumps.is_dump(headers):
            sources.append(sample_dumps.open_dump(path, headers))
        elif len(paths) > 1:
            raise UserError(f"{' '.join(paths)}: a statistics file is a set by itself; give nothing beside it")
        else:
            return saved_statistics.read(path)
    image_sources.check_together(sources)
    opened_together = tuple(sources) if sources[0].has_keys else image_sources.told_apart(sources)
    image_sources.check_names(opened_together)
    return opened_together


def _refuse_file(path: str) -> None:
    if storage.exists(path):
        raise UserError(
            f"{path}: is a file of no known kind; expected a folder of records or images, or an .npz file with "
            "'mu' and 'sigma' (statistics) or 'arr_0' (images), as numpy.savez writes it"
        )


def choose(sources: Opened, *, part: str | None, num: int | None, seed: int) -> ImageSet:
    """Chooses images of opened sources.

    Args:
      sources: what `open_sources` returned.
      part, num, seed: as in `partition.choose`. Images without keys and statistics files are always taken as a whole.

    Raises:
      UserError: there are fewer images than `num`, or a part was asked for but the images have no keys.
    """
    if isinstance(sources, SavedStatistics):
        _refuse_choice(sources.path, "a statistics file has no images to choose from", part, num, sources.count)
        return ImageSet(saved=sources)
    names = [name for source in sources for name in source.names]
    if not sources[0].has_keys:
        _refuse_choice(sources[0].path, f"{sources[0].kind} have no record keys", part, num, len(names))
        return ImageSet(sources=sources, chosen=frozenset(names))
    chosen = partition.choose(names, seed=seed, part=part, num=num)
    return ImageSet(sources=sources, chosen=frozenset(chosen), part=part, seed=seed)


def available(sources: Opened, part: str | None) -> int | None:
    """Returns how many images `choose` could give, or None if a statistics file does not tell its count."""
    if isinstance(sources, SavedStatistics):
        return sources.count
    total = len({name for source in sources for name in source.names})
    return {None: total, "condition": total // 2, "truth": total - total // 2}[part]


def shared_keys(first: ImageSet, second: ImageSet) -> list[str] | None:
    """Returns the sorted keys that both sets contain, or None if a set has no keys."""
    if first.keys is None or second.keys is None:
        return None
    return sorted(first.keys & second.keys)


def _refuse_choice(path: str, why: str, part: str | None, num: int | None, count: int | None) -> None:
    if part or (num is not None and num != count):
        raise UserError(f"{path}: {why}, so a part or --num cannot be chosen; give records")
