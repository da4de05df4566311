"""How fast training is at the paper's size, beside the machine's own matmul rate and its input, in one run.

    python benchmarks/training.py                                    on 2 CPU cores about 5 minutes
    python benchmarks/training.py --stages colorizer --batches 224 --dtypes bfloat16 --steps 50     on a GPU
    python benchmarks/training.py --stages colorizer --batches 224 --dtypes bfloat16 --accumulate 4 --remat

Random weights and records, 64x64 and 256x256 pixels. `of matmul` is the model's counted floating-point operations
(coltran/networks/flops.py: forward, and twice that for backward) a second, as a share of what a plain product of two
square matrices reached right before and after on as many devices: the utilization that training logs. `input/s` is how
many examples a second the input pipeline reads alone, from a record folder made for this run. Every row runs in a
process of its own, so that its peak memory is its own; on an accelerator that is the device's.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from typing import Any

from alone import alone

from coltran.records.stages import STAGES


def random_batch(stage: str, config, batch: int):
    """A batch as coltran/training/inputs.py makes it."""
    import numpy as np

    rng, shape = np.random.default_rng(0), (batch, config.height, config.width)
    gray = rng.integers(0, 256, shape, np.uint8)
    if stage == "colorizer":
        return {"gray": gray, "symbols": rng.integers(0, config.num_symbols, shape, np.uint16)}
    levels = rng.integers(0, config.num_input_levels, (*shape, 3), np.uint8)
    return {"gray": gray, "levels": levels, "target": rng.integers(0, 256, (*shape, 3), np.uint8)}


def measure(stage: str, batch: int, dtype: str, options: argparse.Namespace) -> dict[str, float]:
    """One row, in this process."""
    import jax

    from coltran.networks import flops, presets
    from coltran.networks.config import replace_fields
    from coltran.training import step as train_step
    from coltran.training.mesh import Placement
    from coltran.training.meter import matmul_rate
    from coltran.training.options import StepOptions, train_options

    side = 256 if stage == "spatial_upsampler" else 64
    config = presets.network_config(stage, "coltran", height=side, width=side)
    config = replace_fields(config, {"compute_dtype": dtype})
    placement = Placement()
    placement.check_batch(batch, options.accumulate or 1)
    training = train_options(stage, "coltran", {"batch_size": batch})
    how = StepOptions(accumulate=options.accumulate, remat=options.remat)
    step: Any = train_step.make_train_step(config, training, placement, how)
    state = placement.put(train_step.initial_state(config, training))
    data = placement.put_batch(random_batch(stage, config, batch), batch)
    started = time.perf_counter()
    step = step.lower(state, data).compile()
    compiling = time.perf_counter() - started
    times = []
    with alone():
        rate = matmul_rate(dtype)
        state, _ = jax.block_until_ready(step(state, data))
        for _ in range(options.steps):
            started = time.perf_counter()
            state, _ = jax.block_until_ready(step(state, data))
            times.append(time.perf_counter() - started)
        rate = max(rate, matmul_rate(dtype))
    return {
        "compile": compiling,
        "step": sorted(times)[len(times) // 2],
        "flops": batch * flops.training_example(config),
        "rate": rate * jax.device_count(),
        "peak_gb": peak_bytes() / 1e9,
    }


def peak_bytes() -> float:
    """Of the device, or of this process where the device has no memory of its own."""
    import jax

    used = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in used:
        return used["peak_bytes_in_use"]
    return int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) * 1000


def make_records(folder: pathlib.Path, count: int) -> str:
    """A record folder of made-up photos at 256 and 64 pixels."""
    import contextlib
    import io

    import numpy as np
    from PIL import Image

    from pipelines import preprocess

    photos = folder / "photos"
    photos.mkdir()
    for index in range(count):
        rng = np.random.default_rng(index)
        coarse = Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8))
        coarse.resize((256, 256), Image.Resampling.BICUBIC).save(photos / f"{index}.jpg", quality=95)
    with contextlib.redirect_stdout(io.StringIO()):
        preprocess.main(["--source", str(photos), "--out", str(folder / "records"), "--num_shards=2"])
    return str(folder / "records")


def input_rate(stage: str, records: str, batch: int, seconds: float) -> float:
    """Examples a second of the input pipeline, with nobody else at work."""
    from coltran.training import inputs

    with inputs.Examples(records, stage) as examples:
        batches = inputs.training_batches(examples, batch, 0, 0, 1_000_000)
        next(batches)
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            next(batches)
            count += batch
        elapsed = time.perf_counter() - started
        batches.close()
    return count / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--batches", nargs="+", type=int, default=[1], help="(1)")
    parser.add_argument("--dtypes", nargs="+", choices=("float32", "bfloat16"), default=["float32"])
    parser.add_argument("--steps", type=int, default=3, help="measured after the first one; the median counts (3)")
    parser.add_argument(
        "--accumulate", type=int, default=0, help="parts of a batch; 0 chooses, as coltran-train does (0)"
    )
    parser.add_argument("--remat", action="store_true")
    parser.add_argument("--input_batch", type=int, default=32, help="examples a batch of the input's rate (32)")
    parser.add_argument("--no_input", action="store_true", help="leave input/s out: it makes records with Apache Beam")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        stage, batch, dtype = options.measure.split(",")
        print(json.dumps(measure(stage, int(batch), dtype, options)))
        return
    print(f"{os.cpu_count()} cores; accumulate {options.accumulate}, remat {options.remat}")
    print("stage              dtype     batch    s/step  images/s  TFLOP/step  TFLOP/s  matmul  of matmul", end="  ")
    print("compile  peak GB  input/s")
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        records = None if options.no_input else make_records(pathlib.Path(folder), 256)
        for stage in options.stages:
            reads = 0.0 if records is None else input_rate(stage, records, options.input_batch, 3.0)
            for dtype in options.dtypes:
                for batch in options.batches:
                    lines.append(_line(stage, batch, dtype, reads))
                    print(lines[-1], flush=True)
    if any(" failed " in line for line in lines):
        sys.exit(1)


def _line(stage: str, batch: int, dtype: str, reads: float) -> str:
    command = [sys.executable, __file__, f"--measure={stage},{batch},{dtype}", *sys.argv[1:]]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return f"{stage:18} {dtype:9} {batch:5d}  failed with status {done.returncode} (out of memory?)"
    found = json.loads(done.stdout.splitlines()[-1])
    per_second = found["flops"] / found["step"]
    speed = f"{found['step']:9.3f} {batch / found['step']:9.2f} {found['flops'] / 1e12:11.2f}"
    rates = f"{per_second / 1e12:8.3f} {found['rate'] / 1e12:7.3f} {100 * per_second / found['rate']:9.0f}%"
    rest = f"{found['compile']:7.1f}s {found['peak_gb']:8.2f} {reads:8.0f}"
    return f"{stage:18} {dtype:9} {batch:5d} {speed} {rates} {rest}"


if __name__ == "__main__":
    main()
