"""Makes the tasks of coltran-fid's workers. Each image of each folder is in one task, even if it is in several sets."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence

from eval.features.extractors import Extractor
from eval.images.sets import ImageSet
from eval.images.sources import Source
from eval.scoring import feature_store

_Member = tuple[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """The images of one chunk of a folder that some set needs.

    Attributes:
      source: the folder, without its list of chunks.
      index: index of the chunk.
      path: where the features of the chunk are kept.
      memberships: for the name of each image, the (set's identity, tenth) pairs that it counts in.
    """

    source: Source
    index: int
    path: str
    memberships: Mapping[str, tuple[_Member, ...]]


def tasks_of(sets: Iterable[ImageSet], extractor: Extractor, folder: str) -> list[Task]:
    """Makes the tasks for some sets. Each of their images is in one task.

    Args:
      sets: the distinct sets.
      extractor: decides where features are kept.
      folder: folder of the features.
    """
    # One file keeps the features of equal folders, however their paths are spelled. So one task writes it.
    found: dict[str, tuple[Source, int, dict[str, list[_Member]]]] = {}
    for images_set in sets:
        for source in images_set.sources:
            for index, names in enumerate(source.chunks):
                path = feature_store.chunk_path(folder, source, extractor, index)
                _, _, members = found.setdefault(path, (source, index, collections.defaultdict(list)))
                for name in names:
                    if name in images_set.groups:
                        members[name].append((images_set.identity, images_set.groups[name]))
    return [
        Task(
            source=dataclasses.replace(source, chunks=()),
            index=index,
            path=path,
            memberships={name: tuple(members) for name, members in by_name.items()},
        )
        for path, (source, index, by_name) in found.items()
        if by_name
    ]


def in_groups(tasks: Sequence[Task], least: int) -> list[list[Task]]:
    """Groups tasks with images of one size. A group has at least `least` images, so that few batches end half empty."""
    groups: list[list[Task]] = []
    for _, same_size in itertools.groupby(tasks, lambda task: task.source.size):
        images_left = 0
        for task in same_size:
            if images_left <= 0:
                groups.append([])
                images_left = least
            groups[-1].append(task)
            images_left -= len(task.memberships)
    return groups
