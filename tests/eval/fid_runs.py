"""Small runs of coltran-fid, and the same number computed in memory, for its tests."""

import numpy as np

from coltran.records import folder as record_folder, schema
from eval import fid
from eval.distances.frechet import frechet_distance
from eval.distances.statistics import Statistics
from eval.scoring import arguments as fid_arguments
from tests.conftest import smooth_photo

SIZES = schema.Sizes(lo=16, hi=32)
RANDOM = ["--extractor=random", "--batch_size=4"]


def run(capsys, *arguments) -> tuple[int, str, str]:
    status = fid.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refused(capsys, tmp_path, *arguments) -> str:
    """The one line that a run ends with, and nothing written."""
    out = tmp_path / "refused"
    status, printed, errors = run(capsys, "--out", out, *arguments)
    assert status == 2
    assert printed == ""
    assert not (out / "fid.json").exists()
    lines = [line for line in errors.splitlines() if line.startswith("coltran-fid: ")]
    assert len(lines) == 1
    assert "Traceback" not in errors
    return lines[0]


def truth_rows(name: str, count: int, seed: int, hi: int = 32) -> list[dict]:
    return [
        {
            schema.KEY: f"val/{name}_{index}",
            schema.CROP: 0,
            schema.LABEL: -1,
            schema.GRAYSCALE: 0,
            schema.RGB_HI: smooth_photo(seed + index, hi, hi),
            schema.RGB_LO: smooth_photo(seed + index + 500, 16, 16),
        }
        for index in range(count)
    ]


def pixels(folder, feature=schema.RGB_HI, keys=None) -> np.ndarray:
    rows = record_folder.open_folder(str(folder)).read([schema.KEY, feature])
    return np.stack([row[feature] for row in rows if keys is None or row[schema.KEY] in keys])


def in_memory(extractor, real: np.ndarray, fake: np.ndarray) -> float:
    first, second = (Statistics.from_features(extractor.features(images)) for images in (real, fake))
    return frechet_distance(first, second)


def only_score(result):
    """Of a result of one row and one repeat."""
    (row,) = result.rows
    (score,) = row.scores
    assert row.fid == score.fid
    return score


def quick_options(tmp_path, **changes) -> fid_arguments.Options:
    changes = {name: (str(value),) if name in ("real", "fake") else value for name, value in changes.items()}
    return fid_arguments.Options(out=str(tmp_path / "fid"), extractor="random", **changes)
