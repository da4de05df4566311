"""Reads photos, brings them to the networks batch by batch, and gives back each photo's colors."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from coltran import storage
from coltran.errors import UserError
from coltran.images import decoding, encoding, geometry
from coltran.images.decoding import ImageRejected
from coltran.photos import recolor
from coltran.photos.arguments import Options
from coltran.photos.inputs import PhotoFile
from coltran.photos.recolor import GrayInputs

if TYPE_CHECKING:
    from coltran.sampling.pipeline import ColorizationPipeline

_BATCH_PIXELS = 50_000_000  # of photos in memory at once; a larger photo is a batch of its own


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photo:
    """A decoded photo with its file, uint8 [H, W, 3] pixels, record key, what the networks see of it, and a note."""

    file: PhotoFile
    rgb: np.ndarray
    key: str
    gray: GrayInputs
    note: str


def batches(
    files: Sequence[PhotoFile],
    load: Callable[[PhotoFile], Photo],
    batch_size: int,
    reject: Callable[[PhotoFile, ImageRejected], None],
) -> Iterator[list[Photo]]:
    """Yields loaded photos, at most `batch_size` at a time and, if more than one, at most _BATCH_PIXELS."""
    batch: list[Photo] = []
    for file in files:
        try:
            photo = load(file)
        except ImageRejected as error:
            reject(file, error)
            continue
        pixels = sum(other.rgb.size for other in [*batch, photo]) // 3
        if len(batch) == batch_size or (batch and pixels > _BATCH_PIXELS):
            yield batch
            batch = []
        batch.append(photo)
    if batch:
        yield batch


def load(file: PhotoFile, options: Options, model: ColorizationPipeline) -> Photo:
    """Reads and decodes a photo. Raises ImageRejected if it cannot be used."""
    try:
        data = storage.read_bytes(file.path)
    except (UserError, OSError) as error:
        raise ImageRejected("unreadable", str(error).removeprefix(f"{file.path}: ")) from error
    decoded = decoding.decode(data, max_pixels=options.max_pixels, min_side=1)
    rgb = decoded.rgb
    if options.format == "jpeg" and max(rgb.shape[:2]) > encoding.MAX_JPEG_SIDE:
        height, width = rgb.shape[:2]
        raise ImageRejected("too_large", f"{width}x{height} pixels, more than a JPEG file can hold; use --format png")
    assert model.size is not None  # every pipeline with a colorizer has a size
    gray = recolor.gray_inputs(rgb, model.size, model.size_hi, options.fit)
    return Photo(file=file, rgb=rgb, key=hashlib.sha256(data).hexdigest(), gray=gray, note=decoded.note)


def colorize(
    batch: list[Photo], options: Options, model: ColorizationPipeline
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields each photo's colors uint8 [K, h, w, 3] and certainty float32 [K, h, w], cut to the photo's part."""
    # The samples of a photo follow each other, so that the photo is encoded only once.
    rows = [photo.gray for photo in batch for _ in range(options.samples)]
    high = [gray.hi for gray in rows if gray.hi is not None]
    result = model.colorize(
        np.stack([gray.lo for gray in rows]),
        np.stack(high) if high else None,
        keys=[photo.key for photo in batch for _ in range(options.samples)],
        sample_indices=list(range(options.samples)) * len(batch),
        seed=options.seed,
    )
    colored, certainty = result.rgb_lo if result.rgb_hi is None else result.rgb_hi, result.max_probability
    assert certainty is not None  # because a colorizer ran
    for first, photo in zip(range(0, len(rows), options.samples), batch, strict=True):
        samples = slice(first, first + options.samples)
        yield (
            np.stack([in_own_pixels(photo.gray.crop(image), model) for image in colored[samples]]),
            np.stack([photo.gray.crop(image) for image in certainty[samples]]),
        )


def in_own_pixels(image: np.ndarray, model: ColorizationPipeline) -> np.ndarray:
    """Averages the low resolution's colors uint8 [h, w, 3] to the pixel size at which the colorizer chose them.

    A color upsampler that is larger than its colorizer gets each coarse color several times, and within that color it
    follows the light of its own pixels. `recolor` follows the light better, so it starts from the mean colors.
    """
    if model.size_hi is not None or model.size is None or model.size_of_colors is None:
        return image
    sizes = zip(image.shape[:2], model.size_of_colors, model.size, strict=True)
    height, width = (max(1, round(side * own / low)) for side, own, low in sizes)
    return geometry.area_resize(image, height, width)
