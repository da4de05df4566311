"""What all tests share: the reference data's place, and small photos made on the spot."""

import io
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from coltran import cli

cli.quiet_libraries()


@pytest.fixture(scope="session")
def reference_folder() -> pathlib.Path:
    """The folder of numbers that the public release computes (environment variable COLTRAN_REFERENCE)."""
    path = os.environ.get("COLTRAN_REFERENCE")
    if not path:
        pytest.skip("COLTRAN_REFERENCE is not set: the public release's numbers are not here to compare with")
    return pathlib.Path(path)


@pytest.fixture(scope="session")
def shared_data(reference_folder) -> pathlib.Path:
    """The folder with `photos/` and `imagenet32.zip` that lies beside the reference."""
    path = reference_folder.parent / "data"
    if not path.is_dir():
        pytest.skip(f"{path} is absent: no real ImageNet photos to test with")
    return path


def smooth_photo(seed: int, height: int, width: int) -> np.ndarray:
    """A random but smooth color image, uint8 [height, width, 3], so that JPEG keeps it close."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def encoded(image: np.ndarray, kind: str = "JPEG", **options) -> bytes:
    """An image file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory) -> pathlib.Path:
    """12 photos of several sizes in 3 class folders, one of them gray."""
    folder = tmp_path_factory.mktemp("photos")
    for index in range(12):
        image = smooth_photo(index, 40 + 7 * index, 90 - 3 * index)
        if index == 5:
            image = image[..., 0]
        path = folder / ["n01440764", "n01443537", "n01484850"][index % 3] / f"photo_{index}.JPEG"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(image, quality=95))
    return folder


@pytest.fixture(scope="session")
def truth_folder(photo_folder, tmp_path_factory) -> pathlib.Path:
    """A finished record folder of the 12 photos at hi = 32, lo = 16, in 3 shards."""
    from pipelines import preprocess

    out = tmp_path_factory.mktemp("records") / "train"
    arguments = ["--source", str(photo_folder), "--out", str(out), "--hi=32", "--lo=16", "--num_shards=3"]
    assert preprocess.main(arguments) == 0
    return out
