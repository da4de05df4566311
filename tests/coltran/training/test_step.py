"""A step's ways of computing agree, and a step without finite numbers changes nothing."""

import jax
import numpy as np
import pytest

from coltran.networks import presets
from coltran.networks.config import replace_fields
from coltran.training import step as train_step
from coltran.training.mesh import Placement
from coltran.training.options import StepOptions, TrainOptions

SIDE, BATCH = 4, 4
OPTIONS = TrainOptions(steps=10, batch_size=BATCH, seed=3)
SMALL = {"hidden_size": 8, "ff_size": 8}


def config(stage):
    return replace_fields(presets.network_config(stage, "smoke", height=SIDE, width=SIDE), SMALL)


def batch(stage):
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (BATCH, SIDE, SIDE), np.uint8)
    if stage == "colorizer":
        return {"gray": gray, "symbols": rng.integers(0, 512, (BATCH, SIDE, SIDE), np.uint16)}
    rgb = rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)
    return {"gray": gray, "levels": rgb >> 5, "target": rgb}


def stepper(stage, options=OPTIONS, **how):
    """(compiled step, first state, batch), laid out on the one device."""
    placement = Placement()
    step = train_step.make_train_step(config(stage), options, placement, StepOptions(**how))
    state = placement.put(train_step.initial_state(config(stage), options))
    return step, state, placement.put_batch(batch(stage), BATCH)


def numpy_tree(tree):
    return jax.tree.map(lambda array: np.array(array, copy=True), tree)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["colorizer", "color_upsampler"])
def test_accumulation_and_rematerialization_change_rounding_alone(stage):
    results = []
    for how in ({"accumulate": 1}, {"accumulate": 4, "remat": True}):
        step, state, data = stepper(stage, **how)
        state, metrics = step(state, data)
        results.append(({name: float(value) for name, value in metrics.items()}, numpy_tree(state.optimizer)))
    (metrics, moments), (other_metrics, other_moments) = results
    assert other_metrics == pytest.approx(metrics, rel=1e-5)
    # The mean squares of the gradients, not the weights: RMSprop makes as much of the smallest gradients' rounding.
    for one, other in zip(jax.tree.leaves(moments), jax.tree.leaves(other_moments), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-5 * np.abs(one).max())


def test_rematerialization_keeps_less():
    from coltran.networks.axial_layer import AxialLayer, Conditioning
    from coltran.networks.initializers import Initializer

    layer = AxialLayer(
        height=16,
        width=16,
        hidden_size=32,
        num_heads=2,
        ff_size=32,
        along_columns=False,
        masked=False,
        conditioning=Conditioning(),
        init=Initializer(0),
    )
    x = jax.ShapeDtypeStruct((1, 16, 16, 32), np.float32)

    def kept(rematerialized):
        layer.rematerialized = rematerialized
        saved = jax.eval_shape(lambda x: jax.vjp(layer.alone, x)[1], x)
        return sum(leaf.size for leaf in jax.tree.leaves(saved))

    assert kept(True) < kept(False) / 3


def test_a_step_that_is_not_finite_changes_nothing_but_the_count():
    step, state, data = stepper("color_upsampler", max_skipped=1)
    good = numpy_tree(state)
    poisoned = {**good.weights, "head.bias": good.weights["head.bias"] * np.nan}

    def run(weights, previous):
        new, metrics = step(Placement().put(previous.replace(weights=weights)), data)
        return numpy_tree(new), metrics

    one, metrics = run(poisoned, good)
    assert (int(one.step), int(one.skipped), int(one.skipped_in_a_row)) == (1, 1, 1)
    assert not np.isfinite(metrics["loss"])
    for group in ("ema", "optimizer"):
        for old, new in zip(jax.tree.leaves(getattr(good, group)), jax.tree.leaves(getattr(one, group)), strict=True):
            np.testing.assert_array_equal(new, old)
    for name, array in poisoned.items():
        np.testing.assert_array_equal(one.weights[name], array)

    two, _ = run(good.weights, one)  # finite again
    assert (int(two.skipped), int(two.skipped_in_a_row)) == (1, 0)
    assert np.abs(two.weights["head.bias"] - good.weights["head.bias"]).max() > 0

    three, _ = run(poisoned, two)
    four, _ = run(poisoned, three)  # more than max_skipped: from here on nothing is changed
    five, _ = run(good.weights, four)
    assert (int(five.skipped), int(five.skipped_in_a_row)) == (4, 3)
    np.testing.assert_array_equal(five.ema["head.bias"], two.ema["head.bias"])
