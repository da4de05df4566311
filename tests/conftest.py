"""What all tests share: the reference data's place, and small photos made on the spot."""

import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image

from coltran import cli

cli.quiet_libraries()
TESTDATA = pathlib.Path(__file__).parent / "testdata"


def pytest_configure(config):
    """One place for compiled programs, for all processes of this run: many tests train the same small network.

    JAX reads the variables when it is first imported. The place is new in every run, so that no test can pass for the
    sake of what an earlier run left, and nobody's own programs in ~/.cache are touched.
    """
    if not hasattr(config, "workerinput") and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        place = tempfile.mkdtemp(prefix="coltran_tests_programs_")
        config.add_cleanup(lambda: shutil.rmtree(place, ignore_errors=True))
        os.environ["JAX_COMPILATION_CACHE_DIR"] = place
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where the reference is said to be present, a test that skips for want of it has failed."""
    report = yield
    if report.skipped and os.environ.get("COLTRAN_REFERENCE") and "COLTRAN_REFERENCE" in str(report.longrepr):
        report.outcome = "failed"
    return report


def reference_path(name: str, *, kept_in: str, below: str = "") -> pathlib.Path:
    """A file of the reference data: from COLTRAN_REFERENCE/`below`, else from tests/testdata/`kept_in`; else skips."""
    folder = os.environ.get("COLTRAN_REFERENCE")
    if folder:
        return pathlib.Path(folder) / below / name
    in_tree = TESTDATA / kept_in / name
    if not in_tree.exists():
        pytest.skip(f"COLTRAN_REFERENCE is not set: {name} is not in the tree")
    return in_tree


def load_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file; weights that are kept in 8 bits (tests/testdata/README.md) as float32 `var:*`."""
    with np.load(path) as data:
        arrays = {key: data[key] for key in data}
    if "rounded" in arrays:
        shapes = json.loads(str(arrays.pop("rounded_shapes")))
        flat, steps = arrays.pop("rounded"), arrays.pop("rounded_steps")
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes.values()])
        for (name, shape), part, step in zip(shapes.items(), np.split(flat, ends[:-1]), steps, strict=True):
            arrays[f"var:{name}"] = part.reshape(shape) * step
    return arrays


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
        pytest.skip("no real ImageNet photos lie beside the reference")
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


def write_records(folder: pathlib.Path, schema, sizes, rows: list[dict], num_shards: int = 2) -> pathlib.Path:
    """A finished record folder of given values, written the way the jobs do."""
    from coltran.records import schema as records
    from pipelines.shards import in_process, job as shard_job
    from pipelines.shards.writer import write_shard

    job = shard_job.ShardJob(
        folder=str(folder),
        schema=schema.name,
        split="test",
        sizes=sizes,
        features=tuple(rows[0]),
        options={},
        fingerprint=shard_job.fingerprint(str(folder)),
        num_shards=num_shards,
    )
    inputs = [rows[index::num_shards] for index in range(num_shards)]

    def make(missing) -> None:
        for index in missing:
            with write_shard(job, index) as writer:
                for row in inputs[index]:
                    writer.write(records.encode(schema, row, sizes))

    in_process.make_folder(job, [[{"key": row[records.KEY]} for row in part] for part in inputs], make)
    return folder


@pytest.fixture(scope="session")
def colorized_folder(truth_folder, tmp_path_factory) -> pathlib.Path:
    """Three made-up colorizations of each of the 12 truth records: the truth, its channels turned by the sample."""
    from coltran.records import folder as record_folder, schema as records

    rows = [
        {
            records.KEY: values[records.KEY],
            records.SAMPLE: sample,
            records.COARSE_LO: values[records.COARSE_LO],
            records.RGB_LO: np.roll(values[records.RGB_LO], 1 + sample, axis=-1),
            records.RGB_HI: np.roll(values[records.RGB_HI], 1 + sample, axis=-1),
        }
        for values in record_folder.open_folder(str(truth_folder)).read()
        for sample in range(3)
    ]
    folder = tmp_path_factory.mktemp("colorized") / "samples"
    return write_records(folder, records.COLORIZED, records.Sizes(lo=16, hi=32), rows)


@pytest.fixture(scope="module")
def bucket():
    """An empty bucket `gs://photos` of a Cloud Storage emulator on loopback; skips where it is not installed."""
    from coltran import cloud_storage

    program = pathlib.Path(sys.executable).with_name("gcp-storage-emulator")
    if not program.exists():
        pytest.skip("gcp-storage-emulator is not installed (make install)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [program, "start", "--host=127.0.0.1", f"--port={port}", "--in-memory", "--default-bucket=photos"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.environ["STORAGE_EMULATOR_HOST"] = address
    cloud_storage.client.cache_clear()
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"{address}/storage/v1/b/photos", timeout=1)
            break
        except OSError:
            assert time.monotonic() < deadline, "the emulator did not start"
            time.sleep(0.1)
    yield "gs://photos"
    del os.environ["STORAGE_EMULATOR_HOST"]
    cloud_storage.client.cache_clear()
    process.terminate()
    process.wait()
