"""How fast preprocessing is, beside what it cannot be faster than, in one run on one machine.

    python benchmarks/preprocess.py PHOTOS             rates and ratios (seven minutes)
    python benchmarks/preprocess.py PHOTOS --encodings raw, PNG and WebP: size, writing, reading

PHOTOS is a folder of photos of ImageNet's size, gone through several times, so that a job's start (a second) hardly
counts. The rows:

    (a) decode            Pillow alone, one thread
    (b) decode + resize   a plain loop: crop, both sizes, grays, coarse colors; nothing is written
    (c) the whole job     coltran-preprocess in a process of its own, 1 and 2 workers, raw pixels and PNG
    (d) public release    a tf.data pipeline that does what the release does in every epoch, 2 threads
    (e) two plain loops   (b) in two threads: what two workers could reach if they read and wrote no file

The machine may be shared, and its speed changes from second to second: every round measures all rows one after the
other, a ratio is made of two rows of one round, and of several rounds the median ratio counts.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from coltran import quiet_tensorflow
from coltran.images import decoding
from coltran.records import pixel_codec
from pipelines.sources.image_ref import ImageRef
from pipelines.truth import arguments as preprocess_arguments
from pipelines.truth.record import make_records, truth_values

_OPTIONS = preprocess_arguments.Options(source="-", out="-")


def decode_only(photos: Sequence[bytes]) -> None:
    for data in photos:
        np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def decode_and_resize(photos: Sequence[bytes]) -> None:
    for number, data in enumerate(photos):
        truth_values(decoding.decode(data), _OPTIONS, key=f"train/{number}", label=-1)


def release_pipeline(photos: Sequence[bytes]) -> None:
    """Decode (fast DCT), random square crop, area to 256 and from there to 64, gray and coarse colors."""
    tf = quiet_tensorflow.import_tensorflow()

    def prepare(data):
        image = tf.io.decode_jpeg(data, channels=3)
        side = tf.reduce_min(tf.shape(image)[:2])
        image = tf.image.random_crop(image, [side, side, 3])
        high = tf.cast(tf.round(tf.image.resize(image, [256, 256], method="area")), tf.int32)
        low = tf.cast(tf.round(tf.image.resize(high, [64, 64], method="area")), tf.int32)
        gray = tf.image.rgb_to_grayscale(high), tf.image.rgb_to_grayscale(low)
        return high, low, gray, low // 32

    dataset = tf.data.Dataset.from_tensor_slices(list(photos)).map(prepare, num_parallel_calls=2)
    for _ in dataset:
        pass


def job(folder: pathlib.Path, count: int, workers: int, encoding: str) -> tuple[float, float]:
    """Images a second of the job's own work, as its run.json has it, and the peak memory of its process in MB."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        target = pathlib.Path(out) / "records"
        command = [sys.executable, __file__, "--job", str(folder), str(target), str(workers), encoding]
        peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        run = json.loads((target / "run.json").read_text())
        assert run["images_made"] == count
        return run["images_per_second"], peak


def run_job(folder: str, target: str, workers: str, encoding: str) -> None:
    from pipelines import preprocess

    arguments = ["--source", folder, "--out", target, f"--encoding={encoding}", f"--direct_num_workers={workers}"]
    assert preprocess.main(arguments) == 0
    # Not getrusage: its peak counts what the starting process had in memory.
    status = pathlib.Path("/proc/self/status").read_text()
    print(json.dumps(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1000))


def rate(work: Callable[[Sequence[bytes]], None], photos: Sequence[bytes]) -> float:
    started = time.perf_counter()
    work(photos)
    return len(photos) / (time.perf_counter() - started)


def two_loops(photos: Sequence[bytes]) -> None:
    threads = [threading.Thread(target=decode_and_resize, args=(photos[start::2],)) for start in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


LOOPS = {"a": decode_only, "b": decode_and_resize, "d": release_pipeline, "e": two_loops}
JOBS = {"c1": (1, "raw"), "c2": (2, "raw"), "c2png": (2, "png")}
ROWS = [  # title, row, what it is a ratio of, and how often that
    ("(a) decode", "a", "a", 1),
    ("(b) decode + resize", "b", "a", 1),
    ("(e) (b) in two threads", "e", "b", 2),
    ("(c) job, 1 worker, raw", "c1", "b", 1),
    ("(c) job, 2 workers, raw", "c2", "b", 2),
    ("(c) job, 2 workers, PNG", "c2png", "b", 2),
    ("(d) release's tf.data, 2 threads", "d", "b", 2),
]


def measure(photos: Sequence[bytes], folder: pathlib.Path, count: int, rounds: int) -> None:
    found: dict[str, list[float]] = {name: [] for name in (*LOOPS, *JOBS)}
    memory: dict[str, float] = {}
    for work in LOOPS.values():
        work(photos[:20])  # imports, and tables that are kept
    for _ in range(rounds):
        for name, work in LOOPS.items():
            found[name].append(rate(work, photos))
        for name, (workers, encoding) in JOBS.items():
            speed, memory[name] = job(folder, count, workers, encoding)
            found[name].append(speed)
    print(f"{count} photos in a job, {len(photos)} in a loop, {os.cpu_count()} cores, medians of {rounds} rounds")
    for title, name, base, times in ROWS:
        ratios = np.array(found[name]) / np.array(found[base]) / times
        spread = (
            f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}) of {'twice ' * (times > 1)}({base})"
        )
        peak = f", peak {memory[name]:.0f} MB" if name in memory else ""
        print(f"{title:34} {np.median(found[name]):7.1f} images/s   {spread}{peak}")


def compare_encodings(photos: Sequence[bytes]) -> None:
    squares = [make_records(ImageRef(key="x", name="x", path="", size=0), data, _OPTIONS).values[0] for data in photos]
    pixels = [(values["rgb_hi"], values["gray_hi"]) for values in squares]
    prepared = rate(decode_and_resize, photos)
    print("encoding  KB of rgb_hi  KB of gray_hi  of raw    writing and reading, of (b)'s rate")
    for encoding in pixel_codec.ENCODINGS:
        started = time.perf_counter()
        packed = [[pixel_codec.encode(array, encoding) for array in pair] for pair in pixels]
        written = len(pixels) / (time.perf_counter() - started)
        started = time.perf_counter()
        for pair, arrays in zip(packed, pixels, strict=True):
            for data, array in zip(pair, arrays, strict=True):
                pixel_codec.decode(data, "uint8", array.shape)
        read = len(pixels) / (time.perf_counter() - started)
        sizes = np.array([[len(data) for data in pair] for pair in packed]).mean(axis=0) / 1000
        share = sizes.sum() / (256 * 256 * 4 / 1000)
        rates = f"{written / prepared:10.1f} {read / prepared:7.1f}"
        print(f"{encoding:9} {sizes[0]:12.1f} {sizes[1]:14.1f} {share:7.2f} {rates}")


def main() -> None:
    if sys.argv[1:2] == ["--job"]:
        return run_job(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=pathlib.Path)
    parser.add_argument("--encodings", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=5760, help="go through the photos until a job has so many (5760)")
    options = parser.parse_args()
    files = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in (".jpeg", ".jpg"))
    photos = [path.read_bytes() for path in files]
    if options.encodings:
        return compare_encodings(photos)
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "photos"
        source.mkdir()
        for number in range(options.images):
            (source / f"{number:06d}.JPEG").symlink_to(files[number % len(files)].resolve())
        measure(photos, source, options.images, options.rounds)


if __name__ == "__main__":
    main()
