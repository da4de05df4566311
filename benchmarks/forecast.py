"""Sampling by forecasts against the plain order: passes a row, seconds, and differing symbols, in one run.

    python benchmarks/forecast.py --images 16 --batch_sizes 1 4 16 --windows 1 2 4 8 32
    python benchmarks/forecast.py --images 1000 --batch_sizes 8 --windows 1 8 --repeats 0     counts symbols only
    python benchmarks/forecast.py --paper --images 1 --batch_sizes 1 --windows 1 4

The first window is what the others are compared with. The gray images are smooth noise, or with --records those of a
record folder. The network is the one in the box, or --colorizer, or with --paper one of the paper's size with random
weights, whose passes say nothing of a trained one's. Windows alternate, so that a machine that slows down slows all of
them. Seconds are the medians of --repeats, encoder left out.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import time

import jax
import numpy as np
from alone import alone

from coltran.networks import presets
from coltran.networks.colorizer import Colorizer
from coltran.sampling import sampler
from coltran.sampling.choices import SamplerOptions
from coltran.sampling.programs import Program
from coltran.sampling.random_keys import sample_keys
from coltran.weights import built_in, checkpoint, parameters


def gray_images(count: int, side: int, records: str | None) -> np.ndarray:
    """The gray images, int32 [count, side, side]."""
    if records is not None:
        from coltran.records import folder as record_folder, schema

        found = record_folder.open_folder(records).read([schema.GRAY_LO])
        return np.stack([values[schema.GRAY_LO] for values, _ in zip(found, range(count), strict=False)]).astype(
            np.int32
        )
    coarse = np.random.default_rng(0).uniform(0, 256, (count, 6, 6)).astype(np.float32)
    return np.asarray(jax.image.resize(coarse, (count, side, side), "cubic")).clip(0, 255).astype(np.int32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--colorizer", default=None, help="checkpoint folder")
    parser.add_argument("--records", default=None, help="record folder whose gray images are colored")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--windows", type=int, nargs="+", default=[1, 2, 4, 8, 32])
    parser.add_argument("--repeats", type=int, default=3, help="timed runs after the first one; 0 for no times")
    parser.add_argument("--paper", action="store_true", help="random weights of the paper's size")
    parser.add_argument("--json", default=None, metavar="FILE", help="also write the rows there")
    options = parser.parse_args()
    rows = measure(options)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1))


def _network(options: argparse.Namespace) -> Colorizer:
    if options.paper:
        return parameters.build(presets.network_config("colorizer", "coltran", height=64, width=64), seed=0)
    return checkpoint.load_network(options.colorizer or built_in.folder("colorizer"), stage="colorizer")[0]


def measure(options: argparse.Namespace) -> list[dict[str, float]]:
    """Prints the rows, and returns them."""
    network, rows = _network(options), []
    side = network.config.height
    gray = gray_images(options.images, side, options.records)
    keys = np.asarray(sample_keys(1, [f"image {i}" for i in range(len(gray))], [0] * len(gray)))
    encode = Program(network, Colorizer.encode)

    def program(window: int) -> Program:
        chosen = SamplerOptions(window=window)
        return Program(network, lambda net, context, keys: sampler.sample_from_context(net, context, keys, chosen))

    programs = {window: program(window) for window in options.windows}
    print("batch  window  s/image  of the first  passes a row (10%, mean, 90%)  differing symbols")
    for batch in options.batch_sizes:
        parts = [(encode(gray[i : i + batch]), keys[i : i + batch]) for i in range(0, len(gray) - batch + 1, batch)]
        seconds: dict[int, list[float]] = {window: [] for window in programs}
        drawn = {}
        for window, sample in programs.items():  # compiles
            drawn[window] = [jax.device_get(sample(*part)) for part in parts]
        with alone():
            for window, sample in list(programs.items()) * options.repeats:
                started = time.perf_counter()
                for part in parts:
                    jax.device_get(sample(*part))
                seconds[window].append((time.perf_counter() - started) / (len(parts) * batch))
        plain = _joined(drawn[options.windows[0]], "symbols_BHW")
        for window, made in drawn.items():
            passes = _joined(made, "passes_BH")
            rows.append(
                {
                    "batch": batch,
                    "window": window,
                    "seconds": float(np.median(seconds[window])) if options.repeats else float("nan"),
                    "passes": float(passes.mean()),
                    "passes_10": float(np.percentile(passes, 10)),
                    "passes_90": float(np.percentile(passes, 90)),
                    "differing": int((_joined(made, "symbols_BHW") != plain).sum()),
                    "symbols": plain.size,
                }
            )
            first = next(row for row in rows if row["batch"] == batch)
            print(_line(rows[-1], first["seconds"]), flush=True)
    return rows


def _joined(parts: list, name: str) -> np.ndarray:
    return np.concatenate([getattr(part, name) for part in parts])


def _line(row: dict[str, float], first: float) -> str:
    passes = f"{row['passes_10']:4.0f} {row['passes']:6.1f} {row['passes_90']:4.0f}"
    counts = f"{row['differing']} of {row['symbols']}"
    speed = f"{row['seconds']:8.4f} {row['seconds'] / first:13.2f}"
    return f"{row['batch']:5}  {row['window']:6} {speed}  {passes:>29}  {counts}"


if __name__ == "__main__":
    main()
