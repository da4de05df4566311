"""Describes the Inception network of 2015-12-05 as data, without a framework.

Published FID values are distances between the `pool_3` features of this one network (Heusel et al. 2017). It is the
Inception v3 of Szegedy et al. 2015 with some differences that change the number:

- pixels enter as (x - 128) / 128,
- batch normalization has epsilon 1e-3 and a learned scale; convolutions have no bias; ReLU comes after it,
- average pools leave the padding out of the mean,
- the last block (Mixed_7c) pools by a maximum, and Mixed_7b pools by a mean,
- there are 1008 classes, and no auxiliary head.

An engine walks `GRAPH` and needs to know only four node types. Names and kernel shapes follow the public PyTorch file,
so the graph also says which keys a weights file must hold (`parameter_shapes`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

INPUT_SIZE = 299
FEATURE_DIMS = 2048
CLASSES = 1008
BATCH_NORM_EPSILON = 1e-3

SAME = "SAME"
VALID = "VALID"


@dataclass(frozen=True)
class Conv:
    """A convolution without bias, then batch normalization, then ReLU. `kernel` is (height, width)."""

    name: str
    filters: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: str = SAME


@dataclass(frozen=True)
class MaxPool:
    """A maximum over 3x3. With SAME padding, the border is never the maximum."""

    stride: int
    padding: str


@dataclass(frozen=True)
class MeanPool:
    """A mean over 3x3, stride 1, SAME. Positions outside the image count neither in the sum nor in the divisor."""


@dataclass(frozen=True)
class Concat:
    """Branches that read the same input. Their outputs are joined along the channels in this order."""

    branches: tuple["Sequence", ...]


Node = Conv | MaxPool | MeanPool | Concat
Sequence = tuple[Node, ...]


def _block_35(name: str, pool_filters: int) -> Concat:
    return Concat(
        (
            (Conv(f"{name}.branch1x1", 64, (1, 1)),),
            (Conv(f"{name}.branch5x5_1", 48, (1, 1)), Conv(f"{name}.branch5x5_2", 64, (5, 5))),
            (
                Conv(f"{name}.branch3x3dbl_1", 64, (1, 1)),
                Conv(f"{name}.branch3x3dbl_2", 96, (3, 3)),
                Conv(f"{name}.branch3x3dbl_3", 96, (3, 3)),
            ),
            (MeanPool(), Conv(f"{name}.branch_pool", pool_filters, (1, 1))),
        )
    )


def _block_35_to_17(name: str) -> Concat:
    return Concat(
        (
            (Conv(f"{name}.branch3x3", 384, (3, 3), stride=2, padding=VALID),),
            (
                Conv(f"{name}.branch3x3dbl_1", 64, (1, 1)),
                Conv(f"{name}.branch3x3dbl_2", 96, (3, 3)),
                Conv(f"{name}.branch3x3dbl_3", 96, (3, 3), stride=2, padding=VALID),
            ),
            (MaxPool(stride=2, padding=VALID),),
        )
    )


def _block_17(name: str, width: int) -> Concat:
    return Concat(
        (
            (Conv(f"{name}.branch1x1", 192, (1, 1)),),
            (
                Conv(f"{name}.branch7x7_1", width, (1, 1)),
                Conv(f"{name}.branch7x7_2", width, (1, 7)),
                Conv(f"{name}.branch7x7_3", 192, (7, 1)),
            ),
            (
                Conv(f"{name}.branch7x7dbl_1", width, (1, 1)),
                Conv(f"{name}.branch7x7dbl_2", width, (7, 1)),
                Conv(f"{name}.branch7x7dbl_3", width, (1, 7)),
                Conv(f"{name}.branch7x7dbl_4", width, (7, 1)),
                Conv(f"{name}.branch7x7dbl_5", 192, (1, 7)),
            ),
            (MeanPool(), Conv(f"{name}.branch_pool", 192, (1, 1))),
        )
    )


def _block_17_to_8(name: str) -> Concat:
    return Concat(
        (
            (
                Conv(f"{name}.branch3x3_1", 192, (1, 1)),
                Conv(f"{name}.branch3x3_2", 320, (3, 3), stride=2, padding=VALID),
            ),
            (
                Conv(f"{name}.branch7x7x3_1", 192, (1, 1)),
                Conv(f"{name}.branch7x7x3_2", 192, (1, 7)),
                Conv(f"{name}.branch7x7x3_3", 192, (7, 1)),
                Conv(f"{name}.branch7x7x3_4", 192, (3, 3), stride=2, padding=VALID),
            ),
            (MaxPool(stride=2, padding=VALID),),
        )
    )


def _block_8(name: str, pool: Node) -> Concat:
    def fork(stem: str) -> Concat:
        return Concat(
            ((Conv(f"{name}.{stem}a", 384, (1, 3)),), (Conv(f"{name}.{stem}b", 384, (3, 1)),)),
        )

    return Concat(
        (
            (Conv(f"{name}.branch1x1", 320, (1, 1)),),
            (Conv(f"{name}.branch3x3_1", 384, (1, 1)), fork("branch3x3_2")),
            (
                Conv(f"{name}.branch3x3dbl_1", 448, (1, 1)),
                Conv(f"{name}.branch3x3dbl_2", 384, (3, 3)),
                fork("branch3x3dbl_3"),
            ),
            (pool, Conv(f"{name}.branch_pool", 192, (1, 1))),
        )
    )


GRAPH: Sequence = (
    Conv("Conv2d_1a_3x3", 32, (3, 3), stride=2, padding=VALID),
    Conv("Conv2d_2a_3x3", 32, (3, 3), padding=VALID),
    Conv("Conv2d_2b_3x3", 64, (3, 3)),
    MaxPool(stride=2, padding=VALID),
    Conv("Conv2d_3b_1x1", 80, (1, 1), padding=VALID),
    Conv("Conv2d_4a_3x3", 192, (3, 3), padding=VALID),
    MaxPool(stride=2, padding=VALID),
    _block_35("Mixed_5b", 32),
    _block_35("Mixed_5c", 64),
    _block_35("Mixed_5d", 64),
    _block_35_to_17("Mixed_6a"),
    _block_17("Mixed_6b", 128),
    _block_17("Mixed_6c", 160),
    _block_17("Mixed_6d", 160),
    _block_17("Mixed_6e", 192),
    _block_17_to_8("Mixed_7a"),
    _block_8("Mixed_7b", MeanPool()),
    _block_8("Mixed_7c", MaxPool(stride=1, padding=SAME)),
)
"""The feature is the mean of the last node's output over its 8 x 8 positions: `pool_3`, 2048 values."""


def _walk(sequence: Sequence, channels: int, found: list[tuple[Conv, int]]) -> int:
    for node in sequence:
        if isinstance(node, Conv):
            found.append((node, channels))
            channels = node.filters
        elif isinstance(node, Concat):
            channels = sum(_walk(branch, channels, found) for branch in node.branches)
    return channels


def convolutions(graph: Sequence = GRAPH) -> Iterator[tuple[Conv, int]]:
    """Yields every convolution of the graph with the number of its input channels, in the order of the graph."""
    found: list[tuple[Conv, int]] = []
    _walk(graph, 3, found)
    yield from found


def parameter_shapes() -> dict[str, tuple[int, ...]]:
    """Returns {key: shape} of every tensor of the public weights file (472 keys).

    Kernels are [out, in, height, width].
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for conv, channels in convolutions():
        shapes[f"{conv.name}.conv.weight"] = (conv.filters, channels, *conv.kernel)
        for key in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{conv.name}.bn.{key}"] = (conv.filters,)
    shapes["fc.weight"] = (CLASSES, FEATURE_DIMS)
    shapes["fc.bias"] = (CLASSES,)
    return shapes
