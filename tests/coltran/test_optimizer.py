"""RMSprop and the moving average against tf_keras' legacy optimizer and TensorFlow's moving average."""

import os

import jax
import numpy as np
import optax

from coltran import optimizer

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

    ours, ema, rule = start, start, optimizer.rmsprop(optimizer.LEARNING_RATE)
    state = rule.init(ours)
    for gradient in gradients:
        keras.apply_gradients((tf.constant(gradient[name]), variables[name]) for name in start)
        average.apply(variables.values())
        updates, state = rule.update(jax.tree.map(jax.numpy.asarray, gradient), state, ours)
        ours = optax.apply_updates(ours, updates)
        ema = optimizer.update_ema(ema, ours)
    for name in start:
        assert np.abs(ours[name] - start[name]).max() > 1e-4
        np.testing.assert_allclose(ours[name], variables[name].numpy(), rtol=0, atol=1e-6)
        np.testing.assert_allclose(ema[name], average.average(variables[name]).numpy(), rtol=0, atol=1e-6)
