"""Write a study's rater page: for a web server, for Mechanical Turk, or for a Turkle server.

    coltran-study export --study study --format static
    coltran-study export --study study --format turkle --image_url https://images.example.org/study/
    coltran-study export --study study --format mturk --image_url https://images.example.org/study/

`static` writes public/index.html, which runs from disk or from any web server that has public/. `mturk` and `turkle`
write a batch CSV (one row a form) and its HTML template; their images are public/images, on a web server of yours.
`mturk` also writes one question XML a form for the API (HTMLQuestion; with --page_url ExternalQuestion too). A leak
audit runs at the end. Our own server (`coltran-study serve`) needs no export.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import shutil
from collections.abc import Callable
from urllib.parse import urlsplit

from coltran import cli
from coltran.errors import UserError
from coltran.options import option
from human_eval.design import cost, leak_audit
from human_eval.folder import layout
from human_eval.folder.forms import Form
from human_eval.folder.layout import StudyDesign
from human_eval.folder.spreadsheet import csv_bytes
from human_eval.page import consent, mturk_questions, render as rater_page
from human_eval.page.arguments import TextFlags

FORMATS = ("static", "mturk", "turkle")
BATCH_COLUMNS = ("form", "trials")
Rows = list[tuple[str, object]]  # These are the rows of the summary that the command prints at the end.
Render = Callable[..., bytes]  # This is the page's `render`, with the study's own arguments already given.
# This goes inside the service's own form. It holds the field to hand in and a submit button. Without this button,
# Turkle would show its own, which hands in nothing. As it is disabled, the Enter key cannot submit the form.
_TASK = """<p id="task" data-form="${form}" hidden>${trials}</p>
  <input type="hidden" name="result" id="result" value="unset"><input type="submit" hidden disabled>"""
# An HTMLQuestion brings its own form. The page knows which address the frame wants.
_QUESTION = """<form name="mturk_form" id="mturk_form" method="post" action="https://www.mturk.com/mturk/externalSubmit">
  <input type="hidden" name="assignmentId" value=""><input type="hidden" name="result" value="unset"></form>"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(TextFlags):
    """The command's options."""

    study: str = option(metavar="FOLDER", help="study folder of coltran-study design")
    format: str = option("static", choices=FORMATS, help="where the page will run")
    image_url: str | None = option(
        None, metavar="URL", help="https address of public/images; needed for mturk and turkle"
    )
    page_url: str | None = option(
        None, metavar="URL", help="https address of public/index.html, for ExternalQuestion (mturk)"
    )
    pilot: bool = option(False, help="mark all answers as a trial run, which never counts")


def run(options: Options) -> None:
    """Writes the rater page for one service, and looks for leaks in everything that raters may see."""
    folder = pathlib.Path(options.study)
    design = layout.load_design(folder)
    images = _image_url(options, design)
    if options.page_url:
        _check_url("--page_url", options.page_url)
    texts = texts_of(options, design, mode=options.format, pilot=options.pilot)
    secret = layout.load_names_key(folder, design)
    render = functools.partial(
        rater_page.render, texts, study=design.study, side=design.side, images=images, pilot=options.pilot
    )
    if options.format == "static":
        written = _static(folder, design, secret, render)
    else:
        written = _batch(_fresh(folder / options.format), options.format, design, secret, render)
    if options.format == "mturk":
        written += _questions(folder / options.format, design, secret, render, options.page_url)
    layout.level_times(folder / "public")
    attack = leak_audit.refuse_leaks(folder, design)
    trials = sum(len(form.trials) for form in design.forms)
    print(f"{trials} pairs in {len(design.forms)} forms\n{leak_audit.describe(attack)}")
    print(cli.table(written))


