"""Turns gray images into colored images with all three networks, in batches of one compiled size.

    pipeline = ColorizationPipeline.load(
        colorizer="runs/colorizer", color_upsampler="runs/color", spatial_upsampler="runs/spatial", batch_size=16
    )
    result = pipeline.colorize(gray_lo, gray_hi, keys=keys, sample_indices=[0] * len(keys), seed=1)

The result of an image depends on the weights, its gray pixels, seed, key and sample index, and on the compiled batch
size. It never depends on the other images of the batch. The last batch is padded, and the padding is thrown away.
"""

import dataclasses
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coltran.errors import UserError
from coltran.images import colors
from coltran.networks.colorizer import Colorizer, Context
from coltran.networks.config import joins_color_and_space
from coltran.networks.upsampler import Upsampler
from coltran.sampling import sampler
from coltran.sampling.choices import COMPUTE_DTYPES
from coltran.sampling.programs import Program, UpsamplerProgram, chunks, images_at_once
from coltran.sampling.random_keys import sample_keys
from coltran.sampling.sizes import check_gray, check_sizes, pixels, resized, resized_coarse
from coltran.weights import checkpoint

SPATIAL_CHUNK = 1  # images at a time in the spatial upsampler, because 256x256 pixels of 512 features take 134 MB


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """Colored images, in the order of the inputs.

    Attributes:
      coarse_lo: uint16 [N,h,w], sampled coarse colors, 0..511; resized by area if the colorizer is smaller.
      rgb_lo: uint8 [N,h,w,3], from the color upsampler; without one, the lowest colors of the coarse colors' bins.
      rgb_hi: uint8 [N,H,W,3], from the spatial upsampler; None without one.
      log_likelihood: float32 [N], log2 of the colorizer's probability of its sample, in bits, at most 0.
      probability: float32, [N,h,w] or the colorizer's own size, its probability of each chosen coarse color.
      max_probability: float32, the same shape, its largest probability at each pixel.
      seconds: how long each stage took, by its name.

    The three numbers from the colorizer are None if coarse colors were given.
    """

    coarse_lo: np.ndarray
    rgb_lo: np.ndarray
    rgb_hi: np.ndarray | None
    log_likelihood: np.ndarray | None
    probability: np.ndarray | None
    max_probability: np.ndarray | None
    seconds: dict[str, float]


