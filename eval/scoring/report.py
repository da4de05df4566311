"""Writes report.html: a table with the paper's numbers, curves, and the images nearest to and farthest from the truth.

The page is one file that needs nothing else, so you can mail it. The table is also in rows.csv, and the curves are also
PNG files. The page's template is eval/scoring/report.html.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import jinja2

from coltran import storage
from eval.scoring import plots as fid_plots, tables
from eval.scoring.layout import Layout
from eval.scoring.result import FidResult

REPORT, TABLE, STEPS = "report.html", "rows.csv", "steps.csv"
_TITLES = {
    "images": "FID against the number of images",
    "steps": "FID against training steps",
    "bits": "FID against held-out bits",
}


def write(layout: Layout, result: FidResult, sheets: Sequence[bytes | None]) -> None:
    """Writes report.html, rows.csv and the curves that the rows allow.

    Args:
      layout: layout of the run's folder.
      result: the result with all numbers.
      sheets: for each row a PNG of its nearest and farthest images, or None.
    """
    plots = {
        "images": fid_plots.against_images(result),
        "steps": fid_plots.against_steps(result),
        "bits": fid_plots.against_bits(result),
    }
    for name, png in plots.items():
        if png is not None:
            storage.write_bytes(layout.path(f"fid_against_{name}.png"), png)
    storage.write_bytes(layout.path(TABLE), tables.rows_csv(result))
    if plots["steps"] is not None:
        storage.write_bytes(layout.path(STEPS), tables.steps_csv(result))
    storage.write_bytes(layout.path(REPORT), page(result, plots, sheets).encode())


def page(result: FidResult, plots: Mapping[str, bytes | None], sheets: Sequence[bytes | None]) -> str:
    """Renders the report's HTML.

    Args:
      result: the result with all numbers.
      plots: PNG by name: `images`, `steps`, `bits`; None for a curve that the rows do not allow.
      sheets: for each row a PNG of its nearest and farthest images, or None.
    """
    # Autoescape is on, because names of rows and folders are the user's text.
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("eval.scoring", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = {title: plots[name] for name, title in _TITLES.items()}
    return environment.get_template(REPORT).render(
        extractor=result.extractor,
        image=result.image,
        image_size=result.image_size,
        notes=tables.notes_of(result.rows),
        table=tables.beside_the_papers(result),
        plots=[(title, _base64(png)) for title, png in drawn.items() if png is not None],
        sheets=[(row.name, _base64(png)) for row, png in zip(result.rows, sheets, strict=True) if png is not None],
    )


def _base64(png: bytes) -> str:
    return base64.b64encode(png).decode()
