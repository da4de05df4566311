"""How fast sampling is at the paper's size, beside the machine's own matmul rate, in one run.

    python benchmarks/sampling.py                       every row, float32 (about 6 minutes on 2 cores)
    python benchmarks/sampling.py --rows colorizer --batches 1 16
    python benchmarks/sampling.py --dtypes bfloat16 float32 --batches 1 16 64 256    on a GPU

Random weights, 64x64 and 256x256 pixels. A row's limit is its counted floating-point operations
(coltran/networks/flops.py) at the rate of a product of two large matrices (coltran/training/meter.py), measured right
before and after the row; `of limit` is how many times longer it took. Every row runs in a process of its own, so that
its peak memory is its own. A row's first call compiles; `--cold` leaves the disk cache of compiled programs out.

`--baseline SECONDS` prints, beside each colorizer row, how many times faster that is than SECONDS an image.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from alone import alone, is_shared
from training import peak_bytes

ROWS = ("colorizer", "encoder", "color_upsampler", "spatial_upsampler")


def program(row: str, batch: int, dtype: str):
    """(function that makes a batch once, FLOPs of an image)."""
    import jax
    import numpy as np

    from coltran.networks import flops, presets
    from coltran.networks.config import replace_fields
    from coltran.sampling.pipeline import ColorizationPipeline
    from coltran.sampling.programs import UpsamplerProgram
    from coltran.weights import parameters

    stage = "colorizer" if row == "encoder" else row
    side = 256 if row == "spatial_upsampler" else 64
    config = presets.network_config(stage, "coltran", height=side, width=side)
    network = parameters.build(replace_fields(config, {"compute_dtype": dtype}), seed=0)
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (batch, side, side), dtype=np.uint8)
    if stage == "colorizer":
        pipeline = ColorizationPipeline(colorizer=network, batch_size=batch)
        if is_shared():
            context = pipeline._encode.prepare(gray.astype(np.int32))
            pipeline._sample.prepare(context, np.zeros((batch, 2), np.uint32))
        if row == "encoder":
            encode = pipeline.encode
            return (lambda: jax.block_until_ready(encode(gray.astype(np.int32)))), flops.encoder(config)
        keys = [str(number) for number in range(batch)]
        call = {"keys": keys, "sample_indices": [0] * batch, "seed": 0}
        return (lambda: pipeline.colorize(gray, **call)), flops.colorizer_sample(config)
    upsample = UpsamplerProgram(network, batch_size=batch)
    levels = rng.integers(0, config.num_input_levels, (batch, side, side, 3), dtype=np.int32)
    if is_shared():
        upsample._program.prepare(levels, gray.astype(np.int32))
    return (lambda: upsample(levels, gray.astype(np.int32))), flops.upsampler_image(config)


def measure(row: str, batch: int, dtype: str, seconds: float) -> dict[str, float]:
    """One row, in this process: compile time, seconds an image, FLOPs, matmul rate, peak memory."""
    from coltran.training.meter import matmul_rate

    run, flops_per_image = program(row, batch, dtype)
    times = []
    with alone():
        started = time.perf_counter()
        run()
        first = time.perf_counter() - started
        rate = matmul_rate(dtype)
        while not times or sum(times) < seconds:
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
        rate = max(rate, matmul_rate(dtype))
    best = min(times)
    return {
        "compile": max(first - best, 0),
        "seconds": best / batch,
        "flops": flops_per_image,
        "rate": rate,
        "peak_gb": peak_bytes() / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--spatial_batches", nargs="+", type=int, default=[1], help="of the spatial upsampler (1)")
    parser.add_argument("--dtypes", nargs="+", choices=("float32", "bfloat16"), default=["float32"])
    parser.add_argument("--seconds", type=float, default=3.0, help="repeat a row for at least so long (3)")
    parser.add_argument("--baseline", type=float, help="seconds an image of another colorizer program")
    parser.add_argument("--cold", action="store_true", help="compile anew")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        row, batch, dtype = options.measure.split(",")
        print(json.dumps(measure(row, int(batch), dtype, options.seconds)))
        return
    print(f"{os.cpu_count()} cores; a row's limit is its FLOPs at the matmul rate beside it")
    print("row                dtype     batch   s/image  images/s   TFLOP  TFLOP/s  of limit  compile  peak GB")
    for dtype in options.dtypes:
        for row in options.rows:
            # An image of 256x256 is a batch for itself by default: the sampler takes them one by one.
            for batch in options.spatial_batches if row == "spatial_upsampler" else options.batches:
                print(_line(row, batch, dtype, options), flush=True)


def _line(row: str, batch: int, dtype: str, options: argparse.Namespace) -> str:
    command = [sys.executable, __file__, f"--measure={row},{batch},{dtype}", f"--seconds={options.seconds}"]
    with tempfile.TemporaryDirectory() as empty:
        environment = os.environ | ({"JAX_COMPILATION_CACHE_DIR": empty} if options.cold else {})
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    of_limit = found["seconds"] * found["rate"] / found["flops"]
    faster = f"   {options.baseline / found['seconds']:.0f} x" if options.baseline and row == "colorizer" else ""
    speed = f"{found['seconds']:9.4f} {1 / found['seconds']:9.2f}"
    limit = f"{found['flops'] / 1e12:7.3f} {found['rate'] / 1e12:8.3f} {of_limit:9.2f}"
    return f"{row:18} {dtype:9} {batch:5d} {speed} {limit} {found['compile']:7.1f}s {found['peak_gb']:8.2f}{faster}"


if __name__ == "__main__":
    main()
