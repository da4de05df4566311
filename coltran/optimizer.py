"""RMSprop as Keras' legacy optimizer has it, and the moving average of the weights (paper, section 5.1, appendix B)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

LEARNING_RATE = 3e-4
DECAY = 0.9  # Keras' rho
EPSILON = 1e-7
EMA_DECAY = 0.999


def rmsprop(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """tf_keras.optimizers.legacy.RMSprop(rho=0.9, momentum=0, epsilon=1e-7).

    The mean square starts at 0 and is not corrected for it; epsilon is added outside the root:
    step = -learning_rate * gradient / (sqrt(mean_square) + epsilon).
    """
    return optax.rmsprop(learning_rate, decay=DECAY, eps=EPSILON, initial_scale=0.0, eps_in_sqrt=False)


def update_ema(ema: Any, weights: Any, decay: float = EMA_DECAY) -> Any:
    """ema - (1 - decay) * (ema - weights), for every leaf, as TensorFlow's ExponentialMovingAverage computes it.

    The average starts as a copy of the first weights.
    """
    rate = jnp.float32(1 - decay)
    return jax.tree.map(lambda average, weight: average - rate * (average - weight), ema, weights)
