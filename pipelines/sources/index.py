"""Makes the index of a source: every image of a split with its key and label. It does not read any pixel.

The job spreads the index over the workers. The bytes of an image are read once, by the worker that writes its shard.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from coltran import cli
from coltran.errors import UserError
from coltran.file_patterns import IMAGE_SUFFIXES
from pipelines.sources import labels as imagenet_labels, names as image_names, validation_labels
from pipelines.sources.files import SourceFile, SourceFiles, find_files
from pipelines.sources.image_ref import ImageRef
from pipelines.sources.labels import UNKNOWN

_LISTERS = 8  # threads, which mostly wait for a disk or for Cloud Storage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Index:
    """All images of a split, sorted by name, and the number of other files, which were ignored."""

    images: tuple[ImageRef, ...]
    kind: str
    ignored: int


def index_images(source: str, split: str, *, kind: str | None = None, labels: str | None = None) -> Index:
    """Lists the images of `split`.

    If folders at the top (or below Kaggle's ILSVRC/Data/CLS-LOC) are named train, val, validation or test, it takes
    only those of the split. If the names of archives, TFRecord and Parquet files tell a split, it takes only files of
    this split. Images elsewhere belong to the split that is asked for.

    Args:
      source: a folder (searched recursively), file, or pattern such as `photos/**/*.jpg`, local or gs://.
      split: `train` or `validation`.
      kind: one of `source_files.KINDS`; by default it is guessed.
      labels: file with the labels of validation images; by default it is looked for in and beside the source.
    Raises:
      UserError: nothing is there, it is damaged, or there is no image of that split.
    """
    found = find_files(source, kind)
    known = validation_labels.find(source, found.files, labels) if split == "validation" or labels else {}
    images, ignored = [], found.ignored
    other: set[str] = set()
    for ref in _list_images(found, split, other):
        if not ref.name.lower().endswith(IMAGE_SUFFIXES) or "__MACOSX/" in ref.name:
            ignored += 1
            continue
        of_split, key = image_names.split_and_key(ref.key or ref.name, split)
        if of_split == split:
            images.append(dataclasses.replace(ref, key=key, label=_label(ref, key, known)))
        else:
            other.add(of_split)
    if not images:
        hint = f"; it has images of split {', '.join(sorted(other))}: use --split" if other else ""
        raise UserError(
            f"{source}: no images of split '{split}' (looked for {' '.join(IMAGE_SUFFIXES)} in {_where(found)}){hint}"
        )
    return Index(images=tuple(sorted(images, key=lambda ref: ref.name)), kind=found.kind, ignored=ignored)


def _where(found: SourceFiles) -> str:
    return "all subfolders" if found.kind == "images" else f"{len(found.files)} {found.kind} files"


def _label(ref: ImageRef, key: str, known: Mapping[str, int]) -> int:
    """Takes the class from the name, else the label beside the image in its file, else the one in the labels' file."""
    label = imagenet_labels.label_of(key)
    if label == UNKNOWN:
        label = ref.label if ref.label != UNKNOWN else imagenet_labels.label_of(ref.name)
    return label if label != UNKNOWN else known.get(key.rpartition("/")[2], UNKNOWN)


def _list_images(found: SourceFiles, split: str, other: set[str]) -> Iterator[ImageRef]:
    """Yields all images of files that may hold some of `split`. Adds the splits of the other files to `other`."""
    with cli.progress_bar(None, "index", "images", delay=2) as bar:
        if found.kind == "images":
            refs: Iterator[ImageRef] = (
                ImageRef(name=file.name, path=file.path, size=file.size) for file in found.files
            )
        else:
            says = {file: image_names.split_of_file(file.name) for file in found.files}
            other.update(says_split for says_split in says.values() if says_split not in (None, split))
            refs = _list_containers(found.kind, [file for file in found.files if says[file] in (None, split)])
        for ref in refs:
            bar.update()
            yield ref


def _list_containers(kind: str, files: Sequence[SourceFile]) -> Iterator[ImageRef]:
    if kind == "tfrecord":
        from pipelines.sources.tfrecords import list_records as lister
    elif kind == "parquet":
        from pipelines.sources.parquet import list_rows as lister
    elif kind == "zip":
        from pipelines.sources.archives import list_zip as lister
    else:
        from pipelines.sources.archives import list_tar as lister, split_tar

        files = [part for file in files for part in split_tar(file)]
    with concurrent.futures.ThreadPoolExecutor(_LISTERS) as threads:
        for refs in threads.map(lambda file: list(lister(file)), files):
            yield from refs
