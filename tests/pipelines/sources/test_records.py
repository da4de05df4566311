"""Parquet and TFRecords of other people: odd labels, no names, and what lies beside the shards."""

import gzip
import zlib

import pyarrow
import pytest
from pyarrow import parquet

from coltran.errors import UserError
from coltran.records import framing
from pipelines.sources import index as source_index, labels, reading
from tests.conftest import encoded, smooth_photo

PHOTO = encoded(smooth_photo(1, 40, 50))
WNIDS = labels.wnids()


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (5, 5),
        (0, 0),
        (999, 999),
        (1000, -1),
        (21000, -1),
        (-1, -1),
        (None, -1),
        (True, -1),
        (3.0, 3),
        (3.5, -1),
        (float("nan"), -1),
        (float("inf"), -1),
        ("7", 7),
        (" 7 ", 7),
        ("7.0", 7),
        ("1e2", -1),
        ("", -1),
        ("tench", -1),
        ("²", -1),
        (WNIDS[4], 4),
        (WNIDS[4].encode(), 4),
        (b"\xff", -1),
        ("n99999999", -1),
        ([6], 6),
        ([WNIDS[6]], 6),
        ([6, 7], -1),
        ([], -1),
        ({"id": 6}, -1),
    ],
)
def test_labels_in_all_the_ways_they_are_written(value, label):
    assert labels.label_from(value) == label


def test_classes_counted_from_one():
    assert [labels.label_from(value, first=1) for value in (0, 1, 1000, 1001, [1], "3")] == [-1, 0, 999, -1, 0, 2]


def table(path, rows, **types) -> str:
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return str(path)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["n01440764", WNIDS[1], "a dog"], [0, 1, -1]),
        ([5, 2000, None], [5, -1, -1]),
        ([2.0, float("nan"), 1.5], [2, -1, -1]),
        ([[3], [1, 2], []], [3, -1, -1]),
        ([{"name": "tench"}] * 3, [-1, -1, -1]),
        ([b"n01440764", b"\xff\xfe", b"12"], [0, -1, 12]),
    ],
)
def test_labels_of_parquet(given, found, tmp_path):
    rows = [{"image": {"bytes": PHOTO, "path": f"{n}.JPEG"}, "label": label} for n, label in enumerate(given)]
    index = source_index.index_images(table(tmp_path / "a.parquet", rows), "train")
    assert [ref.label for ref in index.images] == found


def test_parquet_without_paths_or_labels(tmp_path):
    """The rows are named by their numbers; what a row says as its path need not be a path."""
    source = table(tmp_path / "train_a.parquet", [{"image": {"bytes": PHOTO}} for _ in range(3)])
    index = source_index.index_images(source, "train")
    assert [ref.key for ref in index.images] == [f"train/train_a-{number:06d}" for number in range(3)]
    assert all(data == PHOTO for _, data in reading.read_images(index.images))
    paths = ["img_1", "b\\c.png", None, "", "../x.webp"]
    source = table(tmp_path / "b.parquet", [{"image": {"bytes": PHOTO, "path": path}} for path in paths])
    found = sorted(ref.key for ref in source_index.index_images(source, "train").images)
    assert found == ["train/b-000002", "train/b-000003", "train/b/c", "train/img_1", "train/x"]


def shard(path, *examples: dict):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(framing.frame(framing.encode_example(example)) for example in examples))


def tfds(number: int) -> dict:
    return {"image": PHOTO, "file_name": f"{WNIDS[0]}_{number}.JPEG".encode(), "label": 0}


@pytest.mark.parametrize(
    ("example", "key", "label"),
    [
        ({"file_name": b"a.JPEG", "label": b"n01443537"}, "train/a", 1),
        ({"file_name": b"a.JPEG", "label": b"dog"}, "train/a", -1),
        ({"file_name": b"a.JPEG", "label": 4.0}, "train/a", 4),
        ({"file_name": b"a.JPEG", "label": 5000}, "train/a", -1),
        ({"file_name": 3, "label": 5}, "train/s.tfrecord-000000", 5),
        ({"label": 5}, "train/s.tfrecord-000000", 5),
        ({"file_name": b"no_suffix", "label": 5}, "train/no_suffix", 5),
        ({"image/filename": b"a.JPEG", "image/class/label": b"7"}, "train/a", 6),
        ({"image/filename": b"a.JPEG", "image/class/label": 7, "image/class/synset": b"dog"}, "train/a", 6),
        ({"image/filename": b"a.JPEG", "image/class/label": 0}, "train/a", -1),
    ],
)
def test_odd_features_of_tfrecords(example, key, label, tmp_path):
    name = "image/encoded" if any("/" in feature for feature in example) else "image"
    shard(tmp_path / "s.tfrecord", {**example, name: PHOTO})
    (ref,) = source_index.index_images(str(tmp_path / "s.tfrecord"), "train").images
    assert (ref.key, ref.label) == (key, label)
    assert reading.read_image(ref) == PHOTO


