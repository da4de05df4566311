"""The design's promises, counted from the forms alone."""

import collections

from hypothesis import given, strategies as st

from human_eval.design import forms
from human_eval.design.forms import Pool
from human_eval.folder.forms import CATCH, PRACTICE, TEST, Variant

KEYS = [f"train/{i}" for i in range(40)]


def variants(models, samples):
    return [Variant(model=model, sample=sample) for model in models for sample in range(samples)]


def plan(images, shown, *, block, seed, practice=3, catch=0.1, raters=5):
    pool = Pool(
        test=KEYS[:images],
        catch=[f"catch/{i}" for i in range(60)],
        practice=[(f"practice/{i}", shown[i % len(shown)]) for i in range(practice)],
    )
    return forms.plan(pool, shown, block=block, catch=catch, raters=raters, seed=seed)


@given(
    images=st.integers(1, 40),
    samples=st.integers(1, 4),
    models=st.sampled_from([("a",), ("a", "b")]),
    block=st.integers(1, 17),
    seed=st.integers(0, 99),
)
def test_every_pair_once_no_image_twice_balanced_orders(images, samples, models, block, seed):
    shown = variants(models, samples)
    planned = plan(images, shown, block=block, seed=seed)
    tests = [(form, trial) for form in planned for trial in form.trials if trial.kind == TEST]
    assert len({(t.model, t.key, t.sample) for _, t in tests}) == len(tests) == images * len(shown)
    numbers = [trial.id for form in planned for trial in form.trials]
    assert sorted(numbers) == list(range(len(numbers)))
    truth_first = collections.Counter()
    for form in planned:
        kinds = [trial.kind for trial in form.trials]
        assert kinds[:3] == [PRACTICE] * 3
        assert PRACTICE not in kinds[3:]
        assert len({trial.key for trial in form.trials}) == len(form.trials)
        rated = [trial for trial in form.trials if trial.kind == TEST]
        assert 1 <= len(rated) <= block
        assert kinds.count(CATCH) == max(1, round(0.1 * len(rated)))
        per_variant = collections.Counter((t.model, t.sample) for t in rated)
        counts = [per_variant[v.model, v.sample] for v in shown]
        assert max(counts) - min(counts) <= 1
    for _, trial in tests:
        truth_first[trial.model, trial.sample] += 1 if trial.truth_first else -1
    assert max(map(abs, truth_first.values())) <= 1


def test_blocks_share_neither_rated_nor_catch_images():
    planned = plan(40, variants("a", 3), block=10, seed=1)
    assert len(planned) == 12
    for form in planned:
        alike = [other.number for other in planned if form.keys & other.keys]
        assert alike == [3 * (form.number // 3) + rotation for rotation in range(3)]


def test_one_seed_one_plan():
    shown = variants("a", 3)
    assert plan(20, shown, block=7, seed=1) == plan(20, shown, block=7, seed=1)
    assert plan(20, shown, block=7, seed=1) != plan(20, shown, block=7, seed=2)


def test_the_truth_is_never_five_times_in_a_row_at_one_place():
    for seed in range(20):
        for form in plan(40, variants("a", 3), block=40, seed=seed):
            flags = "".join("TF"[trial.truth_first] for trial in form.trials[3:])
            assert "TTTTT" not in flags
            assert "FFFFF" not in flags


def test_the_paper_s_study():
    pool = Pool(test=[f"i{n}" for n in range(500)], catch=[f"c{n}" for n in range(50)], practice=[])
    planned = forms.plan(pool, variants("a", 3), block=50, catch=0.1, raters=5, seed=0)
    assert len(planned) == 30
    assert [len(form.trials) for form in planned] == [55] * 30
    assert sum(form.raters * sum(t.kind == TEST for t in form.trials) for form in planned) == 7500
