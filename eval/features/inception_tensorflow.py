"""Runs the Inception graph in TensorFlow, which was the fastest engine that we tried on a CPU."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from coltran.quiet_tensorflow import import_tensorflow
from eval.features.inception_graph import (
    BATCH_NORM_EPSILON,
    GRAPH,
    INPUT_SIZE,
    Concat,
    Conv,
    MaxPool,
    MeanPool,
    Node,
    Sequence,
)
from eval.features.inception_weights import fold_batch_norm
from eval.features.resize import Resize


class InceptionTensorFlow:
    """The network on TensorFlow in float32. It compiles once for all batch sizes and image sizes."""

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        resize: Resize,
        *,
        graph: Sequence = GRAPH,
        epsilon: float = BATCH_NORM_EPSILON,
    ) -> None:
        """Builds the graph.

        Args:
          weights: the arrays of `inception_graph.parameter_shapes()`.
          resize: how pixels become network input.
          graph: the description to walk. Only tests of deliberate mistakes give another one.
          epsilon: epsilon of batch normalization. Only those tests give another one.
        """
        self._tf = tf = import_tensorflow()
        self._resize = resize
        self._graph = graph
        self._layers = {
            name: (tf.constant(kernel), tf.constant(bias))
            for name, (kernel, bias) in fold_batch_norm(weights, epsilon).items()
        }
        pixels = tf.TensorSpec([None, None, None, 3], tf.uint8)
        self._features = tf.function(self._features_of, input_signature=[pixels], autograph=False)

    def __call__(self, images_BxHxWx3: np.ndarray) -> np.ndarray:
        """Computes the features of a batch.

        Args:
          images_BxHxWx3: uint8, RGB, values 0..255, any height and width.

        Returns:
          float32 [B, 2048], not negative.
        """
        # Always use the CPU, even if there is a GPU, whose TF32 rounding would exceed the tested tolerance.
        with self._tf.device("/CPU:0"):
            return self._features(self._tf.constant(images_BxHxWx3)).numpy()

    def _features_of(self, images: Any) -> Any:
        tf = self._tf
        x = tf.raw_ops.ResizeBilinear(
            images=tf.cast(images, tf.float32),
            size=[INPUT_SIZE, INPUT_SIZE],
            align_corners=False,
            half_pixel_centers=self._resize.half_pixel_centers,
        )
        x = (x - self._resize.center) / self._resize.center
        return tf.reduce_mean(self._apply(self._graph, x), axis=[1, 2])

    def _apply(self, sequence: Sequence, x: Any) -> Any:
        for node in sequence:
            x = self._apply_node(node, x)
        return x

    def _apply_node(self, node: Node, x: Any) -> Any:
        tf = self._tf
        match node:
            case Conv():
                kernel, bias = self._layers[node.name]
                return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, node.stride, node.padding), bias))
            case MaxPool():
                return tf.nn.max_pool2d(x, 3, node.stride, node.padding)
            case MeanPool():
                return tf.nn.avg_pool2d(x, 3, 1, "SAME")
            case Concat():
                return tf.concat([self._apply(branch, x) for branch in node.branches], axis=3)
        raise TypeError(f"unknown node {node!r} in the graph")
