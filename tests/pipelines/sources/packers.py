"""The same images packed in all the ways in which people have ImageNet, each by that format's own library."""

import pathlib
import tarfile
import zipfile
from collections.abc import Mapping

from coltran import quiet_tensorflow
from pipelines.sources import labels as imagenet_labels

Images = Mapping[str, bytes]  # by file name, such as n01440764_10026.JPEG


def wnid_of(name: str) -> str:
    return name.partition("_")[0]


def label_of(name: str) -> int:
    """Written apart from the code under test: the place among the sorted ids."""
    return sorted(imagenet_labels.wnids()).index(wnid_of(name))


def folder(images: Images, where: pathlib.Path) -> pathlib.Path:
    for name, data in images.items():
        path = where / "train" / wnid_of(name) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return where


def nested_tar(images: Images, where: pathlib.Path) -> pathlib.Path:
    classes = folder(images, where / "unpacked") / "train"
    outer = where / "ILSVRC2012_img_train.tar"
    with tarfile.open(outer, "w") as archive:
        for path in sorted(classes.iterdir()):
            inner = where / f"{path.name}.tar"
            with tarfile.open(inner, "w") as members:
                for image in sorted(path.iterdir()):
                    members.add(image, image.name)
            archive.add(inner, inner.name)
            inner.unlink()
    return outer


def kaggle_zip(images: Images, where: pathlib.Path) -> pathlib.Path:
    where.mkdir(parents=True, exist_ok=True)
    path = where / "imagenet-object-localization-challenge.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, data) in enumerate(images.items()):
            packing = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
            archive.writestr(f"ILSVRC/Data/CLS-LOC/train/{wnid_of(name)}/{name}", data, packing)
            archive.writestr(f"ILSVRC/Annotations/CLS-LOC/train/{wnid_of(name)}/{name[:-5]}.xml", "<annotation/>")
        archive.writestr("ILSVRC/Data/CLS-LOC/test/ILSVRC2012_test_00000001.JPEG", next(iter(images.values())))
    return path


def _write_tfrecords(images: Images, where: pathlib.Path, pattern: str, features) -> pathlib.Path:
    tf = quiet_tensorflow.import_tensorflow()
    where.mkdir(parents=True, exist_ok=True)
    names = list(images)
    for shard in range(3):
        with tf.io.TFRecordWriter(str(where / pattern.format(shard, 3))) as writer:
            for name in names[shard::3]:
                example = tf.train.Example(features=tf.train.Features(feature=features(tf, name, images[name])))
                writer.write(example.SerializeToString())
    return where


def tfds(images: Images, where: pathlib.Path) -> pathlib.Path:
    def features(tf, name: str, data: bytes):
        return {
            "file_name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
            "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
            "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label_of(name)])),
        }

    return _write_tfrecords(images, where, "imagenet2012-train.tfrecord-{:05d}-of-{:05d}", features)


def classic(images: Images, where: pathlib.Path) -> pathlib.Path:
    def features(tf, name: str, data: bytes):
        text = {
            "image/colorspace": b"RGB",
            "image/filename": name.encode(),
            "image/class/synset": wnid_of(name).encode(),
            "image/class/text": b"a thing " * 900,  # no real one is that long; it stands for any large feature
            "image/encoded": data,
        }
        numbers = {"image/height": 32, "image/width": 32, "image/class/label": label_of(name) + 1}
        box = tf.train.Feature(float_list=tf.train.FloatList(value=[0.1, 0.2]))
        return {
            **{key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in text.items()},
            **{key: tf.train.Feature(int64_list=tf.train.Int64List(value=[value])) for key, value in numbers.items()},
            "image/object/bbox/xmin": box,
        }

    return _write_tfrecords(images, where, "train-{:05d}-of-{:05d}", features)


def parquet(images: Images, where: pathlib.Path) -> pathlib.Path:
    import pyarrow
    from pyarrow import parquet as writer

    (where / "data").mkdir(parents=True)
    names = list(images)
    for part in range(2):
        rows = [
            {
                "image": {"bytes": images[name], "path": f"{name.removesuffix('.JPEG')}_{wnid_of(name)}.JPEG"},
                "label": label_of(name),
            }
            for name in names[part::2]
        ]
        path = where / "data" / f"train-{part:05d}-of-00002-6a1f.parquet"
        writer.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=max(1, len(rows) // 5))
    return where


PACKERS = {
    "folder": folder,
    "nested_tar": nested_tar,
    "kaggle_zip": kaggle_zip,
    "tfds": tfds,
    "classic": classic,
    "parquet": parquet,
}