SHARD = "imagenet2012-train.tfrecord-00000-of-00001"
BESIDE = {
    f"{SHARD}.idx": b"0 3610\n",
    f"{SHARD}.md5": b"d41d8cd98f00b204e9800998ecf8427e\n",
    "dataset_info.json": b"{}",
    "features.json": b"{}",
    "tfrecord.index": b"0 1234\n",
    f"idx_files/{SHARD}": b"0 1234\n1234 1300\n",  # as NVIDIA's tool is often run
    "imagenet2012-train.tfrecord-00001-of-00001": b"",
}


def test_what_lies_beside_shards_is_passed_over(tmp_path):
    shard(tmp_path / SHARD, tfds(1), tfds(2))
    for name, data in BESIDE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    index = source_index.index_images(str(tmp_path), "train")
    assert len(index.images) == 2
    assert index.passed_over == {
        ".idx": 1, ".md5": 1, ".json": 2, ".index": 1, "index or checksum file": 1, "empty file": 1
    }  # fmt: skip
    assert index.found == 2 + len(BESIDE)


@pytest.mark.parametrize("ending", [".gz", ""])
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_compressed_shards_are_named_as_such(ending, pack, tmp_path):
    shard(tmp_path / SHARD, tfds(1))
    data = (tmp_path / SHARD).read_bytes()
    (tmp_path / SHARD).unlink()
    (tmp_path / f"{SHARD}{ending}").write_bytes(pack(data))
    with pytest.raises(UserError, match=rf"{SHARD}{ending}: is compressed \((gzip|zlib)\).*unpack it first"):
        source_index.index_images(str(tmp_path), "train")


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        (["train.tfrecord-00000-of-00003", "train.tfrecord-00002-of-00003"], "train.tfrecord-00001-of-00003 is"),
        (["train-00001-of-00004", "train-00002-of-00004"], "train-00000-of-00004 and 1 more is"),
        (["data/train-00000-of-00002.tfrecord"], "data/train-00001-of-00002 is"),
        (["train-00000-of-00002", "validation-00000-of-00001"], "train-00001-of-00002 is"),
    ],
)
def test_a_set_that_is_not_whole_is_refused(present, missing, tmp_path):
    for number, name in enumerate(present):
        shard(tmp_path / name, tfds(number))
    with pytest.raises(UserError, match=f"{missing} missing from a numbered set.*--allow_missing_shards"):
        source_index.index_images(str(tmp_path), "train")
    assert source_index.index_images(str(tmp_path), "train", allow_missing_shards=True).images
    if "validation" in present[-1]:
        assert source_index.index_images(str(tmp_path), "validation").images  # that set is whole
    assert source_index.index_images(str(tmp_path / present[0]), "train").images  # one that is named


def test_parts_of_parquet_with_digests_in_their_names(tmp_path):
    (tmp_path / "data").mkdir()
    for part, digest in ((0, "1a2b"), (2, "ffff")):
        rows = [{"image": {"bytes": PHOTO, "path": f"{part}.JPEG"}, "label": 1}]
        table(tmp_path / "data" / f"train-{part:05d}-of-00003-{digest}.parquet", rows)
    with pytest.raises(UserError, match="data/train-00001-of-00003 is missing"):
        source_index.index_images(str(tmp_path), "train")


@pytest.mark.parametrize(
    ("present", "whole"),
    [
        (["part-00001-of-00002.tfrecord", "part-00002-of-00002.tfrecord"], True),  # counted from 1
        (["part-00002-of-00002.tfrecord"], False),
        (["part-01-of-03.tfrecord", "part-02-of-03.tfrecord"], False),
        (["a-00000-of-00001.tfrecord", "b-00000-of-00001.tfrecord"], True),
    ],
)
def test_how_sets_are_numbered(present, whole, tmp_path):
    for number, name in enumerate(present):
        shard(tmp_path / name, tfds(number))
    if whole:
        assert len(source_index.index_images(str(tmp_path), "train").images) == len(present)
    else:
        with pytest.raises(UserError, match="is missing from a numbered set"):
            source_index.index_images(str(tmp_path), "train")


def test_photos_that_are_called_like_shards_are_photos(tmp_path):
    (tmp_path / "holiday-00002-of-00009.jpg").write_bytes(PHOTO)
    assert len(source_index.index_images(str(tmp_path), "train").images) == 1