def texts_of(options: TextFlags, design: StudyDesign, *, mode: str, pilot: bool) -> rater_page.Texts:
    """Returns the texts of the rater page, with a consent text that is filled in for this study.

    Args:
      options: the team's texts.
      design: the study's design.
      mode: where the page runs, as for `render`.
      pilot: whether the answers belong to a trial run.

    Raises:
      UserError: a file cannot be read, or the consent text lacks something.
    """
    pairs, minutes = cost.longest_form(design)
    known = consent.given(options, design.consent)
    fill = functools.partial(consent.fill, mode=mode, pairs=pairs, minutes=minutes, known=known, pilot=pilot)
    return rater_page.read_texts(options.title or design.title, options.consent, options.instructions, fill)


def _image_url(options: Options, design: StudyDesign) -> str:
    if not options.image_url:
        if options.format != "static":
            raise UserError(f"--format {options.format}: needs --image_url, the https address of public/images")
        if design.sources["images"]:
            raise UserError(f"the images are in {design.sources['images']}: give --image_url, where browsers find them")
        return "images/"
    _check_url("--image_url", options.image_url)
    return options.image_url.rstrip("/") + "/"


def _check_url(flag: str, url: str) -> None:
    parts = urlsplit(url)
    # A browser does not load insecure content into a secure frame. This machine itself counts as secure.
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    if not parts.netloc or not (parts.scheme == "https" or local) or any(c in url for c in "\"'<>${} \n"):
        raise UserError(f"{flag} {url}: expected an address such as https://images.example.org/study/")


def _static(folder: pathlib.Path, design: StudyDesign, secret: bytes, render: Render) -> Rows:
    forms = [layout.public_form(secret, form) for form in design.forms]
    path = folder / "public" / "index.html"
    _write(path, render(mode="static", forms=forms))
    return [
        ("rater page", f"{path} (?form=2&rater=NAME opens a form)"),
        ("images", design.sources["images"] or folder / layout.IMAGES),
    ]


def _questions(out: pathlib.Path, design: StudyDesign, secret: bytes, render: Render, page_url: str | None) -> Rows:
    """Writes Mechanical Turk's question XML, one file per form."""
    for form in design.forms:
        html = render(mode="mturk", forms=[layout.public_form(secret, form)], service=_QUESTION)
        _write(out / "questions" / f"form-{form.number + 1:04d}.xml", mturk_questions.html_question(html.decode()))
        if page_url:
            question = mturk_questions.external_question(page_url, form.number)
            _write(out / "external" / f"form-{form.number + 1:04d}.xml", question)
    written: Rows = [("questions", f"{out / 'questions'} (HTMLQuestion, one a form)")]
    return written + ([("", f"{out / 'external'} (ExternalQuestion, one a form)")] if page_url else [])


def _batch(out: pathlib.Path, mode: str, design: StudyDesign, secret: bytes, render: Render) -> Rows:
    """Writes a batch CSV and its template in Mechanical Turk's format."""
    rows = [(form.number, task_text(secret, form)) for form in design.forms]
    _write(out / "batch.csv", csv_bytes(BATCH_COLUMNS, rows))
    html = render(mode=mode, forms=[], service=_TASK)
    _write(out / "template.html", mturk_questions.as_template(html.decode(), BATCH_COLUMNS))
    raters = sorted({form.raters for form in design.forms})
    return [
        ("batch CSV", f"{out / 'batch.csv'} ({len(rows)} tasks, {' or '.join(map(str, raters))} assignments each)"),
        ("template", out / "template.html"),
    ]


def task_text(secret: bytes, form: Form) -> str:
    """Returns a form as plain text that needs no escaping: TRIAL:FIRST:SECOND. Practice trials add the fake's place.

    Args:
      secret: the study's secret.
      form: the form.
    """
    words = []
    for trial in layout.public_form(secret, form)["trials"]:
        names = [name.removesuffix(".png") for name in trial["images"]]
        fake = [str(trial["images"].index(trial["fake"]))] if "fake" in trial else []
        words.append(":".join([str(trial["trial"]), *names, *fake]))
    return " ".join(words)


def _fresh(out: pathlib.Path) -> pathlib.Path:
    """Removes the files of an earlier export. Other files in the folder, such as results, stay."""
    for name in ("questions", "external"):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in ("batch.csv", "template.html"):
        (out / name).unlink(missing_ok=True)
    return out


def _write(path: pathlib.Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
