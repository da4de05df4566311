"""Which images a split takes: disjoint, whole, blind to order, and refused where nothing would be left."""

import pytest
from hypothesis import given, strategies as st

from coltran.errors import UserError
from pipelines.sources.image_ref import ImageRef
from pipelines.truth.selection import select

FOUND = [ImageRef(key=f"train/{i}", label=-1, name=f"{i}.png", path=f"/{i}.png", size=i) for i in range(60)]
ASK = {"holdout": 20, "limit": None, "seed": 3}


@given(st.permutations(FOUND))
def test_train_and_holdout_are_disjoint_whole_and_blind_to_order(found):
    train = select(found, split="train", **ASK).images
    holdout = select(FOUND, split="holdout", **ASK).images
    assert len(holdout) == 20
    assert {ref.key for ref in train} | {ref.key for ref in holdout} == {ref.key for ref in FOUND}
    assert not {ref.key for ref in train} & {ref.key for ref in holdout}
    assert train == select(FOUND, split="train", **ASK).images


def test_the_papers_holdout_is_kept_apart_in_large_sets_only():
    large = [ImageRef(key=str(i), label=-1, name="", path="", size=0) for i in range(50_000)]
    assert len(select(large, split="holdout", holdout=None, limit=None, seed=0).images) == 10_000
    assert len(select(large, split="train", holdout=None, limit=None, seed=0).images) == 40_000
    assert len(select(large, split="validation", holdout=None, limit=None, seed=0).images) == 50_000
    assert len(select(FOUND, split="train", holdout=None, limit=None, seed=0).images) == 60


def test_the_second_of_two_equal_keys_is_a_duplicate():
    twin = ImageRef(key="train/7", label=-1, name="7.jpg", path="/7.jpg", size=1)
    chosen = select([*FOUND, twin], split="train", holdout=0, limit=None, seed=0)
    assert chosen.duplicates == (twin,)
    assert len(chosen.images) == 60
    without = select([*FOUND, twin], split="train", holdout=0, limit=1, seed=0)
    assert len(without.images) == 1
    assert not without.duplicates or without.images[0].key == "train/7"


@pytest.mark.parametrize(
    ("split", "holdout", "message"),
    [("train", 60, "none would be left"), ("holdout", None, "only 60 training images"), ("holdout", 0, "only 60")],
)
def test_splits_that_would_be_empty_are_refused(split, holdout, message):
    with pytest.raises(UserError, match=message):
        select(FOUND, split=split, holdout=holdout, limit=None, seed=0)
