"""Compiles one training step of any network on any number of devices, as a function of (state, batch)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct

from coltran.errors import UserError
from coltran.networks.axial_layer import AxialLayer
from coltran.networks.colorizer import Colorizer
from coltran.networks.config import NetworkConfig
from coltran.networks.upsampler import NUM_CHANNELS, Upsampler
from coltran.training import losses, optimizer
from coltran.training.mesh import Placement
from coltran.training.options import StepOptions, TrainOptions
from coltran.weights import parameters
from coltran.weights.checkpoint import Checkpoint

Flat = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


class TrainState(struct.PyTreeNode):
    """Everything that changes in training. Parameters are flat, {name: float32 array}.

    `skipped` counts the steps whose loss or gradient was not finite, `skipped_in_a_row` those since the last good one.
    """

    step: jax.Array
    skipped: jax.Array
    skipped_in_a_row: jax.Array
    weights: Flat
    ema: Flat
    optimizer: Any


def initial_state(config: NetworkConfig, options: TrainOptions) -> TrainState:
    """Makes the state of step 0, with new weights from the seed and a moving average that starts as their copy."""
    network = parameters.build(config, seed=options.seed)
    weights = parameters.flatten(nnx.state(network, nnx.Param))
    if config.compute_dtype == "float64":
        weights = {name: array.astype(jnp.float64) for name, array in weights.items()}
    ema = jax.tree.map(jnp.array, weights)  # copies, because the step gives its input buffers away
    return _state(0, 0, 0, weights, ema, optimizer.build(options).init(weights))


def _state(step: int, skipped: int, in_a_row: int, weights: Flat, ema: Flat, moments: Any) -> TrainState:
    return TrainState(
        step=jnp.int32(step),
        skipped=jnp.int32(skipped),
        skipped_in_a_row=jnp.int32(in_a_row),
        weights=weights,
        ema=ema,
        optimizer=moments,
    )


def flatten_optimizer(state: Any) -> Flat:
    """Turns the optimizer's state into {name: array [...]} for checkpoints."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}


def restore_state(saved: Checkpoint, options: TrainOptions) -> TrainState:
    """Restores the state from a checkpoint. Raises UserError if training did not write the checkpoint."""
    weights = {name: jnp.asarray(array) for name, array in saved.weights.items()}
    paths, structure = jax.tree_util.tree_flatten_with_path(optimizer.build(options).init(weights))
    names = [jax.tree_util.keystr(path) for path, _ in paths]
    if set(names) != set(saved.optimizer):
        raise UserError(f"{saved.path} has no state of this optimizer, so training cannot go on from it")
    leaves = [jnp.asarray(saved.optimizer[name]) for name in names]
    ema = {name: jnp.asarray(array) for name, array in saved.ema.items()}
    skipped, in_a_row = (saved.training.get(name, 0) for name in ("skipped", "skipped_in_a_row"))
    moments = jax.tree_util.tree_unflatten(structure, leaves)
    return _state(saved.step, skipped, in_a_row, weights, ema, moments)


