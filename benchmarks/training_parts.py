"""Small colorizers on a CPU: a batch computed whole, and in parts that fit the caches, alternating in one run.

    python benchmarks/training_parts.py                        hidden sizes 64 and 128 at 16x16 and 32x32, 3 minutes
    python benchmarks/training_parts.py --networks 16,128 --parts 1 2 4 8 16

`parts 0` is what coltran-train chooses by itself (`--accumulate 0`). `of matmul` is the counted operations a second as
a share of a plain product's of two square matrices in the same process. Seconds are the least of --steps.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import time

import jax
from alone import alone
from training import random_batch

from coltran.networks import flops, presets
from coltran.networks.config import replace_fields
from coltran.training import step as train_step
from coltran.training.mesh import Placement
from coltran.training.meter import matmul_rate
from coltran.training.options import StepOptions, train_options

PIXELS = 8192  # of a batch: 32 images of 16x16, 8 of 32x32


def measure(side: int, hidden_size: int, parts: list[int], steps: int) -> dict[str, dict[str, float]]:
    """Returns {number of parts: {images_per_second, of_matmul}}."""
    size = {"hidden_size": hidden_size, "ff_size": hidden_size}
    layers = {"num_encoder_layers": 2, "num_outer_layers": 1, "num_inner_layers": 1}
    config = presets.network_config("colorizer", "coltran", height=side, width=side)
    config = replace_fields(config, {**size, **layers})
    batch = PIXELS // side**2
    options, placement = train_options("colorizer", "coltran", {"batch_size": batch}), Placement()
    data = placement.put_batch(random_batch("colorizer", config, batch), batch)
    programs = {}
    for number in parts:
        step = train_step.make_train_step(config, options, placement, StepOptions(accumulate=number))
        state, _ = jax.block_until_ready(step(placement.put(train_step.initial_state(config, options)), data))
        programs[number] = (step, state, [])
    with alone():
        rate = matmul_rate("float32")
        for _ in range(steps):
            for number, (step, state, times) in programs.items():
                started = time.perf_counter()
                state, _ = jax.block_until_ready(step(state, data))
                times.append(time.perf_counter() - started)
                programs[number] = (step, state, times)
        rate = max(rate, matmul_rate("float32"))
    operations = batch * flops.training_example(config)
    return {
        str(number): {"images_per_second": batch / min(times), "of_matmul": operations / min(times) / rate}
        for number, (_, _, times) in programs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["16,64", "16,128", "32,64", "32,128"], metavar="SIDE,HIDDEN")
    parser.add_argument("--parts", nargs="+", type=int, default=[1, 0], help="the first is compared with (1 0)")
    parser.add_argument("--steps", type=int, default=8, help="measured of each (8)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    print("side  hidden  parts  images/s  of matmul  of the first's rate")
    found = {}
    for network in options.networks:
        side, hidden_size = map(int, network.split(","))
        found[network] = measure(side, hidden_size, options.parts, options.steps)
        first = found[network][str(options.parts[0])]["images_per_second"]
        for number, row in found[network].items():
            rate = row["images_per_second"]
            print(f"{side:4d} {hidden_size:7d} {number:>6} {rate:9.1f} {row['of_matmul']:9.0%} {rate / first:9.2f}")
    if options.json:
        options.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
