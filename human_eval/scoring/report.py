"""The report of a study: one HTML file with its plots and images inside."""

from __future__ import annotations

import base64
import html
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from human_eval.answers.key import AnswerKey, Pair
from human_eval.answers.ratings import Rating
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
_CATEGORIES = {
    "all_above": "all samples above 60%",
    "wide_range": "best and worst sample at least 80 points apart",
    "never_fooled": "nobody fooled by any sample",
}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #111; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid #bbb; padding: .2rem .6rem; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
img.plot { max-width: 100%; }
.pairs { background: #808080; padding: .5rem; display: flex; flex-wrap: wrap; gap: .8rem; }
.pairs figure { margin: 0; color: #fff; font-size: .8rem; width: 17rem; overflow-wrap: anywhere; }
.pairs img { width: 8.3rem; }
"""


def report(results: Mapping, judged: Sequence[Rating], key: AnswerKey | None, study: str | None) -> bytes:
    """The HTML file.

    Args:
      results: what score.json holds.
      judged: the table with all reasons.
      key: of the study; None where it is not at hand.
      study: its folder, whose public images are shown where they are there.
    """
    used = [rating for rating in judged if rating.counts]
    parts = [
        "<h1>Human study: fooling rate</h1>",
        "<p><strong>These answers are made up (coltran-study simulate).</strong></p>" if results["made_up"] else "",
        "<p><strong>These answers are of a pilot, not of the study.</strong></p>" if results["pilot"] else "",
        f"<p>Share of ratings in which the colorization was taken for the real photo; 50% would be indistinguishable. "
        f"{len(used)} ratings of {len({r.rater for r in used})} raters count.</p>",
        _plot(score_plots.rates_plot(results), "fooling rates with intervals"),
        "<p>Blue and orange: 95% interval over images; gray: two-way bootstrap; red: the oracle by luck alone; dashed: "
        "cannot be told apart; green: the paper's three samples.</p>",
        "<h2>Beside the paper</h2>",
        _beside_the_paper(results),
        "<p>The paper (section 5.5) does not say what its +- is; ours is the image-cluster standard error. An oracle "
        "is the best sample of each image by the same ratings, so it is too high by luck alone: see below.</p>",
        "<h2>Standard errors, by what they answer</h2>",
        _errors(results),
        *_by_model(results),
        "<h2>Differences</h2>",
        _differences(results),
        "<h2>Order shown</h2>",
        _order(results["order_bias"]),
        "<h2>Images and raters</h2>",
        _plot(score_plots.images_plot(used), "fooling rates of the pairs"),
        _plot(score_plots.sittings_plot(judged), "response times and fooling rates of the sittings"),
        *_extremes(used, key, study),
        "<h2>What does not count</h2>",
        _table(("reason", "ratings"), list(results["exclusions"].items())),
        _table(("rule", "limit"), [(name, str(limit)) for name, limit in results["rules"].items()]),
        f"<p>Pairs short of ratings: {results['top_up']['pairs']} (top_up.csv).</p>",
    ]
    body = "\n".join(parts)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Human study: fooling rate</title>'
        f'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; style-src '
        f"'unsafe-inline'\"><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
    return page.encode("utf-8", "replace")


def _beside_the_paper(results: Mapping) -> str:
    rows: list[tuple] = []
    for model, numbers in results["models"].items():
        for sample, one in numbers["samples"].items():
            rows.append((f"{model}, sample {sample}", _percent(one["rate"], one["standard_errors"]["image_cluster"])))
        if numbers["oracle"]:
            naive = numbers["oracle"]["naive"]
            rows.append((f"{model}, oracle", _percent(naive["rate"], naive["standard_error"])))
    paper = [(f"ColTran (paper), seed {i + 1}", _plain(*one)) for i, one in enumerate(paper_numbers.COLTRAN["samples"])]
    paper.append(("ColTran (paper), oracle", _plain(*paper_numbers.COLTRAN["oracle"])))
    paper += [(f"{name} (paper)", _plain(*one)) for name, one in paper_numbers.OTHERS.items()]
    return _table(("", "fooling rate, %"), rows + paper)


def _errors(results: Mapping) -> str:
    columns, found = [], []
    for model, numbers in results["models"].items():
        for sample, one in (*numbers["samples"].items(), ("all", numbers["overall"])):
            columns.append(f"{model}, {sample}")
            found.append(one)
    rows = [
        (label, *(f"{100 * one['standard_errors'][name]:.2f} ({_interval(one['intervals'][name])})" for one in found))
        for name, label in _ERRORS.items()
    ]
    return _table(("points (95% interval, %)", *columns), rows)


def _by_model(results: Mapping) -> Iterable[str]:
    for model, numbers in results["models"].items():
        yield f"<h2>{html.escape(model)}: oracle and images</h2>"
        alpha = numbers["agreement"]
        yield (
            f"<p>Krippendorff's alpha {_number(alpha['krippendorff_alpha'])} ({_number(alpha['interval'][0])} to "
            f"{_number(alpha['interval'][1])}); low values are usual where pairs are hard to tell apart. "
            f"{numbers['images_with_all_samples']} images have enough ratings of every sample.</p>"
        )
        if not numbers["oracle"]:
            yield "<p>An oracle needs at least two samples, and images with enough ratings of each.</p>"
            continue
        names = {
            "naive": "the paper's rule: select and score by the same ratings (too high)",
            "leave_one_rater_out": "cross-validated: score by a rater who did not select (too low)",
            "leave_two_raters_out": "cross-validated: score by two raters who did not select (too low)",
        }
        found = numbers["oracle"]
        rows = [(names[n], _percent(found[n]["rate"], found[n]["standard_error"])) for n in names if n in found]
        rows.append(
            (
                "the paper's rule if all samples were equal: luck alone",
                _plain(100 * found["naive_expected_under_noise"]),
            )
        )
        yield _table(("oracle", "%"), rows)
        found = [(label, numbers["categories"][name]) for name, label in _CATEGORIES.items()]
        rows = [(label, one["images"], *_shares(one["share"], one["expected_by_chance"])) for label, one in found]
        yield _table(("images (paper, figure 11)", "found", "found, %", "by chance, %"), rows)


def _differences(results: Mapping) -> str:
    rows = []
    for one in results["differences"]:
        points = _percent(one["difference"], one["standard_error"])
        name = f"{one['first']} minus {one['second']}"
        rows.append((name, one["images"], points, _interval(one["interval"]), f"{one['p_value']:.4f}"))
    header = ("paired over images", "images", "points", "95% interval", "p (sign flips)")
    return _table(header, rows) if rows else "<p>Nothing to compare.</p>"


def _order(bias: Mapping) -> str:
    rows = [
        ("called the first image fake", _plain(100 * bias["chose_first"]) + f"% ({_interval(bias['interval'])})"),
        ("truth shown first", _plain(100 * bias["truth_first"]) + "%"),
    ]
    for name, label in (("rate_truth_first", "fooled, truth first"), ("rate_fake_first", "fooled, fake first")):
        rows.append((label, "no rating" if bias[name] is None else _plain(100 * bias[name]) + "%"))
    return _table(("", ""), rows)


def _extremes(used: Sequence[Rating], key: AnswerKey | None, study: str | None) -> Iterable[str]:
    images = pathlib.Path(study or "", "public", "images")
    if key is None or not images.is_dir():
        return
    for model in sorted({rating.model for rating in used}):
        counts = score_tables.pair_counts([rating for rating in used if rating.model == model])
        # By rate; of equal rates, what more people saw.
        ranked = sorted(counts, key=lambda p, c=counts: (-c[p][0] / c[p][1], -c[p][1], p))
        pairs = {(pair.key, pair.sample): pair for pair in key.pairs.values() if pair.model == model}
        # Few pairs are shown once, at the end they are nearer to.
        half = min(_EXTREMES, (len(ranked) + 1) // 2)
        for title, chosen in (("Most", ranked[:half]), ("Least", ranked[half:][-half:][::-1])):
            yield f"<h2>{title} convincing ({html.escape(model)})</h2><div class='pairs'>"
            yield from (_figure(images, pairs[pair], *counts[pair]) for pair in chosen if pair in pairs)
            yield "</div><p>Left the photo, right its colorization.</p>"


def _figure(images: pathlib.Path, pair: Pair, fooled: int, n: int) -> str:
    shown = "".join(_image(images / pathlib.PurePath(name).name) for name in (pair.truth, pair.colorized))
    caption = f"{html.escape(pair.key)}, sample {pair.sample}: {fooled} of {n} fooled"
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def _image(path: pathlib.Path) -> str:
    if not path.is_file():
        return "(no file) "
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">'


def _plot(png: bytes, alt: str) -> str:
    return f'<img class="plot" alt="{alt}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header) if any(header) else ""
    lines = ["<table>", f"<tr>{head}</tr>" if head else ""]
    for first, *rest in rows:
        cells = "".join(f'<td class="n">{html.escape(str(cell))}</td>' for cell in rest)
        lines.append(f"<tr><td>{html.escape(str(first))}</td>{cells}</tr>")
    return "\n".join([*lines, "</table>"])


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
