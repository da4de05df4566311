"""Runs the Inception graph in JAX, for GPU and TPU. On a CPU the TensorFlow engine is three times as fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.features.inception_graph import BATCH_NORM_EPSILON, GRAPH, Concat, Conv, MaxPool, MeanPool, Node, Sequence
from eval.features.inception_weights import fold_batch_norm
from eval.features.resize import Resize, source_positions

if TYPE_CHECKING:
    import jax

_Layers = dict[str, tuple["jax.Array", "jax.Array"]]  # kernel and bias of each convolution by name


class InceptionJax:
    """The network on JAX's default device in full float32. In bfloat16 or TF32, features change by more than 1e-3."""

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        resize: Resize,
        *,
        graph: Sequence = GRAPH,
        epsilon: float = BATCH_NORM_EPSILON,
    ) -> None:
        """Puts the weights on the device. It takes the same arguments as `InceptionTensorFlow`."""
        import jax

        self._resize = resize
        self._graph = graph
        self._layers = jax.device_put(fold_batch_norm(weights, epsilon))
        self._features = jax.jit(self._features_of)
        self._largest_batch = 0

    def __call__(self, images_BxHxWx3: np.ndarray) -> np.ndarray:
        """Computes the features of a batch.

        Args:
          images_BxHxWx3: uint8, RGB, values 0..255, any height and width. Each new size compiles once.

        Returns:
          float32 [B, 2048], not negative.
        """
        # We fill up a smaller batch, usually the last: compiling one more shape takes longer than its images do.
        count = len(images_BxHxWx3)
        self._largest_batch = max(self._largest_batch, count)
        filled = np.zeros((self._largest_batch, *images_BxHxWx3.shape[1:]), np.uint8)
        filled[:count] = images_BxHxWx3
        return np.asarray(self._features(self._layers, filled))[:count]

    def _features_of(self, layers: _Layers, images: jax.Array) -> jax.Array:
        x = self._resized(images.astype(np.float32))
        x = (x - self._resize.center) / self._resize.center
        return _apply(self._graph, layers, x).mean(axis=(1, 2))

    def _resized(self, x: jax.Array) -> jax.Array:
        y0, y1, wy = source_positions(self._resize, x.shape[1])
        x0, x1, wx = source_positions(self._resize, x.shape[2])
        wy, wx = wy[None, :, None, None], wx[None, None, :, None]
        left, right = x[:, :, x0], x[:, :, x1]
        rows = left + (right - left) * wx
        return rows[:, y0] + (rows[:, y1] - rows[:, y0]) * wy


def _apply(sequence: Sequence, layers: _Layers, x: jax.Array) -> jax.Array:
    for node in sequence:
        x = _apply_node(node, layers, x)
    return x


def _apply_node(node: Node, layers: _Layers, x: jax.Array) -> jax.Array:
    import jax
    from jax import lax, numpy as jnp

    match node:
        case Conv():
            kernel, bias = layers[node.name]
            out = lax.conv_general_dilated(
                x,
                kernel,
                window_strides=(node.stride, node.stride),
                padding=node.padding,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                precision=lax.Precision.HIGHEST,
            )
            return jax.nn.relu(out + bias[None, None, None, :])
        case MaxPool():
            return _windows(x, -jnp.inf, lax.max, node.stride, node.padding)
        case MeanPool():
            inside = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
            return _windows(x, 0.0, lax.add, 1, "SAME") / _windows(inside, 0.0, lax.add, 1, "SAME")
        case Concat():
            return jnp.concatenate([_apply(branch, layers, x) for branch in node.branches], axis=3)
    raise TypeError(f"unknown node {node!r} in the graph")


def _windows(x: jax.Array, initial: float, reduce: Callable[..., Any], stride: int, padding: str) -> jax.Array:
    from jax import lax

    return lax.reduce_window(x, initial, reduce, (1, 3, 3, 1), (1, stride, stride, 1), padding)
