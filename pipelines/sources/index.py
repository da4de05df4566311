"""Makes the index of a source: every image of a split with its key and label. It does not read any pixel.

The job spreads the index over the workers. The bytes of an image are read once, by the worker that writes its shard.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

from coltran import cli
from coltran.errors import UserError
from coltran.images.formats import heic_hint, known_formats
from coltran.walking import describe_passed_over
from pipelines.sources import labels as imagenet_labels, names as image_names, validation_labels
from pipelines.sources.files import SourceFile, SourceFiles, find_files, missing_shards
from pipelines.sources.image_ref import REFUSED, ImageRef, PassedOver
from pipelines.sources.labels import UNKNOWN

_OF_SPLIT = "of split "
_LISTERS = 8  # threads, which mostly wait for a disk or for Cloud Storage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Index:
    """All images of a split, sorted by name; found = len(images) + the sum of passed_over.

    Attributes:
      images: the images of the split.
      kind: one of `files.KINDS`.
      found: how many entries the source has: files, and in archives and files of records what they hold.
      passed_over: the number of the other entries, by reason, such as `.xml`, `hidden` or `of split validation`.
    """

    images: tuple[ImageRef, ...]
    kind: str
    found: int
    passed_over: Mapping[str, int]


def index_images(
    source: str,
    split: str,
    *,
    kind: str | None = None,
    labels: str | None = None,
    skip_unreadable: bool = False,
    allow_missing_shards: bool = False,
) -> Index:
    """Lists the images of `split`.

    If folders at the top (or below Kaggle's ILSVRC/Data/CLS-LOC) are named train, val, validation or test, it takes
    only those of the split. If the names of archives, TFRecord and Parquet files tell a split, it takes only files of
    this split. Images elsewhere belong to the split that is asked for.

    Args:
      source: a folder (searched recursively), file, or pattern such as `photos/**/*.jpg`, local or gs://.
      split: `train` or `validation`.
      kind: one of `files.KINDS`; by default it is guessed.
      labels: file with the labels of validation images; by default it is looked for in and beside the source.
      skip_unreadable: whether to count folders that cannot be read, instead of raising an error.
      allow_missing_shards: whether files may be missing in a numbered set (00001-of-00003).
    Raises:
      UserError: nothing is there, it is damaged or not whole, or there is no image of that split.
    """
    found = find_files(source, kind, skip_unreadable=skip_unreadable)
    known = validation_labels.find(source, found.files, labels) if split == "validation" or labels else {}
    if not (allow_missing_shards or found.kind == "images" or any(file.alone for file in found.files)):
        _refuse_missing(source, [file for file in found.files if _may_hold(file, split)])
    images: list[ImageRef] = []
    passed_over = collections.Counter(found.passed_over)
    number = sum(passed_over.values())
    other: set[str] = set()
    for entry in _list_entries(found, split):
        number += 1
        if isinstance(entry, PassedOver):
            passed_over[entry.reason] += 1
            continue
        of_split, key = image_names.split_and_key(entry.key or entry.name, split)
        if of_split == split:
            images.append(dataclasses.replace(entry, key=_key(entry, key), label=_label(entry, key, known)))
        else:
            other.add(of_split)
            passed_over[f"{_OF_SPLIT}{of_split}"] += 1
    other.update(reason.removeprefix(_OF_SPLIT) for reason in passed_over if reason.startswith(_OF_SPLIT))
    if not images:
        hint = f"; it has images of split {', '.join(sorted(other))}: use --split" if other else ""
        counted = describe_passed_over(passed_over)
        rest = f"; {counted}{heic_hint(passed_over)}" if counted else ""
        raise UserError(f"{source}: no images of split '{split}' ({_looked_for(found)}){hint}{rest}")
    if number != len(images) + sum(passed_over.values()):
        raise RuntimeError(f"{source}: {number} entries, but {len(images)} images and {dict(passed_over)}")
    images.sort(key=lambda ref: ref.name)
    return Index(images=tuple(images), kind=found.kind, found=number, passed_over=dict(passed_over))


def _key(ref: ImageRef, key: str) -> str:
    """Returns the key of an image. A refused one must not take the key of an image that can be read."""
    return f"{key}?refused" if ref.place[:1] == (REFUSED,) else key


def _may_hold(file: SourceFile, split: str) -> bool:
    return image_names.split_of_file(file.name) in (None, split)


def _refuse_missing(source: str, files: Sequence[SourceFile]) -> None:
    missing = missing_shards(files)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"{source}: {missing[0]}{more} is missing from a numbered set; get it, or take what is there with "
            "--allow_missing_shards"
        )


def _looked_for(found: SourceFiles) -> str:
    if found.kind != "images":
        return f"looked in {len(found.files)} {found.kind} files"
    return f"looked in all folders for {', '.join(known_formats())}"


def _label(ref: ImageRef, key: str, known: Mapping[str, int]) -> int:
    """Takes the class from the name, else the label beside the image in its file, else the one in the labels' file."""
    label = imagenet_labels.label_of(key)
    if label == UNKNOWN:
        label = ref.label if ref.label != UNKNOWN else imagenet_labels.label_of(ref.name)
    return label if label != UNKNOWN else known.get(key.rpartition("/")[2], UNKNOWN)


def _list_entries(found: SourceFiles, split: str) -> Iterator[ImageRef | PassedOver]:
    """Yields all entries of files that may hold some of `split`, and one for each of the other files."""
    with cli.progress_bar(None, "index", "images", delay=2) as bar:
        if found.kind == "images":
            entries: Iterator[ImageRef | PassedOver] = (
                ImageRef(name=file.name, path=file.path, size=file.size) for file in found.files
            )
        else:
            files = [file for file in found.files if _may_hold(file, split)]
            others = (image_names.split_of_file(file.name) for file in found.files if not _may_hold(file, split))
            entries = itertools.chain(
                (PassedOver(f"{_OF_SPLIT}{other}") for other in others), _list_containers(found.kind, files)
            )
        for entry in entries:
            bar.update()
            yield entry


def _list_containers(kind: str, files: Sequence[SourceFile]) -> Iterator[ImageRef | PassedOver]:
    with concurrent.futures.ThreadPoolExecutor(_LISTERS) as threads:
        if kind == "tar":
            from pipelines.sources.tars import list_tars

            yield from list_tars(files, threads)
            return
        lister: Callable[[SourceFile], Iterator[ImageRef | PassedOver]]
        if kind == "tfrecord":
            from pipelines.sources.tfrecords import list_records as lister
        elif kind == "parquet":
            from pipelines.sources.parquet import list_rows as lister
        else:
            from pipelines.sources.zips import list_zip as lister
        for entries in threads.map(lambda file: list(lister(file)), files):
            yield from entries
