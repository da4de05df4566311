"""What another compiled batch size changes: nothing but rounding. At the paper's size, on this machine.

    python benchmarks/batch_sizes.py            16 images at batch sizes 1, 4 and 16 (about 5 minutes on 2 cores)

A matrix product of another shape sums in another order, so probabilities differ in their last bits, and once in a while
a draw falls on the other side of a border; from there on the two images differ. That is why --batch_size is part of a
record folder's fingerprint. Prints the share of identical images, and the largest difference between the probabilities
of the pixels that were drawn from the same history.
"""

from __future__ import annotations

import argparse

import numpy as np

from coltran.networks import presets
from coltran.sampling.pipeline import ColorizationPipeline, Result
from coltran.weights import parameters


def colorize(network, gray: np.ndarray, batch_size: int) -> Result:
    pipeline = ColorizationPipeline(colorizer=network, batch_size=batch_size)
    keys = [str(number) for number in range(len(gray))]
    return pipeline.colorize(gray, keys=keys, sample_indices=[0] * len(gray), seed=0)


def compare(one: Result, other: Result) -> tuple[float, float]:
    """(share of identical images, largest difference of a probability up to and with the first differing pixel)."""
    count = len(one.coarse_lo)
    same = (one.coarse_lo == other.coarse_lo).reshape(count, -1)
    history = np.cumprod(np.pad(same, ((0, 0), (1, 0)), constant_values=True)[:, :-1], axis=1).astype(bool)
    difference = np.abs(one.max_probability - other.max_probability).reshape(count, -1)
    return float(same.all(axis=1).mean()), float(difference[history].max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16])
    options = parser.parse_args()
    network = parameters.build(presets.network_config("colorizer", "coltran", height=64, width=64), seed=0)
    gray = np.random.default_rng(0).integers(0, 256, (options.images, 64, 64), dtype=np.uint8)
    made = {size: colorize(network, gray, size) for size in options.sizes}
    for place, one in enumerate(options.sizes):
        for other in options.sizes[place + 1 :]:
            share, difference = compare(made[one], made[other])
            print(f"batch {one} and {other}: {share:.3f} of {options.images} images identical, {difference:.1e} apart")


if __name__ == "__main__":
    main()
