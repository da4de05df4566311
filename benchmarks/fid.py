"""How fast FID is on this machine: features beside a plain loop of the same network, then merging and the distance.

    python benchmarks/fid.py                        all rows (about 5 minutes on 2 cores)
    python benchmarks/fid.py --images 1024 --rows loop job
    python benchmarks/fid.py --rows jax             on a GPU
    python benchmarks/fid.py --rows engines --json rows.json

loop   a plain loop in one process: read records, fill a batch, run the network
job    coltran-fid's Beam job on the same records; `of loop` is its rate divided by the loop's of the same round
jax    the JAX engine on batches in memory
engines  every engine that is installed (fid_engines.py), on one batch in memory, in turn
numbers  merging ten tenths, one distance and a whole score (19 distances) at 5000 x 2048, and the peak memory

The weights are random: they cost what the public ones do. Rounds alternate, and the medians are printed. The limit is
the network's counted operations at the rate of a plain matrix product in the same process.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import tempfile
import time
from typing import Any

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as coltran-fid sets it

import numpy as np

from coltran import cli
from coltran.records import folder as record_folder, schema

ROWS = ("loop", "job", "jax", "engines", "numbers")
SIDE = 256


def write_records(folder: pathlib.Path, count: int) -> record_folder.RecordFolder:
    """`count` truth records of random pixels, in shards of 128."""
    from pipelines.shards import in_process, job as shard_job
    from pipelines.shards.writer import write_shard

    sizes = schema.Sizes(lo=8, hi=SIDE)
    features = (schema.KEY, schema.CROP, schema.LABEL, schema.GRAYSCALE, schema.RGB_HI)
    shards = [list(range(start, min(start + 128, count))) for start in range(0, count, 128)]
    job = shard_job.ShardJob(
        folder=str(folder),
        schema=schema.TRUTH.name,
        split="benchmark",
        sizes=sizes,
        features=features,
        options={},
        fingerprint=f"benchmark {count}",
        num_shards=len(shards),
    )
    rng = np.random.default_rng(0)

    def make(missing: list[int]) -> None:
        for index in missing:
            with write_shard(job, index) as writer:
                for number in shards[index]:
                    pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
                    values = dict(zip(features, (f"{number}", 0, -1, 0, pixels), strict=True))
                    writer.write(schema.encode(schema.TRUTH, values, sizes))

    in_process.make_folder(job, [[{"key": f"{number}"} for number in shard] for shard in shards], make)
    return record_folder.open_folder(str(folder))


def plain_loop(folder: record_folder.RecordFolder, extractor, batch_size: int) -> float:
    """Images per second of the loop that anyone would write."""
    started, waiting = time.perf_counter(), []
    for values in folder.read([schema.RGB_HI]):
        waiting.append(values[schema.RGB_HI])
        if len(waiting) == batch_size:
            extractor.features(np.stack(waiting))
            waiting = []
    if waiting:
        extractor.features(np.stack(waiting))
    return folder.num_records / (time.perf_counter() - started)


def beam_job(options, store: str) -> float:
    """Images per second of the job, from its start to the statistics' last byte."""
    from eval import fid

    fid.run(dataclasses.replace(options, out=store, features=f"{store}/features"))
    figures = json.loads(pathlib.Path(store, "run.json").read_text())
    return figures["features_computed"] / figures["seconds_of_features"]


def features(rows: list[str], count: int, rounds: int, batch_size: int) -> dict[str, float]:
    """Prints the rows `loop` and `job`, and returns {row: images a second}."""
    from eval.scoring import network
    from eval.scoring.arguments import Options

    with tempfile.TemporaryDirectory() as scratch:
        folder = write_records(pathlib.Path(scratch, "records"), count)
        options = Options(
            real=(folder.path,),
            fake=(folder.path,),
            out=scratch,
            extractor="random",
            batch_size=batch_size,
            framework="tensorflow",
            allow_overlap=True,  # of a folder with itself: only the features are timed
        )
        extractor = network.shared_extractor(options)
        extractor.features(np.zeros((batch_size, SIDE, SIDE, 3), np.uint8))
        rates: dict[str, list[float]] = {"loop": [], "job": []}
        for number in range(rounds):
            if "loop" in rows:
                rates["loop"].append(plain_loop(folder, extractor, batch_size))
            if "job" in rows:
                rates["job"].append(beam_job(options, f"{scratch}/{number}"))
        for name, values in rates.items():
            if values:
                print(f"{name:8} {statistics.median(values):6.1f} images/s{_beside(name, rates)}", flush=True)
    return {name: statistics.median(values) for name, values in rates.items() if values}


