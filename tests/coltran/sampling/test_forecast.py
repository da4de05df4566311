"""Sampling by forecasts gives the samples of the pixel-by-pixel order, in fewer passes of the inner decoder."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from coltran.errors import UserError
from coltran.sampling import forecast
from coltran.sampling.sampler import SamplerOptions, sample, sample_compiled
from coltran.weights import parameters
from tests.coltran.sampling.test_sampler import BATCH, HEIGHT, WIDTH, gray, keys, network

MODES = {
    "sample": {},
    "cold": {"temperature": 0.4},
    "top_k": {"top_k": 3},
    "argmax": {"mode": "argmax"},
}


def drawn(net, **options):
    return sample_compiled(net, gray(), keys(), options=SamplerOptions(**options))


def assert_same(made, expected) -> None:
    np.testing.assert_array_equal(made.symbols_BHW, expected.symbols_BHW)
    np.testing.assert_allclose(made.probability_BHW, expected.probability_BHW, rtol=0, atol=1e-5)
    np.testing.assert_allclose(made.max_probability_BHW, expected.max_probability_BHW, rtol=0, atol=1e-5)
    np.testing.assert_allclose(made.log_likelihood_B, expected.log_likelihood_B, rtol=1e-4)
    if expected.logits_BHWV is not None:
        np.testing.assert_allclose(made.logits_BHWV, expected.logits_BHWV, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("mode", "window"),
    [("sample", 2), ("cold", 99), ("top_k", 3), ("argmax", WIDTH)],
)
def test_every_mode_gives_the_plain_order_s_samples(mode, window):
    net = network(layers=2 if mode == "sample" else 1)
    plain = drawn(net, **MODES[mode], keep_logits=True)
    assert len(np.unique(plain.symbols_BHW)) >= 3
    made = drawn(net, **MODES[mode], keep_logits=True, window=window)
    assert_same(made, plain)
    passes = np.asarray(made.passes_BH)
    assert passes.shape == (BATCH, HEIGHT)
    assert passes.max() <= WIDTH
    assert passes.min() >= -(-WIDTH // min(window, WIDTH))
    assert passes.sum() < np.asarray(plain.passes_BH).sum() == BATCH * HEIGHT * WIDTH


def test_one_context_for_the_whole_image():
    net = network("global_conditioning")
    assert_same(drawn(net, window=3), drawn(net))


def test_a_row_that_was_forecast_right_takes_one_pass():
    """Two heads of zeros agree: what the parallel head forecasts is what the decoder says, whatever came before."""
    made = network(layers=1)
    flat = parameters.flatten(nnx.state(made, nnx.Param))
    heads = ("head.", "parallel_head.")
    net = parameters.restore(made.config, {n: w * (not n.startswith(heads)) for n, w in flat.items()})
    made = drawn(net, window=WIDTH)
    assert (np.asarray(made.passes_BH) == 1).all()
    assert (np.asarray(drawn(net, window=4).passes_BH) == 2).all()  # the second window begins with final pixels
    assert_same(made, drawn(net))


def _one_more(right_BP):
    right_P = right_BP.all(axis=0).astype(jnp.int32)
    return jnp.minimum(jnp.cumprod(right_P).sum() + 2, right_P.size)


def _beyond_the_window(right_BP):
    return jnp.cumprod(right_BP.all(axis=0).astype(jnp.int32)).sum() + 1


@pytest.mark.parametrize("count", [_one_more, _beyond_the_window])
def test_keeping_one_pixel_too_many_would_be_seen(count, monkeypatch):
    """A pass says nothing of the pixel after a wrong guess, nor of the pixel after its window."""
    net = network(layers=1)
    plain = np.asarray(drawn(net).symbols_BHW)
    monkeypatch.setattr(forecast, "_count_final", count)
    compiled = nnx.jit(lambda net, gray, keys: sample(net, gray, keys, SamplerOptions(window=2)).symbols_BHW)
    # One by one: a batch waits for its slowest image, so all guesses of a window are rarely right.
    made = [np.asarray(compiled(net, gray()[i : i + 1], keys()[i : i + 1])) for i in range(BATCH)]
    assert (np.concatenate(made) != plain).any()


def test_wrong_windows_are_refused():
    with pytest.raises(UserError, match="window must be at least 1, got 0"):
        SamplerOptions(window=0)
