"""What coltran-fid compares with what: the paper's halves found from the folders themselves, and what is refused."""

import dataclasses

import pytest

from coltran.errors import UserError
from coltran.images import colors
from coltran.records import folder as record_folder, partition, schema
from eval.scoring import pairs, plan
from eval.scoring.arguments import Options, RowSpec
from tests.conftest import smooth_photo, write_records

SIZES = schema.Sizes(lo=8, hi=16)
KEYS = [f"val/{index}" for index in range(20)]


def truth_rows(keys):
    return [
        {
            schema.KEY: key,
            schema.CROP: 0,
            schema.LABEL: -1,
            schema.GRAYSCALE: 0,
            schema.RGB_HI: smooth_photo(index, 16, 16),
            schema.GRAY_HI: colors.rgb_to_gray(smooth_photo(index, 16, 16)),
        }
        for index, key in enumerate(keys)
    ]


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    return str(write_records(tmp_path_factory.mktemp("truth") / "records", schema.TRUTH, SIZES, truth_rows(KEYS)))


def colorized(folder, truth: str, *, seed: int, part: str | None, num: int | None = None, step: int = 7) -> str:
    """A folder as coltran-sample writes it, with what its manifest says of the choice."""
    keys = sorted(partition.choose(KEYS, seed=seed, part=part, num=num))
    rows = [
        {
            schema.KEY: key,
            schema.SAMPLE: 0,
            schema.COARSE_LO: smooth_photo(index, 8, 8)[..., 0].astype("uint16"),
            schema.RGB_HI: smooth_photo(index + 50, 16, 16),
        }
        for index, key in enumerate(keys)
    ]
    write_records(folder, schema.COLORIZED, SIZES, rows)
    manifest = record_folder.open_folder(str(folder)).manifest
    said = {
        "seed": seed,
        "part": part,
        "num": num,
        "colorizer": {"step": step},
        "records_fingerprint": record_folder.open_folder(truth).manifest.fingerprint,
    }
    manifest = dataclasses.replace(manifest, options=said, fingerprint=f"{seed}{part}{num}{step}")
    (folder / "manifest.json").write_bytes(manifest.to_json())
    return str(folder)


def options(truth, **changes) -> Options:
    return Options(real=(truth,), out="unused", **changes)


def test_the_other_half_and_seed_come_from_the_sampling(tmp_path, truth):
    fake = colorized(tmp_path / "c", truth, seed=5, part="condition", num=6)
    (row,) = plan.plan(options(truth, fake=(fake,)))
    (pair,) = row.pairs
    assert (row.name, row.step, pair.seed) == (fake, 7, 5)
    assert pair.fake.chosen == partition.choose(KEYS, seed=5, part="condition", num=6)
    assert pair.real.chosen == partition.choose(KEYS, seed=5, part="truth", num=6)
    assert pair.floor.chosen == pair.fake.chosen
    assert pair.floor.sources[0].path == truth
    assert (pair.overlap, pair.overlapping_keys) == (pairs.OVERLAP_NONE, 0)


def test_colorizations_of_the_truth_half_stand_against_the_other(tmp_path, truth):
    fake = colorized(tmp_path / "c", truth, seed=2, part="truth")
    (pair,) = plan.plan(options(truth, fake=(fake,)))[0].pairs
    assert pair.real.chosen == partition.choose(KEYS, seed=2, part="condition")


def test_another_seed_than_the_samplings_is_refused(tmp_path, truth):
    fake = colorized(tmp_path / "c", truth, seed=5, part="condition")
    with pytest.raises(UserError, match=r"--seed 4: .* was sampled with --seed 5, which decides on its half"):
        plan.plan(options(truth, fake=(fake,), seed=(4,)))
    plan.plan(options(truth, fake=(fake,), seed=(5,)))


