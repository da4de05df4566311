"""Rewrites benchmarks/README.md: the rows of all benchmarks in one table, each beside its peer and its limit.

    python benchmarks/table.py                       runs the rows that have no result yet, then writes the page
    python benchmarks/table.py --rows colorizer_1    runs these again, whether they have a result or not
    python benchmarks/table.py --read                runs nothing

Every row is a command in a process of its own. Its result is a file in benchmarks/results/rows with the command, the
machine and the date; so a stopped run goes on with the row at which it stopped, and rows of several machines can stand
in one table. A row is compared with its own peer and limit only, which are measured in the same process.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results" / "rows"
PAGE = HERE / "README.md"

_HEADER = """\
# Benchmarks: the table

`python benchmarks/table.py` writes this page from `benchmarks/results/rows`; each program says what it measures. A
row's limit is its counted operations at the matmul rate measured in the same process; its peer is another way to the
same result. Ratios can be compared between machines, seconds cannot. "Load" is how many programs wanted a core in the
minute before the row, the row before it included: far above the number of cores, seconds are too long, and ratios
uncertain.

| row | result | peer | of its limit | machine | load | date |
|---|---|---|---|---|---|---|
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
      name: of its result's file.
      title: what was measured.
      command: the program's arguments, without Python; `{json}` stands for a file that the program writes. Without it,
        the last line that the program prints is its JSON.
      show: turns the program's JSON into result, peer and limit.
    """

    name: str
    title: str
    command: tuple[str, ...]
    show: Callable[[Any], tuple[str, str, str]]


def _sampled(found: dict[str, float]) -> tuple[str, str, str]:
    of_limit = found["seconds"] * found["rate"] / found["flops"]
    return f"{found['seconds']:.3g} s an image, {found['peak_gb']:.2f} GB", "", f"{of_limit:.2f} times"


def _trained(batch: int) -> Callable[[dict[str, float]], tuple[str, str, str]]:
    def show(found: dict[str, float]) -> tuple[str, str, str]:
        of_limit = found["step"] * found["rate"] / found["flops"]
        return f"{batch / found['step']:.3g} images/s, {found['peak_gb']:.2f} GB", "", f"{of_limit:.2f} times"

    return show


def _forecast(found: Sequence[dict[str, float]]) -> tuple[str, str, str]:
    plain, made = found
    result = f"{made['seconds']:.3g} s an image, {made['passes']:.1f} passes a row"
    ratio = f"{made['seconds'] / plain['seconds']:.2f} of the plain order's {plain['seconds']:.3g} s"
    return result, f"{ratio}, {made['differing']} of {made['symbols']} symbols differ", ""


def _driver(found: dict[str, float]) -> tuple[str, str, str]:
    one_by_one = found["shards"] * found["delay"]
    peer = f"{found['seconds'] / one_by_one:.2f} of a request for each shard, one after the other"
    return f"{found['seconds']:.3g} s, rerun {found['rerun']:.2g} s", peer, ""


def _study(found: dict[str, float]) -> tuple[str, str, str]:
    made = f"its {found['images']:,} PNGs and {found['public_files']:,} public files"
    peer = f"design {found['design'] / found['files']:.2f} times making {made} in one process"
    return f"design {found['design']:.3g} s, exports {found['export']:.3g} s", peer, ""


def _fid_job(found: dict[str, float]) -> tuple[str, str, str]:
    return f"{found['job']:.3g} images/s", f"{found['job'] / found['loop']:.2f} of a plain loop's rate", ""


def _fid_engines(found: dict[str, Any]) -> tuple[str, str, str]:
    rates = {name: row["images_per_second"] for name, row in found["engines"].items()}
    default, *others = rates
    peers = ", ".join(f"{name} {rates[name] / rates[default]:.2f} times as fast" for name in others)
    limit = found["rate"] / found["flops"] / rates[default]
    return f"{default} {rates[default]:.3g} images/s", peers, f"{limit:.2f} times"


def _preprocessed(found: dict[str, dict[str, float]]) -> tuple[str, str, str]:
    made, loop, alone = found["c2"], found["b"], found["a"]
    result = f"{made['speed']:.3g} images/s with 2 workers, {loop['speed']:.3g} in a loop"
    peer = f"the loop {loop['ratio']:.2f} of Pillow's decoding alone, {alone['speed']:.3g} images/s"
    return result, peer, f"{made['ratio']:.2f} of two loops"


def _started(found: dict[str, dict[str, list[float]]]) -> tuple[str, str, str]:
    """Tells the slowest of the helps and of the refusals, and the small jobs, in seconds of the processors."""
    busy = {title: times["now"][1] for title, times in found.items()}
    slowest = {word: max(busy[title] for title in busy if word in title) for word in ("--help", "no such")}
    jobs = ", ".join(f"{title} {busy[title]:.2g} s" for title in list(busy)[-3:])
    return f"--help at most {slowest['--help']:.2g} s, a mistake {slowest['no such']:.2g} s; {jobs}", "", ""


def _parts(found: dict[str, dict[str, dict[str, float]]]) -> tuple[str, str, str]:
    sizes = {"{} pixels a side, hidden {}".format(*network.split(",")): rows for network, rows in found.items()}
    results = "; ".join(f"{size}: {rows['0']['images_per_second']:.3g} images/s" for size, rows in sizes.items())
    gains = ", ".join(
        f"{rows['0']['images_per_second'] / rows['1']['images_per_second']:.2f}" for rows in sizes.values()
    )
    limits = ", ".join(f"{1 / rows['0']['of_matmul']:.2f}" for rows in sizes.values())
    return results, f"{gains} of the rate with whole batches", f"{limits} times"


def _rows() -> list[Row]:
    rows = []
    for network, batch in (
        ("colorizer", 1),
        ("colorizer", 4),
        ("colorizer", 16),
        ("encoder", 1),
        ("color_upsampler", 16),
        ("spatial_upsampler", 1),
    ):
        command = ("sampling.py", f"--measure={network},{batch},float32")
        rows.append(Row(f"{network}_{batch}", f"sampling, {network}, batch {batch}", command, _sampled))
    for stage in ("colorizer", "color_upsampler", "spatial_upsampler"):
        command = ("training.py", f"--measure={stage},1,float32")
        rows.append(Row(f"training_{stage}_1", f"training, {stage}, batch 1", command, _trained(1)))
    command = ("training_parts.py", "--json", "{json}")
    rows.append(Row("training_parts", "training, small colorizers, 32 images of 16x16, 8 of 32x32", command, _parts))
    windows = ("--windows", "1", "8", "--json", "{json}")
    for batch in (1, 4, 16):
        command = ("forecast.py", "--batch_sizes", str(batch), *windows)
        rows.append(Row(f"forecast_{batch}", f"forecasts of 8, model in the box, batch {batch}", command, _forecast))
    command = ("forecast.py", "--paper", "--images", "1", "--batch_sizes", "1", *windows)
    rows.append(Row("forecast_paper", "forecasts of 8, paper's size, random weights, batch 1", command, _forecast))
    command = ("driver.py", "--shards", "2560", "--delay", "0.05", "--json", "{json}")
    rows.append(Row("driver", "a job of 2,560 shards beside its shards, 50 ms a request", command, _driver))
    command = ("study.py", "--json", "{json}")
    rows.append(Row("study", "a study of 500 images x 3 samples x 5 raters", command, _study))
    command = ("fid.py", "--rows", "engines", "--rounds", "5", "--json", "{json}")
    rows.append(Row("fid_engines", "Inception features of 32 images of 256x256, by engine", command, _fid_engines))
    command = ("fid.py", "--rows", "loop", "job", "--images", "256", "--rounds", "2", "--json", "{json}")
    rows.append(Row("fid_job", "features of 256 records by the job of FID", command, _fid_job))
    command = ("preprocess.py", "--rounds", "3", "--json", "{json}")
    rows.append(Row("preprocess", "preprocessing photos of ImageNet's size (COLTRAN_PHOTOS)", command, _preprocessed))
    command = ("startup.py", "--rounds", "3", "--json", "{json}")
    rows.append(Row("startup", "start of the commands, processor seconds", command, _started))
    return rows


ROWS = {row.name: row for row in _rows()}


def run(row: Row) -> dict[str, Any]:
    """Runs a row's program. Raises CalledProcessError if it fails."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        written = pathlib.Path(folder) / "rows.json"
        command = [argument.format(json=written) for argument in row.command]
        command[0] = str(HERE / command[0])
        done = subprocess.run([sys.executable, *command], check=True, stdout=subprocess.PIPE, text=True)
        text = written.read_text() if written.exists() else done.stdout.splitlines()[-1]
    return {
        "command": f"python benchmarks/{' '.join(row.command).format(json='rows.json')}",
        "machine": machine(),
        "load": round(load, 1),
        "date": datetime.date.today().isoformat(),
        "found": json.loads(text),
    }


