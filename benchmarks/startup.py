"""How long each command takes before it does what it is for: help, a user's mistake, and a job of a few images.

    python benchmarks/startup.py --before CHECKOUT    this checkout and another one, in turn
    python benchmarks/startup.py                      this checkout alone

Every line is a command in a process of its own. Wall time grows with whatever else runs on the machine, so the
processor's seconds stand beside it; of several rounds the median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent.parent
COLORIZER = "--stage colorizer --config smoke"
# Title, module, arguments. OUT is a new folder each time.
LINES = [
    ("preprocess --help", "pipelines.preprocess", "--help"),
    ("colorize --help", "coltran.colorize", "--help"),
    ("train --help", "coltran.train", "--help"),
    ("sample --help", "eval.sample", "--help"),
    ("fid --help", "eval.fid", "--help"),
    ("study design --help", "human_eval.study", "design --help"),
    ("import --help", "coltran.import_release", "--help"),
    ("preprocess, no such folder", "pipelines.preprocess", "--source nowhere --out OUT"),
    ("preprocess, finished folder", "pipelines.preprocess", "--source photos --out records --hi 32 --lo 16"),
    ("preprocess --dry_run", "pipelines.preprocess", "--source photos --out OUT --hi 32 --lo 16 --dry_run"),
    ("colorize, no such network", "coltran.colorize", "photos --out OUT --colorizer nowhere"),
    ("train, no such records", "coltran.train", f"{COLORIZER} --data nowhere --workdir OUT"),
    ("train --evaluate, no such network", "coltran.train", "--evaluate --data records --checkpoint nowhere"),
    ("sample, no such records", "eval.sample", "--records nowhere --out OUT --seed 1 --colorizer built_in"),
    ("fid, no such images", "eval.fid", "--real nowhere --fake photos --out OUT --extractor random"),
    ("study design, no such images", "human_eval.study", "design --truth nowhere --colorized p --out OUT --seed 1"),
    ("import, no such checkpoint", "coltran.import_release", "--from nowhere --to OUT"),
    ("preprocess, 8 photos", "pipelines.preprocess", "--source photos --out OUT --hi 32 --lo 16"),
    ("colorize, 1 photo", "coltran.colorize", "photos/0.png --out OUT"),
    ("train, 1 step", "coltran.train", f"{COLORIZER} --data records --workdir OUT --steps 1 --batch_size 2"),
]


def prepare(folder: pathlib.Path) -> None:
    """Makes photos and their records."""
    (folder / "photos").mkdir()
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 256, (375, 500, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
    run(HERE, folder, "pipelines.preprocess", "--source photos --out records --hi 32 --lo 16")


def run(checkout: pathlib.Path, folder: pathlib.Path, module: str, arguments: str) -> tuple[float, float]:
    """Runs a command with the packages of a checkout. Returns its seconds of wall time and of the processors."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        words = [f"{out}/out" if word == "OUT" else word for word in arguments.split()]
        before, began = os.times(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-P", "-m", module, *words],
            capture_output=True,
            text=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(checkout)},
        )
        wall, after = time.perf_counter() - began, os.times()
    assert done.returncode == (2 if "nowhere" in arguments else 0), done.stderr
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def measure(checkouts: Mapping[str, pathlib.Path], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Runs all lines, each of every checkout in turn. Returns median [wall, processor] by title and checkout."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        prepare(folder)
        for _ in range(rounds):
            for title, module, arguments in LINES:
                for name, checkout in checkouts.items():
                    found.setdefault((title, name), []).append(run(checkout, folder, module, arguments))
    return {
        title: {
            name: [statistics.median(times) for times in zip(*found[title, name], strict=True)] for name in checkouts
        }
        for title, _, _ in LINES
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=pathlib.Path, metavar="FOLDER", help="another checkout of this project")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the medians there")
    options = parser.parse_args()
    checkouts = ({"before": options.before.resolve()} if options.before else {}) | {"now": HERE}
    found = measure(checkouts, options.rounds)
    print(f"seconds of wall time (and of the processors), medians of {options.rounds} rounds")
    print(f"{'':36}" + "".join(f"{name:>16}" for name in checkouts))
    for title, times in found.items():
        print(f"{title:36}" + "".join(f"{wall:8.2f} ({busy:5.2f})" for wall, busy in times.values()))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
