"""Draws the report's plots, as PNG or SVG bytes."""

from __future__ import annotations

import collections
import io
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from human_eval.answers.ratings import Rating
from human_eval.scoring import binomial, paper_numbers

PNG, SVG = "png", "svg"
_DPI = 110
_SIZE = (7.0, 3.2)


def rates_plot(results: Mapping[str, Any], kind: str = PNG) -> bytes:
    """Draws the fooling rate of every sample and oracle, with the headline's and the wider two-way 95% intervals."""
    figure, axes = _figure((7.0, 1.2 + 0.3 * sum(len(m["samples"]) + 3 for m in results["models"].values())))
    names, place = [], 0
    for model, numbers in results["models"].items():
        for sample, one in numbers["samples"].items():
            names.append(f"{model}, sample {sample}")
            for name, width, color in (("two_way_bootstrap", 1.5, "0.6"), ("image_cluster", 4, "tab:blue")):
                low, high = one["intervals"][name]
                axes.plot([100 * low, 100 * high], [place, place], linewidth=width, color=color, solid_capstyle="butt")
            axes.plot(100 * one["rate"], place, "o", color="black")
            place += 1
        for name, label in (("leave_one_rater_out", "oracle, cross-validated"), ("naive", "oracle, the paper's rule")):
            one = (numbers["oracle"] or {}).get(name)
            if one:
                low, high = one["interval"]
                names.append(f"{model}, {label}")
                axes.plot(
                    [100 * low, 100 * high], [place, place], linewidth=4, color="tab:orange", solid_capstyle="butt"
                )
                axes.plot(100 * one["rate"], place, "o", color="black")
                if name == "naive":
                    noise = 100 * numbers["oracle"]["naive_expected_under_noise"]
                    axes.plot(noise, place, "|", color="tab:red", markersize=16, markeredgewidth=2)
                place += 1
    axes.axvline(50, color="0.3", linestyle="--", linewidth=1)
    seeds = [rate for rate, _ in paper_numbers.COLTRAN_SAMPLES]
    axes.axvspan(min(seeds), max(seeds), color="tab:green", alpha=0.2, linewidth=0)
    axes.set(yticks=range(place), yticklabels=names, xlabel="fooling rate, %", ylim=(place - 0.5, -0.5))
    return _image(figure, kind)


def images_plot(used: Sequence[Rating], kind: str = PNG) -> bytes:
    """Draws how often each pair fooled raters, and how often equal pairs would fool them."""
    counts: dict[tuple, list[int]] = collections.defaultdict(lambda: [0, 0])
    for rating in used:
        counts[rating.model, rating.key, rating.sample][0] += bool(rating.fooled)
        counts[rating.model, rating.key, rating.sample][1] += 1
    fooled, n = np.array(list(counts.values())).T
    rate = fooled.sum() / n.sum()
    edges = np.linspace(0, 1, min(int(n.max()), 20) + 2)
    found, _ = np.histogram(fooled / n, edges)
    chance = np.zeros(len(found))
    for size, times in collections.Counter(n.tolist()).items():
        inside = np.digitize(np.arange(size + 1) / size, edges[1:-1])
        np.add.at(chance, inside, times * binomial.probabilities(size, rate))
    figure, (left, right) = _figure(_SIZE, columns=2)
    width = 100 * edges[1]
    left.bar(100 * edges[:-1] + width / 2, found, 0.8 * width, color="tab:blue", label="found")
    left.step(100 * edges, [*chance, chance[-1]], where="post", color="tab:red", label="if all pairs were equal")
    left.set(xlabel="fooling rate of a pair, %", ylabel="pairs", ylim=(0, 1.4 * max(found.max(), chance.max())))
    left.legend(fontsize=8)
    right.plot(100 * np.sort(fooled / n)[::-1], color="tab:blue")
    right.axhline(50, color="0.3", linestyle="--", linewidth=1)
    right.set(xlabel="pairs, most convincing first", ylabel="fooling rate, %", ylim=(-3, 103))
    return _image(figure, kind)


def sittings_plot(judged: Sequence[Rating], kind: str = PNG) -> bytes:
    """Draws each sitting's median response time and fooling rate. Crosses are sittings that do not count."""
    sittings: dict[str, list[Rating]] = collections.defaultdict(list)
    for rating in judged:
        if rating.kind == "test" and rating.fooled is not None:
            sittings[rating.assignment].append(rating)
    figure, axes = _figure(_SIZE)
    for counts, marker, color, label in ((True, "o", "tab:blue", "counts"), (False, "x", "tab:red", "excluded")):
        rows = [s for s in sittings.values() if any(r.counts for r in s) is counts]
        timed = [(s, [r.response_ms for r in s if r.response_ms is not None]) for s in rows]
        points = [(statistics.median(ms), 100 * sum(bool(r.fooled) for r in s) / len(s)) for s, ms in timed if ms]
        if points:
            axes.plot(*zip(*points, strict=True), marker, color=color, alpha=0.6, label=f"{label} ({len(points)})")
    axes.set(xlabel="median response time of a sitting, ms", ylabel="fooling rate, %", ylim=(-3, 103))
    if sittings:
        axes.legend(fontsize=8)
    return _image(figure, kind)


def _figure(size: tuple[float, float], columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")  # pyplot would keep the figure and expect a display.
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns)


def _image(figure: Any, kind: str) -> bytes:
    import matplotlib

    buffer = io.BytesIO()
    # A fixed salt and no date: the same table gives the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "study", "svg.fonttype": "none"}):
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata={"Date": None} if kind == SVG else {"Software": None})
    return buffer.getvalue()
