"""The paper's experiments at a size that anyone can run: the numbers and the page docs/reproduction.md.

    python benchmarks/reproduction.py --train records/train32 --validation records/validation32 --out reproduction \\
        --lambdas 0=runs/lambda_0 0.001=runs/lambda_0.001 0.01=runs/coltran 0.1=runs/lambda_0.1
    python benchmarks/reproduction.py --page                   only writes the page, from benchmarks/results

Records are of the public 32x32 ImageNet, by `coltran-preprocess --hi none --lo 32 --stages colorizer,color_upsampler`.
`--colorizer` and `--color_upsampler` name other networks than those of the package, whose colorizer needs `--small
records/train16 records/validation16` (`--lo 16 --stages colorizer`) for its bits. Each part leaves a file in
benchmarks/results/reproduction, and a part whose file is there is not run again; samples and features of a part that
was interrupted stay in --out. Hours on 2 cores: baselines and quality 0.3 each, each FID row of 2,000 images 0.1.

The conditional layers of figure 3 are trained by `benchmarks/accelerator.sh` on a GPU (22 runs in 9 minutes of an
H100), or by `benchmarks/ablation.py` anywhere; the page reads benchmarks/results/variants_h100.json.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time

import reproduction_page
import reproduction_parts
import table

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results" / "reproduction"
PAGE = HERE.parent / "docs" / "reproduction.md"


def parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--train", help="record folder that the count models count")
    made.add_argument("--validation", help="record folder that nothing was trained on")
    made.add_argument("--small", nargs=2, metavar="RECORDS", help="both at the colorizer's side, if it is smaller")
    made.add_argument("--out", type=pathlib.Path, help="folder for samples and features")
    made.add_argument("--colorizer", default=reproduction_parts.built_in("colorizer"), help="(the package's)")
    made.add_argument("--color_upsampler", default=reproduction_parts.built_in("color_upsampler"), help="(its)")
    made.add_argument("--lambdas", nargs="*", default=[], metavar="L=FOLDER", help="colorizers of figure 4")
    made.add_argument("--num", type=int, default=2000, help="images of each FID row (2000; the paper: 5000)")
    made.add_argument("--table2_num", type=int, default=5000, help="images of each row of table 2 (5000)")
    made.add_argument("--quality_num", type=int, default=1000, help="images whose samples are measured (1000)")
    made.add_argument("--parts", nargs="*", default=list(reproduction_parts.PARTS), choices=reproduction_parts.PARTS)
    made.add_argument("--page", action="store_true", help="only write the page")
    return made


def main() -> None:
    options = parser().parse_args()
    if not options.page:
        missing = [name for name in ("train", "validation", "out") if getattr(options, name) is None]
        if missing:
            sys.exit(f"reproduction: --{missing[0]} is needed (or --page)")
        options.out.mkdir(parents=True, exist_ok=True)
        RESULTS.mkdir(parents=True, exist_ok=True)
        for name in options.parts:
            kept = RESULTS / f"{name}.json"
            if kept.exists():
                print(f"{name}: {kept} is there already", flush=True)
                continue
            started = time.monotonic()
            print(f"{name} ...", flush=True)
            found = reproduction_parts.PARTS[name](options)
            if found is None:
                print(f"{name}: not run, it lacks its inputs", flush=True)
                continue
            about = {
                "processor": table.processor(),
                "seconds": round(time.monotonic() - started),
                "date": time.strftime("%Y-%m-%d"),
            }
            kept.write_text(json.dumps({**about, **found}, indent=1) + "\n")
            print(f"{name}: {kept}", flush=True)
    results = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    variants = json.loads((HERE / "results" / "variants_h100.json").read_text())
    PAGE.write_text(reproduction_page.page(results, variants, PAGE.parent))
    print(PAGE)


if __name__ == "__main__":
    main()
