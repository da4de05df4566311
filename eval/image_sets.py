"""A set of images to score: record folders or folders of PNGs, opened and checked before a job starts."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import io
from collections.abc import Sequence

from coltran import partition, record_folder, records, storage
from coltran.errors import UserError
from coltran.record_folder import RecordFolder

FEATURES = {"hi": records.RGB_HI, "lo": records.RGB_LO}
PNG_KIND = "PNG files"
_LOSSY = (".jpg", ".jpeg", ".webp")
_READERS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Images of one size from one kind of source.

    Attributes:
      paths: folders, as the user named them.
      kind: `truth records`, `colorized records` or `PNG files`.
      size: (height, width) of every image.
      count: how many images there are.
      fingerprints: one a path: the record folder's own, or a sha256 over the names and sizes of the PNG files.
      feature: name of the records' feature; None for PNG files.
      folders: opened record folders.
      files: paths of PNG files.
      keys: of the images that belong to the set; None for PNG files, which have none.
      index_feature, index: of the records of one image only this one counts: crop 0 of truth records, the sample that
        was asked for of colorized ones.
    """

    paths: tuple[str, ...]
    kind: str
    size: tuple[int, int]
    count: int
    fingerprints: tuple[str, ...]
    feature: str | None = None
    folders: tuple[RecordFolder, ...] = ()
    files: tuple[str, ...] = ()
    keys: frozenset[str] | None = None
    index_feature: str | None = None
    index: int = 0


def open_image_set(
    paths: Sequence[str],
    *,
    image: str = "hi",
    part: str | None = None,
    num: int | None = None,
    seed: int = 0,
    sample: int = 0,
) -> ImageSet:
    """Opens folders that together are one set. Reads every record's key, and no pixels.

    Args:
      paths: folders of one kind; several record folders count as one.
      image: `hi` or `lo`, which pixels of the records.
      part, num, seed: which keys to take, as in `partition.choose`; need records.
      sample: which sample of each image colorized records give.
    Raises:
      UserError: a folder that is missing, unfinished or empty, kinds or sizes that differ, one key in two folders,
        fewer keys than `num`, or a choice by key where there are no keys.
    """
    if not any(_is_png_folder(path) for path in paths):
        return _open_records(paths, image, sample, part=part, num=num, seed=seed)
    others = [path for path in paths if not _is_png_folder(path)]
    if others:
        raise UserError(
            f"{others[0]} is no folder of PNGs, and {paths[0]} is in the same set; give folders of one kind"
        )
    if part or num:
        raise UserError(f"{paths[0]}: PNG files have no record keys, so a part or --num cannot be chosen; give records")
    return _open_pngs(paths)


def shared_keys(first: ImageSet, second: ImageSet) -> list[str] | None:
    """Keys that are in both sets, sorted; None where a set has no keys to check."""
    if first.keys is None or second.keys is None:
        return None
    return sorted(first.keys & second.keys)


def _is_png_folder(path: str) -> bool:
    if not storage.is_folder(path):
        return False
    names = [name for name, _ in storage.list_files(path)]
    is_records = any(name in (record_folder.COMPLETED, record_folder.MANIFEST) or "/" in name for name in names)
    return not is_records and any(name.lower().endswith((".png", *_LOSSY)) for name in names)


def _open_records(paths: Sequence[str], image: str, sample: int, **choice) -> ImageSet:
    folders = tuple(record_folder.open_folder(path, needs=[FEATURES[image]]) for path in paths)
    kinds = {f"{folder.manifest.schema} records" for folder in folders}
    sizes = {folder.schema.features[FEATURES[image]].shape(folder.sizes)[:2] for folder in folders}
    if len(kinds) > 1 or len(sizes) > 1:
        what = " and ".join(sorted(kinds)) if len(kinds) > 1 else "images of " + _sides(sizes)
        raise UserError(f"{', '.join(paths)}: {what} in one set; give folders of one kind and size")
    colorized = folders[0].schema is records.COLORIZED
    index_feature, index = (records.SAMPLE, sample) if colorized else (records.CROP, 0)
    keys_by_folder = [_read_keys(folder, index_feature, index) for folder in folders]
    _check_disjoint(paths, keys_by_folder)
    all_keys = [key for keys in keys_by_folder for key in keys]
    if colorized and sample and not all_keys:
        raise UserError(f"{', '.join(paths)}: no image has a sample {sample}; samples count from 0")
    chosen = partition.choose(all_keys, **choice)
    return ImageSet(
        paths=tuple(paths),
        kind=kinds.pop(),
        size=sizes.pop(),
        count=sum(key in chosen for key in all_keys),
        fingerprints=tuple(folder.manifest.fingerprint for folder in folders),
        feature=FEATURES[image],
        folders=folders,
        keys=frozenset(chosen),
        index_feature=index_feature,
        index=index,
    )


def _read_keys(folder: RecordFolder, index_feature: str, index: int) -> list[str]:
    def read(shard) -> list[str]:
        rows = folder.read_shard(shard, [records.KEY, index_feature])
        return [values[records.KEY] for values in rows if values[index_feature] == index]

    # Threads, because the time goes to disk or network and to checksums, which release the GIL.
    with concurrent.futures.ThreadPoolExecutor(_READERS) as readers:
        return [key for keys in readers.map(read, folder.manifest.shards) for key in keys]


def _check_disjoint(paths: Sequence[str], keys_by_folder: Sequence[Sequence[str]]) -> None:
    owner: dict[str, str] = {}
    for path, keys in zip(paths, keys_by_folder, strict=True):
        for key in set(keys):
            if key in owner:
                raise UserError(f"{path} and {owner[key]} both hold '{key}'; each image may count once")
            owner[key] = path


def _open_pngs(paths: Sequence[str]) -> ImageSet:
    files, fingerprints = [], []
    for path in paths:
        listing = [(name, size) for name, size in storage.list_files(path) if name.lower().endswith(".png")]
        lossy = [name for name, _ in storage.list_files(path) if name.lower().endswith(_LOSSY)]
        if lossy:
            raise UserError(
                f"{path} holds {len(lossy)} lossy images ({lossy[0]}): compression changes FID; save PNGs instead"
            )
        files += [storage.join(path, name) for name, _ in listing]
        fingerprints.append(hashlib.sha256(repr(listing).encode("utf-8", "surrogatepass")).hexdigest())
    return ImageSet(
        paths=tuple(paths),
        kind=PNG_KIND,
        size=_png_size(files[0]),
        count=len(files),
        fingerprints=tuple(fingerprints),
        files=tuple(files),
    )


def _png_size(path: str) -> tuple[int, int]:
    from PIL import Image, UnidentifiedImageError

    try:
        width, height = Image.open(io.BytesIO(storage.read_bytes(path))).size
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(f"{path}: not a readable PNG ({error})") from error
    return height, width


def _sides(sizes) -> str:
    return " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
