"""Every way in which people have ImageNet gives the same records, and what cannot be read is said in one line."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from scipy import io as matlab

from coltran.errors import UserError
from coltran.records import folder as record_folder, schema
from pipelines import preprocess
from pipelines.sources import (
    index as source_index,
    labels as imagenet_labels,
    names as image_names,
    reading,
    validation_labels,
)
from tests.conftest import encoded, smooth_photo
from tests.pipelines.sources import packers

WNIDS = imagenet_labels.wnids()


@pytest.fixture(scope="module")
def few_images() -> dict[str, bytes]:
    names = [f"{WNIDS[label]}_{number}.JPEG" for label in (0, 1, 500, 999) for number in range(6)]
    return {name: encoded(smooth_photo(seed, 40 + seed, 60), quality=95) for seed, name in enumerate(names)}


def record_rows(folder) -> dict[str, tuple]:
    """Every record by key, each value as bytes or number."""
    rows = {}
    for values in record_folder.open_folder(str(folder)).read():
        rows[values[schema.KEY]] = tuple(
            value.tobytes() if isinstance(value, np.ndarray) else value for _, value in sorted(values.items())
        )
    return rows


def preprocess_all(images, where, *arguments) -> dict[str, dict]:
    found = {}
    for kind, pack in packers.PACKERS.items():
        source = pack(images, where / kind)
        out = where / f"records_{kind}"
        assert preprocess.main(["--source", str(source), "--out", str(out), *arguments]) == 0
        found[kind] = record_rows(out)
    return found


def test_six_sources_one_set_of_records(few_images, tmp_path):
    found = preprocess_all(few_images, tmp_path, "--hi=32", "--lo=16", "--num_shards=3")
    assert sorted(found["folder"]) == sorted(f"train/{name[:9]}/{name[:-5]}" for name in few_images)
    for kind, rows in found.items():
        assert rows == found["folder"], kind
    labels = {key: row[sorted(schema.TRUTH.features).index("label")] for key, row in found["folder"].items()}
    assert set(labels.values()) == {0, 1, 500, 999}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_six_sources_of_2000_imagenet_images(shared_data, tmp_path, workers):
    with zipfile.ZipFile(shared_data / "imagenet32.zip") as archive:
        names = [name for name in archive.namelist() if "/train/" in name][::30]
        images = {name.rpartition("/")[2]: archive.read(name) for name in names}
    assert len(images) == 2000
    found = preprocess_all(images, tmp_path, "--hi=none", "--lo=32", f"--direct_num_workers={workers}")
    assert len(found["folder"]) == 2000
    for kind, rows in found.items():
        assert rows == found["folder"], kind


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("train/n01440764/n01440764_10026.JPEG", "train/n01440764/n01440764_10026"),
        ("n01440764_10026.JPEG", "train/n01440764/n01440764_10026"),
        ("n01440764/n01440764_10026.JPEG", "train/n01440764/n01440764_10026"),
        ("ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_10026.JPEG", "train/n01440764/n01440764_10026"),
        ("n01440764_10026_n01440764.JPEG", "train/n01440764/n01440764_10026"),
        ("other/n01440764_10026.JPEG", "train/other/n01440764_10026"),  # a copy of somebody's own
        ("n01440764/n02124075_3.JPEG", "train/n01440764/n02124075_3"),  # a name in another class's folder
        ("n01440764_tench.JPEG", "train/n01440764_tench"),
        ("val/n01751748/ILSVRC2012_val_00000001.JPEG", "validation/ILSVRC2012_val_00000001"),
        ("ILSVRC2012_val_00000001_n01751748.JPEG", "validation/ILSVRC2012_val_00000001"),
        ("ILSVRC2012_val_00000001.JPEG", "validation/ILSVRC2012_val_00000001"),
        ("ILSVRC/Data/CLS-LOC/test/ILSVRC2012_test_00000001.JPEG", "test/ILSVRC2012_test_00000001"),
        ("fotos/bücher/große katze.jpg", "train/fotos/bücher/große katze"),
        ("a.b/c.tar.png", "train/a.b/c.tar"),
        ("../../x.png", "train/x"),
        ("..png", "train/unnamed"),
    ],
)
def test_keys(name, key):
    assert image_names.split_and_key(name, "train") == (key.partition("/")[0], key)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("ILSVRC2012_img_train.tar", "train"),
        ("ILSVRC2012_img_val.tar", "validation"),
        ("imagenet2012-validation.tfrecord-00001-of-00064", "validation"),
        ("validation-00001-of-00128", "validation"),
        ("data/test-00001-of-00028-abc.parquet", "test"),
        ("train/n01440764.tar", "train"),
        ("constraint.zip", None),
        ("valley.zip", None),
    ],
)
def test_splits_of_files(name, split):
    assert image_names.split_of_file(name) == split


def test_kaggles_test_images_are_no_training_images(few_images, tmp_path):
    source = str(packers.kaggle_zip(few_images, tmp_path))
    index = source_index.index_images(source, "train")
    assert len(index.images) == len(few_images)
    assert index.passed_over == {".xml": len(few_images), "of split test": 1}
    assert index.found == 2 * len(few_images) + 1
    with pytest.raises(UserError, match="it has images of split test, train: use --split"):
        source_index.index_images(source, "validation")


def test_a_folder_of_class_tars_and_a_folder_of_official_tars(few_images, tmp_path):
    outer = packers.nested_tar(few_images, tmp_path / "official")
    classes = tmp_path / "classes" / "train"
    with tarfile.open(outer) as archive:
        archive.extractall(classes, filter="data")
    for path in (tmp_path / "official" / "unpacked").rglob("*.JPEG"):
        path.unlink()
    expected = {
        f"train/{name[:9]}/{name[:-5]}": label for name, label in zip(few_images, [0] * 6 + [1] * 6, strict=False)
    }
    for source in (tmp_path / "official", tmp_path / "classes"):
        found = {ref.key: ref for ref in source_index.index_images(str(source), "train").images}
        assert len(found) == len(few_images)
        for key, label in expected.items():
            assert found[key].label == label
            assert reading.read_image(found[key]) == few_images[f"{key.rpartition('/')[2]}.JPEG"]


def test_patterns(photo_folder):
    def names(pattern: str) -> set[str]:
        return {ref.key for ref in source_index.index_images(f"{photo_folder}/{pattern}", "train").images}

    everything = names("**/*.JPEG")
    assert len(everything) == 12
    assert names("*/photo_1?.JPEG") == {key for key in everything if key.endswith(("_10", "_11"))}
    assert names("n01440764/*") == {key.replace("n01440764/", "") for key in everything if "n01440764" in key}
    assert len(names("**/photo_[0-3].JPEG")) == 4
    with pytest.raises(UserError, match="no images of split"):
        names("*.JPEG")  # `*` stays within one folder


def devkit(where, ids: list[int]):
    """A devkit as ILSVRC 2012 ships it: ids in another order than the WordNet ids, and synsets above the leaves."""
    kind = [(name, object) for name in ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children")]
    rows = [(1000 - label, WNIDS[label], "a thing", "what it is", 0, np.zeros(0)) for label in range(1000)]
    rows.append((1001, "n00001740", "entity", "above all", 2, np.array([1, 2])))
    buffer = io.BytesIO()
    matlab.savemat(buffer, {"synsets": np.array(rows, dtype=kind)})
    truth = "".join(f"{number}\n" for number in ids).encode()
    path = where / "ILSVRC2012_devkit_t12.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (("meta.mat", buffer.getvalue()), ("ILSVRC2012_validation_ground_truth.txt", truth)):
            member = tarfile.TarInfo(f"ILSVRC2012_devkit_t12/data/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def validation_tar(where):
    where.mkdir(exist_ok=True)
    path = where / "ILSVRC2012_img_val.tar"
    with tarfile.open(path, "w") as archive:
        for number in (1, 2, 3):
            data = encoded(smooth_photo(number, 40, 50))
            member = tarfile.TarInfo(f"ILSVRC2012_val_{number:08d}.JPEG")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def labels_of(source, **kwargs) -> list[int]:
    return [ref.label for ref in source_index.index_images(str(source), "validation", **kwargs).images]


def test_labels_of_validation_images(tmp_path):
    source = validation_tar(tmp_path / "images")
    assert labels_of(source) == [-1, -1, -1]
    kit = devkit(tmp_path, [1000, 999, 1])
    assert labels_of(source, labels=str(kit)) == [0, 1, 999]
    devkit(tmp_path / "images", [1, 1, 500])  # found without being named, beside the tar
    assert labels_of(source) == [999, 999, 500]
    table = tmp_path / "LOC_val_solution.csv"
    rows = [f"ILSVRC2012_val_0000000{number},{WNIDS[number * 7]} 1 2 3 4 n01440764 5 6 7 8" for number in (3, 1, 2)]
    table.write_text("\n".join(["ImageId,PredictionString", *rows]))
    assert labels_of(source, labels=str(table)) == [7, 14, 21]
    plain = tmp_path / "val.txt"
    plain.write_text("ILSVRC2012_val_00000001.JPEG 65\nILSVRC2012_val_00000002.JPEG 970\n")
    assert labels_of(source, labels=str(plain)) == [65, 970, -1]


def test_kaggles_zip_brings_its_own_labels(tmp_path):
    path = tmp_path / "imagenet.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in (1, 2):
            name = f"ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_0000000{number}.JPEG"
            archive.writestr(name, encoded(smooth_photo(number, 40, 50)))
        table = f"ImageId,PredictionString\nILSVRC2012_val_00000002,{WNIDS[4]} 1 2 3 4\n"
        archive.writestr("LOC_val_solution.csv", table)
    assert labels_of(path) == [-1, 4]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "a,b\n1,2\n", "expected columns ImageId and PredictionString, got a, b"),
        ("t.csv", "ImageId,PredictionString\nx,n99999999 1\n", "'n99999999' is none of the 1000"),
        ("t.txt", "x.JPEG 1000\n", "expected the devkit"),
        ("t.tar.gz", "no tar", "damaged"),
        ("missing.csv", None, "missing.csv"),
    ],
)
def test_bad_label_files_get_one_line(name, text, message, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        validation_labels.read(str(tmp_path / name))


def test_damaged_or_foreign_containers_get_one_line(few_images, tmp_path):
    def message(source) -> str:
        with pytest.raises(UserError) as caught:
            source_index.index_images(str(source), "train")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    shard = sorted(packers.tfds(few_images, tmp_path / "tfds").iterdir())[0]
    shard.write_bytes(shard.read_bytes()[:-3] + b"abc" * 9)
    assert "record" in message(tmp_path / "tfds")
    tf = tmp_path / "foreign.tfrecord"
    from coltran.records import framing

    tf.write_bytes(framing.frame(framing.encode_example({"text": b"hello"})))
    assert "has the features text" in message(tf)
    tf.write_bytes(framing.frame(b"\x08\x01 no example"))
    assert "not a tf.train.Example" in message(tf)
    part = sorted((packers.parquet(few_images, tmp_path / "parquet") / "data").iterdir())[0]
    part.write_bytes(part.read_bytes()[:-30])
    assert "Parquet file is damaged" in message(tmp_path / "parquet")
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"picture": [1]}), tmp_path / "other.parquet")
    assert "expected a column 'image'" in message(tmp_path / "other.parquet")
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as archive:
        archive.add(part, "x.JPEG")
    assert "unpack it first" in message(tmp_path / "packed.tar.gz")


def test_records_are_no_images(truth_folder):
    with pytest.raises(UserError, match="records that were made already"):
        source_index.index_images(str(truth_folder), "train")


def test_a_damaged_record_or_member_is_a_reject_of_its_own(few_images, tmp_path, capsys):
    packers.classic(few_images, tmp_path / "classic")
    shard = tmp_path / "classic" / "train-00001-of-00003"
    data = bytearray(shard.read_bytes())
    data[data.index(b"\xff\xd8") + 40] ^= 255  # in the pixels of the first image: its checksum tells
    shard.write_bytes(data)
    arguments = ["--source", str(tmp_path / "classic"), "--out", str(tmp_path / "out"), "--hi=32", "--lo=16"]
    assert preprocess.main([*arguments, "--max_reject_fraction=0.1"]) == 0
    assert "24 read = 23 written + 1 rejected" in capsys.readouterr().out
    assert b'"reason": "unreadable"' in (tmp_path / "out" / "rejects.jsonl").read_bytes()


def test_a_folder_that_cannot_be_read_is_an_error_or_counted(photo_folder, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("n01443537"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match=r"n01443537: the folder cannot be read: .*--skip_unreadable"):
        source_index.index_images(str(photo_folder), "train")
    index = source_index.index_images(str(photo_folder), "train", skip_unreadable=True)
    assert (len(index.images), index.passed_over) == (8, {"unreadable folder": 1})
