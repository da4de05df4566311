"""How fast a study is designed and exported, beside the least that it must do: make each of its files once.

    python benchmarks/study.py                      500 images x 3 samples x 5 raters at 256x256, the paper's study
    python benchmarks/study.py --images 50

files    PNGs of all different images and the two public files of each trial, one after the other in one process
design   `coltran-study design`: read records, make these files, write them in order, compare luma, look for leaks in
         the files of 200 trials, which takes as long for a large study as for a small one; `of files` is files / design
export   `coltran-study export`, all three formats

Images are smooth noise with grain, whose PNGs are about as long as a photo's. Everything happens in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from coltran.records import schema as records
from human_eval.folder import opaque_files

SIDE = 256
EXTRA = 60  # practice and catch images


def photo(seed: int) -> np.ndarray:
    """uint8 [256, 256, 3]."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 4, (SIDE, SIDE, 1)).round()
    return np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)


def write_records(folder: pathlib.Path, schema: records.Schema, count: int, samples: int) -> None:
    """A record folder of `count` images; with samples, that many colorizations of each: its channels turned around."""
    from pipelines.shards import in_process, job as shard_job
    from pipelines.shards.writer import write_shard

    sizes = records.Sizes(lo=8, hi=SIDE)
    rows = [(number, sample) for number in range(count) for sample in range(max(1, samples))]
    shards = [rows[start : start + 256] for start in range(0, len(rows), 256)]
    features = (
        (records.KEY, records.SAMPLE, records.COARSE_LO, records.RGB_HI)
        if samples
        else (records.KEY, records.CROP, records.LABEL, records.GRAYSCALE, records.RGB_HI)
    )
    job = shard_job.ShardJob(
        folder=str(folder),
        schema=schema.name,
        split="benchmark",
        sizes=sizes,
        features=features,
        options={},
        fingerprint=f"benchmark {folder.name} {count}",
        num_shards=len(shards),
    )

    def make(missing: list[int]) -> None:
        for index in missing:
            with write_shard(job, index) as writer:
                for number, sample in shards[index]:
                    values = {records.KEY: f"image-{number}", records.RGB_HI: photo(number)}
                    if samples:
                        values |= {records.SAMPLE: sample, records.COARSE_LO: np.zeros((8, 8), np.uint16)}
                        values[records.RGB_HI] = np.roll(values[records.RGB_HI], 1 + sample, axis=-1)
                    else:
                        values |= {records.CROP: 0, records.LABEL: -1, records.GRAYSCALE: 0}
                    writer.write(records.encode(schema, values, sizes))

    in_process.make_folder(job, [[{"key": f"image-{number}"} for number, _ in shard] for shard in shards], make)


def public(image: np.ndarray) -> bytes:
    return opaque_files.encode_public(image, b"key", "name")


def seconds_each(make: Callable[[np.ndarray], bytes], images: list[np.ndarray]) -> float:
    started = time.perf_counter()
    for image in images:
        make(image)
    return (time.perf_counter() - started) / len(images)


def timed(*arguments: str) -> float:
    """Seconds of one coltran-study command."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "human_eval.study", *arguments], check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    different = options.images * (options.samples + 1)
    print(f"{os.cpu_count()} cores, {options.images} images x {options.samples} samples x 5 raters at {SIDE}x{SIDE}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_records(folder / "truth", records.TRUTH, options.images + EXTRA, 0)
        write_records(folder / "colorized", records.COLORIZED, options.images, options.samples)
        some = [photo(number) for number in range(64)]
        encode, publish = seconds_each(opaque_files.encode, some), seconds_each(public, some)
        study = str(folder / "study")
        sources = [f"--truth={folder / 'truth'}", f"--colorized={folder / 'colorized'}"]
        sizes = [f"--images={options.images}", f"--samples={options.samples}"]
        design = timed("design", *sources, *sizes, "--seed=1", f"--out={study}")
        made = len(list((folder / "study" / "public" / "images").iterdir()))
        files = encode * different + publish * made
        url = "--image_url=https://images.example.org/study/"
        export = sum(
            timed("export", f"--study={study}", f"--format={kind}", url, "--pilot")
            for kind in ("static", "mturk", "turkle")
        )
    print(f"{'files':8} {files:7.1f} s, {different} different images, {made} public files")
    print(f"{'design':8} {design:7.1f} s, {files / design:.2f} of files")
    print(f"{'export':8} {export:7.1f} s, three formats")
    if options.json:
        found = {"images": different, "public_files": made, "files": files, "design": design, "export": export}
        options.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
