"""Compares the paper's claims with measured numbers, in a sentence each.

A difference counts only if it exceeds the noise: between seeds for bits, two standard errors for FID.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from coltran.photos.arguments import TEMPERATURE, TOP_K

OF_PHOTOS = f"temperature {TEMPERATURE:g}, top-K {TOP_K}"  # coltran-colorize's default colors
Table = Mapping[str, Mapping[int, float]]

# (the paper's words, the variant with fewer bits, the one with more)
_FIGURE3 = (
    ("ColTran beats ColTran-B", "coltran", "coltran_b"),
    ("ColTran beats ColTran-B 2x", "coltran", "coltran_b_2x"),
    ("ColTran beats ColTran-B 4x", "coltran", "coltran_b_4x"),
    ("cLN helps", "coltran", "no_cln"),
    ("cMLP helps", "coltran", "no_cmlp"),
    ("cAtt helps", "coltran", "no_catt"),
    ("cAtt helps most: leaving it out costs more than leaving out cMLP", "no_cmlp", "no_catt"),
    ("scales matter more than shifts", "scale_only", "shift_only"),
    ("cAtt on q, k and v beats v only", "coltran", "catt_v_only"),
    ("cLN with a fixed mean is worse than no cLN", "no_cln", "cln_mean_pool"),
)


def bits(variants: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """Returns {variant: {seed: held-out decoder bits}}."""
    table: dict[str, dict[int, float]] = {}
    for key, run in variants["runs"].items():
        name, seed = key.split(", seed ")
        table.setdefault(name, {})[int(seed)] = run["bits"]["decoder_bits_per_pixel"]
    return table


def figure3(table: Table) -> Iterator[tuple[str, str]]:
    """Yields (claim, verdict). The noise is the usual difference of two means over the seeds at hand."""
    pairs = [row[0] - row[1] for row in table.values() if {0, 1} <= set(row)]
    deviation = math.sqrt(np.mean(np.square(pairs)) / 2)  # of one run, from the pairs of seeds
    for text, fewer, more in _FIGURE3:
        if fewer not in table or more not in table:
            yield text, "not run"
            continue
        gain = float(np.mean(list(table[more].values())) - np.mean(list(table[fewer].values())))
        noise = 2 * deviation * math.sqrt(1 / len(table[more]) + 1 / len(table[fewer]))
        if abs(gain) <= noise:
            yield text, f"undecided: {gain:+.4f} bits, within two deviations of seeds ({noise:.4f})"
        else:
            yield text, f"{'agrees' if gain > 0 else 'does not agree'}: {gain:+.4f} bits"


def best(what: str, rows: Mapping[str, Any], claimed: str) -> str:
    """Says whether the claimed row has the least FID."""
    order = sorted(rows, key=lambda name: rows[name]["fid"])
    if order[0] == claimed:
        return f"These numbers agree: {claimed} has the least FID" + _margin(rows, order[0], order[1])
    return f"Here {what} {order[0]} has the least FID" + _margin(rows, order[0], claimed)


def least(rows: Mapping[str, Any]) -> str:
    """Says which row has the least FID and how far the next one is, where there is no claim to compare with."""
    first, second = sorted(rows, key=lambda name: rows[name]["fid"])[:2]
    return f"The paper has no such numbers. Here {first} has the least FID" + _margin(rows, first, second)


def below(rows: Mapping[str, Any], fewer: Sequence[str], more: str) -> str:
    """Says which of the rows `fewer` have a smaller FID than the row `more`."""
    parts = []
    for name in fewer:
        word = "below" if rows[name]["fid"] < rows[more]["fid"] else "above"
        parts.append(f"K = {name} is {word} 512 by {abs(rows[name]['fid'] - rows[more]['fid']):.2f}")
    agree = all(rows[name]["fid"] < rows[more]["fid"] for name in fewer)
    return f"These numbers {'agree' if agree else 'do not agree'}: {', '.join(parts)}."


def _margin(rows: Mapping[str, Any], low: str, high: str) -> str:
    gap = rows[high]["fid"] - rows[low]["fid"]
    error = math.hypot(rows[high]["standard_error"], rows[low]["standard_error"])
    certain = (
        "more than two standard errors" if gap > 2 * error else "within two standard errors, so it decides nothing"
    )
    return f", {gap:.2f} below {high} ({certain})."


def colorful(found: Mapping[str, Any]) -> str:
    """Says how the defaults of coltran-colorize and coltran-sample compare with what was aimed at."""
    return " ".join(
        _compared(name, program, found)
        for name, program in ((OF_PHOTOS, "coltran-colorize"), ("temperature 1", "coltran-sample"))
    )


def _compared(name: str, program: str, found: Mapping[str, Any]) -> str:
    row, truth = found["rows"][name], found["truth_colorfulness"]
    closest = row["chroma_error_of_the_best"]
    against = ", ".join(
        f"{'closer' if closest < other else 'farther'} than {what} ({other:.2f})"
        for what, other in (
            ("grayscale", found["grayscale_chroma_error"]),
            ("the mean color of each gray level", found["mean_by_gray_chroma_error"]),
        )
    )
    return (
        f"The default of `{program}`, {name}, is {row['colorfulness'] / truth:.0%} as colorful as truth (aim: within "
        f"25%), its samples differ on {row['images_whose_samples_differ']:.0%} of images, and the best of three is "
        f"{closest:.2f} from the truth: {against}."
    )
