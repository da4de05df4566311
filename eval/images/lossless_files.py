"""Opens folders of image files, in which every file is looked at before a job starts.

What a file is shows in its content, not in its name. Only formats that keep every pixel are scored, because
compression changes FID.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import io
import warnings
from collections.abc import Sequence

from coltran import storage
from coltran.errors import UserError
from coltran.images.formats import has_image_suffix, known_formats
from coltran.records import folder as record_folder
from coltran.walking import describe_passed_over, suffix_reason, walk
from eval.images.sources import READERS, Source

IMAGE_KIND = "image files"
ALPHAS = ("drop", "white")
_LOSSLESS = ("PNG", "BMP", "TIFF", "PPM", "TGA")
_LOSSY_IN_TIFF = ("jpeg", "tiff_jpeg", "webp", "jpeg2000")
_FILES_A_CHUNK = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class _File:
    """What a look at a file shows. `lossy` names its format if that does not keep every pixel, or is empty."""

    name: str
    sha256: str
    size: tuple[int, int]
    lossy: str
    transparent: bool


def is_image_folder(path: str) -> bool:
    """Says whether a folder holds images, also in folders below it, but no records."""
    if not storage.is_folder(path):
        return False
    names = [name for name, _ in walk(path).files]
    is_records = record_folder.COMPLETED in names or record_folder.MANIFEST in names
    return not is_records and any(map(has_image_suffix, names))


def open_images(path: str, alpha: str | None = None) -> Source:
    """Opens a folder of image files.

    Args:
      path: the folder. Folders below it belong to it.
      alpha: what becomes of pixels that are not opaque: `drop` takes their colors as they are, and `white` lays them
        over white; None refuses them.

    Raises:
      UserError: a file is damaged, lossy or of another size, has several pages, or is not opaque.
    """
    walked = walk(path)
    names = [name for name, _ in walked.files if has_image_suffix(name)]
    with concurrent.futures.ThreadPoolExecutor(READERS) as readers:
        files = list(readers.map(functools.partial(_look, path), names))
    _check(path, files)
    transparent = [file.name for file in files if file.transparent]
    if transparent and alpha is None:
        raise UserError(
            f"{path}: {len(transparent)} of {len(files)} images are not fully opaque ({transparent[0]}); "
            "give --alpha white to lay them over white, or --alpha drop to take their colors as they are"
        )
    passed_over = collections.Counter(walked.passed_over)
    passed_over.update(suffix_reason(name) for name, _ in walked.files if not has_image_suffix(name))
    told = [line for line in (describe_passed_over(passed_over),) if line]
    digest = _digest(files)
    if transparent:
        told.append(f"{len(transparent)} of {len(files)} images are not fully opaque: --alpha {alpha}")
        digest = hashlib.sha256(f"{alpha} {digest}".encode()).hexdigest()
    return Source(
        path=path,
        kind=IMAGE_KIND,
        size=files[0].size,
        fingerprint=digest,
        chunks=tuple(tuple(names[start : start + _FILES_A_CHUNK]) for start in range(0, len(names), _FILES_A_CHUNK)),
        alpha=alpha,
        told=tuple(told),
        passed_over=passed_over.total(),
    )


def image_path(source: Source, name: str) -> str:
    """Returns the path of an image of a folder of image files."""
    return storage.join(source.path, name.removeprefix(source.prefix))


def _look(folder: str, name: str) -> _File:
    from PIL import Image

    path = storage.join(folder, name)
    data = storage.read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images; their size is compared with the others'
            image = Image.open(io.BytesIO(data), formats=known_formats())
        width, height = image.size
        pages = getattr(image, "n_frames", 1) if image.format in _LOSSLESS else 1
        transparent = _is_transparent(image) if image.format in _LOSSLESS else False
    except Exception as error:  # Pillow's decoders raise many types at damaged data
        raise UserError(f"{path}: image data is cut or damaged, or of no known format ({error})") from error
    if pages > 1:
        raise UserError(f"{path}: holds {pages} images; give files of one image each")
    return _File(
        name=name,
        sha256=hashlib.sha256(data).hexdigest(),
        size=(height, width),
        lossy=_lossy(image),
        transparent=transparent,
    )


def _lossy(image: object) -> str:
    kind = str(getattr(image, "format", None))
    packed = str(getattr(image, "info", {}).get("compression", ""))
    if kind == "TIFF" and packed in _LOSSY_IN_TIFF:
        return f"TIFF with {packed.removeprefix('tiff_').upper()}"
    return "" if kind in _LOSSLESS else kind


def _is_transparent(image: object) -> bool:
    mode, info = getattr(image, "mode", ""), getattr(image, "info", {})
    if mode not in ("RGBA", "LA", "PA", "La", "RGBa") and "transparency" not in info:
        return False
    lowest, _ = image.convert("RGBA").getchannel("A").getextrema()  # type: ignore[attr-defined]
    return bool(lowest < 255)


def _check(path: str, files: Sequence[_File]) -> None:
    """Raises a UserError if a file is lossy, or has another size than the first one."""
    lossy = [file for file in files if file.lossy]
    if lossy:
        raise UserError(
            f"{path} holds {len(lossy)} lossy images ({lossy[0].name}, by its content {lossy[0].lossy}): compression "
            "changes FID; save PNGs instead"
        )
    height, width = files[0].size
    for file in files:
        if file.size != files[0].size:
            raise UserError(
                f"{storage.join(path, file.name)} has {file.size[1]}x{file.size[0]} pixels, others of the set "
                f"{width}x{height}; give images of one size"
            )


def _digest(files: Sequence[_File]) -> str:
    listing = [f"{file.name} {file.sha256}" for file in files]
    return hashlib.sha256("\n".join(listing).encode("utf-8", "surrogatepass")).hexdigest()
