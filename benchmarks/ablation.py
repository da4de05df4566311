"""The conditional layers one by one (paper, figure 3): the same training for each variant, one picture, one table.

    python benchmarks/ablation.py --data records/train --validation records/holdout --out ablation --steps 20000
    python benchmarks/ablation.py ... --set hidden_size=128 --set ff_size=128 --batch_size 32    on a small machine

Trains `coltran`, `coltran_b`, `no_cln`, `no_cmlp` and `no_catt` one after the other, each in its folder of --out, with
the same seed, and so the same examples in the same order. Run again after an interruption, it goes on. The public 32x32
ImageNet makes records by `coltran-preprocess --hi 32 --lo 32`. At the end:

    <out>/curves.png    training loss and validation bits of all
    <out>/table.md      validation bits at the last step that all have, beside the order that the paper's figure shows

Figure 3 has no printed values; its text says that each of cLN, cMLP and cAtt helps, cAtt most, and that the whole
beats ColTran-B.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

VARIANTS = ("coltran", "coltran_b", "no_cln", "no_cmlp", "no_catt")
PAPER = {
    "coltran": "best",
    "no_cln": "worse than coltran",
    "no_cmlp": "worse than coltran",
    "no_catt": "worse than coltran, the most of these three",
    "coltran_b": "worse than coltran",
}


def train(variant: str, options: argparse.Namespace, more: list[str]) -> int:
    """Trains one variant in its folder; returns the exit status of coltran-train."""
    from coltran import train as command

    given = ["--stage=colorizer", f"--config={variant}", f"--workdir={options.out / variant}"]
    given += [f"--data={options.data}", f"--validation={options.validation}", f"--steps={options.steps}"]
    return command.main([*given, f"--evaluate_every={options.evaluate_every}", *more])


def table(out: pathlib.Path) -> str:
    """Markdown: validation bits per pixel of each variant at the last step that all have, fewest first."""
    from coltran.training import curves

    found = {variant: dict(curves.validation(out / variant)) for variant in VARIANTS}
    common = set.intersection(*(set(curve) for curve in found.values()))
    if not common:
        return "No step was evaluated in all runs.\n"
    step = max(common)
    whole = found["coltran"][step]
    lines = [f"Validation bits per pixel (moving average) after {step:,} steps", ""]
    lines += ["| variant | bits per pixel | above coltran | paper, figure 3 |", "|---|---|---|---|"]
    for variant in sorted(VARIANTS, key=lambda name: found[name][step]):
        bits = found[variant][step]
        lines.append(f"| {variant} | {bits:.4f} | {bits - whole:+.4f} | {PAPER[variant]} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="record folder to train on")
    parser.add_argument("--validation", required=True, help="record folder whose bits are measured")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder for everything")
    parser.add_argument("--steps", required=True, type=int)
    parser.add_argument("--evaluate_every", type=int, default=1000, help="steps (1000)")
    options, more = parser.parse_known_args()  # what is left goes to coltran-train
    from coltran.training import curves

    for variant in VARIANTS:
        status = train(variant, options, more)
        if status:
            sys.exit(status)
    (options.out / "curves.png").write_bytes(curves.draw([options.out / variant for variant in VARIANTS]))
    (options.out / "table.md").write_text(table(options.out))
    print(table(options.out))


if __name__ == "__main__":
    main()
