"""Draws the curves of a result as PNG: FID against number of images, training steps and held-out bits."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

from eval.scoring.result import FidResult, RowResult

_DPI = 110
_SIZE = (7.0, 4.2)
_MARKERS = "osD^vPX*<>"


def against_images(result: FidResult) -> bytes | None:
    """Draws FID of subsets against 1 / images with the extrapolated line. Returns None if no row has a curve.

    A row with repeats shows its first one. The left end of the axis stands for infinitely many images.
    """
    rows = [row for row in result.rows if row.scores[0].curve]
    if not rows:
        return None

    def draw(axes: Any) -> None:
        most = 0.0
        for number, row in enumerate(rows):
            score = row.scores[0]
            shares, numbers = [1 / count for count, _ in score.curve], [value for _, value in score.curve]
            most = max(most, *shares)
            drawn = axes.plot(shares, numbers, _marker(number), markersize=4, label=row.name)[0]
            if score.fid_infinite is not None:
                end = [score.fid_infinite, _on_line(score.fid_infinite, shares, numbers)]
                axes.plot([0, max(shares)], end, "-", color=drawn.get_color(), linewidth=0.8)
                error = score.fid_infinite_standard_error
                axes.errorbar([0], [score.fid_infinite], error, fmt=_marker(number), color=drawn.get_color(), capsize=3)
        counts = sorted({count for row in rows for count, _ in row.scores[0].curve})
        ticks = counts[:: max(1, len(counts) // 4)]
        axes.set_xticks([0, *(1 / count for count in ticks)], ["infinite", *(f"{count:,}" for count in ticks)])
        axes.set_xlim(-0.03 * most, 1.06 * most)
        axes.set(xlabel="images in each set (axis even in 1 / images)", ylabel="FID")

    return _png(draw)


def _on_line(intercept: float, shares: Sequence[float], numbers: Sequence[float]) -> float:
    """Returns the fitted line at the largest share. The line goes through the intercept and the mean of the points."""
    mean_share, mean_number = sum(shares) / len(shares), sum(numbers) / len(numbers)
    return intercept + (mean_number - intercept) / mean_share * max(shares)


def against_steps(result: FidResult) -> bytes | None:
    """Draws FID against training steps with standard errors (paper, figure 6).

    It returns None for fewer than 2 different steps.
    """
    steps = [step for step, _ in result.by_step()]
    rows = [row for _, row in result.by_step()]
    if len(set(steps)) < 2:
        return None

    def draw(axes: Any) -> None:
        axes.errorbar(steps, [row.fid for row in rows], [_error(row) for row in rows], fmt="o-")
        floors = [row.scores[0].floor for row in rows]
        if None not in floors:
            axes.plot(steps, floors, ":", color="0.4", label="truth against truth")
        axes.set(xlabel="training steps", ylabel="FID")

    return _png(draw)


def against_bits(result: FidResult) -> bytes | None:
    """Draws FID against held-out bits per pixel with their correlation (section 5.3).

    It returns None for fewer than 2 rows with bits.
    """
    rows = [row for row in result.rows if row.bits is not None]
    if len(rows) < 2:
        return None

    def draw(axes: Any) -> None:
        for number, row in enumerate(rows):
            axes.errorbar([row.bits], [row.fid], [_error(row)], fmt=_marker(number), label=row.name)
        axes.set(xlabel="held-out bits per pixel", ylabel="FID")
        if result.correlation is not None:
            axes.set_title(f"correlation {result.correlation:.2f} over {len(rows)} rows")

    return _png(draw)


def _error(row: RowResult) -> float:
    return row.fid_std if row.fid_std is not None else row.scores[0].standard_error or 0.0


def _marker(number: int) -> str:
    return _MARKERS[number % len(_MARKERS)]


def _png(draw: Callable[[Any], None]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")  # pyplot would keep the figure and expect a display.
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
