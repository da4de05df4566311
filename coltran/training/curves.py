"""Draws loss curves of one or several runs as a PNG, from their metrics.jsonl."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from typing import Any

from coltran import storage
from coltran.errors import UserError
from coltran.training.log import METRICS, read_metrics

_MARK = "coltran-train --plot"  # in the pictures, so that nobody else's is replaced
_DPI = 110
_POINTS = 200  # at most so many points in a training curve, which is averaged over windows
_LOSS = "train/loss"
_VALIDATION = ("decoder_bits_per_pixel", "bits_per_dim")
Curve = list[tuple[int, float]]


def read(workdir: str | os.PathLike[str], name: str) -> Curve:
    """Reads (step, value) of one of a run's numbers, such as `train/loss`, in the order of steps.

    Raises UserError if the folder has no metrics.
    """
    path = storage.join(os.fspath(workdir), METRICS)
    if not storage.exists(path):
        raise UserError(f"{path} is not there: give folders that coltran-train wrote as --workdir")
    return sorted((line["step"], line[name]) for line in read_metrics(path) if name in line)


def validation(workdir: str | os.PathLike[str], weights: str = "ema") -> Curve:
    """Reads a run's validation bits of the decoder or an upsampler, for the moving average or the `raw` weights."""
    tag = "validation" if weights == "ema" else "validation_raw"
    return next((curve for name in _VALIDATION if (curve := read(workdir, f"{tag}/{name}"))), [])


def draw(workdirs: Sequence[str | os.PathLike[str]]) -> bytes:
    """Draws a PNG: training loss on the left, validation bits on the right (raw weights dotted), one color per run."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")  # pyplot would keep the figure and need a display
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for number, (workdir, name) in enumerate(zip(workdirs, _names(workdirs), strict=True)):
        color = f"C{number}"
        _line(left, _averaged(read(workdir, _LOSS)), color=color, label=name)
        _line(right, validation(workdir), color=color, label=f"{name}, moving average", marker="o", markersize=3)
        _line(right, validation(workdir, "raw"), color=color, label=f"{name}, raw weights", linestyle=":")
    left.set(xlabel="step", ylabel="training loss, bits", title="training")
    right.set(xlabel="step", ylabel="bits", title="validation: each dot is one evaluation")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False)
        else:
            axes.text(0.5, 0.5, "nothing logged", transform=axes.transAxes, ha="center")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": _MARK})
    return buffer.getvalue()


def is_drawn_here(data: bytes) -> bool:
    """Tells whether a file's bytes are a picture that `draw` made."""
    return _MARK.encode() in data[:1000]


def _line(axes: Any, curve: Curve, **style: object) -> None:
    if curve:
        single = {"marker": "o"} if len(curve) == 1 else {}  # a line with one point is invisible
        axes.plot(*zip(*curve, strict=True), **{**single, **style})


def _averaged(curve: Curve) -> Curve:
    """Averages over windows of equal numbers of points. A short curve stays as it is."""
    size = -(-len(curve) // _POINTS)
    windows = [curve[start : start + size] for start in range(0, len(curve), max(size, 1))]
    return [(window[-1][0], sum(value for _, value in window) / len(window)) for window in windows]


def _names(workdirs: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Returns the folders' last parts, or the whole paths if two of the last parts are equal."""
    paths = [os.fspath(workdir).rstrip("/") for workdir in workdirs]
    short = [path.rpartition("/")[2] for path in paths]
    return short if len(set(short)) == len(short) else paths