def machine() -> str:
    """Names the accelerator, or the processor and how many cores this process may use."""
    import jax

    if jax.default_backend() != "cpu":
        return f"{jax.device_count()} {jax.devices()[0].device_kind}"
    return f"{len(os.sched_getaffinity(0))} cores of {processor()}"


def processor() -> str:
    """Names the processor."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def page(results: dict[str, dict[str, Any]]) -> str:
    """Writes the page from {name: result}; rows without a result say so."""
    lines, commands = [], []
    for name, row in ROWS.items():
        if name not in results:
            lines.append(f"| {row.title} | not measured | | | | | |")
            continue
        found = results[name]
        cells = (row.title, *row.show(found["found"]), found["machine"], found["load"], found["date"])
        lines.append(f"| {' | '.join(map(str, cells))} |")
        commands.append(f"- {row.title}: `{found['command']}`")
    return _HEADER + "\n".join(lines) + "\n\nCommands:\n" + "\n".join(commands) + "\n"


def saved() -> dict[str, dict[str, Any]]:
    """Reads the results that are there, {name: result}."""
    files = {name: RESULTS / f"{name}.json" for name in ROWS}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, help="run these (those without a result)")
    parser.add_argument("--read", action="store_true", help="run nothing")
    options = parser.parse_args(argv)
    wanted = options.rows or [name for name in ROWS if name not in saved()]
    for name in [] if options.read else wanted:
        result = run(ROWS[name])
        RESULTS.mkdir(parents=True, exist_ok=True)
        part = RESULTS / f"{name}.json.part"
        part.write_text(json.dumps(result, indent=1) + "\n")
        part.replace(RESULTS / f"{name}.json")
        print(name, *ROWS[name].show(result["found"]), sep="  ", flush=True)
        PAGE.write_text(page(saved()))
    PAGE.write_text(page(saved()))


if __name__ == "__main__":
    main()
