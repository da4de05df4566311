"""The design's promises, counted."""

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coltran.errors import UserError
from human_eval.design import design

KEYS = [f"train/{i}" for i in range(40)]


@given(images=st.integers(1, 40), samples=st.integers(1, 5), block=st.integers(1, 17), seed=st.integers(0, 99))
def test_every_pair_once_no_image_twice_balanced_orders(images, samples, block, seed):
    forms = design(KEYS, images=images, samples=samples, block=block, seed=seed)
    pairs = [(t.key, t.sample) for form in forms for t in form.trials]
    assert len(set(pairs)) == len(pairs) == images * samples
    assert sorted(t.trial for form in forms for t in form.trials) == list(range(images * samples))
    for form in forms:
        assert len({t.key for t in form.trials}) == len(form.trials) <= block
        per_sample = collections.Counter(t.sample for t in form.trials)
        counts = [per_sample[sample] for sample in range(samples)]
        assert max(counts) - min(counts) <= 1
        truth_first = sum(t.truth_first for t in form.trials)
        assert abs(2 * truth_first - len(form.trials)) <= 1


def test_one_seed_one_design_whatever_the_order_of_keys():
    arguments = {"images": 20, "samples": 3, "block": 7}
    assert design(KEYS, **arguments, seed=1) == design(KEYS[::-1], **arguments, seed=1)
    assert design(KEYS, **arguments, seed=1) != design(KEYS, **arguments, seed=2)


def test_too_few_images_are_refused():
    with pytest.raises(UserError, match="only 40 images"):
        design(KEYS, images=41, samples=3, block=10, seed=0)
