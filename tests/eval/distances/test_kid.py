"""KID against the public tools' values, against a plain double loop, and unbiased at any size of the blocks."""

import json

import numpy as np
import pytest

from coltran.errors import UserError
from eval.distances.kid import kernel_distance


@pytest.mark.parametrize("other", ["B", "Bgray"])
def test_photos_by_public_tools(other, parity, parity_file):
    values = json.loads(parity_file("fid_values.json").read_text())["kid"][f"A_{other}"]
    features = parity("features200.npz")
    real, fake = features["A"], features[other]
    distance, error = kernel_distance([real], [fake])
    assert distance == pytest.approx(values["numpy_full_unbiased"], rel=1e-9)
    assert distance == pytest.approx(values["tfgan_1block_f64"], rel=1e-9)
    assert error is None
    # TF-GAN deals 200 images into blocks of at most 50, and gives the mean and the standard error.
    in_blocks = kernel_distance(np.split(real, 4), np.split(fake, 4))
    assert in_blocks == pytest.approx(values["tfgan_blocks50_f64"], rel=1e-9)


def _features(count: int, generator: np.random.Generator, shift: float = 0.0) -> np.ndarray:
    return (generator.normal(size=(count, 5)) + shift).astype(np.float32)


def test_by_the_definition():
    generator = np.random.default_rng(1)
    blocks = [_features(4, generator), _features(3, generator)], [_features(6, generator, 1), _features(2, generator)]

    def kernel(x, y):
        return (float(x @ y) / 5 + 1) ** 3

    def estimate(real, fake):
        within = [
            np.mean([kernel(x, y) for i, x in enumerate(side) for j, y in enumerate(side) if i != j])
            for side in (real, fake)
        ]
        return sum(within) - 2 * np.mean([kernel(x, y) for x in real for y in fake])

    first, second = (estimate(real, fake) for real, fake in zip(*blocks, strict=True))
    distance, error = kernel_distance(*blocks)
    assert distance == pytest.approx((first + second) / 2, rel=1e-5)
    assert error == pytest.approx(abs(first - second) / 2, rel=1e-5)  # std(ddof=1) / sqrt(2) of two values
    assert kernel_distance(*reversed(blocks)) == pytest.approx((distance, error))


@pytest.mark.parametrize("size", [4, 40])
def test_one_distribution_averages_to_zero(size):
    generator = np.random.default_rng(size)
    distances, errors = zip(
        *(
            kernel_distance(*([_features(size, generator, 0.5) for _ in range(10)] for _ in range(2)))
            for _ in range(400)
        ),
        strict=True,
    )
    scatter = np.std(distances, ddof=1)
    assert abs(np.mean(distances)) < 3 * scatter / np.sqrt(400)
    assert 0.3 < np.mean(np.array(distances) < 0) < 0.8
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(scatter, rel=0.15)


@pytest.mark.parametrize(("count", "blocks"), [(60, 1), (100, 4)])
def test_tfgan_gives_the_same(count, blocks):
    """TF-GAN itself, which also deals the images into blocks, on features of 64 dims."""
    import tensorflow as tf
    from eval.features.tfgan_import import import_tfgan_eval

    generator = np.random.default_rng(6)
    real, fake = (generator.normal(size=(count, 64)) + shift for shift in (0, 0.3))
    theirs = import_tfgan_eval().kernel_classifier_distance_and_std_from_activations(
        tf.constant(real), tf.constant(fake), max_block_size=count // blocks, dtype=tf.float64
    )
    distance, error = kernel_distance(np.split(real, blocks), np.split(fake, blocks))
    assert distance == pytest.approx(float(theirs[0]), rel=1e-9)
    if blocks > 1:
        assert error == pytest.approx(float(theirs[1]), rel=1e-9)


def test_farther_is_larger():
    generator = np.random.default_rng(3)
    real = np.split(_features(1000, generator), 10)
    distances = [kernel_distance(real, np.split(_features(1000, generator, s), 10))[0] for s in (0, 0.3, 0.6, 0.9)]
    assert np.all(np.diff(distances) > 0)


def test_float32_features_are_summed_in_float64():
    # Far from the origin the kernels are large and nearly equal: float32 leaves nothing of their difference.
    generator = np.random.default_rng(4)
    real, fake = _features(100, generator, 30), _features(100, generator, 30)
    in_double = kernel_distance([real.astype(np.float64)], [fake.astype(np.float64)])
    assert kernel_distance([real], [fake]) == in_double


def test_blocks_that_do_not_fit_are_refused():
    block = np.zeros((3, 5))
    with pytest.raises(UserError, match="as many real blocks as fake ones, got 2 and 1"):
        kernel_distance([block, block], [block])
    with pytest.raises(UserError, match="got 0 and 0"):
        kernel_distance([], [])
    with pytest.raises(UserError, match="at least 2 images in each block, got 3 and 1"):
        kernel_distance([block], [block[:1]])
    with pytest.raises(UserError, match=r"same dims, got \(3, 5\), \(3, 4\)"):
        kernel_distance([block], [block[:, :4]])
