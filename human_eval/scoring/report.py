"""Makes the report of a study from the template report.html. It is one HTML file with its plots and images inside."""

from __future__ import annotations

import base64
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2

from human_eval.answers.key import AnswerKey, Pair
from human_eval.answers.ratings import Rating
from human_eval.folder import opaque_files
from human_eval.scoring import paper_numbers, plots as score_plots, tables as score_tables

_EXTREMES = 6
_ERRORS = {
    "image_cluster": "image cluster (headline): other images",
    "iid": "i.i.d.: all ratings independent",
    "raters_within_images": "raters within images: same images, other raters",
    "two_way_moments": "two-way, moments: other images and raters",
    "two_way_bootstrap": "two-way, bootstrap: the same, cautious",
    "amt_tool": "the AMT tool's: assignments, then trials",
}
_ORACLES = {
    "naive": "the paper's rule: select and score by the same ratings (too high)",
    "leave_one_rater_out": "cross-validated: score by a rater who did not select (too low)",
    "leave_two_raters_out": "cross-validated: score by two raters who did not select (too low)",
}
_CATEGORIES = {
    "all_above": "all samples above 60%",
    "wide_range": "best and worst sample at least 80 points apart",
    "never_fooled": "nobody fooled by any sample",
}
Row = tuple[object, ...]
Header = tuple[str, ...]


def report(results: Mapping[str, Any], judged: Sequence[Rating], key: AnswerKey | None, study: str | None) -> bytes:
    """Makes the HTML file.

    Args:
      results: the content of score.json.
      judged: the table with all reasons.
      key: the study's answer key, or None.
      study: the study's folder. If its public images are there, the report shows them.
    """
    used = [rating for rating in judged if rating.counts]
    page = _template().render(
        made_up=results["made_up"],
        pilot=results["pilot"],
        ratings=len(used),
        raters=len({rating.rater for rating in used}),
        in_words=[in_words(name, numbers) for name, numbers in results["models"].items()],
        legend=_legend(results),
        plots={name: _inside(png) for name, png in figures(results, judged, score_plots.PNG).items()},
        tables=tables(results),
        models=[_model(name, numbers) for name, numbers in results["models"].items()],
        has_oracle=any(numbers["oracle"] for numbers in results["models"].values()),
        extremes=list(_extremes(used, key, study)),
        short_pairs=results["top_up"]["pairs"],
    )
    return page.encode("utf-8", "replace")


def figures(results: Mapping[str, Any], judged: Sequence[Rating], kind: str) -> dict[str, bytes]:
    """Draws the figures of the report.

    Args:
      results, judged: as for `report`.
      kind: PNG or SVG of `plots`.
    """
    return {
        "rates": score_plots.rates_plot(results, kind),
        "images": score_plots.images_plot([rating for rating in judged if rating.counts], kind),
        "sittings": score_plots.sittings_plot(judged, kind),
    }


def tables(results: Mapping[str, Any]) -> dict[str, tuple[Header, list[Row]]]:
    """Returns (header, rows) of the tables of the report by name. Tables without rows are left out."""
    found: dict[str, tuple[Header, list[Row]]] = {
        "beside_the_paper": (("", "fooling rate, %"), _beside_the_paper(results)),
        "standard_errors": _standard_errors(results),
        "differences": (
            ("paired over images", "images", "points", "95% interval", "p (sign flips)"),
            _differences(results),
        ),
        "order": (("order shown", ""), _order(results["order_bias"])),
        "exclusions": (("reason", "ratings"), list(results["exclusions"].items())),
        "rules": (("rule", "limit"), list(results["rules"].items())),
    }
    for name, numbers in results["models"].items():
        about = _model(name, numbers)
        if about["oracle"]:
            found[f"oracle_{name}"] = (("oracle", "%"), about["oracle"])
            columns = ("images (paper, figure 11)", "found", "found, %", "by chance, %")
            found[f"categories_{name}"] = (columns, about["categories"])
    return {name: (header, rows) for name, (header, rows) in found.items() if rows}


def in_words(model: str, numbers: Mapping[str, Any]) -> str:
    """Returns what the result of a model means, in two sentences."""
    overall = numbers["overall"]
    low, high = overall["intervals"]["image_cluster"]
    side = "which may well be" if low <= 0.5 <= high else f"which is {'less' if high < 0.5 else 'more'} than"
    return (
        f"Raters took the colorizations of {model} for the photo in {100 * overall['rate']:.1f}% of the pairs, {side} "
        "the 50% at which nobody can tell the two apart. "
        f"By a 95% interval, the rate for all images of this kind lies between {100 * low:.1f}% and {100 * high:.1f}%."
    )


def _legend(results: Mapping[str, Any]) -> str:
    """Explains what the first figure shows, and nothing else."""
    parts = ["dots: fooling rates", "blue: 95% interval over images", "gray: two-way bootstrap"]
    if any(numbers["oracle"] for numbers in results["models"].values()):
        parts += ["orange: 95% interval of an oracle", "red: that oracle by luck alone"]
    parts += ["dashed: cannot be told apart", "green: the paper's three samples"]
    return "; ".join(parts).capitalize() + "."


