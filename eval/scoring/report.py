"""report.html: the table beside the paper's, curves, and the images nearest to and farthest from the truth.

One file that needs nothing else, so that it can be mailed. Beside it the same as rows.csv, and the curves as PNG.
"""

from __future__ import annotations

import base64
import csv
import dataclasses
import html
import io
import statistics
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from coltran import storage
from coltran.images.contact_sheet import contact_sheet, thumbnail
from eval.images import reading
from eval.images.reading import Part
from eval.images.sets import ImageSet
from eval.scoring import plots as fid_plots
from eval.scoring.plan import Row
from eval.scoring.result import PAPER, FidResult, RowResult
from eval.scoring.score import Extremes

REPORT, TABLE, STEPS = "report.html", "rows.csv", "steps.csv"
_SIDE = 128
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 84em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums; }
th, td { padding: .3em .8em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; vertical-align: bottom; white-space: normal; }
img { max-width: 100%; }
.note { background: #fff4d6; padding: .6em 1em; border-left: 4px solid #e0a800; }
.quiet { color: #777; }
"""


def write(out: str, result: FidResult, rows: Sequence[Row], extremes: Sequence[Extremes | None]) -> None:
    """Writes report.html, rows.csv and the curves that the rows allow to the folder `out`, local or gs://.

    Args:
      out: the run's folder.
      result: with all numbers.
      rows: the same rows as planned, to read the images from.
      extremes: of each row's first pair.
    """
    plots = {
        "images": fid_plots.against_images(result),
        "steps": fid_plots.against_steps(result),
        "bits": fid_plots.against_bits(result),
    }
    for name, png in plots.items():
        if png is not None:
            storage.write_bytes(storage.join(out, f"fid_against_{name}.png"), png)
    storage.write_bytes(storage.join(out, TABLE), table_csv(result))
    if plots["steps"] is not None:
        storage.write_bytes(storage.join(out, STEPS), steps_csv(result))
    shown = [_sheet(row.pairs[0].fake, found) for row, found in zip(rows, extremes, strict=True)]
    storage.write_bytes(storage.join(out, REPORT), page(result, plots, shown).encode())


def table_csv(result: FidResult) -> bytes:
    """One line a row: the columns of the report, unrounded."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["row", *_COLUMNS, "samplings", "comparable", "notes"])
    for row in result.rows:
        values = [value(row) for value in _COLUMNS.values()]
        notes = "; ".join(_notes([row]))
        comparable = all(score.comparable for score in row.scores)
        table.writerow([row.name, *values, len(row.scores), comparable, notes])
    return text.getvalue().encode()


def steps_csv(result: FidResult) -> bytes:
    """FID against training steps."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["step", "row", "fid", "standard_error", "bits"])
    for row in fid_plots.steps_rows(result):
        table.writerow([row.step, row.name, row.fid, row.scores[0].standard_error, row.bits])
    return text.getvalue().encode()


def _mean(name: str):
    """Mean of a number over the repeats of a row; None where one has none."""

    def value(row: RowResult) -> float | None:
        numbers = [getattr(score, name) for score in row.scores]
        return None if None in numbers else statistics.fmean(numbers)

    return value


def _fake(name: str):
    return lambda row: getattr(row.scores[0].fake, name)


_LEGEND = """
Standard error: jackknife over ten disjoint groups of images. Bias-corrected: the jackknife's estimate without the bias
of a finite number of images. Truth against truth: the distance of as many true images of the other half, which no
colorization can be expected to beat. KID: unbiased kernel distance. Colorfulness: Hasler and Suesstrunk's, 0 for gray.
Diversity: root mean square difference of an image's samples, in levels. Of the paper's rows, "true coarse" and "one
upsampler" are on the holdout (its section 5.3).
"""
_COLUMNS = {
    "fid": lambda row: row.fid,
    "fid_std": lambda row: row.fid_std,
    "standard_error": _mean("standard_error"),
    "fid_corrected": _mean("fid_corrected"),
    "fid_infinite": _mean("fid_infinite"),
    "floor": _mean("floor"),
    "kid": _mean("kid"),
    "kid_standard_error": _mean("kid_standard_error"),
    "colorfulness": _fake("colorfulness"),
    "diversity": _fake("diversity"),
    "images": _fake("count"),
    "paper": lambda row: row.paper,
    "paper_std": lambda row: row.paper_std,
}
# Heading of the report's table, the column, and the one behind its +-.
_SHOWN = (
    ("FID (+- over samplings)", "fid", "fid_std"),
    ("the paper's", "paper", "paper_std"),
    ("standard error", "standard_error", None),
    ("bias-corrected", "fid_corrected", None),
    ("at infinitely many", "fid_infinite", None),
    ("truth against truth", "floor", None),
    ("KID (+- standard error)", "kid", "kid_standard_error"),
    ("colorfulness", "colorfulness", None),
    ("diversity", "diversity", None),
    ("images", "images", None),
)


def page(result: FidResult, plots: dict[str, bytes | None], sheets: Sequence[bytes | None]) -> str:
    """The report's HTML."""
    return "\n".join(_page(result, plots, sheets))


def _page(result: FidResult, plots: dict[str, bytes | None], sheets: Sequence[bytes | None]) -> Iterator[str]:
    extractor = result.extractor
    yield f"<!doctype html><html lang='en'><meta charset='utf-8'><title>FID</title><style>{_STYLE}</style>"
    yield "<h1>Frechet Inception distance</h1>"
    made_by = f"{extractor.name}, weights {extractor.weights_sha256[:12]}, resize {extractor.resize}"
    size = f" of {result.image_size[1]}x{result.image_size[0]}" if result.image_size else ""
    yield f"<p>Features: {html.escape(made_by)}. Images: {result.image}{size}. Lower is nearer to the truth.</p>"
    for note in _notes(result.rows):
        yield f"<p class='note'>{html.escape(note)}</p>"
    yield _table(result)
    yield f"<p class='quiet'>{_LEGEND}</p>"
    titles = {
        "images": "FID against the number of images",
        "steps": "FID against training steps",
        "bits": "FID against held-out bits",
    }
    for name, title in titles.items():
        if plots[name] is not None:
            yield f"<h2>{title}</h2>{_img(plots[name], title)}"
    for row, sheet in zip(result.rows, sheets, strict=True):
        if sheet is not None:
            title = f"{row.name}: nearest to and farthest from the truth"
            yield f"<h2>{html.escape(title)}</h2>"
            yield "<p class='quiet'>By distance to the nearest true image in feature space.</p>"
            yield _img(sheet, title)
    yield "</html>"


def _table(result: FidResult) -> str:
    shown = [column for column in _SHOWN if any(_COLUMNS[column[1]](row) is not None for row in result.rows)]
    if ("the paper's", "paper", "paper_std") not in shown:
        shown.insert(1, ("the paper's", "paper", "paper_std"))
    lines = ["<table><tr><th>row</th>" + "".join(f"<th>{heading}</th>" for heading, _, _ in shown) + "</tr>"]
    for row in result.rows:
        cells = (_cell(_COLUMNS[name](row), _COLUMNS[spread](row) if spread else None) for _, name, spread in shown)
        lines.append(f"<tr><td>{html.escape(row.name)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    own = {row.name.lower() for row in result.rows}
    for name, numbers in PAPER.items():
        if name.lower() not in own:
            cells = "".join(f"<td>{_cell(*numbers) if column == 'paper' else ''}</td>" for _, column, _ in shown)
            lines.append(f"<tr class='quiet'><td>{name} (paper)</td>{cells}</tr>")
    return "".join([*lines, "</table>"])


def _cell(value: float | int | None, spread: float | None = None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    digits = 4 if 0 < abs(value) < 1 else 2
    return f"{value:.{digits}f}" + ("" if spread is None else f" &plusmn; {spread:.{digits}f}")


def _notes(rows: Iterable[RowResult]) -> list[str]:
    return list(dict.fromkeys(note for row in rows for score in row.scores for note in score.notes))


def _img(png: bytes, alt: str) -> str:
    return f"<img alt='{html.escape(alt, quote=True)}' src='data:image/png;base64,{base64.b64encode(png).decode()}'>"


def _sheet(images: ImageSet, extremes: Extremes | None) -> bytes | None:
    if extremes is None or not extremes.nearest:
        return None
    pixels = _pixels(images, {name for name, _ in extremes.nearest + extremes.farthest})
    cells = [[thumbnail(pixels[name], _SIDE) for name, _ in named] for named in (extremes.nearest, extremes.farthest)]
    captions = [
        f"{word}: {', '.join(f'{distance:.1f}' for _, distance in named)}"
        for word, named in (("nearest", extremes.nearest), ("farthest", extremes.farthest))
    ]
    return contact_sheet(cells, [str(place + 1) for place in range(len(cells[0]))], captions=captions)


def _pixels(images: ImageSet, names: set[str]) -> dict[str, np.ndarray]:
    """uint8 [h, w, 3] by name, reading only the parts that hold one."""
    found = {}
    for source in images.sources:
        for index, part in enumerate(source.parts):
            wanted = names & set(part)
            if not wanted:
                continue
            bare = Part(source=dataclasses.replace(source, parts=()), index=index, path="", memberships={})
            found |= {name: pixels for name, pixels, _ in reading.read_part(bare, wanted)}
    return found
