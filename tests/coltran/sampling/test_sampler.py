"""The cached sampler: exact probabilities, the release's images, and independence of the batch."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from coltran.errors import UserError
from coltran.networks import presets
from coltran.networks.config import replace_fields
from coltran.sampling import random_keys
from coltran.sampling.sampler import SamplerOptions, sample_compiled
from coltran.weights import parameters
from tests.coltran.distinct import distinct_colorizers
from tests.coltran.symbols import of_symbols

HEIGHT, WIDTH, BATCH = 5, 6, 3
SMALL = {
    "hidden_size": 16,
    "num_heads": 2,
    "ff_size": 16,
    "num_symbols": 32,
    "num_encoder_layers": 1,
}


@functools.cache
def network(variant="coltran", layers=None):
    config = presets.network_config("colorizer", variant, height=HEIGHT, width=WIDTH)
    # The other variants differ in conditioning, not in how layers are stacked.
    layers = layers or (2 if variant == "coltran" else 1)
    small = {**SMALL, "num_outer_layers": layers, "num_inner_layers": layers}
    made = parameters.build(replace_fields(config, small), seed=1)
    # Parameters that start at 0 or 1 (relative bias, pooling, offsets) would hide mistakes in their use.
    rng = np.random.default_rng(7)
    flat = parameters.flatten(nnx.state(made, nnx.Param))
    noisy = {name: w + rng.normal(scale=0.1, size=w.shape).astype(np.float32) for name, w in flat.items()}
    return parameters.restore(made.config, noisy)


@functools.cache
def gray():
    return np.random.default_rng(0).integers(0, 256, (BATCH, HEIGHT, WIDTH), dtype=np.int32)


def keys(names=("a", "b", "c"), samples=(0, 0, 0), seed=5):
    return random_keys.sample_keys(seed, names, samples)


@nnx.jit
def decoder_logits(net, gray_BHW, symbols_BHW):
    return net(gray_BHW, symbols_BHW).decoder_BHWV


def teacher_forced(net, gray_BHW, symbols_BHW):
    return np.asarray(jax.nn.softmax(decoder_logits(net, gray_BHW, symbols_BHW), axis=-1))


@pytest.mark.parametrize("variant", distinct_colorizers(SMALL))
def test_sampled_probabilities_are_the_teacher_forced_ones(variant):
    net = network(variant)
    drawn = sample_compiled(net, gray(), keys(), options=SamplerOptions())
    symbols = np.asarray(drawn.symbols_BHW)
    p_BHWV = teacher_forced(net, gray(), symbols)
    chosen_BHW = np.take_along_axis(p_BHWV, symbols[..., None], axis=-1)[..., 0]
    assert len(np.unique(symbols)) > 5
    np.testing.assert_allclose(drawn.probability_BHW, chosen_BHW, rtol=0, atol=1e-5)
    np.testing.assert_allclose(drawn.max_probability_BHW, p_BHWV.max(-1), rtol=0, atol=1e-5)
    bits = np.log2(chosen_BHW.astype(np.float64)).sum(axis=(1, 2))
    np.testing.assert_allclose(drawn.log_likelihood_B, bits, rtol=1e-4)


# In bfloat16 so small a network differs by 3e-7 only; docs/sampling.md has the numbers of a trained one.
@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-5), ("bfloat16", 0.1)])
def test_how_exact_each_dtype_is(dtype, most):
    flat = parameters.flatten(nnx.state(network(), nnx.Param))
    flat = {name: array * (4 if name == "head.kernel" else 1) for name, array in flat.items()}  # sure of its colors
    net = parameters.restore(replace_fields(network().config, {"compute_dtype": dtype}), flat)
    drawn = sample_compiled(net, gray(), keys(), SamplerOptions(keep_logits=True))
    used = np.asarray(jax.nn.softmax(drawn.logits_BHWV, axis=-1))
    difference = np.abs(used - teacher_forced(net, gray(), np.asarray(drawn.symbols_BHW))).max()
    assert difference <= most
    assert (used.dtype, net.config.compute_dtype) == (np.float32, dtype)


def test_row_pooling_is_another_distribution():
    net, options = network(), SamplerOptions(pooling="row", keep_logits=True)
    drawn = sample_compiled(net, gray(), keys(), options=options)
    used = np.asarray(jax.nn.softmax(drawn.logits_BHWV, axis=-1))
    assert np.abs(used - teacher_forced(net, gray(), np.asarray(drawn.symbols_BHW))).max() > 1e-3


@pytest.mark.parametrize("window", [1, 3])
def test_row_pooling_gives_the_release_s_argmax_images(window, release_colorizer):
    net, gray_BHW, _, data = release_colorizer("coltran")
    options = SamplerOptions(mode="argmax", pooling="row", window=window, keep_logits=True)
    drawn = sample_compiled(net, gray_BHW, keys(("a", "b"), (0, 0)), options=options)
    symbols = np.asarray(drawn.symbols_BHW)
    rgb = np.stack([symbols // 64, symbols // 8 % 8, symbols % 8], axis=-1) << 5
    np.testing.assert_array_equal(rgb, data["release_argmax_rgb"])
    probabilities = jax.nn.softmax(drawn.logits_BHWV, axis=-1)
    wanted = data["release_argmax_proba"]
    np.testing.assert_allclose(of_symbols(probabilities, wanted), wanted, rtol=0, atol=1e-5)


def test_the_parallel_head_gives_the_release_s_parallel_image(release_colorizer):
    net, gray_BHW, _, data = release_colorizer("coltran")
    made = sample_compiled(net, gray_BHW, keys(("a", "b"), (0, 0)), options=SamplerOptions(mode="parallel"))
    symbols = np.asarray(made.symbols_BHW)
    rgb = np.stack([symbols // 64, symbols // 8 % 8, symbols % 8], axis=-1) << 5
    np.testing.assert_array_equal(rgb, data["release_parallel_rgb"])
    np.testing.assert_allclose(made.max_probability_BHW, data["parallel_max_probability"], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(made.probability_BHW, made.max_probability_BHW)


@pytest.mark.parametrize("size", [1, 16])
def test_probabilities_at_other_compiled_sizes(size):
    """Within 1e-5 of the teacher-forced ones, so within 2e-5 of each other, whatever else the batch holds."""
    rng = np.random.default_rng(3)
    gray_BHW = rng.integers(0, 256, (size, HEIGHT, WIDTH), dtype=np.int32)
    names = [str(number) for number in range(size)]
    drawn = sample_compiled(network(), gray_BHW, keys(names, [0] * size), options=SamplerOptions())
    p_BHWV = teacher_forced(network(), gray_BHW, np.asarray(drawn.symbols_BHW))
    chosen_BHW = np.take_along_axis(p_BHWV, np.asarray(drawn.symbols_BHW)[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(drawn.probability_BHW, chosen_BHW, rtol=0, atol=1e-5)


def test_a_sample_does_not_depend_on_its_batch():
    options, order = SamplerOptions(), [2, 0, 1]
    alone = sample_compiled(network(), gray(), keys(), options=options)
    names = np.array(["a", "b", "c"])[order]
    mixed = sample_compiled(network(), gray()[order], keys(list(names)), options=options)
    np.testing.assert_array_equal(np.asarray(alone.symbols_BHW)[order], mixed.symbols_BHW)
    other = sample_compiled(network(), gray()[[0, 0, 0]], keys(("a", "x", "y")), options=options)
    np.testing.assert_array_equal(alone.symbols_BHW[0], other.symbols_BHW[0])


def test_seed_key_and_sample_index_all_matter():
    base = np.asarray(keys(("a",), (0,), seed=1))
    for other in (keys(("b",), (0,), seed=1), keys(("a",), (1,), seed=1), keys(("a",), (0,), seed=2)):
        assert not np.array_equal(base, other)
    assert random_keys.stable_hash("abc") == 0xBA7816BF  # the first 4 bytes of SHA-256("abc") in FIPS 180-2


def test_top_k_never_leaves_the_k_best_and_k_1_is_argmax():
    net = network(layers=1)
    few = sample_compiled(net, gray(), keys(), options=SamplerOptions(top_k=3, keep_logits=True))
    logits, symbols = np.asarray(few.logits_BHWV), np.asarray(few.symbols_BHW)
    rank = (logits > np.take_along_axis(logits, symbols[..., None], -1)).sum(-1)
    assert rank.max() == 2
    one = sample_compiled(net, gray(), keys(), options=SamplerOptions(top_k=1))
    best = sample_compiled(net, gray(), keys(), options=SamplerOptions(mode="argmax"))
    np.testing.assert_array_equal(one.symbols_BHW, best.symbols_BHW)


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"mode": "samples"}, "Did you mean"), ({"temperature": 0.0}, "above 0"), ({"top_k": 0}, "at least 1")],
)
def test_wrong_options_are_refused(fields, said):
    with pytest.raises(UserError, match=said):
        SamplerOptions(**fields)


def test_top_k_beyond_the_vocabulary_is_refused():
    with pytest.raises(UserError, match="at most 32"):
        sample_compiled(network(), gray(), keys(), options=SamplerOptions(top_k=33))