def make_train_step(
    config: NetworkConfig, options: TrainOptions, placement: Placement, how: StepOptions | None = None
) -> Callable[[TrainState, dict[str, jax.Array]], tuple[TrainState, Metrics]]:
    """Makes a compiled function (state, batch) -> (state, {metric name: scalar}) that reuses the old state's memory.

    State and batch are laid out as `placement` says. A step whose loss or gradient is not finite changes only the
    counts. Once `how.max_skipped` is exceeded, all other steps change only the counts too, until the caller notices.
    """
    how = how or StepOptions()
    num_parts = how.accumulate or placement.best_parts(options.batch_size, config.height * config.width)
    rule, rate = optimizer.build(options), optimizer.schedule(options)
    loss_of = _colorizer_loss if parameters.is_colorizer(config) else _upsampler_loss

    def gradients_of(weights: Flat, batch: dict[str, jax.Array]) -> tuple[Flat, Metrics]:
        def loss(weights: Flat) -> tuple[jax.Array, Metrics]:
            network: Any = parameters.restore(config, placement.whole(weights))
            if how.remat:
                _rematerialize(network)
            return loss_of(network, batch, options)

        (_, metrics), gradients = jax.value_and_grad(loss, has_aux=True)(weights)
        return gradients, metrics

    def accumulated(weights: Flat, batch: dict[str, jax.Array]) -> tuple[Flat, Metrics]:
        """Averages over parts of equal size, which gives the mean of the whole batch."""
        parts = placement.split_parts(batch, num_parts)
        shapes = jax.eval_shape(gradients_of, weights, jax.tree.map(lambda array: array[0], parts))

        def add(total: Any, part: dict[str, jax.Array]) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, gradients_of(weights, part)), None

        total, _ = jax.lax.scan(add, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes), parts)
        return jax.tree.map(lambda array: array / num_parts, total)

    def step(state: TrainState, batch: dict[str, jax.Array]) -> tuple[TrainState, Metrics]:
        if not parameters.is_colorizer(config):
            batch = {**batch, "channel": _random_channels(batch["gray"].shape[0], options.seed, state.step)}
        gradients, metrics = (accumulated if num_parts > 1 else gradients_of)(state.weights, batch)
        updates, moments = rule.update(gradients, state.optimizer, state.weights)
        weights = optax.apply_updates(state.weights, updates)
        ema = optimizer.update_ema(state.ema, weights, options.ema_decay)
        metrics = {**metrics, "gradient_norm": optax.global_norm(gradients)}
        finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["gradient_norm"])
        good = finite & (state.skipped_in_a_row <= how.max_skipped)
        kept = jax.tree.map(
            lambda new, old: jnp.where(good, new, old),
            (weights, ema, moments),
            (state.weights, state.ema, state.optimizer),
        )
        in_a_row = jnp.where(good, 0, state.skipped_in_a_row + 1)
        skipped = state.skipped + jnp.where(good, 0, 1)
        metrics = {**metrics, "skipped_steps": skipped, "skipped_in_a_row": in_a_row}
        if callable(rate):
            metrics["learning_rate"] = rate(state.step - skipped)
        new = TrainState(
            step=state.step + 1,
            skipped=skipped,
            skipped_in_a_row=in_a_row,
            weights=kept[0],
            ema=kept[1],
            optimizer=kept[2],
        )
        return placement.constrain(new), jax.lax.with_sharding_constraint(metrics, placement.replicated)

    return jax.jit(step, donate_argnums=0)


def _rematerialize(network: nnx.Module) -> None:
    for _, module in nnx.iter_modules(network):
        if isinstance(module, AxialLayer):
            module.rematerialized = True


def _random_channels(count: int, seed: int, step: jax.Array) -> jax.Array:
    """Draws one random channel per example, [B], for a third of the memory and the same gradient on average."""
    key = jax.random.fold_in(jax.random.PRNGKey(seed), step)
    return jax.random.randint(key, (count,), 0, NUM_CHANNELS)


def _colorizer_loss(network: Colorizer, batch: Flat, options: TrainOptions) -> tuple[jax.Array, Metrics]:
    decoder, parallel = (bits.mean() for bits in colorizer_bits(network, batch))
    loss = losses.colorizer_loss(decoder, parallel, options.parallel_weight)
    return loss, {"loss": loss, "decoder_bits_per_pixel": decoder, "parallel_bits_per_pixel": parallel}


def _upsampler_loss(network: Upsampler, batch: Flat, options: TrainOptions) -> tuple[jax.Array, Metrics]:
    del options
    loss = channel_bits(network, batch, batch["channel"]).mean()
    return loss, {"loss": loss, "bits_per_dim": loss}


def colorizer_bits(network: Colorizer, batch: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Measures the bits of each pixel, float32 [B,h,w], by the decoder and by the parallel head."""
    symbols_BHW = batch["symbols"].astype(jnp.int32)
    logits = network(batch["gray"].astype(jnp.int32), symbols_BHW)
    return losses.bits(logits.decoder_BHWV, symbols_BHW), losses.bits(logits.parallel_BHWV, symbols_BHW)


def channel_bits(network: Upsampler, batch: dict[str, jax.Array], channel_B: jax.Array) -> jax.Array:
    """Measures the bits of each pixel of one channel per example, float32 [B,H,W]; `channel_B` is int32 [B]."""

    def pick(image_BHW3: jax.Array) -> jax.Array:
        index = channel_B[:, None, None, None]
        return jnp.take_along_axis(image_BHW3.astype(jnp.int32), index, axis=-1)[..., 0]

    logits_BHWV = network(pick(batch["levels"]), channel_B, batch["gray"].astype(jnp.int32))
    return losses.bits(logits_BHWV, pick(batch["target"]))
