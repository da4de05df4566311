"""The description of the graph, against the public file's keys and the sizes that Szegedy et al. 2015 print."""

import json
import math

from eval.features import inception_graph
from eval.features.inception_graph import GRAPH, Concat, Conv, MaxPool


def test_shapes_are_those_of_the_public_file(parity_file):
    expected = json.loads(parity_file("manifest.json").read_text())["shapes"]
    assert {key: list(shape) for key, shape in inception_graph.parameter_shapes().items()} == expected


def _sides(sequence, side: int) -> list[int]:
    sides = []
    for node in sequence:
        if isinstance(node, Conv | MaxPool):
            kernel = max(node.kernel) if isinstance(node, Conv) else 3
            side = math.ceil((side - (kernel - 1 if node.padding == "VALID" else 0)) / node.stride)
        elif isinstance(node, Concat):
            ends = {_sides(branch, side)[-1] for branch in node.branches}
            assert len(ends) == 1, f"branches of different size: {ends}"
            (side,) = ends
        sides.append(side)
    return sides


def test_sizes_of_table_1_of_the_inception_v3_paper():
    assert _sides(GRAPH, 299) == [149, 147, 147, 73, 73, 71, 35, 35, 35, 35, 17, 17, 17, 17, 17, 8, 8, 8]


def test_the_two_last_blocks_pool_differently():
    first, second = (node.branches[-1][0] for node in GRAPH[-2:])
    assert type(first).__name__ == "MeanPool"
    assert second == MaxPool(stride=1, padding="SAME")
