"""Turns one image into its truth records: decoding, crops, sizes, grays and coarse colors, and the bytes."""

from __future__ import annotations

import dataclasses

from coltran.images import colors, decoding, geometry
from coltran.images.decoding import ImageRejected, Photo
from coltran.records import schema
from pipelines.sources.image_ref import ImageRef
from pipelines.truth.arguments import Options


@dataclasses.dataclass(frozen=True, kw_only=True)
class TruthRecords:
    """The truth records of one image.

    Attributes:
      values: the values of every crop, by feature name.
      encoded: the bytes of the record of every crop.
      counts: 1 or 0 for `grayscale` (it has no color) and `converted` (from its own color profile to sRGB), and
        `left_out`, the number of further pages or frames in the file, if there are any.
    """

    values: list[dict[str, object]]
    encoded: list[bytes]
    counts: dict[str, int]


def make_records(ref: ImageRef, data: bytes | ImageRejected, options: Options) -> TruthRecords:
    """Makes the truth records of an image, one for each crop.

    Args:
      ref: the reference, which has key and label.
      data: the file's bytes, or why there are none.
      options: the job's options.
    Raises:
      ImageRejected: the image cannot be used.
    """
    if isinstance(data, ImageRejected):
        raise data
    photo = decoding.decode(
        data, max_pixels=options.max_pixels, min_side=options.min_side, profiles=options.icc == "srgb"
    )
    crops = [truth_values(photo, options, key=ref.key, label=ref.label, crop=crop) for crop in range(options.crops)]
    encoded = [schema.encode(schema.TRUTH, values, options.sizes, options.encoding) for values in crops]
    counts = {"grayscale": int(photo.grayscale), "converted": int(photo.converted)}
    if photo.left_out:
        counts["left_out"] = photo.left_out
    return TruthRecords(values=crops, encoded=encoded, counts=counts)


def truth_values(photo: Photo, options: Options, *, key: str, label: int, crop: int = 0) -> dict[str, object]:
    """Makes all features of a truth record from a decoded photo.

    The order is the release's: it crops a square, resizes by area to `hi`, resizes the rounded `hi` by area to `lo`,
    then makes grays and coarse colors from the rounded images.

    Args:
      photo: a photo of any size.
      options: the job's options, of which it uses sizes, seed, random_crop and features.
      key, label, crop: the record's key, label and crop index.
    Returns:
      Values by feature name, for `schema.encode`.
    """
    if options.random_crop:
        square = geometry.random_crop(photo.rgb, seed=options.seed, key=key, index=crop)
    else:
        square = geometry.center_crop(photo.rgb)
    rgb_hi = square if options.hi is None else geometry.area_resize(square, options.hi, options.hi)
    rgb_lo = geometry.area_resize(rgb_hi, options.lo, options.lo)
    values = {
        schema.KEY: key,
        schema.CROP: crop,
        schema.LABEL: label,
        schema.GRAYSCALE: int(photo.grayscale),
        schema.RGB_LO: rgb_lo,
        schema.GRAY_LO: colors.rgb_to_gray(rgb_lo),
        schema.COARSE_LO: colors.rgb_to_coarse(rgb_lo),
    }
    if options.hi is not None:
        values |= {schema.RGB_HI: rgb_hi, schema.GRAY_HI: colors.rgb_to_gray(rgb_hi)}
    return {name: values[name] for name in options.features}
