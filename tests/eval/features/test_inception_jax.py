"""The JAX engine against public tools' features, and against the TensorFlow engine."""

import numpy as np
import pytest

from eval.features.resize import RESIZES

TOLERANCE = 1e-3


@pytest.mark.parametrize(
    ("kind", "resize", "golden"),
    [
        ("calib", "tf1", "tf1"),
        pytest.param("rule", "tf1", "tf1", marks=pytest.mark.slow),
        pytest.param("rule", "halfpixel", "pytorch_fid", marks=pytest.mark.slow),
        pytest.param("calib", "halfpixel", "pytorch_fid", marks=pytest.mark.slow),
    ],
)
def test_tiny_images(kind, resize, golden, parity, parity_weights, tiny_images):
    from eval.features.inception_jax import InceptionJax

    engine = InceptionJax(parity_weights(kind), RESIZES[resize])
    features = engine(tiny_images)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, parity("tiny_golden.npz")[f"pool3_{kind}_{golden}"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(engine(tiny_images[1:3]), features[1:3], rtol=0, atol=TOLERANCE / 2)


@pytest.mark.slow
@pytest.mark.parametrize("resize", ["tf1", "halfpixel"])
def test_engines_agree_on_small_images(resize, parity_weights):
    from eval.features.inception_jax import InceptionJax
    from eval.features.inception_tensorflow import InceptionTensorFlow

    images = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    first, second = (
        engine(parity_weights("calib"), RESIZES[resize])(images) for engine in (InceptionJax, InceptionTensorFlow)
    )
    np.testing.assert_allclose(first, second, rtol=0, atol=TOLERANCE)
