"""Makes optimizers and learning rates, and the moving average of the weights (paper, section 5.1, appendix B).

The paper's optimizer is RMSprop as in Keras' legacy optimizer, at a fixed learning rate.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from coltran.training.options import TrainOptions

DECAY = 0.9  # Keras' rho
EPSILON = 1e-7


def build(options: TrainOptions) -> optax.GradientTransformation:
    """Makes the optimizer that `options` describe."""
    rate = schedule(options)
    rule = optax.adam(rate) if options.optimizer == "adam" else rmsprop(rate)
    if options.clip_norm == 0:
        return rule
    return optax.chain(optax.clip_by_global_norm(options.clip_norm), rule)


def schedule(options: TrainOptions) -> optax.ScalarOrSchedule:
    """Makes the learning rate, which is a number or a function of the number of updates before.

    Warm-up rises linearly from 0 at the first update. After that, `cosine` falls to 0 at `options.steps`.
    """
    rate, warmup = options.learning_rate, options.warmup_steps
    if options.schedule == "cosine":
        return optax.warmup_cosine_decay_schedule(0.0 if warmup else rate, rate, warmup, decay_steps=options.steps)
    return optax.warmup_constant_schedule(0.0, rate, warmup) if warmup else rate


def rmsprop(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """Makes the optimizer that equals tf_keras.optimizers.legacy.RMSprop(rho=0.9, momentum=0, epsilon=1e-7).

    The mean square starts at 0, and nothing corrects this. Epsilon is added outside the root:
    step = -learning_rate * gradient / (sqrt(mean_square) + epsilon).
    """
    return optax.rmsprop(learning_rate, decay=DECAY, eps=EPSILON, initial_scale=0.0, eps_in_sqrt=False)


def update_ema(ema: Any, weights: Any, decay: float) -> Any:
    """Computes ema - (1 - decay) * (ema - weights) for every leaf, as TensorFlow's ExponentialMovingAverage does.

    The average starts as a copy of the first weights.
    """
    rate = jnp.float32(1 - decay)
    return jax.tree.map(lambda average, weight: average - rate * (average - weight), ema, weights)