def _template() -> jinja2.Template:
    room = jinja2.PackageLoader("human_eval.scoring", "")
    environment = jinja2.Environment(
        loader=room, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html")


def _beside_the_paper(results: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for model, numbers in results["models"].items():
        for sample, one in numbers["samples"].items():
            rows.append((f"{model}, sample {sample}", _percent(one["rate"], one["standard_errors"]["image_cluster"])))
        if numbers["oracle"]:
            naive = numbers["oracle"]["naive"]
            rows.append((f"{model}, oracle", _percent(naive["rate"], naive["standard_error"])))
    rows += [(f"ColTran (paper), seed {i + 1}", _plain(*one)) for i, one in enumerate(paper_numbers.COLTRAN_SAMPLES)]
    rows.append(("ColTran (paper), oracle", _plain(*paper_numbers.COLTRAN_ORACLE)))
    rows += [(f"{name} (paper)", _plain(*one)) for name, one in paper_numbers.OTHERS.items()]
    return rows


def _standard_errors(results: Mapping[str, Any]) -> tuple[Header, list[Row]]:
    """Returns (header, rows), with one row per standard error and one column per sample."""
    columns, found = [], []
    for model, numbers in results["models"].items():
        several = len(numbers["samples"]) > 1
        for sample, one in (*numbers["samples"].items(), *([("all", numbers["overall"])] if several else [])):
            columns.append(f"{model}, {sample}")
            found.append(one)
    rows: list[Row] = [
        (label, *(f"{100 * one['standard_errors'][name]:.2f} ({_interval(one['intervals'][name])})" for one in found))
        for name, label in _ERRORS.items()
    ]
    return ("points (95% interval, %)", *columns), rows


def _model(name: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the report says about one model: agreement, oracle and categories of images."""
    alpha, oracle = numbers["agreement"], numbers["oracle"]
    about: dict[str, Any] = {
        "name": name,
        "alpha": _number(alpha["krippendorff_alpha"]),
        "alpha_low": _number(alpha["interval"][0]),
        "alpha_high": _number(alpha["interval"][1]),
        "images": numbers["images_with_all_samples"],
    }
    if not oracle:
        return about | {"oracle": None}
    rows = [(_ORACLES[n], _percent(oracle[n]["rate"], oracle[n]["standard_error"])) for n in _ORACLES if n in oracle]
    luck = _plain(100 * oracle["naive_expected_under_noise"])
    found = [(label, numbers["categories"][category]) for category, label in _CATEGORIES.items()]
    return about | {
        "oracle": [*rows, ("the paper's rule if all samples were equal: luck alone", luck)],
        "categories": [
            (label, one["images"], *_shares(one["share"], one["expected_by_chance"])) for label, one in found
        ],
    }


def _differences(results: Mapping[str, Any]) -> list[Row]:
    return [
        (
            f"{one['first']} minus {one['second']}",
            one["images"],
            _percent(one["difference"], one["standard_error"]),
            _interval(one["interval"]),
            f"{one['p_value']:.4f}",
        )
        for one in results["differences"]
    ]


def _order(bias: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = [
        ("called the first image fake", _plain(100 * bias["chose_first"]) + f"% ({_interval(bias['interval'])})"),
        ("truth shown first", _plain(100 * bias["truth_first"]) + "%"),
    ]
    for name, label in (("rate_truth_first", "fooled, truth first"), ("rate_fake_first", "fooled, fake first")):
        rows.append((label, "no rating" if bias[name] is None else _plain(100 * bias[name]) + "%"))
    return rows


def _extremes(used: Sequence[Rating], key: AnswerKey | None, study: str | None) -> Iterator[dict[str, object]]:
    """Yields the pairs that fooled most and fewest raters, by model. Without the images it yields nothing."""
    images = pathlib.Path(study or "", "public", "images")
    if key is None or not images.is_dir():
        return
    for model in sorted({rating.model for rating in used}):
        counts = score_tables.pair_counts([rating for rating in used if rating.model == model])
        # We rank by rate. Of equal rates, the pair that more people saw comes first.
        ranked = [pair for *_, pair in sorted((-fooled / n, -n, pair) for pair, (fooled, n) in counts.items())]
        pairs = {(pair.key, pair.sample): pair for pair in key.pairs.values() if pair.model == model}
        # If there are few pairs, each is shown only once, at the end that it is nearer to.
        half = min(_EXTREMES, (len(ranked) + 1) // 2)
        for title, chosen in (("Most", ranked[:half]), ("Least", ranked[half:][-half:][::-1])):
            figures = [_figure(images, pairs[pair], *counts[pair]) for pair in chosen if pair in pairs]
            yield {"title": title, "model": model, "figures": figures}


def _figure(images: pathlib.Path, pair: Pair, fooled: int, n: int) -> dict[str, object]:
    paths = [images / pathlib.PurePath(name).name for name in (pair.truth, pair.colorized)]
    return {
        "images": [_photo(path) if path.is_file() else None for path in paths],
        "caption": f"{pair.key}, sample {pair.sample}: {fooled} of {n} fooled",
    }


def _photo(path: pathlib.Path) -> str:
    return _inside(opaque_files.encode(opaque_files.decode(path.read_bytes())))


def _inside(png: bytes) -> str:
    """Returns an image as a URL that contains it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _percent(share: float, error: float) -> str:
    return f"{100 * share:.1f} +- {100 * error:.2f}"


def _plain(percent: float, error: float | None = None, *, digits: int = 1) -> str:
    return f"{percent:.{digits}f}" + (f" +- {error:.2f}" if error is not None else "")


def _shares(*shares: float) -> list[str]:
    return [_plain(100 * share, digits=2) for share in shares]


def _interval(interval: Sequence[float]) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def _number(value: float | None) -> str:
    return "not defined" if value is None or value != value else f"{value:.3f}"
