"""How fast preprocessing is, beside what it cannot be faster than, in one run on one machine.

    python benchmarks/preprocess.py PHOTOS             rates and ratios (seven minutes)
    python benchmarks/preprocess.py PHOTOS --encodings raw, PNG and WebP: size, writing, reading
    python benchmarks/preprocess.py PHOTOS --before F  (b) and (c) of another checkout too, in turn with this one's

PHOTOS is a folder of photos of ImageNet's size (by default the variable COLTRAN_PHOTOS), gone through several times, so
that a job's start (a second) hardly counts. The rows:

    (a) decode            Pillow alone, one thread
    (b) decode + resize   a plain loop: crop, both sizes, grays, coarse colors; nothing is written
    (c) the whole job     coltran-preprocess in a process of its own, 1 and 2 workers, raw pixels and PNG
    (d) public release    a tf.data pipeline that does what the release does in every epoch, 2 threads
    (e) two plain loops   (b) in two threads: what two workers could reach if they read and wrote no file

The machine may be shared, and its speed changes from second to second: every round measures all rows one after the
other, a ratio is made of two rows of one round, and of several rounds the median ratio counts. Where other programs
take a processor away, two workers lose more by it than one loop does; so the ratio of processor seconds stands beside.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

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


@dataclasses.dataclass(frozen=True)
class Measured:
    """Images a second of wall time and of processor time, and the peak memory in MB, 0 for a loop."""

    wall: float
    processor: float
    peak: float = 0.0


def ask(checkout: pathlib.Path, *arguments: str) -> Any:
    """The JSON that this program prints last in a process of its own, with the packages of a checkout."""
    command = [sys.executable, __file__, *arguments]
    surroundings = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=surroundings)
    return json.loads(done.stdout.splitlines()[-1])


def job(checkout: pathlib.Path, folder: pathlib.Path, count: int, workers: int, encoding: str) -> Measured:
    """Measures the job's own work, as its run.json has it."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        target = pathlib.Path(out) / "records"
        found = ask(checkout, "--job", str(folder), str(target), str(workers), encoding)
        run = json.loads((target / "run.json").read_text())
        assert run["images_made"] == count
        return Measured(run["images_per_second"], count / found["processor"], found["peak"])


def run_job(folder: str, target: str, workers: str, encoding: str) -> None:
    import apache_beam  # noqa: F401  # not part of the job's own work

    from pipelines import preprocess

    began = time.process_time()
    arguments = ["--source", folder, "--out", target, f"--encoding={encoding}", f"--direct_num_workers={workers}"]
    assert preprocess.main(arguments) == 0
    # Not getrusage: its peak counts what the starting process had in memory.
    status = pathlib.Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1000
    print(json.dumps({"peak": peak, "processor": time.process_time() - began}))


def loop(work: Callable[[Sequence[bytes]], None], photos: Sequence[bytes]) -> Measured:
    started, began = time.perf_counter(), time.process_time()
    work(photos)
    seconds, processor = time.perf_counter() - started, time.process_time() - began
    return Measured(len(photos) / seconds, len(photos) / processor)


def run_loop(folder: str) -> None:
    photos = read(pathlib.Path(folder))
    decode_and_resize(photos[:20])
    print(json.dumps(dataclasses.astuple(loop(decode_and_resize, photos))))