def _beside(name: str, rates: dict[str, list[float]]) -> str:
    if name == "loop" or not rates["loop"]:
        return ""
    ratios = [job / loop for job, loop in zip(rates["job"], rates["loop"], strict=True)]
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    return f"   {statistics.median(ratios):.2f} of the loop (rounds: {shown})"


def jax_engine(count: int, batch_size: int) -> None:
    from eval.features.extractors import load_extractor

    extractor = load_extractor("random", framework="jax")
    batch = np.random.default_rng(0).integers(0, 256, (batch_size, SIDE, SIDE, 3), dtype=np.uint8)
    extractor.features(batch)
    batches = max(1, count // batch_size)
    started = time.perf_counter()
    for _ in range(batches):
        extractor.features(batch)
    print(f"jax      {batches * batch_size / (time.perf_counter() - started):6.1f} images/s", flush=True)


def engines(rounds: int, batch_size: int) -> dict[str, Any]:
    """Prints the rate of every engine, and returns the rates beside the operations and the rate of the machine."""
    import fid_engines

    from coltran.training.meter import matmul_rate
    from eval.features.inception_weights import random_weights
    from eval.features.resize import TF1

    batch = np.random.default_rng(0).integers(0, 256, (batch_size, SIDE, SIDE, 3), dtype=np.uint8)
    rate = matmul_rate("float32")
    names = fid_engines.installed()
    found = fid_engines.measure(names, random_weights(0), TF1, batch, rounds)
    rate = max(rate, matmul_rate("float32"))
    flops = fid_engines.operations()
    for name, row in found.items():
        share = row["images_per_second"] * flops / rate
        print(
            f"{name:12} {row['images_per_second']:6.1f} images/s, {share:.2f} of the matmul rate, "
            f"features differ from {names[0]}'s by {row['difference']:.1e} at most",
            flush=True,
        )
    missing = sorted(set(fid_engines.ENGINES) - found.keys())
    if missing:
        print(f"not installed: {', '.join(missing)}", flush=True)
    return {"engines": found, "rate": rate, "flops": flops}


def numbers() -> None:
    from eval.distances.frechet import frechet_distance
    from eval.distances.spread import measure_spread
    from eval.distances.statistics import Statistics
    from eval.scoring.set_features import merge

    rng = np.random.default_rng(0)
    sets = [[rng.normal(size=(500, 2048)).astype(np.float32) for _ in range(10)] for _ in range(2)]
    started = time.perf_counter()
    groups = [[Statistics.from_features(block) for block in side] for side in sets]
    merged = [merge(side) for side in groups]
    print(f"merging  {time.perf_counter() - started:6.2f} s for two sets of 5000", flush=True)
    started = time.perf_counter()
    frechet_distance(*merged)
    print(f"distance {time.perf_counter() - started:6.2f} s", flush=True)
    started = time.perf_counter()
    measure_spread(*groups)
    print(f"score    {time.perf_counter() - started:6.2f} s with its standard error and curve", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--images", type=int, default=512, help="in the records (512)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--json", type=pathlib.Path, help="also write the rows loop, job and engines to this file")
    options = parser.parse_args()
    cli.quiet_libraries()
    print(f"{os.cpu_count()} cores, {options.images} images of {SIDE}x{SIDE}, batches of {options.batch_size}")
    found: dict[str, Any] = {}
    if {"loop", "job"} & set(options.rows):
        found |= features(options.rows, options.images, options.rounds, options.batch_size)
    if "jax" in options.rows:
        jax_engine(options.images // 4, options.batch_size)
    if "engines" in options.rows:
        found |= engines(options.rounds, options.batch_size)
    if "numbers" in options.rows:
        numbers()
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        print(f"memory   {int(peak.split()[1]) / 1e6:6.2f} GB at most")


if __name__ == "__main__":
    main()
