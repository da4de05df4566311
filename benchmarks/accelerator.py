"""Many programs on one accelerator within a fixed time: they compile side by side, and are timed one after the other.

    python benchmarks/accelerator.py rows --out out --seconds 200              the tables of training and sampling
    python benchmarks/accelerator.py tasks --tasks tasks.json --records records --out out --seconds 400

`rows` prints what `benchmarks/training.py` and `benchmarks/sampling.py` print, at the paper's size (`--small` for a
rehearsal without an accelerator). `tasks` trains the networks of a task file (accelerator_training.py), `--at_once` of
them side by side, in the order of the file. What is not done at the deadline gets SIGTERM, which makes training save
what it has. Logs lie in <out>/logs.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
TRIES = 3  # of a program that fails: programs that compile beside it may have had all of the memory
GRACE = 15  # seconds that a program has to save its work after SIGTERM

# What needs most memory comes first.
TRAINING_ROWS = (
    ("colorizer", 224, ("--remat",)),
    ("color_upsampler", 64, ()),
    ("colorizer", 32, ()),
    ("spatial_upsampler", 4, ()),
    ("spatial_upsampler", 16, ("--remat",)),
    ("color_upsampler", 256, ("--remat",)),
)
SAMPLING_ROWS = (
    *(("colorizer", batch, dtype) for batch in (1, 64, 256, 512) for dtype in ("float32", "bfloat16")),
    *(("color_upsampler", 64, dtype) for dtype in ("float32", "bfloat16")),
    *(("spatial_upsampler", batch, dtype) for batch in (1, 8) for dtype in ("float32", "bfloat16")),
)


def rows(small: bool) -> dict[str, list[str]]:
    """{name: command}, one for each line of the two tables."""
    commands = {}
    for stage, batch, flags in TRAINING_ROWS[:1] if small else TRAINING_ROWS:
        batch, dtype = (1, "float32") if small else (batch, "bfloat16")
        arguments = ["--stages", stage, "--batches", str(batch), "--dtypes", dtype, "--no_input", *flags]
        steps = ["--steps", "1" if small else "8"]
        name = f"training_{stage}_{batch}{'_remat' * ('--remat' in flags)}"
        commands[name] = [sys.executable, str(HERE / "training.py"), *arguments, *steps]
    for row, batch, dtype in SAMPLING_ROWS:
        if small and (row, batch) != ("colorizer", 1):
            continue
        size = ["--batches", str(batch), "--spatial_batches", str(batch), "--seconds", "1"]
        command = [sys.executable, str(HERE / "sampling.py"), "--rows", row, "--dtypes", dtype, *size]
        commands[f"sampling_{row}_{batch}_{dtype}"] = command
    # The small network's passes are a trained one's; the paper's size says what a pass costs.
    windows = ["--batch_sizes", "1", "--windows", "1", "4", "8", "16", "32"]
    forecast = [sys.executable, str(HERE / "forecast.py"), *windows, "--repeats", "1" if small else "5"]
    commands["forecast_built_in"] = [*forecast, "--images", "1" if small else "8"]
    if not small:
        commands["forecast_paper"] = [*forecast, "--images", "1", "--paper"]
    return commands


def tasks(options: argparse.Namespace) -> dict[str, list[str]]:
    """{name: command}, one for each task of the file."""
    script = str(HERE / "accelerator_training.py")
    shared = ["--tasks", str(options.tasks), "--records", str(options.records), "--out", str(options.out)]
    return {name: [sys.executable, script, "--task", name, *shared] for name in json.loads(options.tasks.read_text())}


def run_all(commands: dict[str, list[str]], out: pathlib.Path, at_once: int, deadline: float) -> None:
    """Runs the commands, `at_once` side by side, until the deadline (time.monotonic)."""
    (out / "logs").mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "COLTRAN_BENCHMARK_LOCK": str(out / "logs" / "lock"),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.95",
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
        "PYTHONUNBUFFERED": "1",
    }
    waiting, running, tries = list(commands.items()), {}, dict.fromkeys(commands, TRIES)
    while (waiting or running) and time.monotonic() < deadline:
        while waiting and len(running) < at_once:
            name, command = waiting.pop(0)
            tries[name] -= 1
            with open(out / "logs" / f"{name}.txt", "a") as log:
                running[name] = subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
                )
        for name in [name for name, process in running.items() if process.poll() is not None]:
            status = running.pop(name).returncode
            _say(name, status, out)
            if status and tries[name]:
                waiting.insert(0, (name, commands[name]))
        time.sleep(0.1)
    for process in running.values():
        os.killpg(process.pid, signal.SIGTERM)
    ending = time.monotonic() + GRACE
    for name, process in running.items():
        try:
            process.wait(max(0.1, ending - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        _say(name, process.wait(), out)
    for name, _ in waiting:
        print(f"{name}: not begun before the deadline", flush=True)


def _say(name: str, status: int, out: pathlib.Path) -> None:
    lines = (out / "logs" / f"{name}.txt").read_text().splitlines()
    print(f"{name} (status {status}): {lines[-1] if lines else 'printed nothing'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rows", "tasks"))
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="from now; then what still runs is ended")
    parser.add_argument("--at_once", type=int, default=12, help="programs side by side (12)")
    parser.add_argument("--tasks", type=pathlib.Path)
    parser.add_argument("--records", type=pathlib.Path)
    parser.add_argument("--only", nargs="+", help="of `rows`, these names alone")
    parser.add_argument("--small", action="store_true", help="a rehearsal of `rows` on a CPU")
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    commands = rows(options.small) if options.what == "rows" else tasks(options)
    if options.only:
        commands = {name: commands[name] for name in options.only}
    run_all(commands, options.out, options.at_once, deadline)


if __name__ == "__main__":
    main()
