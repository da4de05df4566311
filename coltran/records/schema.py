"""Defines what a record holds: names, dtypes, shapes, value ranges and version. Encodes and decodes records.

No other file spells out the name of a feature.

A record is a tf.train.Example in a TFRecord file. Arrays are stored as their raw bytes in C order, little endian, so
that any reader gets them back with one reshape. Arrays of the high resolution may be packed, but never with loss.
H x W is the high resolution (256x256 in the paper), h x w is the low one (64x64).

    from coltran.records import schema
    data = schema.encode(schema.TRUTH, {schema.KEY: "train/n01440764/n01440764_10026", ...}, sizes)
    values = schema.decode(schema.TRUTH, data, sizes, [schema.GRAY_LO, schema.COARSE_LO])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from coltran.errors import UserError
from coltran.records import framing, pixel_codec

SCHEMA_VERSION = 1

KEY = "key"
LABEL = "label"
GRAYSCALE = "grayscale"
RGB_HI = "rgb_hi"
RGB_LO = "rgb_lo"
GRAY_HI = "gray_hi"
GRAY_LO = "gray_lo"
COARSE_LO = "coarse_lo"
SAMPLE = "sample"
CROP = "crop"
LOG_LIKELIHOOD = "log_likelihood"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """Pixels on each side: `lo` in the low resolution, `hi` in the high one (None if a folder has no high one)."""

    lo: int
    hi: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feature:
    """One field of a record.

    Attributes:
      name: its name in the tf.train.Example.
      kind: `text`, `integer`, `real`, or `pixels` (an array of raw bytes).
      dtype: the dtype of the decoded value; for `pixels`, also the dtype of the stored bytes.
      resolution: `hi` or `lo` for pixels, else None.
      channels: 3 for an RGB image, 0 for a plane [h, w] without a channel axis.
      low, high: range of values, both included.
      meaning: one line for people.
    """

    name: str
    kind: str
    dtype: str
    meaning: str
    resolution: str | None = None
    channels: int = 0
    low: float | None = None
    high: float | None = None

    def shape(self, sizes: Sizes) -> tuple[int, ...]:
        """Returns the shape of the decoded array, or () if the value is not an array."""
        if self.resolution is None:
            return ()
        side = getattr(sizes, self.resolution)
        if side is None:
            raise UserError(f"feature '{self.name}' needs a high resolution, and this folder has none")
        return (side, side, self.channels) if self.channels else (side, side)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schema:
    """A kind of record. It has features. Every folder must have the `required` ones."""

    name: str
    features: Mapping[str, Feature]
    required: frozenset[str]

    def select(self, names: Iterable[str]) -> list[Feature]:
        """Finds the features by name. Raises a UserError with the list of known names for an unknown name."""
        unknown = [name for name in names if name not in self.features]
        if unknown:
            raise UserError(f"unknown {self.name} feature '{unknown[0]}'; known: {', '.join(self.features)}")
        return [self.features[name] for name in names]


def _pixels(
    name: str, resolution: str, meaning: str, *, channels: int = 0, dtype: str = "uint8", high: int = 255
) -> Feature:
    return Feature(
        name=name,
        kind="pixels",
        dtype=dtype,
        meaning=meaning,
        resolution=resolution,
        channels=channels,
        low=0,
        high=high,
    )


def _schema(name: str, required: Iterable[str], *features: Feature) -> Schema:
    return Schema(name=name, features={f.name: f for f in features}, required=frozenset(required))


_KEY = Feature(
    name=KEY,
    kind="text",
    dtype="str",
    meaning="names the source image and its original split, such as train/n01440764/n01440764_10026",
)
_COARSE = _pixels(COARSE_LO, "lo", "coarse color 64 r + 8 g + b of rgb_lo's top 3 bits", dtype="uint16", high=511)

TRUTH = _schema(
    "truth",
    (KEY, CROP, LABEL, GRAYSCALE),
    _KEY,
    Feature(
        name=CROP,
        kind="integer",
        dtype="int64",
        low=0,
        meaning="which crop of the image; (key, crop) is unique",
    ),
    Feature(
        name=LABEL,
        kind="integer",
        dtype="int64",
        low=-1,
        high=999,
        meaning="index of the class in the 1000 sorted WordNet ids of ImageNet, -1 where unknown",
    ),
    Feature(
        name=GRAYSCALE,
        kind="integer",
        dtype="int64",
        low=0,
        high=1,
        meaning="1 where the source has no color at all",
    ),
    _pixels(RGB_HI, "hi", "the photo: square crop, area resize", channels=3),
    _pixels(
        RGB_LO,
        "lo",
        "rgb_hi resized by area (the photo itself where there is no high resolution)",
        channels=3,
    ),
    _pixels(GRAY_HI, "hi", "luma of rgb_hi", high=254),
    _pixels(GRAY_LO, "lo", "luma of rgb_lo", high=254),
    _COARSE,
)

COLORIZED = _schema(
    "colorized",
    (KEY, SAMPLE, COARSE_LO),
    _KEY,
    Feature(
        name=SAMPLE,
        kind="integer",
        dtype="int64",
        low=0,
        meaning="which sample of the image; (key, sample) is unique",
    ),
    _COARSE,
    _pixels(RGB_LO, "lo", "the color upsampler's image", channels=3),
    _pixels(RGB_HI, "hi", "the spatial upsampler's image", channels=3),
    Feature(
        name=LOG_LIKELIHOOD,
        kind="real",
        dtype="float32",
        high=0,
        meaning="log2 probability of coarse_lo under the colorizer, summed over its pixels, in bits",
    ),
)

SCHEMAS = {schema.name: schema for schema in (TRUTH, COLORIZED)}


def encode(schema: Schema, values: Mapping[str, object], sizes: Sizes, encoding: str = pixel_codec.RAW) -> bytes:
    """Encodes the values of a record as bytes.

    Args:
      schema: TRUTH or COLORIZED.
      values: {feature name: value}; arrays have exactly the feature's dtype and shape.
      sizes: resolution of the folder.
      encoding: how the high resolution's pixels are encoded, one of `pixel_codec.ENCODINGS`.
    Raises:
      ValueError: a feature is missing or unknown, or its value has another type, shape or range. The error names it.
    """
    missing = schema.required - values.keys()
    if missing:
        raise ValueError(f"{schema.name} record without {', '.join(sorted(missing))}")
    encoded = {}
    for feature in schema.select(values):
        try:
            encoded[feature.name] = _encode_value(feature, values[feature.name], sizes, encoding)
        except ValueError as error:
            raise ValueError(f"record {values[KEY]!r}, feature '{feature.name}': {error}") from error
    return framing.encode_example(encoded)


def decode(schema: Schema, data: bytes, sizes: Sizes, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Decodes the features of a record to str, int, float or read-only arrays [...].

    Args:
      schema: TRUTH or COLORIZED.
      data: one record of a TFRecord file.
      sizes: resolution of the folder.
      names: which features to decode; all by default.
    Raises:
      UserError: `data` is not such a record, or a feature is missing or has another size. The error names it and the
        key.
    """
    try:
        example = framing.decode_example(data)
    except ValueError as error:
        raise UserError(f"expected a {schema.name} record, got {error}") from error
    key = example.get(KEY, [b"?"])[0]
    decoded = {}
    for feature in schema.select(example if names is None else names):
        value = example.get(feature.name)
        if not value:
            raise UserError(f"record {key!r} has no feature '{feature.name}'; it has {', '.join(sorted(example))}")
        try:
            decoded[feature.name] = _decode_value(feature, value[0], sizes)
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"record {key!r}, feature '{feature.name}': {error}") from error
    return decoded


