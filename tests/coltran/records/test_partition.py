"""Parts of a set by hash: disjoint, exact in size, and blind to order."""

import pytest
from hypothesis import given, strategies as st

from coltran.errors import UserError
from coltran.records import partition

KEYS = [f"train/{i}" for i in range(101)]


@given(st.permutations(KEYS), st.integers(0, 5))
def test_halves_are_disjoint_whole_and_blind_to_order(keys, seed):
    condition = partition.choose(keys, seed=seed, part="condition")
    truth = partition.choose(KEYS, seed=seed, part="truth")
    assert not condition & truth
    assert condition | truth == set(KEYS)
    assert len(condition) == 50


def test_another_seed_gives_another_partition():
    first, second = (partition.choose(KEYS, seed=seed, part="condition") for seed in (0, 1))
    assert 10 < len(first & second) < 40  # about half of 50 by chance


def test_num_is_exact_nested_and_checked():
    assert partition.choose(KEYS, seed=0, num=10) < partition.choose(KEYS, seed=0, num=20)
    assert len(partition.choose(KEYS * 2, seed=0, part="truth", num=51)) == 51
    with pytest.raises(UserError, match="has only 50 images"):
        partition.choose(KEYS, seed=0, part="condition", num=51)
