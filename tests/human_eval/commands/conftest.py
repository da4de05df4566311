"""A study of the made-up records, designed once."""

import numpy as np
import pytest
from PIL import Image

from human_eval import study
from tests.human_eval.commands.designs import CONSENT, SIZE


@pytest.fixture(scope="session")
def arguments(truth_folder, colorized_folder):
    return ["design", f"--truth={truth_folder}", f"--colorized={colorized_folder}", "--seed=1", *SIZE, *CONSENT]


@pytest.fixture(scope="session")
def designed(arguments, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "study"
    assert study.main([*arguments, f"--out={out}"]) == 0
    return out


@pytest.fixture
def new_folders(tmp_path):
    """`new_folders(n)`: truths and three samples each of n tiny images, as PNGs."""

    def make(count):
        rng = np.random.default_rng(0)
        for number in range(count):
            for name in (f"truth/{number}.png", *(f"fakes/{number}/{sample}.png" for sample in range(3))):
                path = tmp_path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
        return tmp_path / "truth", tmp_path / "fakes"

    return make