def _encode_value(feature: Feature, value: Any, sizes: Sizes, encoding: str) -> bytes | int | float:
    if feature.kind == "text":
        return str(value).encode()
    if feature.kind == "real":
        return float(value)
    array = np.asarray(value)
    shape = feature.shape(sizes)
    if feature.kind == "integer":
        _check_range(feature, array)
        return int(array)
    if array.dtype != feature.dtype or array.shape != shape:
        raise ValueError(f"expected {feature.dtype} {list(shape)}, got {array.dtype} {list(array.shape)}")
    _check_range(feature, array)
    return pixel_codec.encode(array, encoding if feature.resolution == "hi" else pixel_codec.RAW)


def _check_range(feature: Feature, array: np.ndarray) -> None:
    low = -np.inf if feature.low is None else feature.low
    high = np.inf if feature.high is None else feature.high
    if array.dtype == np.uint8 and low <= 0 and high >= 255:
        return  # no uint8 value lies outside, and most pixels of a folder are uint8
    if array.min() < low or array.max() > high:
        raise ValueError(f"expected values in {low:g}..{high:g}, got {array.min()}..{array.max()}")


def _decode_value(feature: Feature, value: Any, sizes: Sizes) -> Any:
    if feature.kind == "text":
        return value.decode()
    if feature.kind == "integer":
        return int(value)
    if feature.kind == "real":
        return float(value)
    return pixel_codec.decode(value, feature.dtype, feature.shape(sizes))
