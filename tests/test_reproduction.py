"""The numbers of docs/reproduction.md: count models reach known entropies, and a claim agrees only beyond the noise."""

import importlib
import math
import sys

import numpy as np
import pytest

from tests.test_rooms import ROOT


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a module of benchmarks/, which is no package."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module
    for name in [name for name in sys.modules if name.startswith("reproduction")]:
        del sys.modules[name]


def images(counts, num: int, seed: int):
    """Gray levels of two kinds. One gives one of 4 colors, the other repeats the color to its left (8 at the edge)."""
    rng = np.random.default_rng(seed)
    gray = np.where(rng.random((num, 8, 8)) < 0.5, 40, 200)
    symbols = rng.integers(0, 4, gray.shape)
    edge = rng.integers(0, 8, gray.shape)
    for column in range(8):
        left = edge[:, :, 0] if column == 0 else symbols[:, :, column - 1]
        symbols[:, :, column] = np.where(gray[:, :, column] == 200, left, symbols[:, :, column])
    return counts.Images(gray, symbols)


def test_count_models_reach_the_entropy_of_their_contexts(benchmark):
    counts = benchmark("reproduction_counts")
    train, test = images(counts, 4000, 1), images(counts, 1000, 2)
    found = {name: counts.bits(name, train, test) for name in counts.MODELS}
    names = list(counts.MODELS)
    # Copied colors cost nothing, except at the edge; the others 2 bits: half of the pixels each.
    known = 0.5 * 2 + 0.5 * 3 / 8
    assert found[names[3]] == pytest.approx(known, rel=0.02)
    assert found[names[0]] > found[names[1]] > known
    assert found[names[2]] == pytest.approx(found[names[1]], rel=0.02)  # neighbors' grays say nothing here


def test_a_color_that_training_never_saw_has_a_probability(benchmark):
    counts = benchmark("reproduction_counts")
    train = counts.Images(np.zeros((2, 4, 4), int), np.zeros((2, 4, 4), int))
    test = counts.Images(np.full((1, 4, 4), 9), np.full((1, 4, 4), 511))
    for name in counts.MODELS:
        # One color in 32 pixels: the unknown 33rd part is spread over 512 colors, however wide the context.
        assert counts.bits(name, train, test) == pytest.approx(math.log2(33 * 512)), name


def variants(**pairs):
    runs = {
        f"{name}, seed {seed}": {"bits": {"decoder_bits_per_pixel": value}}
        for name, values in pairs.items()
        for seed, value in enumerate(values)
    }
    return {"runs": runs}


@pytest.mark.parametrize(
    ("full", "other", "verdict"),
    [
        ((1.00, 1.01), (1.20, 1.21), "agrees"),
        ((1.20, 1.21), (1.00, 1.01), "does not agree"),
        ((1.00, 1.01), (1.01, 1.02), "undecided"),
        ((1.00, 1.30), (1.20, 1.21), "undecided"),
    ],
)
def test_a_difference_counts_only_beyond_the_noise_of_seeds(benchmark, full, other, verdict):
    claims = benchmark("reproduction_claims")
    table = claims.bits(variants(coltran=full, no_cln=other))
    verdicts = dict(claims.figure3(table))
    assert verdicts["cLN helps"].startswith(verdict)
    assert verdicts["cAtt helps"] == "not run"


def test_best_row_and_its_margin(benchmark):
    claims = benchmark("reproduction_claims")
    rows = {name: {"fid": fid, "standard_error": 0.5} for name, fid in (("0", 20.0), ("0.01", 15.0), ("0.1", 15.5))}
    assert "agree: 0.01" in claims.best("lambda", rows, "0.01")
    assert "decides nothing" in claims.best("lambda", rows, "0.01")
    assert claims.best("lambda", rows, "0").startswith("Here lambda 0.01 has the least FID")
    assert "more than two standard errors" in claims.best("lambda", rows, "0")
