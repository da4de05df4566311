"""2,000 damaged images, archives, records and checkpoints: never another error than ours, never an entry unaccounted.

The seed is fixed, so that a failure stays one; COLTRAN_FUZZ_SEED tries others.
"""

import collections
import os
import pathlib
import shutil

import numpy as np
import pytest

from coltran.errors import UserError
from coltran.images import decoding, formats
from coltran.records import folder as record_folder
from coltran.weights import built_in, checkpoint
from pipelines.sources import index as source_index, reading
from tests.coltran.images.test_odd_images import SHOWN, UNSUPPORTED, saved
from tests.conftest import encoded, smooth_photo
from tests.mutations import mutated
from tests.pipelines.sources import packers
from tests.pipelines.sources.hostile_files import odd_but_good
from tests.pipelines.sources.test_archives import WHOLE, tar_of
from tests.pipelines.sources.test_records import shard, tfds

pytestmark = [
    pytest.mark.slow,  # together a minute
    pytest.mark.filterwarnings("ignore:.*:UserWarning"),  # Pillow's, of damaged EXIF
]
SEED = int(os.environ.get("COLTRAN_FUZZ_SEED", "20260731"))
PIXELS = 500_000


def one_line(error: Exception) -> int:
    assert "\n" not in str(error)
    return 1


def images() -> dict[str, bytes]:
    photo = smooth_photo(1, 40, 50)
    formats.known_formats()  # which lets Pillow write HEIF too
    made = {kind: encoded(photo, kind) for kind in ("JPEG2000", "AVIF", "TGA", "PPM", "ICO", "HEIF", "BMP")}
    made["pages"] = saved(photo, "TIFF", smooth_photo(2, 20, 20), compression="tiff_lzw")
    return {**odd_but_good(), **SHOWN, **{name: data for name, (data, _) in UNSUPPORTED.items()}, **made}


def test_900_images():
    rng = np.random.default_rng(SEED)
    seeds = images()
    outcomes = collections.Counter()
    for number in range(900):
        name = list(seeds)[number % len(seeds)]
        data = mutated(seeds[name], rng)
        try:
            photo = decoding.decode(data, max_pixels=PIXELS, min_side=1)
        except decoding.ImageRejected as error:
            outcomes[error.reason] += len(str(error)) > 0
        else:
            assert (photo.rgb.dtype, photo.rgb.ndim, photo.rgb.shape[2]) == (np.uint8, 3, 3), name
            outcomes["decoded"] += 1
    print(f"\n900 images: {dict(outcomes)}")
    assert min(outcomes["decoded"], outcomes["truncated"], outcomes["not_an_image"]) > 20


def account(source: pathlib.Path, outcomes: collections.Counter) -> None:
    """Lists and reads a source: each entry found is an image or passed over, each image has bytes or a reason."""
    try:
        index = source_index.index_images(str(source), "train", allow_missing_shards=True)
        assert index.found == len(index.images) + sum(index.passed_over.values())
        read = list(reading.read_images(index.images))
    except UserError as error:
        outcomes["refused"] += one_line(error)
        return
    assert [ref for ref, _ in read] == list(index.images)
    outcomes["listed"] += 1
    outcomes["entries"] += index.found
    outcomes["entries rejected"] += sum(not isinstance(data, bytes) for _, data in read)


@pytest.fixture(scope="module")
def photos() -> dict[str, bytes]:
    names = [f"{wnid}_{number}.JPEG" for wnid in ("n01440764", "n01443537") for number in range(3)]
    return {name: encoded(smooth_photo(seed, 30, 40)) for seed, name in enumerate(names)}


def test_500_archives(photos, tmp_path):
    rng = np.random.default_rng(SEED + 1)
    tars = [made if isinstance(made, bytes) else tar_of(made) for made, _ in WHOLE.values()]
    zipped = packers.kaggle_zip(photos, tmp_path / "zip").read_bytes()
    outcomes = collections.Counter()
    for number in range(500):
        kind, data = ("zip", zipped) if number % 2 else ("tar", tars[number // 2 % len(tars)])
        path = tmp_path / f"train.{kind}"
        path.write_bytes(mutated(data, rng))
        account(path, outcomes)
    print(f"\n500 archives: {dict(outcomes)}")
    assert min(outcomes["listed"], outcomes["refused"]) > 50


def test_400_records(photos, truth_folder, tmp_path):
    """Half are other people's, half are record folders of our own with a damaged file."""
    rng = np.random.default_rng(SEED + 2)
    shard(tmp_path / "tfds.tfrecord", *(tfds(number) for number in range(4)))
    classic = {"image/encoded": photos["n01440764_0.JPEG"], "image/filename": b"a.JPEG", "image/class/label": 1}
    shard(tmp_path / "classic.tfrecord", *[classic] * 3)
    parquet = sorted(packers.parquet(photos, tmp_path / "parquet").rglob("*.parquet"))
    files = [*sorted(tmp_path.glob("*.tfrecord")), *parquet]
    outcomes = collections.Counter()
    for number in range(200):
        path = files[number % len(files)]
        target = tmp_path / "one" / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(mutated(path.read_bytes(), rng))
        account(target, outcomes)
        target.unlink()
    own = sorted(path.name for path in truth_folder.iterdir() if path.name.startswith(("train", "manifest")))
    copy = shutil.copytree(truth_folder, tmp_path / "own")
    for number in range(200):
        name = own[number % len(own)]
        (copy / name).write_bytes(mutated((truth_folder / name).read_bytes(), rng))
        try:
            outcomes["own records"] += len(list(record_folder.open_folder(str(copy)).read()))
        except UserError as error:
            outcomes["own refused"] += one_line(error)
        shutil.copy(truth_folder / name, copy / name)
    print(f"\n400 records: {dict(outcomes)}")
    assert min(outcomes["refused"], outcomes["own refused"]) > 50


def test_200_checkpoints(tmp_path):
    """The model in the box, one of whose files is damaged: it is refused, or has the weights that were saved."""
    rng = np.random.default_rng(SEED + 3)
    folder = pathlib.Path(built_in.folder("color_upsampler"))
    whole = checkpoint.load(folder)
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    outcomes = collections.Counter()
    copy = shutil.copytree(folder, tmp_path / "copy")
    for number in range(200):
        name = files[number % len(files)]
        (copy / name).write_bytes(mutated((folder / name).read_bytes(), rng))
        try:
            found = checkpoint.load(copy)
        except UserError as error:
            outcomes["refused"] += one_line(error)
        else:
            assert all(np.array_equal(found.ema[name], whole.ema[name]) for name in whole.ema)
            outcomes["loaded"] += 1
        shutil.copy(folder / name, copy / name)
    print(f"\n200 checkpoints: {dict(outcomes)}")
    assert outcomes["refused"] > 100
