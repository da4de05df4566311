"""Small study folders as `design` writes them, with colors for images."""

import pathlib
import shutil

import numpy as np
import pytest

from coltran.record_folder import COMPLETED
from human_eval import forms, opaque_files, study_folder

SECRET = b"secret of the tests"


def make_study(
    folder: pathlib.Path, *, images=12, samples=3, block=12, raters=5, practice=0, catch=0.0, secret=SECRET
) -> pathlib.Path:
    """A study folder; 2 x 2 images, red for truths and blue for colorizations."""
    keys = [f"train/n01440764/photo_{number}" for number in range(images)]
    variants = [forms.Variant(model="colorized", sample=sample) for sample in range(samples)]
    pool = forms.Pool(
        test=keys,
        catch=[f"train/n01443537/other_{number}" for number in range(images)],
        practice=[(f"train/n01484850/first_{number}", variants[0]) for number in range(practice)],
    )
    planned = forms.plan(pool, variants, block=block, catch=catch, raters=raters, seed=3)
    made_from = {"seed": 3, "samples": samples, "raters": raters, "block": block, "catch": catch, "image": "hi"}
    made_from |= {"truth": "t", "models": {"colorized": "c"}, "secret": secret.hex()[:4]}
    design = study_folder.StudyDesign(
        study=study_folder.study_id(made_from),
        title="Which photo has fake colors?",
        side=2,
        made_from=made_from,
        sources={"truth": "truth", "models": {"colorized": "colorized"}, "images": ""},
        forms=tuple(planned),
    )
    (folder / "public" / "images").mkdir(parents=True)
    study_folder.private_file(folder / study_folder.SECRET, secret)
    study_folder.private_file(folder / study_folder.KEY, study_folder.key_csv(secret, planned))
    study_folder.private_file(folder / study_folder.DESIGN, design.to_json())
    colors = [np.full((2, 2, 3), color, np.uint8) for color in ((255, 0, 0), (0, 0, 255))]
    files = dict(zip(opaque_files.ROLES, opaque_files.encode_pair(*colors), strict=True))
    for form in planned:
        for trial in form.trials:
            for role, data in files.items():
                name = opaque_files.opaque_name(secret, trial.trial, role)
                (folder / "public" / "images" / name).write_bytes(data)
    (folder / COMPLETED).touch()
    return folder


@pytest.fixture(scope="session")
def _study_template(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("template") / "study")


@pytest.fixture
def study_path(_study_template, tmp_path):
    """A study folder of the test's own: 12 images, 3 samples, 3 forms."""
    return pathlib.Path(shutil.copytree(_study_template, tmp_path / "study"))


@pytest.fixture
def new_study():
    """`new_study(folder, ...)`: see `make_study`."""
    return make_study
