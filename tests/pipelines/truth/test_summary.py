"""The summary files of a truth folder against what its records say."""

import collections
import io
import json

import numpy as np
import pytest
from PIL import Image

from coltran.images import colors
from coltran.records import folder as record_folder, schema
from pipelines import preprocess


def test_statistics_are_those_of_the_records(truth_folder):
    statistics = json.loads((truth_folder / "statistics.json").read_text())
    rows = list(record_folder.open_folder(str(truth_folder)).read())
    pixels = np.concatenate([row[schema.RGB_LO].reshape(-1, 3) for row in rows])
    assert statistics["mean_rgb"] == pytest.approx(pixels.mean(axis=0).tolist(), rel=1e-12)
    symbols = collections.Counter(int(s) for row in rows for s in row[schema.COARSE_LO].ravel())
    assert {s: n for s, n in enumerate(statistics["coarse_histogram"]) if n} == dict(symbols)
    share = np.array(list(symbols.values())) / symbols.total()
    assert statistics["coarse_entropy_bits"] == pytest.approx(-(share * np.log2(share)).sum())
    assert statistics["records_by_label"] == {"0": 4, "1": 4, "2": 4}


def test_the_preview_shows_gray_coarse_and_target_of_records(truth_folder):
    picture = np.asarray(Image.open(truth_folder / "preview.png").convert("RGB"))
    rows = record_folder.open_folder(str(truth_folder))
    first = next(rows.read_shard(rows.manifest.shards[0]))
    gray = np.repeat(first[schema.GRAY_LO][..., None], 3, axis=-1)
    for column, image in enumerate((gray, colors.coarse_to_rgb(first[schema.COARSE_LO]), first[schema.RGB_LO])):
        left = 6 + column * 70
        np.testing.assert_array_equal(picture[28:92, left : left + 64], image.repeat(4, axis=0).repeat(4, axis=1))


def test_a_folder_without_colors_has_statistics_but_no_preview(photo_folder, tmp_path):
    arguments = [f"--source={photo_folder}", f"--out={tmp_path / 'out'}", "--hi=32", "--lo=16"]
    assert preprocess.main([*arguments, "--stages=colorizer"]) == 0
    assert json.loads((tmp_path / "out" / "statistics.json").read_text())["mean_rgb"] is None
    assert Image.open(io.BytesIO((tmp_path / "out" / "statistics.png").read_bytes())).size == (800, 480)
    assert not (tmp_path / "out" / "preview.png").exists()