def two_loops(photos: Sequence[bytes]) -> None:
    threads = [threading.Thread(target=decode_and_resize, args=(photos[start::2],)) for start in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


LOOPS = {"a": decode_only, "b": decode_and_resize, "d": release_pipeline, "e": two_loops}
JOBS = {"c1": (1, "raw"), "c2": (2, "raw"), "c2png": (2, "png")}
HERE = pathlib.Path(__file__).resolve().parent.parent
OLD = ("b before", "c2 before")
ROWS = [  # title, row, what it is a ratio of, and how often that
    ("(a) decode", "a", "a", 1),
    ("(b) decode + resize", "b", "a", 1),
    ("(b) before", "b before", "a", 1),
    ("(e) (b) in two threads", "e", "b", 2),
    ("(c) job, 1 worker, raw", "c1", "b", 1),
    ("(c) job, 2 workers, raw", "c2", "b", 2),
    ("(c) before", "c2 before", "b before", 2),
    ("(c) job, 2 workers, PNG", "c2png", "b", 2),
    ("(d) release's tf.data, 2 threads", "d", "b", 2),
]


def measure(
    files: Sequence[pathlib.Path], folder: pathlib.Path, count: int, rounds: int, before: pathlib.Path | None
) -> dict[str, list[Measured]]:
    """Measures all rows, round by round."""
    photos = [path.read_bytes() for path in files]
    found: dict[str, list[Measured]] = {}
    for work in LOOPS.values():
        work(photos[:20])  # imports, and tables that are kept
    for _ in range(rounds):
        for name, work in LOOPS.items():
            found.setdefault(name, []).append(loop(work, photos))
        for name, (workers, encoding) in JOBS.items():
            found.setdefault(name, []).append(job(HERE, folder, count, workers, encoding))
        if before:
            found.setdefault(OLD[0], []).append(Measured(*ask(before, "--loop", str(files[0].parent))))
            found.setdefault(OLD[1], []).append(job(before, folder, count, *JOBS["c2"]))
    return found


def ratios(found: dict[str, list[Measured]], name: str, base: str, times: int) -> tuple[np.ndarray, np.ndarray]:
    """A row's ratios to `times` another row, of each round: of wall time, and of processor time."""
    pairs = list(zip(found[name], found[base], strict=True))
    wall = np.array([mine.wall / other.wall / times for mine, other in pairs])
    return wall, np.array([mine.processor / other.processor for mine, other in pairs])


def tell(found: dict[str, list[Measured]]) -> dict[str, dict[str, float]]:
    """Prints the rows, and returns their medians."""
    medians = {}
    for title, name, base, times in ROWS:
        if name not in found:
            continue
        wall, processor = ratios(found, name, base, times)
        speed, peak = np.median([one.wall for one in found[name]]), found[name][-1].peak
        spread = f"{np.median(wall):.2f} ({wall.min():.2f} to {wall.max():.2f}) of {'twice ' * (times > 1)}({base})"
        memory = f", peak {peak:.0f} MB" if peak else ""
        print(f"{title:34} {speed:7.1f} images/s   {spread}, in processor time {np.median(processor):.2f}{memory}")
        medians[name] = {"speed": speed, "ratio": np.median(wall), "of_processor": np.median(processor)}
    return medians


def compare_encodings(photos: Sequence[bytes]) -> None:
    squares = [make_records(ImageRef(key="x", name="x", path="", size=0), data, _OPTIONS).values[0] for data in photos]
    pixels = [(values["rgb_hi"], values["gray_hi"]) for values in squares]
    prepared = loop(decode_and_resize, photos).wall
    print("encoding  KB of rgb_hi  KB of gray_hi  of raw    writing and reading, of (b)'s rate")
    for encoding in pixel_codec.ENCODINGS:
        started = time.perf_counter()
        packed = [[pixel_codec.encode(array, encoding) for array in pair] for pair in pixels]
        written = len(pixels) / (time.perf_counter() - started)
        started = time.perf_counter()
        for pair, arrays in zip(packed, pixels, strict=True):
            for data, array in zip(pair, arrays, strict=True):
                pixel_codec.decode(data, "uint8", np.shape(array))
        read = len(pixels) / (time.perf_counter() - started)
        sizes = np.array([[len(data) for data in pair] for pair in packed]).mean(axis=0) / 1000
        share = sizes.sum() / (256 * 256 * 4 / 1000)
        rates = f"{written / prepared:10.1f} {read / prepared:7.1f}"
        print(f"{encoding:9} {sizes[0]:12.1f} {sizes[1]:14.1f} {share:7.2f} {rates}")


def photo_files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpeg", ".jpg"))


def read(folder: pathlib.Path) -> list[bytes]:
    return [path.read_bytes() for path in photo_files(folder)]


def main() -> None:
    inner = {"--job": run_job, "--loop": run_loop}
    if sys.argv[1:2] and sys.argv[1] in inner:
        return inner[sys.argv[1]](*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=pathlib.Path, nargs="?", default=os.environ.get("COLTRAN_PHOTOS"))
    parser.add_argument("--encodings", action="store_true")
    parser.add_argument("--before", type=pathlib.Path, metavar="FOLDER", help="another checkout of this project")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=5760, help="go through the photos until a job has so many (5760)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the medians there")
    options = parser.parse_args()
    if options.photos is None:
        parser.error("give a folder of photos, or set COLTRAN_PHOTOS")
    files = photo_files(pathlib.Path(options.photos))
    if options.encodings:
        return compare_encodings([path.read_bytes() for path in files])
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "photos"
        source.mkdir()
        for number in range(options.images):
            name = source / f"{number:06d}.JPEG"
            if number < len(files):
                shutil.copy(files[number], name)
            else:  # a symbolic link to a photo that is listed already would be passed over
                name.hardlink_to(source / f"{number % len(files):06d}.JPEG")
        found = measure(files, source, options.images, options.rounds, options.before)
    print(f"{options.images} photos in a job, {len(files)} in a loop, {os.cpu_count()} cores, {options.rounds} rounds")
    medians = tell(found)
    if options.json:
        options.json.write_text(json.dumps(medians, indent=1) + "\n")


if __name__ == "__main__":
    main()
