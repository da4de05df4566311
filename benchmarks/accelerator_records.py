"""Record folders on a machine without Apache Beam: the same bytes as coltran-preprocess writes, in plain processes.

    python benchmarks/accelerator_records.py --pack pack --out records

An accelerator is often lent bare: no Beam, no network. Source images travel there as `imagenet32.tar.xz` (solid, so
that 70,000 files of 32x32 pixels, with the same JPEG header each, take 22 MB) and `photos.tar`; the records are made
there from the plan that coltran-preprocess itself would make, so that fingerprints agree.
"""

from __future__ import annotations

import argparse
import multiprocessing
import pathlib
import tarfile
import zipfile

from coltran import storage
from pipelines import preprocess
from pipelines.shards import in_process
from pipelines.shards.job import ShardJob
from pipelines.truth.arguments import Options, parse
from pipelines.truth.worker import make_shard

LOW = ["--hi=none", "--lo=32", "--stages=colorizer,color_upsampler", "--num_shards=16"]
HIGH = ["--hi=128", "--lo=32", "--holdout=48", "--num_shards=16"]

# Record folder -> (what it is made of, options of coltran-preprocess).
FOLDERS = {
    "train32": ("imagenet32.zip", [*LOW, "--holdout=0"]),
    "validation32": ("imagenet32.zip", [*LOW, "--split=validation"]),
    "train128": ("photos", [*HIGH, "--crops=4"]),
    "validation128": ("photos", [*HIGH, "--split=holdout"]),
}


def unpack(pack: pathlib.Path, folder: pathlib.Path) -> None:
    """The sources as coltran-preprocess takes them: a zip in ImageNet's layout, and a folder of photos."""
    with tarfile.open(pack / "imagenet32.tar.xz") as tar, zipfile.ZipFile(folder / "imagenet32.zip", "w") as packed:
        for member in tar:
            packed.writestr(zipfile.ZipInfo(member.name), tar.extractfile(member).read())
    with tarfile.open(pack / "photos.tar") as tar:
        tar.extractall(folder, filter="data")


def make_one(job: ShardJob, options: Options, index: int) -> None:
    """Makes one shard in a process of the pool, which cannot send the shard's writer back."""
    make_shard(job, options, index)


def make_folder(source: pathlib.Path, out: pathlib.Path, arguments: list[str], processes: int) -> str:
    """Makes one record folder and returns its fingerprint."""
    options, _ = parse([f"--source={source}", f"--out={out}", *arguments])
    _, chosen = preprocess.choose(options)
    job = preprocess.plan_job(options, chosen)

    def make(missing: list[int]) -> None:
        with multiprocessing.Pool(processes) as pool:
            pool.starmap(make_one, [(job, options, index) for index in missing], chunksize=1)

    inputs = preprocess.assign(job, chosen)
    in_process.make_folder(job, inputs, make, source=str(source), max_reject_fraction=0.01)
    return job.fingerprint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=pathlib.Path, required=True, help="folder of imagenet32.tar.xz and photos.tar")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="gets the sources and four record folders")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not storage.exists(str(options.out / "imagenet32.zip")):
        unpack(options.pack, options.out)
    for name, (source, arguments) in FOLDERS.items():
        fingerprint = make_folder(options.out / source, options.out / name, arguments, options.processes)
        print(f"{name}: {fingerprint[:8]}", flush=True)


if __name__ == "__main__":
    main()
