"""Plain folders of a study: whose colorization a file is, by its name."""

import numpy as np
import pytest

from coltran.errors import UserError
from human_eval.design.sources import TRUTH, open_source
from tests.conftest import encoded, smooth_photo

PICTURES = ["contact_sheet.png", "cat_sample0_certainty.png"]


@pytest.fixture
def folder(tmp_path):
    def make(name: str, *files: str) -> str:
        for number, file in enumerate(files):
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(np.asarray(smooth_photo(number, 32, 32)), "PNG"))
        return str(tmp_path / name)

    return make


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["cat.png", "a/dog.png"], {("cat", 0), ("a/dog", 0)}),
        (["cat/0.png", "cat/1.png", "a/dog/0.png"], {("cat", 0), ("cat", 1), ("a/dog", 0)}),
        # What coltran-colorize writes for the same photos, with its pictures for people.
        (
            [
                "cat_sample0.png",
                "cat_sample2.png",
                "a/dog_sample0.png",
                "contact_sheet.png",
                "cat_sample0_certainty.png",
            ],
            {("cat", 0), ("cat", 2), ("a/dog", 0)},
        ),
        (["old_sample1.png", "old_sample1_sample2.png"], {("old_sample1", 0), ("old_sample1", 2)}),
        (["cat_sample0.png", "unknown_sample0.png"], {("cat", 0), ("unknown_sample0", 0)}),
    ],
)
def test_names_of_colorizations(files, found, folder):
    truth = open_source(folder("truth", "cat.png", "a/dog.png", "old_sample1.png"), TRUTH, "hi")
    assert set(open_source(folder("ours", *files), "ours", "hi", truth=truth).found) == found


def test_two_files_of_one_sample_are_refused(folder):
    truth = open_source(folder("truth", "old_sample1.png"), TRUTH, "hi")
    with pytest.raises(UserError, match="are both sample 0 of 'old_sample1'"):
        open_source(folder("ours", "old_sample1.png", "old_sample1_sample0.png"), "ours", "hi", truth=truth)


def test_a_truth_named_contact_sheet_is_a_photo(folder):
    truth = open_source(folder("truth", "contact_sheet.png", "cat.png"), TRUTH, "hi")
    assert ("contact_sheet", 0) in truth.found
    assert set(open_source(folder("ours", "contact_sheet.png"), "ours", "hi", truth=truth).found) == {
        ("contact_sheet", 0)
    }
