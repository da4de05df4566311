"""Inception features by every engine at hand, for benchmarks/fid.py: the package's two, onnxruntime and OpenVINO.

The last two are not among the project's dependencies: `pip install onnx onnxruntime openvino` brings them. The model is
the package's own graph, resize included, so all engines compute the same sums.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from eval.features import inception_graph
from eval.features.inception_graph import GRAPH, INPUT_SIZE, VALID, Concat, Conv, MaxPool, MeanPool
from eval.features.inception_weights import fold_batch_norm
from eval.features.resize import Resize, source_positions

Engine = Callable[[np.ndarray], np.ndarray]
OWN = ("tensorflow", "jax")  # engines of the package
ENGINES = (*OWN, "onnxruntime", "openvino")  # by the names of their libraries


def operations() -> int:
    """Counts the floating-point operations of the convolutions for one image, an addition and a product each."""
    total = 0

    def walk(sequence: inception_graph.Sequence, side: int, channels: int) -> tuple[int, int]:
        nonlocal total
        for node in sequence:
            if isinstance(node, Concat):
                ends = [walk(branch, side, channels) for branch in node.branches]
                side, channels = ends[0][0], sum(count for _, count in ends)
            elif not isinstance(node, MeanPool):
                height, width = node.kernel if isinstance(node, Conv) else (3, 3)
                side = -(-(side - (max(height, width) - 1 if node.padding == VALID else 0)) // node.stride)
                if isinstance(node, Conv):
                    total += 2 * side**2 * height * width * channels * node.filters
                    channels = node.filters
        return side, channels

    walk(GRAPH, INPUT_SIZE, 3)
    return total


class _Model:
    """Collects the nodes of an ONNX model, from uint8 [batch, height, width, 3] to float32 [batch, 2048]."""

    def __init__(self, weights: Mapping[str, np.ndarray], resize: Resize):
        self._layers, self._resize = fold_batch_norm(weights), resize
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def made_for(self, height: int, width: int) -> bytes:
        from onnx import TensorProto, helper

        x = self._resized(self._add("Cast", "images", to=TensorProto.FLOAT), height, width)
        center = self._constant(np.float32(self._resize.center))
        x = self._add("Div", self._add("Sub", x, center), center)
        x = self._sequence(GRAPH, self._add("Transpose", x, perm=[0, 3, 1, 2]))
        x = self._add("ReduceMean", x, self._constant(np.array([2, 3])), keepdims=0)
        graph = helper.make_graph(
            self._nodes,
            "inception",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", height, width, 3])],
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", inception_graph.FEATURE_DIMS])],
            self._constants,
        )
        opset = [helper.make_opsetid("", 18)]
        return helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()

    def _constant(self, array: np.ndarray) -> str:
        from onnx import numpy_helper

        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"node{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _resized(self, x: str, height: int, width: int) -> str:
        for axis, side in ((2, width), (1, height)):
            lower, upper, weight = source_positions(self._resize, side)
            first, last = (self._add("Gather", x, self._constant(rows), axis=axis) for rows in (lower, upper))
            shape = [1, 1, 1, 1]
            shape[axis] = INPUT_SIZE
            step = self._add("Mul", self._add("Sub", last, first), self._constant(weight.reshape(shape)))
            x = self._add("Add", first, step)
        return x

    def _sequence(self, sequence: inception_graph.Sequence, x: str) -> str:
        for node in sequence:
            x = self._node(node, x)
        return x

    def _node(self, node: inception_graph.Node, x: str) -> str:
        if isinstance(node, Concat):
            return self._add("Concat", *(self._sequence(branch, x) for branch in node.branches), axis=1)
        height, width = node.kernel if isinstance(node, Conv) else (3, 3)
        padding = [(height - 1) // 2, (width - 1) // 2] * 2
        if isinstance(node, MeanPool):
            return self._add("AveragePool", x, kernel_shape=[3, 3], pads=padding, count_include_pad=0)
        window = {"kernel_shape": [height, width], "strides": [node.stride] * 2}
        window["pads"] = [0, 0, 0, 0] if node.padding == VALID else padding
        if isinstance(node, MaxPool):
            return self._add("MaxPool", x, **window)
        kernel, bias = self._layers[node.name]
        named = self._constant(kernel.transpose(3, 2, 0, 1)), self._constant(bias)
        return self._add("Relu", self._add("Conv", x, *named, **window))


def load(name: str, weights: Mapping[str, np.ndarray], resize: Resize, shape: tuple[int, int, int, int]) -> Engine:
    """Loads an engine of `ENGINES` for uint8 images of one shape [batch, height, width, 3], in float32."""
    if name == "tensorflow":
        from eval.features.inception_tensorflow import InceptionTensorFlow

        return InceptionTensorFlow(weights, resize)
    if name == "jax":
        from eval.features.inception_jax import InceptionJax

        return InceptionJax(weights, resize)
    model = _Model(weights, resize).made_for(*shape[1:3])
    if name == "onnxruntime":
        import onnxruntime

        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        return lambda images: session.run(None, {"images": images})[0]
    # OpenVINO would report its use from a forked process, and forks of a process that runs JAX may never end.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    core = openvino.Core()
    read = core.read_model(model)
    read.reshape(list(shape))  # with a fixed shape it is faster
    compiled = core.compile_model(read, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: np.array(next(iter(compiled(images).values())))


def installed() -> list[str]:
    """Lists the engines whose libraries are there."""
    present = {module for module in ("onnx", *ENGINES) if importlib.util.find_spec(module)}
    return [name for name in ENGINES if name in present and (name in OWN or "onnx" in present)]


def measure(
    names: list[str], weights: Mapping[str, np.ndarray], resize: Resize, images: np.ndarray, rounds: int
) -> dict[str, dict[str, float]]:
    """Measures the engines in turn.

    Args:
      names: which ones; the first is what the others' features are compared with.
      weights: the arrays of `parameter_shapes()`.
      resize: how pixels become network input.
      images: uint8 [batch, height, width, 3].
      rounds: how often each computes the batch.

    Returns:
      {engine: images a second (median), and the largest difference of a feature from the first engine's}.
    """
    engines = {name: load(name, weights, resize, images.shape) for name in names}  # type: ignore[arg-type]
    features = {name: engine(images) for name, engine in engines.items()}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, engine in engines.items():
            started = time.perf_counter()
            engine(images)
            seconds[name].append(time.perf_counter() - started)
    return {
        name: {
            "images_per_second": len(images) / statistics.median(seconds[name]),
            "difference": float(np.abs(features[name] - features[names[0]]).max()),
        }
        for name in names
    }
