"""run.json accounts for every file and record of the scored folders, each once."""

import numpy as np
from PIL import Image

from coltran.records import schema
from eval.images import sets
from eval.scoring.accounting import count_folders
from tests.conftest import smooth_photo, write_records

KEYS = [f"val/{number}" for number in range(11)]


def chosen(paths, **choice):
    opened = sets.open_sources([str(path) for path in paths], "lo", 0)
    return sets.choose(opened, **{"part": None, "num": None, "seed": 0, **choice})


def counts(*images):
    return [(one.found, one.scored, one.not_chosen, one.passed_over) for one in count_folders(images)]


def records(folder):
    facts = {schema.CROP: 0, schema.LABEL: -1, schema.GRAYSCALE: 0, schema.RGB_LO: smooth_photo(0, 8, 8)}
    return write_records(folder, schema.TRUTH, schema.Sizes(lo=8), [{schema.KEY: key, **facts} for key in KEYS])


def pictures(folder, count, *others):
    folder.mkdir()
    for number in range(count):
        Image.fromarray(smooth_photo(number + count, 8, 8).astype(np.uint8)).save(folder / f"{number}.png")
    for name in others:
        (folder / name).write_bytes(b"no image")
    return folder


def test_halves_of_one_folder_count_its_images_once(tmp_path):
    folder = records(tmp_path / "records")
    first, second = (chosen([folder], part=part, num=4) for part in ("condition", "truth"))
    assert counts(first) == [(11, 4, 7, 0)]
    assert counts(first, second) == counts(second, first, second) == [(11, 8, 3, 0)]
    # The folder under another path, as another row may spell it.
    (tmp_path / "link").symlink_to(folder)
    assert counts(first, chosen([tmp_path / "link"], part="truth", num=4)) == [(11, 8, 3, 0)]


def test_files_that_are_no_images_are_found_and_passed_over(tmp_path):
    one, other = pictures(tmp_path / "one", 3, "notes.txt", ".hidden"), pictures(tmp_path / "other", 2, "Thumbs.db")
    assert counts(chosen([one])) == [(5, 3, 0, 2)]
    # In one set with another folder the names begin with a fingerprint, which is no reason to count an image again.
    assert counts(chosen([one, other]), chosen([one])) == [(5, 3, 0, 2), (3, 2, 0, 1)]
