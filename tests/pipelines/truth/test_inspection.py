"""--verify finds every kind of damage, and --describe tells what is there."""

import json
import shutil

import google_crc32c
import pytest

from coltran.records import folder as record_folder, framing, schema
from pipelines import preprocess


@pytest.fixture
def folder(truth_folder, tmp_path):
    shutil.copytree(truth_folder, tmp_path / "records")
    return tmp_path / "records"


def verify(capsys, path) -> tuple[int, str]:
    capsys.readouterr()
    status = preprocess.main([f"--verify={path}"])
    return status, capsys.readouterr().out


def first_shard(folder):
    return sorted(folder.glob("*.tfrecord-*"))[0]


def change_first_record(folder, **changes) -> None:
    """A record whose checksums and counts are all right, but whose values are not."""
    opened = record_folder.open_folder(str(folder))
    shard = opened.manifest.shards[0]
    rows = [dict(values) for values in opened.read_shard(shard)]
    rows[0] |= changes
    data = b"".join(framing.frame(schema.encode(schema.TRUTH, row, opened.sizes)) for row in rows)
    first_shard(folder).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["shards"][0] |= {"size": len(data), "crc32c": google_crc32c.Checksum(data).hexdigest().decode()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_whole_folder_is_all_right(truth_folder, colorized_folder, capsys):
    assert verify(capsys, truth_folder) == (0, f"{truth_folder}: 3 shards, 12 records, all right\n")
    assert verify(capsys, colorized_folder)[0] == 0


def test_a_flipped_bit(folder, capsys):
    data = bytearray(first_shard(folder).read_bytes())
    data[-100] ^= 4  # within the last record
    first_shard(folder).write_bytes(data)
    status, out = verify(capsys, folder)
    assert status == 1
    assert f"{first_shard(folder).name}: {len(data)} bytes with crc32c" in out
    assert "checksum mismatch" in out


def test_a_missing_and_a_superfluous_shard(folder, capsys):
    name = first_shard(folder).name
    first_shard(folder).rename(folder / "train.tfrecord-00007-of-00009")
    status, out = verify(capsys, folder)
    assert status == 1
    assert f"{name}: missing" in out
    assert "train.tfrecord-00007-of-00009: not in the manifest" in out


def test_values_that_do_not_follow_from_each_other(folder, capsys):
    opened = record_folder.open_folder(str(folder))
    values = next(opened.read_shard(opened.manifest.shards[0]))
    change_first_record(folder, **{schema.GRAY_LO: values[schema.GRAY_LO][::-1].copy()})
    status, out = verify(capsys, folder)
    assert status == 1
    assert f"record '{values[schema.KEY]}': gray_lo does not follow from its image" in out
    assert "1 things are wrong" in out


def test_describe_names_every_feature_and_option(truth_folder, capsys):
    assert preprocess.main([f"--describe={truth_folder}"]) == 0
    out = capsys.readouterr().out
    for name in schema.TRUTH.features:
        assert f"  {name} " in out
    assert "12 truth records, split train" in out
    assert "rgb_hi         uint8    32x32x3" in out
    assert "seed" in out


@pytest.mark.parametrize(
    "arguments", [["--verify=/nowhere"], ["--describe=A", "--verify=B"], ["--verify=A", "--out=B"]]
)
def test_mistakes_get_one_line(arguments, capsys):
    assert preprocess.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_counts_that_do_not_add_up(folder, capsys):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert json.loads((folder / "run.json").read_text())["found"] == 12
    for change, message in (
        ({"passed_over": {".pdf": 2}}, "run.json: 12 found, but 12 written, 0 rejected and 2 passed over"),
        ({"counts": manifest["counts"] | {"read": 13}}, "manifest.json: 13 read, but 12 written and 0 rejected"),
        ({"rejected_by_reason": {"truncated": 1}}, "0 rejected, but the reasons are {'truncated': 1}"),
    ):
        (folder / "manifest.json").write_text(json.dumps(manifest | change))
        status, out = verify(capsys, folder)
        assert status == 1
        assert message in out
