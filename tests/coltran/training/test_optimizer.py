"""RMSprop and moving average against tf_keras' and TensorFlow's; schedules, clipping and Adam by their properties."""

import os

import jax
import numpy as np
import optax
import pytest

from coltran.training import optimizer
from coltran.training.options import TrainOptions

STEPS = 5


def test_five_steps_equal_tf_keras():
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf
    import tf_keras

    rng = np.random.default_rng(0)
    start = {"kernel": rng.normal(size=(7, 5)).astype(np.float32), "bias": np.zeros(5, np.float32)}
    gradients = [
        {name: rng.normal(scale=10.0**-step, size=w.shape).astype(np.float32) for name, w in start.items()}
        for step in range(STEPS)
    ]
    gradients[2]["bias"][0] = 0.0

    variables = {name: tf.Variable(w) for name, w in start.items()}
    keras = tf_keras.optimizers.legacy.RMSprop(learning_rate=3e-4, rho=0.9, momentum=0.0, epsilon=1e-7)
    average = tf.train.ExponentialMovingAverage(decay=0.999)
    average.apply(variables.values())

    ours, ema, rule = start, start, optimizer.rmsprop(TrainOptions.learning_rate)
    state = rule.init(ours)
    for gradient in gradients:
        keras.apply_gradients((tf.constant(gradient[name]), variables[name]) for name in start)
        average.apply(variables.values())
        updates, state = rule.update(jax.tree.map(jax.numpy.asarray, gradient), state, ours)
        ours = optax.apply_updates(ours, updates)
        ema = optimizer.update_ema(ema, ours, TrainOptions.ema_decay)
    for name in start:
        assert np.abs(ours[name] - start[name]).max() > 1e-4
        np.testing.assert_allclose(ours[name], variables[name].numpy(), rtol=0, atol=1e-6)
        np.testing.assert_allclose(ema[name], average.average(variables[name]).numpy(), rtol=0, atol=1e-6)


def options(**changes):
    return TrainOptions(**{"steps": 100, "batch_size": 1, "learning_rate": 0.5, **changes})


def test_schedules_pass_through_their_corners():
    assert optimizer.schedule(options()) == 0.5
    warm = optimizer.schedule(options(warmup_steps=10))
    assert [float(warm(step)) for step in (0, 5, 10, 99)] == pytest.approx([0, 0.25, 0.5, 0.5])
    cosine = optimizer.schedule(options(schedule="cosine"))
    assert [float(cosine(step)) for step in (0, 50, 100)] == pytest.approx([0.5, 0.25, 0], abs=1e-7)
    both = optimizer.schedule(options(schedule="cosine", warmup_steps=20))
    assert [float(both(step)) for step in (0, 20, 60, 100)] == pytest.approx([0, 0.5, 0.25, 0], abs=1e-7)


def test_clipping_shortens_long_gradients_alone():
    gradient = {"a": np.array([3.0, 0.0], np.float32), "b": np.array([4.0], np.float32)}
    for clip_norm, wanted in ((0.0, 5.0), (10.0, 5.0), (1.5, 1.5)):
        rule = optimizer.build(options(clip_norm=clip_norm))
        _, state = rule.update(gradient, rule.init(gradient), gradient)
        squares = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
        assert np.sqrt(sum(square.sum() for square in squares) / (1 - optimizer.DECAY)) == pytest.approx(wanted)


def test_adams_first_step_has_the_learning_rates_size():
    rule = optimizer.build(options(optimizer="adam"))
    gradient = {"a": np.array([1e-3, -7.0], np.float32)}
    updates, _ = rule.update(gradient, rule.init(gradient), gradient)
    np.testing.assert_allclose(updates["a"], [-0.5, 0.5], rtol=1e-4)
