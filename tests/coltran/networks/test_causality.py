"""No pixel's logits may depend on that pixel or on a later one: by gradients, on images that are not square."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coltran.networks import presets
from coltran.networks.config import replace_fields
from coltran.weights import parameters
from tests.coltran.distinct import distinct_colorizers

HEIGHT, WIDTH = 3, 4
SMALL = {
    "hidden_size": 8,
    "num_heads": 2,
    "ff_size": 8,
    "num_symbols": 11,
    "num_encoder_layers": 1,
}


def influence(network, gray, embedded):
    """[pixel, pixel']: the largest gradient of any logit of `pixel` with respect to the embedding of `pixel'`."""

    context = network.encode(gray)

    def logits(x):
        return network.decode(x, context).reshape(HEIGHT * WIDTH, -1)

    jacobian = jax.jit(jax.jacrev(logits))(embedded)  # [pixel, V, 1, H, W, D]
    return np.abs(jacobian).reshape(HEIGHT * WIDTH, SMALL["num_symbols"], HEIGHT * WIDTH, -1).max(axis=(1, 3))


@pytest.mark.parametrize("variant", distinct_colorizers(SMALL))
def test_logits_depend_on_exactly_the_earlier_pixels(variant):
    config = presets.network_config("colorizer", variant, height=28, width=28)  # coltran_s has these alone
    layers = 2 if variant == "coltran" else 1  # the others differ in conditioning, not in how layers are stacked
    small = {**SMALL, "height": HEIGHT, "width": WIDTH, "num_outer_layers": layers, "num_inner_layers": layers}
    network = parameters.build(replace_fields(config, small), seed=1)
    gray = jax.random.randint(jax.random.key(2), (1, HEIGHT, WIDTH), 0, 256)
    embedded = jax.random.normal(jax.random.key(3), (1, HEIGHT, WIDTH, SMALL["hidden_size"]), jnp.float32)
    found = influence(network, gray, embedded)
    earlier = np.tril(np.ones_like(found, dtype=bool), k=-1)
    assert (found[~earlier] == 0).all()
    assert (found[earlier] > 0).all()
