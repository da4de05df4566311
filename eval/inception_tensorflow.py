"""TensorFlow engine of the Inception graph: the fastest of the engines that were tried on a CPU."""

from collections.abc import Mapping

import numpy as np

from eval.inception_graph import (
    BATCH_NORM_EPSILON,
    GRAPH,
    INPUT_SIZE,
    Concat,
    Conv,
    MaxPool,
    MeanPool,
    Sequence,
    convolutions,
)
from eval.resize import Resize


def fold_batch_norm(
    weights: Mapping[str, np.ndarray], epsilon: float = BATCH_NORM_EPSILON
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Put each batch normalization into its convolution: one multiplication and addition less per activation.

    Args:
      weights: the arrays of `parameter_shapes()`, kernels [out, in, height, width].
      epsilon: what is added to the variance.

    Returns:
      name of the convolution -> (kernel float32 [height, width, in, out], bias float32 [out]).
    """
    folded = {}
    for conv, _ in convolutions():
        kernel = np.asarray(weights[f"{conv.name}.conv.weight"], np.float64)
        gamma, beta, mean, variance = (
            np.asarray(weights[f"{conv.name}.bn.{key}"], np.float64)
            for key in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + epsilon)
        kernel = kernel.transpose(2, 3, 1, 0) * scale
        folded[conv.name] = (kernel.astype(np.float32), (beta - mean * scale).astype(np.float32))
    return folded


class InceptionTensorFlow:
    """The network on TensorFlow, float32, compiled once for every batch size and image size."""

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        resize: Resize,
        *,
        graph: Sequence = GRAPH,
        epsilon: float = BATCH_NORM_EPSILON,
    ):
        """Build the graph.

        Args:
          weights: the arrays of `inception_graph.parameter_shapes()`.
          resize: from pixels to network input.
          graph: the description to walk; another one only in tests of deliberate mistakes.
          epsilon: of batch normalization; another one only in such tests.
        """
        import tensorflow as tf

        self._tf = tf
        self._resize = resize
        self._graph = graph
        self._layers = {
            name: (tf.constant(kernel), tf.constant(bias))
            for name, (kernel, bias) in fold_batch_norm(weights, epsilon).items()
        }
        pixels = tf.TensorSpec([None, None, None, 3], tf.uint8)
        self._features = tf.function(self._features_of, input_signature=[pixels], autograph=False)

    def __call__(self, images_BxHxWx3: np.ndarray) -> np.ndarray:
        """Features of a batch.

        Args:
          images_BxHxWx3: uint8, RGB, values 0..255, any height and width.

        Returns:
          float32 [B, 2048], not negative.
        """
        # On the CPU whatever else is there: a GPU's TF32 rounding would not stay within the tested tolerance.
        with self._tf.device("/CPU:0"):
            return self._features(self._tf.constant(images_BxHxWx3)).numpy()

    def _features_of(self, images):
        tf = self._tf
        x = tf.raw_ops.ResizeBilinear(
            images=tf.cast(images, tf.float32),
            size=[INPUT_SIZE, INPUT_SIZE],
            align_corners=False,
            half_pixel_centers=self._resize.half_pixel_centers,
        )
        x = (x - self._resize.center) / self._resize.center
        return tf.reduce_mean(self._apply(self._graph, x), axis=[1, 2])

    def _apply(self, sequence: Sequence, x):
        for node in sequence:
            x = self._apply_node(node, x)
        return x

    def _apply_node(self, node, x):
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
