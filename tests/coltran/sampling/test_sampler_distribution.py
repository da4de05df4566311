"""Draws follow the network's distribution: every outcome of a tiny image enumerated, 20,000 samples, chi-square."""

import itertools

import jax
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from coltran.networks import presets
from coltran.networks.config import replace_fields
from coltran.sampling import random_keys, rows
from coltran.sampling.sampler import SamplerOptions, sample_from_context
from coltran.weights import parameters

SYMBOLS, SIDE, DRAWS = 4, 2, 20_000
SMALL = {"hidden_size": 8, "num_heads": 2, "ff_size": 8, "num_symbols": SYMBOLS, "num_encoder_layers": 1}


@pytest.fixture(scope="module")
def network():
    config = presets.network_config("colorizer", "coltran", height=SIDE, width=SIDE)
    made = parameters.build(replace_fields(config, SMALL), seed=1)
    rng = np.random.default_rng(7)
    flat = parameters.flatten(nnx.state(made, nnx.Param))
    noisy = {name: w + rng.normal(scale=0.3, size=w.shape).astype(np.float32) for name, w in flat.items()}
    return parameters.restore(made.config, noisy)


GRAY = np.array([[[10, 200], [90, 30]]], np.int32)


@pytest.fixture(scope="module")
def outcomes(network):
    """The probability of each of the 256 images: products of the teacher-forced conditionals, in float64."""
    images = np.array(list(itertools.product(range(SYMBOLS), repeat=SIDE * SIDE)), np.int32).reshape(-1, SIDE, SIDE)
    logits = nnx.jit(lambda net, g, s: net(g, s).decoder_BHWV)(network, GRAY.repeat(len(images), 0), images)
    log_p = np.asarray(jax.nn.log_softmax(logits, axis=-1), np.float64)
    chosen = np.take_along_axis(log_p, images[..., None], axis=-1)[..., 0]
    probability = np.exp(chosen.sum(axis=(1, 2)))
    np.testing.assert_allclose(probability.sum(), 1, atol=1e-5)
    return probability / probability.sum()


def draw(network, **options) -> np.ndarray:
    """How often each image came, [256]."""
    keys = random_keys.sample_keys(11, ["an image"] * DRAWS, range(DRAWS))

    @nnx.jit
    def sample(net, gray, keys):
        context = jax.tree.map(lambda array: array.repeat(DRAWS, axis=0), net.encode(gray))
        return sample_from_context(net, context, keys, SamplerOptions(**options))

    symbols = np.asarray(sample(network, GRAY, keys).symbols_BHW).reshape(DRAWS, -1)
    return np.bincount(symbols @ SYMBOLS ** np.arange(SIDE * SIDE)[::-1], minlength=SYMBOLS ** (SIDE * SIDE))


def p_value(counts: np.ndarray, probability: np.ndarray) -> float:
    """Of a chi-square test in which cells with fewer than 5 expected are one cell."""
    expected = DRAWS * probability
    rare = expected < 5
    observed = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    kept = expected > 0
    return stats.chisquare(observed[kept], expected[kept]).pvalue


@pytest.mark.parametrize("window", [1, 2])
def test_20000_draws_match_the_enumerated_distribution(window, network, outcomes):
    assert p_value(draw(network, window=window), outcomes) > 0.001


def test_a_sampler_with_shifted_logits_fails_the_same_test(network, outcomes, monkeypatch):
    real = rows.draw

    def shifted(logits, noise, options):
        return real(logits + jax.numpy.array([[0.15, 0, 0, 0]]), noise, options)

    # Of eight seeds the largest p is 1e-11; with 0.1 one of four is 0.0014. AVX2 and SSE4.2 change the fourth digit.
    monkeypatch.setattr(rows, "draw", shifted)
    assert p_value(draw(network), outcomes) < 0.001
