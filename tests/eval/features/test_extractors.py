"""The extractors' contract, and TF-GAN's code around a small SavedModel."""

import numpy as np
import pytest

from coltran.errors import UserError
from eval.features.extractors import RANDOM_NOTE, load_extractor
from eval.features.resize import TF1, resize_to_input


@pytest.fixture(scope="module")
def random_extractor():
    return load_extractor("random")


@pytest.fixture(scope="module")
def pictures():
    """Smooth color fields, [12, 64, 64, 3]: closer to photos than noise is."""
    coarse = np.random.default_rng(3).integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((1, 16, 16, 1), np.uint8))


def test_random_features_are_healthy(random_extractor, pictures):
    features = random_extractor.features(pictures)
    assert features.dtype == np.float32
    assert features.shape == (12, 2048)
    assert features.min() >= 0
    assert 0.1 < features.mean() < 10
    assert (features.std(axis=0) < 1e-4).sum() < 20, "dead units"
    values = np.linalg.svd(features - features.mean(axis=0), compute_uv=False) ** 2
    assert values[0] / values.sum() < 0.6, "one direction holds nearly all of the variance"


def test_random_features_see_color(random_extractor, pictures):
    gray = np.repeat(pictures.mean(axis=3, keepdims=True).astype(np.uint8), 3, axis=3)
    color, without = random_extractor.features(pictures), random_extractor.features(gray)
    assert np.linalg.norm(color - without, axis=1).min() > 0.2 * np.linalg.norm(color - color.mean(0), axis=1).mean()


def test_what_it_says_of_itself(random_extractor):
    assert random_extractor.comparable is False
    assert random_extractor.note == RANDOM_NOTE
    assert (random_extractor.name, random_extractor.resize, random_extractor.dims) == ("random", "tf1", 2048)
    assert len(random_extractor.weights_sha256) == 64


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 0, 8, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(random_extractor, images):
    with pytest.raises(UserError, match=r"expected images as uint8 \[batch, height, width, 3\], got"):
        random_extractor.features(images)


def test_an_empty_batch(random_extractor):
    assert random_extractor.features(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0, 2048)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("inceptoin",), "unknown extractor 'inceptoin': expected one of inception, tfgan, random"),
        (("random", None, "bicubic"), "unknown resize 'bicubic': expected one of tf1, halfpixel"),
        (("random", "file.pth"), "leave out file.pth"),
        (("inception", "/nowhere/file.pth"), "no Inception weights at /nowhere/file.pth"),
        (("tfgan", "/nowhere"), "/nowhere holds no saved_model.pb"),
        (("tfgan",), "tensorflow/tfgan/eval/inception/1"),
    ],
)
def test_wrong_choices_are_one_line(arguments, message):
    with pytest.raises(UserError, match=message) as error:
        load_extractor(*arguments)
    assert "\n" not in str(error.value)


def test_tfgan_reads_a_local_saved_model(tmp_path):
    import tensorflow as tf

    class Pool3(tf.Module):
        """Answers like TF-GAN's model: pixel (150, 40)'s channels, spread over 2048 values."""

        def __init__(self):
            super().__init__()
            self.spread = tf.Variable(np.arange(3 * 2048, dtype=np.float32).reshape(3, 2048) / 2048)

        @tf.function(input_signature=[tf.TensorSpec([None, 299, 299, 3], tf.float32)])
        def __call__(self, images):
            pool_3 = tf.matmul(images[:, 150, 40], self.spread)
            return {"pool_3": pool_3[:, None, None, :], "logits": pool_3[:, :1008]}

    model = Pool3()
    tf.saved_model.save(model, str(tmp_path))
    extractor = load_extractor("tfgan", str(tmp_path))
    assert extractor.comparable is True
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    pixel = (resize_to_input(images, TF1)[:, 150, 40] - 128) / 128
    np.testing.assert_allclose(extractor.features(images), pixel @ model.spread.numpy(), rtol=1e-5, atol=1e-5)
    extractor.features(images[:2])  # another batch size needs no second load
