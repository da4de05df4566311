"""Features of the TensorFlow engine against public tools' features on the same weights, and mistakes that must show.

float32 round-off between tools reaches 1e-4; the smallest of the mistakes gives above 1e-2; so 1e-3 tells them apart.
"""

import dataclasses

import numpy as np
import pytest

from eval.features.inception_graph import GRAPH, Concat, Conv, MaxPool, MeanPool
from eval.features.resize import HALFPIXEL, RESIZES, TF1, resize_to_input

TOLERANCE = 1e-3
TOOLS = {"tf1": "torch_fidelity", "halfpixel": "pytorch_fid"}


def _engine(weights, resize, **mistakes):
    from eval.features.inception_tensorflow import InceptionTensorFlow

    return InceptionTensorFlow(weights, resize, **mistakes)


@pytest.fixture(scope="module")
def calib_engine(parity_weights):
    return _engine(parity_weights("calib"), TF1)


def _error(features: np.ndarray, golden: np.ndarray) -> float:
    assert features.dtype == np.float32
    assert features.shape == golden.shape
    return float(np.abs(features - golden).max())


@pytest.mark.parametrize("kind", ["rule", "calib"])
@pytest.mark.parametrize(("resize", "golden"), [("tf1", "tf1"), ("halfpixel", "pytorch_fid")])
def test_tiny_images(kind, resize, golden, parity, parity_weights, tiny_images):
    engine = _engine(parity_weights(kind), RESIZES[resize])
    assert _error(engine(tiny_images), parity("tiny_golden.npz")[f"pool3_{kind}_{golden}"]) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("resize", ["tf1", "halfpixel"])
def test_photos(resize, parity, parity_weights):
    photos = parity("features16.npz")
    engine = _engine(parity_weights("calib"), RESIZES[resize])
    assert _error(engine(photos["images"]), photos[f"pool3_calib_{TOOLS[resize]}"]) < TOLERANCE


@pytest.mark.parametrize("resize", ["tf1", "halfpixel"])
def test_resized_pixels(resize, parity):
    photos = parity("features16.npz")
    resized = resize_to_input(photos["images"], RESIZES[resize])[:, ::13, ::13]
    np.testing.assert_allclose(resized, photos[f"resize_{resize}_sub13"], atol=1e-4)


def test_features_do_not_depend_on_the_batch(calib_engine, tiny_images):
    together = calib_engine(tiny_images)
    alone = np.concatenate([calib_engine(tiny_images[i : i + 1]) for i in range(4)])
    np.testing.assert_allclose(together, alone, atol=TOLERANCE / 2)


def test_images_of_any_size(calib_engine):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    features = calib_engine(images)
    assert features.shape == (2, 2048)
    assert np.isfinite(features).all()


def _replaced(sequence, change):
    out = []
    for node in sequence:
        if isinstance(node, Concat):
            node = Concat(tuple(_replaced(branch, change) for branch in node.branches))
        out.append(change(node))
    return tuple(out)


def _no_mean_pools(node):
    return MaxPool(stride=1, padding="SAME") if isinstance(node, MeanPool) else node


def _mean_pools_only(node):
    return MeanPool() if node == MaxPool(stride=1, padding="SAME") else node


def _same_stem(node):
    # Padding that keeps the size elsewhere: the first VALID convolution of stride 1.
    return (
        dataclasses.replace(node, padding="SAME") if isinstance(node, Conv) and node.name == "Conv2d_2a_3x3" else node
    )


@pytest.mark.parametrize(
    "mistake",
    [
        {"epsilon": 1e-5},
        {"graph": _replaced(GRAPH, _no_mean_pools)},
        {"graph": _replaced(GRAPH, _mean_pools_only)},
        {"graph": _replaced(GRAPH, _same_stem)},
    ],
    ids=["epsilon of PyTorch", "maximum for mean", "mean in the last block", "padded stem"],
)
def test_mistakes_in_the_network_show(mistake, parity, parity_weights, tiny_images):
    features = _engine(parity_weights("calib"), TF1, **mistake)(tiny_images)
    assert _error(features, parity("tiny_golden.npz")["pool3_calib_tf1"]) > 5 * TOLERANCE


def test_mistakes_in_the_pixels_show(calib_engine, parity, parity_weights, tiny_images):
    golden = parity("tiny_golden.npz")["pool3_calib_tf1"]
    # Given 299 x 299, the engine's own resize changes nothing, so the resize can be done wrongly before it.
    rounded = np.rint(resize_to_input(tiny_images, TF1)).astype(np.uint8)
    assert _error(calib_engine(rounded), golden) > 5 * TOLERANCE
    assert _error(calib_engine(tiny_images[..., ::-1]), golden) > 5 * TOLERANCE
    other_resize = dataclasses.replace(HALFPIXEL, center=TF1.center)
    assert _error(_engine(parity_weights("calib"), other_resize)(tiny_images), golden) > 5 * TOLERANCE
    other_center = dataclasses.replace(TF1, center=HALFPIXEL.center)
    assert _error(_engine(parity_weights("calib"), other_center)(tiny_images), golden) > 5 * TOLERANCE


def test_padding_counted_in_mean_pools_shows(calib_engine, parity, parity_weights, tiny_images, monkeypatch):
    import tensorflow as tf

    def padded(x, size, stride, padding):
        assert (size, stride, padding) == (3, 1, "SAME")
        return tf.nn.avg_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), size, stride, "VALID")

    engine = _engine(parity_weights("calib"), TF1)
    original = tf.nn.avg_pool2d
    with monkeypatch.context() as patch:
        patch.setattr(
            tf.nn, "avg_pool2d", lambda x, *rest: padded(x, *rest) if rest[2] == "SAME" else original(x, *rest)
        )
        features = engine(tiny_images)
    assert _error(features, parity("tiny_golden.npz")["pool3_calib_tf1"]) > 5 * TOLERANCE
