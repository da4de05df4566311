"""A study folder without its export: three forms of a small design, with colors for images."""

import pathlib
import shutil

import numpy as np
import pytest

from human_eval import design, opaque_files, study_folder

SECRET = b"secret of the tests"


def make_study(folder: pathlib.Path, *, images: int = 12, samples: int = 3, block: int = 12, secret=SECRET):
    """A study folder as export writes it; 2 x 2 images, red for truths and blue for colorizations."""
    keys = [f"train/n01440764/photo_{number}" for number in range(images)]
    forms = design.design(keys, images=images, samples=samples, block=block, seed=3)
    (folder / "public" / "images").mkdir(parents=True)
    study_folder.private_file(folder / "private" / "key.csv", study_folder.key_csv(secret, forms))
    (folder / "public" / "batch.csv").write_bytes(study_folder.batch_csv(secret, forms))
    colors = [np.full((2, 2, 3), color, np.uint8) for color in ((255, 0, 0), (0, 0, 255))]
    files = dict(zip(opaque_files.ROLES, opaque_files.encode_pair(*colors), strict=True))
    for form in forms:
        for trial in form.trials:
            for role, data in files.items():
                name = opaque_files.opaque_name(secret, trial.trial, role)
                (folder / "public" / "images" / name).write_bytes(data)
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
