"""Reads labels of validation images, whose names tell no class, from the devkit, Kaggle's table or a plain list."""

from __future__ import annotations

import csv
import io
import posixpath
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping

from coltran import storage
from coltran.errors import UserError
from pipelines.sources import labels as imagenet_labels, zips
from pipelines.sources.files import SourceFile

KAGGLE = "LOC_val_solution.csv"
DEVKIT = "ILSVRC2012_devkit_t12"
_META, _GROUND_TRUTH = "data/meta.mat", "data/ILSVRC2012_validation_ground_truth.txt"
_EXPECTED = f"expected the devkit ({DEVKIT}.tar.gz or its folder), Kaggle's {KAGGLE}, or lines of 'name label'"


def find(source: str, files: Iterable[SourceFile], given: str | None = None) -> Mapping[str, int]:
    """Finds the labels by image name without suffix, such as ILSVRC2012_val_00000293.

    The result is empty if there is no file with labels.

    Args:
      source: where the images are; the devkit and Kaggle's table may lie in it or beside it.
      files: the source's files; Kaggle's zip contains its table.
      given: file or folder to read instead.
    Raises:
      UserError: `given` is not of a known kind, or the file with labels is damaged.
    """
    if given:
        return read(given)
    for folder in (source.rstrip("/"), posixpath.dirname(source.rstrip("/")) or "."):
        for name in (KAGGLE, f"{DEVKIT}.tar.gz", DEVKIT):
            path = storage.join(folder, name)
            if storage.exists(path) or (name == DEVKIT and storage.exists(storage.join(path, _META))):
                return read(path)
    for file in files:
        if file.path.lower().endswith(".zip"):
            table = zips.read_first_named(file.path, KAGGLE)
            if table is not None:
                return _kaggle(_rows(table), file.path)
    return {}


def read(path: str) -> dict[str, int]:
    """Reads the labels, 0..999, by image name without suffix. Raises UserError for a damaged or unknown file."""
    if path.endswith((".tar.gz", ".tgz", ".tar")):
        with storage.open_read(path) as file:
            try:
                with tarfile.open(fileobj=io.BytesIO(file.read())) as archive:
                    return _devkit(lambda name: _content(archive, name), path)
            except (tarfile.TarError, EOFError, OSError) as error:
                raise UserError(f"{path}: the devkit's tar is damaged ({error}); get it again") from error
    if storage.is_folder(path):
        return _devkit(lambda name: storage.read_bytes(storage.join(path, name)), path)
    if path.endswith(".csv"):
        return _kaggle(_rows(storage.read_bytes(path)), path)
    return _plain_list(storage.read_bytes(path), path)


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    """Reads the first file of an archive whose name ends with `name`."""
    for member in archive.getmembers():
        if member.name.endswith(name) and (file := archive.extractfile(member)) is not None:
            return file.read()
    raise tarfile.TarError(f"no {name} in it")


def _devkit(read_file: Callable[[str], bytes], path: str) -> dict[str, int]:
    """Reads the devkit, which numbers the classes by its own ids. meta.mat has the WordNet id of each of them."""
    from scipy import io as matlab

    try:
        synsets = matlab.loadmat(io.BytesIO(read_file(_META)), squeeze_me=True)["synsets"]
        wnid_by_id = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if not int(row["num_children"])}
        ids = [int(line) for line in read_file(_GROUND_TRUTH).split()]
        wnids = [wnid_by_id[number] for number in ids]
    except (ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise UserError(f"{path}: the devkit's {_META} or {_GROUND_TRUTH} is damaged ({error!r})") from error
    names = (f"ILSVRC2012_val_{number:08d}" for number in range(1, len(ids) + 1))
    return {name: _label(wnid, path) for name, wnid in zip(names, wnids, strict=True)}


def _rows(data: bytes) -> Iterator[Mapping[str, str]]:
    return csv.DictReader(io.StringIO(data.decode("utf-8", "replace")))


def _kaggle(rows: Iterable[Mapping[str, str]], path: str) -> dict[str, int]:
    """Reads Kaggle's rows, which have ImageId, and PredictionString such as 'n03995372 85 1 499 272'."""
    labels = {}
    for row in rows:
        image, prediction = row.get("ImageId"), row.get("PredictionString")
        if not image or not prediction:
            raise UserError(f"{path}: expected columns ImageId and PredictionString, got {', '.join(map(str, row))}")
        labels[image] = _label(prediction.split()[0], path)
    return labels


def _plain_list(data: bytes, path: str) -> dict[str, int]:
    labels = {}
    for line in data.decode("utf-8", "replace").splitlines():
        name, _, label = line.strip().rpartition(" ")
        if not name or not label.isdecimal() or int(label) >= len(imagenet_labels.wnids()):
            raise UserError(f"{path}: '{line[:60]}': {_EXPECTED}")
        labels[posixpath.basename(name).partition(".")[0]] = int(label)
    return labels


def _label(wnid: str, path: str) -> int:
    if wnid not in imagenet_labels.label_by_wnid():
        raise UserError(f"{path}: '{wnid}' is none of the 1000 WordNet ids of ILSVRC 2012")
    return imagenet_labels.label_by_wnid()[wnid]
