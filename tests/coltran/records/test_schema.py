"""Records: exact round trips, TensorFlow reads them, and what does not fit is refused by name."""

import io
import json

import numpy as np
import pytest

from coltran import storage
from coltran.errors import UserError
from coltran.records import folder as record_folder, framing, schema
from coltran.records.schema import TRUTH, Sizes

SIZES = Sizes(lo=4, hi=8)


def truth_values(seed: int = 0) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    rgb_hi = rng.integers(0, 256, (8, 8, 3), np.uint8)
    rgb_lo = rng.integers(0, 256, (4, 4, 3), np.uint8)
    return {
        schema.KEY: f"train/n01440764/é_{seed}",
        schema.CROP: 0,
        schema.LABEL: -1,
        schema.GRAYSCALE: 0,
        schema.RGB_HI: rgb_hi,
        schema.RGB_LO: rgb_lo,
        schema.GRAY_HI: rgb_hi[..., 0] // 2,
        schema.GRAY_LO: rgb_lo[..., 0] // 2,
        schema.COARSE_LO: rng.integers(0, 512, (4, 4)).astype(np.uint16),
    }


def test_round_trip_is_exact():
    values = truth_values()
    decoded = schema.decode(TRUTH, schema.encode(TRUTH, values, SIZES), SIZES)
    assert decoded.keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(decoded[name], value, err_msg=name)
        if isinstance(value, np.ndarray):
            assert decoded[name].dtype == value.dtype


def test_tensorflow_reads_what_we_write_and_we_read_what_it_writes(tmp_path):
    import tensorflow as tf

    ours = [schema.encode(TRUTH, truth_values(seed), SIZES) for seed in range(5)]
    path = tmp_path / "ours.tfrecord"
    path.write_bytes(b"".join(map(framing.frame, ours)))
    theirs = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    assert theirs == ours
    example = tf.train.Example.FromString(theirs[3])
    assert example.features.feature[schema.LABEL].int64_list.value[:] == [-1]
    coarse = np.frombuffer(example.features.feature[schema.COARSE_LO].bytes_list.value[0], "<u2")
    np.testing.assert_array_equal(coarse.reshape(4, 4), truth_values(3)[schema.COARSE_LO])
    with tf.io.TFRecordWriter(str(tmp_path / "theirs.tfrecord")) as writer:
        for data in ours:
            writer.write(tf.train.Example.FromString(data).SerializeToString())
    with open(tmp_path / "theirs.tfrecord", "rb") as file:
        decoded = [schema.decode(TRUTH, data, SIZES, [schema.KEY]) for data in framing.read_frames(file, "theirs")]
    assert [values[schema.KEY] for values in decoded] == [truth_values(seed)[schema.KEY] for seed in range(5)]


def test_equal_values_give_equal_bytes_in_any_order():
    values = truth_values()
    backwards = dict(reversed(values.items()))
    assert schema.encode(TRUTH, values, SIZES) == schema.encode(TRUTH, backwards, SIZES)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (schema.GRAY_LO, np.zeros((4, 5), np.uint8), r"gray_lo.*expected uint8 \[4, 4\], got uint8 \[4, 5\]"),
        (schema.GRAY_LO, np.zeros((4, 4), np.int32), r"gray_lo.*got int32"),
        (schema.COARSE_LO, np.full((4, 4), 512, np.uint16), r"coarse_lo.*0\.\.511"),
        (schema.LABEL, 1000, r"label.*-1\.\.999"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(name, value, message):
    with pytest.raises(ValueError, match=message):
        schema.encode(TRUTH, truth_values() | {name: value}, SIZES)


def test_missing_and_unknown_features_are_refused_by_name():
    values = truth_values()
    with pytest.raises(UserError, match="unknown truth feature 'rgb_low'"):
        schema.encode(TRUTH, values | {"rgb_low": 1}, SIZES)
    del values[schema.KEY]
    with pytest.raises(ValueError, match="without key"):
        schema.encode(TRUTH, values, SIZES)


@pytest.mark.parametrize("damage", ["flip", "cut", "header"])
def test_damaged_shards_are_refused_with_their_place(damage):
    data = bytearray(b"".join(framing.frame(bytes([i]) * 50) for i in range(3)))
    if damage == "flip":
        data[90] ^= 1
    elif damage == "header":
        data[66] ^= 1
    else:
        del data[-3:]
    with pytest.raises(UserError, match=r"shard-7: record at byte (66|132)"):
        list(framing.read_frames(io.BytesIO(bytes(data)), "shard-7"))


def test_offsets_lead_to_the_records():
    payloads = [bytes([i]) * (10 * i + 1) for i in range(6)]
    file = io.BytesIO(b"".join(map(framing.frame, payloads)))
    layout = list(framing.read_layout(file, "f"))
    assert [length for _, length in layout] == [len(payload) for payload in payloads]
    whole = file.getvalue()
    framed = [whole[offset : offset + length + framing.FRAME_BYTES] for offset, length in reversed(layout)]
    assert [framing.unframe(data, "f") for data in framed] == payloads[::-1]


def test_folder_is_read_back(truth_folder):
    folder = record_folder.open_folder(str(truth_folder), schema=TRUTH, needs=[schema.RGB_HI])
    assert folder.sizes == Sizes(lo=16, hi=32)
    values = list(folder.read([schema.KEY, schema.GRAYSCALE]))
    assert len({v[schema.KEY] for v in values}) == folder.num_records == 12
    assert sum(v[schema.GRAYSCALE] for v in values) == 1


def test_folders_that_cannot_be_trusted_are_refused(truth_folder, tmp_path):
    def copy(**changes) -> str:
        path = str(tmp_path / str(len(list(tmp_path.iterdir()))))
        manifest = json.loads((truth_folder / "manifest.json").read_text())
        storage.write_bytes(f"{path}/manifest.json", json.dumps(manifest | changes).encode())
        storage.write_bytes(f"{path}/COMPLETED", b"")
        return path

    with pytest.raises(UserError, match="no such folder"):
        record_folder.open_folder(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="not a record folder"):
        record_folder.open_folder(str(tmp_path / "empty"))
    with pytest.raises(UserError, match="version 99"):
        record_folder.open_folder(copy(schema_version=99))
    with pytest.raises(UserError, match="expected colorized records, got truth"):
        record_folder.open_folder(copy(), schema=schema.COLORIZED)
    with pytest.raises(UserError, match="have no 'rgb_hi'"):
        record_folder.open_folder(copy(features=["key", "gray_lo"]), needs=[schema.RGB_HI])
    with pytest.raises(UserError, match="unknown truth feature 'depth'"):
        record_folder.open_folder(copy(features=["key", "depth"]))
    unfinished = copy()
    storage.join(unfinished, "COMPLETED")
    (tmp_path / unfinished / "COMPLETED").unlink()
    with pytest.raises(UserError, match="not finished"):
        record_folder.open_folder(unfinished)


def test_a_shard_with_fewer_records_than_promised_is_refused(truth_folder, tmp_path):
    manifest = json.loads((truth_folder / "manifest.json").read_text())
    for shard in manifest["shards"]:
        (tmp_path / shard["name"]).write_bytes((truth_folder / shard["name"]).read_bytes())
    first = tmp_path / manifest["shards"][0]["name"]
    frames = list(framing.read_frames(io.BytesIO(first.read_bytes()), "first"))
    first.write_bytes(b"".join(map(framing.frame, frames[:-1])))
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "COMPLETED").touch()
    with pytest.raises(UserError, match="3 records, but the manifest says 4"):
        list(record_folder.open_folder(str(tmp_path)).read())
