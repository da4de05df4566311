"""One training step of any of the three networks, as a compiled function of (state, batch)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, struct

from coltran import losses, parameters
from coltran.checkpoint import Checkpoint
from coltran.config import NetworkConfig
from coltran.errors import UserError
from coltran.optimizer import rmsprop, update_ema
from coltran.train_options import TrainOptions
from coltran.upsamplers import NUM_CHANNELS

Flat = dict[str, jax.Array]


class TrainState(struct.PyTreeNode):
    """Everything that changes in training; parameters are flat, {name: float32 array}."""

    step: jax.Array
    weights: Flat
    ema: Flat
    optimizer: Any


def initial_state(config: NetworkConfig, options: TrainOptions) -> TrainState:
    """Step 0: fresh weights from the seed, and a moving average that starts as a copy of them."""
    network = parameters.build(config, seed=options.seed)
    weights = parameters.flatten(nnx.state(network, nnx.Param))
    ema = jax.tree.map(jnp.array, weights)  # copies: the step gives its input buffers away
    return TrainState(
        step=jnp.int32(0), weights=weights, ema=ema, optimizer=rmsprop(options.learning_rate).init(weights)
    )


def flatten_optimizer(state: Any) -> Flat:
    """The optimizer's state as {name: array}, for checkpoints."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}


def restore_state(saved: Checkpoint, options: TrainOptions) -> TrainState:
    """The state that a checkpoint holds. Raises UserError where it was not written by training."""
    weights = {name: jnp.asarray(array) for name, array in saved.weights.items()}
    paths, structure = jax.tree_util.tree_flatten_with_path(rmsprop(options.learning_rate).init(weights))
    names = [jax.tree_util.keystr(path) for path, _ in paths]
    if set(names) != set(saved.optimizer):
        raise UserError(f"{saved.path} has no state of this optimizer, so training cannot go on from it.")
    leaves = [jnp.asarray(saved.optimizer[name]) for name in names]
    return TrainState(
        step=jnp.int32(saved.step),
        weights=weights,
        ema={name: jnp.asarray(array) for name, array in saved.ema.items()},
        optimizer=jax.tree_util.tree_unflatten(structure, leaves),
    )


def make_train_step(config: NetworkConfig, options: TrainOptions) -> Callable:
    """Compiled (state, batch) -> (state, {metric name: scalar}); the old state's memory is reused."""
    rule = rmsprop(options.learning_rate)
    loss_of = _colorizer_loss if parameters.is_colorizer(config) else _upsampler_loss

    def step(state: TrainState, batch: dict[str, jax.Array]) -> tuple[TrainState, dict[str, jax.Array]]:
        def loss(weights: Flat) -> tuple[jax.Array, dict[str, jax.Array]]:
            return loss_of(parameters.restore(config, weights), batch, options, state.step)

        (_, metrics), gradients = jax.value_and_grad(loss, has_aux=True)(state.weights)
        updates, optimizer = rule.update(gradients, state.optimizer, state.weights)
        weights = optax.apply_updates(state.weights, updates)
        ema = update_ema(state.ema, weights, options.ema_decay)
        metrics = {**metrics, "gradient_norm": optax.global_norm(gradients)}
        return TrainState(step=state.step + 1, weights=weights, ema=ema, optimizer=optimizer), metrics

    return jax.jit(step, donate_argnums=0)


def _colorizer_loss(network, batch, options: TrainOptions, step) -> tuple[jax.Array, dict[str, jax.Array]]:
    del step
    decoder, parallel = (bits.mean() for bits in colorizer_bits(network, batch))
    loss = losses.colorizer_loss(decoder, parallel, options.parallel_weight)
    return loss, {"loss": loss, "decoder_bits_per_pixel": decoder, "parallel_bits_per_pixel": parallel}


def _upsampler_loss(network, batch, options: TrainOptions, step) -> tuple[jax.Array, dict[str, jax.Array]]:
    # One random channel per example: a third of the memory, and the same gradient on average.
    key = jax.random.fold_in(jax.random.PRNGKey(options.seed), step)
    channel_B = jax.random.randint(key, batch["gray"].shape[:1], 0, NUM_CHANNELS)
    loss = channel_bits(network, batch, channel_B).mean()
    return loss, {"loss": loss, "bits_per_dim": loss}


def colorizer_bits(network, batch: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Bits of each pixel, [B,h,w], by the decoder and by the parallel head."""
    symbols_BHW = batch["symbols"].astype(jnp.int32)
    logits = network(batch["gray"].astype(jnp.int32), symbols_BHW)
    return losses.bits(logits.decoder_BHWV, symbols_BHW), losses.bits(logits.parallel_BHWV, symbols_BHW)


def channel_bits(network, batch: dict[str, jax.Array], channel_B: jax.Array) -> jax.Array:
    """Bits of each pixel of one channel per example, [B,H,W]."""

    def pick(image_BHW3: jax.Array) -> jax.Array:
        index = channel_B[:, None, None, None]
        return jnp.take_along_axis(image_BHW3.astype(jnp.int32), index, axis=-1)[..., 0]

    logits_BHWV = network(pick(batch["levels"]), channel_B, batch["gray"].astype(jnp.int32))
    return losses.bits(logits_BHWV, pick(batch["target"]))


def as_numpy(flat: Flat) -> dict[str, np.ndarray]:
    """Parameters copied to host memory."""
    return {name: np.asarray(array) for name, array in flat.items()}