def test_a_folder_that_says_nothing_is_compared_with_all_and_overlap_is_refused(tmp_path, truth):
    fake = colorized(tmp_path / "c", truth, seed=5, part=None)
    with pytest.raises(UserError, match="20 of 20 fake images have their own truth among the real ones"):
        plan.plan(options(truth, fake=(fake,)))
    halves = {"real_part": "truth", "fake_part": "condition", "seed": (3,)}
    (pair,) = plan.plan(options(truth, fake=(fake,), **halves))[0].pairs
    assert pair.real.chosen | pair.fake.chosen == set(KEYS)
    with pytest.raises(UserError, match="have their own truth among the real ones"):
        plan.plan(options(truth, fake=(fake,), **(halves | {"real_part": "condition"})))


def test_rows_of_the_papers_table(tmp_path, truth):
    folders = [colorized(tmp_path / f"c{seed}", truth, seed=seed, part="condition", num=6) for seed in (1, 2)]
    specs = (
        RowSpec(name="truth"),
        RowSpec(name="ColTran", repeats=tuple((folder,) for folder in folders)),
        RowSpec(name="grayscale"),
    )
    rows = plan.plan(options(truth, rows=specs))
    assert [row.name for row in rows] == ["truth", "ColTran", "grayscale"]
    own, model, gray = rows
    assert [pair.seed for pair in own.pairs] == [pair.seed for pair in model.pairs] == [1, 2]
    for a, b, c in zip(own.pairs, model.pairs, gray.pairs, strict=True):
        # One truth for all rows, and the same images behind every row: computed once, and comparable.
        assert a.real.identity == b.real.identity == c.real.identity
        assert a.fake.chosen == b.fake.chosen == c.fake.chosen
        assert a.fake.identity == b.floor.identity
        assert c.fake.sources[0].feature == schema.GRAY_HI
        assert len({a.fake.identity, b.fake.identity, c.fake.identity}) == 3


def test_rows_at_steps_in_their_order(tmp_path, truth):
    for step in (900, 20, 3000):
        colorized(tmp_path / "curve" / f"at{step}", truth, seed=1, part="condition", step=step)
    rows = plan.plan(options(truth, at_steps=str(tmp_path / "curve")))
    assert sorted((row.step, row.name) for row in rows) == [(20, "at20"), (900, "at900"), (3000, "at3000")]
    with pytest.raises(UserError, match="holds no finished folder of coltran-sample"):
        plan.plan(options(truth, at_steps=truth))


def test_mistakes_in_rows(tmp_path, truth):
    fake = colorized(tmp_path / "c", truth, seed=1, part="condition")
    twice = (RowSpec(name="a", repeats=((fake,),)),) * 2
    with pytest.raises(UserError, match="two rows are named 'a'"):
        plan.plan(options(truth, rows=twice))
    with pytest.raises(UserError, match="--bits b: no row has this name; rows are a"):
        plan.plan(options(truth, rows=twice[:1], bits=(("b", 2.0),)))
    with pytest.raises(UserError, match="2 given, and row 'a' has 1 repeats"):
        plan.plan(options(truth, rows=twice[:1], seed=(1, 2)))
    with pytest.raises(UserError, match="row truth: --real has to be one folder of truth records"):
        plan.plan(Options(real=(fake,), out="unused", rows=(RowSpec(name="truth"),)))
    with pytest.raises(UserError, match="nothing to score"):
        options(truth)


def test_as_many_as_the_paper_or_as_there_are(tmp_path, truth):
    other = write_records(tmp_path / "other", schema.TRUTH, SIZES, truth_rows([f"other/{index}" for index in range(7)]))
    (pair,) = plan.plan(options(truth, fake=(str(other),)))[0].pairs
    assert (pair.real.count, pair.fake.count) == (7, 7)
    with pytest.raises(UserError, match="20 real images against 7"):
        plan.plan(options(truth, fake=(str(other),), num="all"))
    (pair,) = plan.plan(options(truth, fake=(str(other),), num="all", allow_unequal=True))[0].pairs
    assert (pair.real.count, pair.fake.count) == (20, 7)
