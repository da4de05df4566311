"""The simulated raters: known rates, known variances, and no framework in sight."""

import subprocess
import sys

import numpy as np
import pytest

from human_eval.simulation import rater_model
from human_eval.simulation.rater_model import Effects


@pytest.mark.parametrize(
    "effects",
    [
        Effects(rate=0.42),
        Effects(rate=0.3, image_sd=2, rater_sd=1.5, first_bias=1.0, lapse=0.1),
        Effects(rate=0.05, lapse=0.1),
        Effects(rate=0.0),
        Effects(rate=1.0),
    ],
)
def test_the_rate_is_the_one_asked_for(effects):
    n = 200_000
    alone = np.arange(n)
    fooled = rater_model.draw(effects, alone, alone, alone, alone % 2 == 0, np.random.default_rng(0))
    assert fooled.mean() == pytest.approx(effects.rate, abs=0.005 if 0 < effects.rate < 1 else 0)


def test_variances_are_those_of_drawn_raters():
    effects = Effects(rate=0.35, image_sd=0.8, sample_sd=0.6, rater_sd=0.9)
    parts = rater_model.variances(effects)
    assert parts.image + parts.rater + parts.rest == pytest.approx(0.35 * 0.65)
    grid = np.indices((700, 700)).reshape(2, -1)
    fooled = rater_model.draw(effects, grid[0], grid[0], grid[1], grid[0] % 2 == 0, np.random.default_rng(1))
    table = fooled.reshape(700, 700)
    noise = parts.rest / 700
    assert table.mean(1).var() == pytest.approx(parts.image + noise, rel=0.15)
    assert table.mean(0).var() == pytest.approx(parts.rater + noise, rel=0.15)


def test_scoring_needs_no_framework():
    code = (
        "from human_eval.commands import forget, ingest, power, score, simulate\n"
        "from human_eval.scoring import plots, report, tables\n"
        "from human_eval.simulation import files\n"
        "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"apache_beam", "tensorflow", "jax"} & set(done.stdout.split())