class ColorizationPipeline:
    """A colorizer, a color upsampler and a spatial upsampler with their weights, at one compiled batch size.

    A colorizer may be smaller than the color upsampler (the paper's ColTran-S). Then it sees the gray image resized by
    area, and its sample is resized to the upsampler's pixels in the same way. A spatial upsampler that takes coarse
    colors replaces both upsamplers. Without a colorizer, coarse colors must be given.

    Threads can share it safely, because calls wait for each other.

    Attributes:
      batch_size: the number of images in every compiled call.
      checksums: {stage: sha256 of the weights in use}, for manifests.
    """

    def __init__(
        self,
        *,
        colorizer: Colorizer | None,
        color_upsampler: Upsampler | None = None,
        spatial_upsampler: Upsampler | None = None,
        checksums: Mapping[str, str] | None = None,
        batch_size: int,
        options: sampler.SamplerOptions | None = None,
    ):
        if batch_size < 1:
            raise UserError(f"batch_size must be at least 1, got {batch_size}")
        self._joint = spatial_upsampler is not None and joins_color_and_space(
            "spatial_upsampler", spatial_upsampler.config
        )
        if spatial_upsampler is not None and self._joint != (color_upsampler is None):
            raise UserError(
                "this spatial upsampler is for color too: give no color upsampler"
                if self._joint
                else "a spatial upsampler needs a color upsampler before it: give its checkpoint too"
            )
        check_sizes(colorizer, color_upsampler, spatial_upsampler)
        options = options or sampler.SamplerOptions()
        self.batch_size, self.options, self.checksums = batch_size, options, dict(checksums or {})
        self._colorizer_size = pixels(colorizer)
        self._size = pixels(colorizer if color_upsampler is None else color_upsampler)
        self._size_hi = pixels(spatial_upsampler)
        self._encode: Program | None = None
        self._sample: Program | None = None
        if colorizer is not None:
            self._encode = Program(colorizer, Colorizer.encode)
            self._sample = Program(
                colorizer, lambda network, context, keys: sampler.sample_from_context(network, context, keys, options)
            )
        self._recolor = self._enlarge = None
        if color_upsampler is not None:
            self._recolor = UpsamplerProgram(color_upsampler, batch_size=batch_size)
        if spatial_upsampler is not None:
            self._enlarge = UpsamplerProgram(spatial_upsampler, batch_size=SPATIAL_CHUNK)
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        *,
        colorizer: str | Path | None,
        color_upsampler: str | Path | None = None,
        spatial_upsampler: str | Path | None = None,
        batch_size: int = 16,
        weights: str = "ema",
        compute_dtype: str = COMPUTE_DTYPES[0],
        options: sampler.SamplerOptions | None = None,
    ) -> "ColorizationPipeline":
        """Loads the pipeline from checkpoint folders or from training work folders. It takes the newest step of these.

        `weights` is `ema` (from which the paper samples) or `raw`. Activations have the `compute_dtype`, whatever the
        checkpoints say of their training: only in float32 are the probabilities exact.

        Raises:
          UserError: a folder holds no checkpoint of its stage, or the networks' sizes do not fit together.
        """
        folders = {
            "colorizer": colorizer,
            "color_upsampler": color_upsampler,
            "spatial_upsampler": spatial_upsampler,
        }
        networks: dict[str, Any] = dict.fromkeys(folders)
        checksums = {}
        for stage, folder in folders.items():
            if folder is not None:
                networks[stage], loaded = checkpoint.load_network(
                    folder, stage=stage, weights=weights, compute_dtype=compute_dtype
                )
                checksums[stage] = loaded.checksum(weights)
        return cls(**networks, checksums=checksums, batch_size=batch_size, options=options)

    @property
    def size(self) -> tuple[int, int] | None:
        """Returns (h, w) of the low resolution, or None if a single upsampler takes coarse colors of any size."""
        return self._size

    @property
    def size_of_colors(self) -> tuple[int, int] | None:
        """Returns (h, w) at which colors are chosen: the colorizer's own, or the low resolution without a colorizer."""
        return self._colorizer_size or self._size

    @property
    def size_hi(self) -> tuple[int, int] | None:
        """Returns (H, W) of the high resolution, or None without a spatial upsampler."""
        return self._size_hi

    def colorize(
        self,
        gray_lo: np.ndarray,
        gray_hi: np.ndarray | None = None,
        *,
        keys: Sequence[str],
        sample_indices: Sequence[int],
        seed: int,
        coarse_lo: np.ndarray | None = None,
    ) -> Result:
        """Draws one sample for each of N gray images. For n samples, pass an image n times with n sample indices.

        Equal gray images that follow each other are encoded only once, so pass many batches at a time.

        Args:
          gray_lo: uint8 [N,h,w], N at least 1.
          gray_hi: uint8 [N,H,W]; None without a spatial upsampler.
          keys: the record key of each image.
          sample_indices: the index of each sample among the samples of its record.
          seed: the seed of the whole run.
          coarse_lo: uint16 [N,h,w], coarse colors to start from instead of the colorizer's (paper, section 5.3).

        Raises:
          UserError: an array has another shape or dtype, or a list has another length.
        """
        self._check(gray_lo, gray_hi, keys, sample_indices)
        with self._lock:
            clock, coarse, rgb_hi = StageClock(), None, None
            if coarse_lo is None:
                coarse, coarse_lo = self._draw(gray_lo, gray_hi, sample_keys(seed, keys, sample_indices))
                clock.stop("colorizer")
            rgb_lo = self.upsample_color(coarse_lo, gray_lo)
            clock.stop("color_upsampler")
            if self._enlarge is not None and gray_hi is not None:
                rgb_hi = self.upsample_space(rgb_lo, gray_hi)
                clock.stop("spatial_upsampler")
        return Result(
            coarse_lo=coarse_lo,
            rgb_lo=rgb_lo,
            rgb_hi=rgb_hi,
            log_likelihood=None if coarse is None else np.asarray(coarse.log_likelihood_B),
            probability=None if coarse is None else np.asarray(coarse.probability_BHW),
            max_probability=None if coarse is None else np.asarray(coarse.max_probability_BHW),
            seconds=clock.seconds,
        )

    def _draw(
        self, gray_lo: np.ndarray, gray_hi: np.ndarray | None, keys_N2: jax.Array
    ) -> tuple[sampler.CoarseSamples, np.ndarray]:
        """Draws the colorizer's samples. Returns them and their coarse colors at the low resolution, uint16 [N,h,w]."""
        if self._colorizer_size is None:
            raise UserError("coarse_lo is needed: the pipeline has no colorizer")
        gray = resized(gray_lo if gray_hi is None else gray_hi, gray_lo, self._colorizer_size)
        coarse = self._sample_all(gray, np.asarray(keys_N2))
        symbols = np.asarray(coarse.symbols_BHW).astype(np.uint16)
        return coarse, resized_coarse(symbols, self._size or self._colorizer_size)

    def upsample_color(self, coarse_lo: np.ndarray, gray_lo: np.ndarray) -> np.ndarray:
        """Runs the color upsampler, uint16 [N,h,w] coarse colors and uint8 [N,h,w] gray -> uint8 [N,h,w,3]."""
        rgb = colors.coarse_to_rgb(coarse_lo)
        if self._recolor is None:
            return rgb
        levels = (rgb >> colors.COARSE_BITS).astype(np.int32)
        return self._recolor(levels, gray_lo.astype(np.int32))

    def upsample_space(self, rgb_lo: np.ndarray, gray_hi: np.ndarray) -> np.ndarray:
        """Runs the spatial upsampler image by image, uint8 [N,h,w,3] and uint8 [N,H,W] gray -> uint8 [N,H,W,3].

        rgb_lo is the color upsampler's image. If the network does color too, it is the image of the coarse colors.
        """
        rgb_lo = rgb_lo >> colors.COARSE_BITS if self._joint else rgb_lo
        if self._enlarge is None or self._size_hi is None:
            raise UserError("the pipeline has no spatial upsampler")
        height, width = self._size_hi
        rows, columns = height // rgb_lo.shape[1], width // rgb_lo.shape[2]
        enlarged = rgb_lo.astype(np.int32).repeat(rows, axis=1).repeat(columns, axis=2)
        return self._enlarge(enlarged, gray_hi.astype(np.int32))

    def encode(self, gray_NHW: np.ndarray) -> Context:
        """Encodes at most `batch_size` gray images, int32 [N,h,w]. It repeats the last context up to `batch_size`."""
        if self._encode is None:
            raise UserError("the pipeline has no colorizer")
        size = images_at_once(self.batch_size)
        made = [self._encode(*chunk) for chunk in chunks(size, gray_NHW)]
        made += made[-1:] * (self.batch_size // size - len(made))
        return made[0] if len(made) == 1 else jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *made)

    def _sample_all(self, gray_lo: np.ndarray, keys_N2: np.ndarray) -> sampler.CoarseSamples:
        """Samples all images. It encodes each run of equal gray images once."""
        assert self._sample is not None
        fresh = np.ones(len(gray_lo), bool)
        fresh[1:] = (gray_lo[1:] != gray_lo[:-1]).any(axis=(1, 2))
        owner = np.cumsum(fresh) - 1  # the index of the distinct image that each row shows
        distinct = gray_lo[fresh].astype(np.int32)
        parts = []
        for first in range(0, len(distinct), self.batch_size):
            images = distinct[first : first + self.batch_size]
            context = self.encode(images)
            rows = np.flatnonzero((owner >= first) & (owner < first + len(images)))
            for index, keys in chunks(self.batch_size, owner[rows] - first, keys_N2[rows]):
                parts.append(jax.device_get(self._sample(_take(context, index), keys)))
            parts[-1] = _head(parts[-1], (len(rows) - 1) % self.batch_size + 1)
        return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)

    def _check(
        self, gray_lo: np.ndarray, gray_hi: np.ndarray | None, keys: Sequence[str], sample_indices: Sequence[int]
    ) -> None:
        check_gray("gray_lo", gray_lo, self._size or gray_lo.shape[1:])
        lengths = {"gray_lo": len(gray_lo), "keys": len(keys), "sample_indices": len(sample_indices)}
        if self._size_hi is not None:
            if gray_hi is None:
                raise UserError(f"gray_hi is needed: uint8 [N,{self._size_hi[0]},{self._size_hi[1]}]")
            check_gray("gray_hi", gray_hi, self._size_hi)
            lengths["gray_hi"] = len(gray_hi)
        if len(set(lengths.values())) != 1 or not len(gray_lo):
            raise UserError(f"all inputs must have the same length, at least 1; got {lengths}")


class StageClock:
    """Counts seconds by stage. Each `stop` counts the time since the previous stop."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        """Ends a stage, which gets the seconds since the last stop."""
        now = time.perf_counter()
        self.seconds[stage], self._last = now - self._last, now


@jax.jit
def _take(context: Context, index_B: jax.Array) -> Context:
    return jax.tree.map(lambda array: jnp.take(array, index_B, axis=0), context)


def _head(samples: sampler.CoarseSamples, length: int) -> sampler.CoarseSamples:
    return jax.tree.map(lambda array: array[:length], samples)
