"""docs/record-format.md says what the code does: its tables are the schemas, and its reader reads."""

import pathlib
import re

import numpy as np
import pytest

from coltran import quiet_tensorflow
from coltran.records import folder as record_folder, schema as records
from pipelines import preprocess
from tests.conftest import encoded, smooth_photo

TEXT = (pathlib.Path(__file__).parents[2] / "docs" / "record-format.md").read_text()
_SHAPES = {"hi": "H x W", "lo": "h x w", None: "scalar"}


def table(schema: records.Schema) -> list[str]:
    rows = []
    for feature in schema.features.values():
        low, high = ("" if bound is None else f"{bound:g}" for bound in (feature.low, feature.high))
        shape = _SHAPES[feature.resolution] + (f" x {feature.channels}" if feature.channels else "")
        span = f"{low}..{high}" if low or high else ""
        rows.append(f"| `{feature.name}` | {feature.dtype} | {shape} | {span} | {feature.meaning} |")
    return rows


@pytest.mark.parametrize("schema", records.SCHEMAS.values(), ids=lambda schema: schema.name)
def test_the_tables_are_the_schemas(schema):
    section = TEXT.partition(f"## Features of a {schema.name} record")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == table(schema)


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_the_reader_reads_as_written(encoding, tmp_path, monkeypatch):
    source = tmp_path / "photos"
    source.mkdir()
    for number in range(5):
        (source / f"{number}.png").write_bytes(encoded(smooth_photo(number, 300, 280), "PNG"))
    monkeypatch.chdir(tmp_path)
    assert preprocess.main(["--source=photos", "--out=records/train", f"--encoding={encoding}"]) == 0
    quiet_tensorflow.import_tensorflow()
    code = re.search(r"## Read it with tf.data\n```python\n(.*?)```", TEXT, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line]) <= 10
    names: dict = {}
    exec(code, names)
    found = {key.decode(): (rgb, coarse) for key, rgb, coarse in names["dataset"].as_numpy_iterator()}
    assert len(found) == 5
    for values in record_folder.open_folder("records/train").read():
        rgb, coarse = found[values[records.KEY]]
        np.testing.assert_array_equal(rgb, values[records.RGB_HI])
        np.testing.assert_array_equal(coarse[..., 0], values[records.COARSE_LO])
