"""Reads the images of the pairs from record folders, or from folders of PNG or JPEG files named by key.

A folder of files holds KEY.png for truths, and KEY.png (one sample) or KEY/SAMPLE.png for colorizations; .jpg and .jpeg
work too. A KEY may have folders of its own, as in train/n01440764/n01440764_10026.png. `common_size` finds one size for
files of several.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from coltran import storage
from coltran.errors import UserError
from coltran.records import folder as record_folder, schema as records
from coltran.records.folder import RecordFolder
from coltran.walking import walk
from human_eval.design import plain_photos

TRUTH = "truth"
_SAMPLE = re.compile(r"(?P<key>.+)(/|_sample)(?P<sample>\d{1,3})", re.ASCII)
_CERTAINTY = re.compile(r".+_sample\d+_certainty", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """One folder of images.

    Attributes:
      path: path of the folder, local or gs://.
      model: its name in tables; `truth` for the photos themselves.
      folder: the record folder; None for a folder of files.
      pixels: for records, the name of the feature to show.
      side: side of its images, in pixels.
      found: for each (key, sample), the file within the folder (empty for records). A truth's sample is 0.
      fingerprint: a digest that changes with the content of the folder.
      sizes: for each file, its (width, height); empty for records.
    """

    path: str
    model: str
    folder: RecordFolder | None
    pixels: str
    side: int
    found: Mapping[tuple[str, int], str]
    fingerprint: str
    sizes: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)

    @property
    def keys(self) -> set[str]:
        """The keys of all images in the folder."""
        return {key for key, _ in self.found}


def open_source(path: str, model: str, image: str, *, truth: Source | None = None) -> Source:
    """Opens a folder and lists its images.

    Args:
      path: record folder or folder of files, local or gs://.
      model: `truth`, or the name of a colorization.
      image: which pixels of records to take, `hi` or `lo`.
      truth: the photos. Their keys distinguish KEY/SAMPLE.png from a key that ends in a number.

    Raises:
      UserError: the folder is of neither kind, is unfinished, lacks these pixels, or has two images with one name.
    """
    storage.check_access(path)
    kinds = (record_folder.MANIFEST, record_folder.COMPLETED, "_work")
    if any(storage.exists(storage.join(path, name)) for name in kinds[:2]) or not storage.is_folder(path):
        return _records(path, model, image)
    if storage.is_folder(storage.join(path, kinds[2])):
        return _records(path, model, image)  # This raises an error that says that the folder is unfinished.
    return _files(path, model, truth.keys if truth else set())


def _records(path: str, model: str, image: str) -> Source:
    pixels = records.RGB_HI if image == "hi" else records.RGB_LO
    schema = records.TRUTH if model == TRUTH else records.COLORIZED
    folder = record_folder.open_folder(path, schema=schema, needs=[pixels])
    names = [records.KEY] if model == TRUTH else [records.KEY, records.SAMPLE]
    found: dict[tuple[str, int], str] = {}
    for values in folder.read(names):
        name = name_of(values)
        if name in found:
            raise UserError(f"{path}: has two records of '{name[0]}', sample {name[1]} (crops?); a study needs one")
        found[name] = ""
    manifest = folder.manifest
    return Source(
        path=path,
        model=model,
        folder=folder,
        pixels=pixels,
        side=getattr(folder.sizes, image),
        found=found,
        fingerprint=manifest.fingerprint,
    )


def name_of(values: Mapping[str, Any]) -> tuple[str, int]:
    """Returns (key, sample) of a record. A truth's sample is 0."""
    return values[records.KEY], values.get(records.SAMPLE, 0)


def _files(path: str, model: str, truths: set[str]) -> Source:
    files = [(name, size) for name, size in walk(path, takes=_is_photo).files if _is_photo(name)]
    named = {file: _name_of_file(file, model, truths) for file, _ in files}
    files = [(file, size) for file, size in files if named[file] is not None]
    if not files:
        raise UserError(
            f"{path}: is no record folder and has no .png or .jpg files; give what coltran-sample wrote, or photos"
        )
    found: dict[tuple[str, int], str] = {}
    for file, name in named.items():
        if name is None:
            continue
        if name in found:
            raise UserError(f"{path}: {found[name]} and {file} are both sample {name[1]} of '{name[0]}'; keep one")
        found[name] = file
    digest, sizes = plain_photos.measure(path, files)
    return Source(
        path=path,
        model=model,
        folder=None,
        pixels="",
        side=min(min(size) for size in sizes.values()),
        found=found,
        fingerprint=digest,
        sizes=sizes,
    )


def _name_of_file(file: str, model: str, truths: set[str]) -> tuple[str, int] | None:
    """Returns (key, sample) of an image file: KEY.png, KEY/SAMPLE.png, or KEY_sampleSAMPLE.png of coltran-colorize.

    Returns None for the pictures that coltran-colorize makes for people. A file whose whole name is a truth's key is
    always that truth's colorization.
    """
    stem = file[: file.rindex(".")]
    if model == TRUTH or stem in truths:
        return stem, 0
    found = _SAMPLE.fullmatch(stem)
    if found is not None and found["key"] in truths:
        return found["key"], int(found["sample"])
    shown_only = stem == "contact_sheet" or _CERTAINTY.fullmatch(stem)
    return None if shown_only else (stem, 0)


def _is_photo(name: str) -> bool:
    return name.lower().endswith(plain_photos.ENDS)
