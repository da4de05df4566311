"""Counted operations, held against the compiler's own count of a program without loops."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from coltran.networks import flops, presets
from coltran.networks.config import replace_fields
from coltran.weights import parameters


def compiler_s_count(function, *args) -> float:
    return jax.jit(function).lower(*args).cost_analysis()["flops"]


@pytest.mark.parametrize("variant", ["coltran", "coltran_b", "shift_only", "catt_v_only"])
def test_the_colorizer(variant):
    """Teacher-forced, the same products as sampling: the decoder's masked attention sees the whole axis in both."""
    config = presets.network_config("colorizer", variant, height=16, width=16)
    config = replace_fields(config, {"hidden_size": 256, "ff_size": 512})
    graphdef, state = nnx.split(parameters.build(config, seed=0), nnx.Param)
    image = jax.ShapeDtypeStruct((1, 16, 16), jnp.int32)

    def decode(state, gray, symbols):
        network = nnx.merge(graphdef, state)
        return network.decode(network.symbol_embedding.embed(symbols), network.encode(gray))

    counted = flops.colorizer_sample(config)
    assert counted == pytest.approx(compiler_s_count(decode, state, image, image), rel=0.06)


def test_an_upsampler():
    config = presets.network_config("color_upsampler", "coltran", height=16, width=16)
    config = replace_fields(config, {"hidden_size": 256})
    graphdef, state = nnx.split(parameters.build(config, seed=0), nnx.Param)
    image, channel = jax.ShapeDtypeStruct((3, 16, 16), jnp.int32), jax.ShapeDtypeStruct((3,), jnp.int32)
    counted = compiler_s_count(lambda state, *args: nnx.merge(graphdef, state)(*args), state, image, channel, image)
    assert flops.upsampler_image(config) == pytest.approx(counted, rel=0.06)


@pytest.mark.parametrize("stage", ["colorizer", "color_upsampler"])
def test_a_training_step(stage):
    """The step's own gradient program; the backward pass also has elementwise work, hence the wider margin."""
    from coltran.training import step as train_step

    config = presets.network_config(stage, "coltran", height=16, width=16)
    config = replace_fields(config, {"hidden_size": 256})
    weights = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in parameters.shapes(config).items()}
    image = jax.ShapeDtypeStruct((1, 16, 16), jnp.int32)
    rgb, channel = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.int32), jax.ShapeDtypeStruct((1,), jnp.int32)

    def loss(weights, batch):
        network = parameters.restore(config, weights)
        if stage == "colorizer":
            decoder, parallel = train_step.colorizer_bits(network, batch)
            return decoder.mean() + parallel.mean()
        return train_step.channel_bits(network, batch, batch["channel"]).mean()

    batch = {"gray": image, "symbols": image, "levels": rgb, "target": rgb, "channel": channel}
    counted = compiler_s_count(jax.grad(loss), weights, batch)
    assert flops.training_example(config) == pytest.approx(counted, rel=0.1)
