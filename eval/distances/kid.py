"""Computes the kernel distance (KID) of two sets of features.

It follows Binkowski et al. 2018, "Demystifying MMD GANs", section 4.

KID is the squared maximum mean discrepancy under the kernel k(x, y) = (x.y / d + 1)^3, which compares the first three
moments. Unlike FID, it has an unbiased estimator at any number of images, so you can compare its values at 500 and at
5000 images. In return it is noisier, and two sets of one distribution give negative values half of the time.
"""

from collections.abc import Sequence

import numpy as np

from coltran.errors import UserError


def kernel_distance(real_blocks: Sequence[np.ndarray], fake_blocks: Sequence[np.ndarray]) -> tuple[float, float | None]:
    """Returns the KID as the mean over pairs of blocks.

    Blocks keep the kernel matrices small. They are disjoint and so independent, which makes their scatter an honest
    standard error.

    Args:
      real_blocks: disjoint blocks of one set, each float [images, dims] with at least 2 images. Their sizes may differ.
      fake_blocks: as many blocks of the other set, paired with the first by position.

    Returns:
      The mean of the blocks' unbiased estimates, and its standard error (None for a single block).

    Raises:
      UserError: there are no blocks or unequal numbers of them, a block has fewer than 2 images, or the dims differ.
    """
    if not real_blocks or len(real_blocks) != len(fake_blocks):
        raise UserError(f"expected as many real blocks as fake ones, got {len(real_blocks)} and {len(fake_blocks)}")
    estimates = np.array([_unbiased(real, fake) for real, fake in zip(real_blocks, fake_blocks, strict=True)])
    error = float(estimates.std(ddof=1) / np.sqrt(len(estimates))) if len(estimates) > 1 else None
    return float(estimates.mean()), error


def _unbiased(real: np.ndarray, fake: np.ndarray) -> float:
    """Estimates the squared discrepancy without bias, also for unequal sizes (Gretton et al. 2012, equation 3)."""
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise UserError(f"expected blocks of shape [images, dims] with the same dims, got {real.shape}, {fake.shape}")
    if min(len(real), len(fake)) < 2:
        raise UserError(f"a kernel distance needs at least 2 images in each block, got {len(real)} and {len(fake)}")
    return _mean_of_others(real) + _mean_of_others(fake) - 2 * float(_kernel(real, fake).mean())


def _mean_of_others(features: np.ndarray) -> float:
    """Returns the mean kernel of all pairs of different images. Pairs of an image with itself would add a bias."""
    kernel = _kernel(features, features)
    return float(kernel.sum() - np.trace(kernel)) / (len(features) * (len(features) - 1))


def _kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    kernel = first @ second.T
    kernel /= first.shape[1]
    kernel += 1
    # We avoid `** 3`, which NumPy computes by logarithms, ten times slower.
    return kernel * kernel * kernel
