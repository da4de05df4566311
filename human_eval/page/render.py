"""Makes the rater page as one HTML file. Style, program, texts and forms are inside, and it only loads the images."""

from __future__ import annotations

import dataclasses
import html
import importlib.resources
import json
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence

from coltran.errors import UserError

_MARK = re.compile(r"/\*STYLE\*/|/\*PROGRAM\*/|/\*STUDY\*/|<!--(?:TITLE|CONSENT|INSTRUCTIONS|SERVICE)-->")
# These are the parts of the page's program, each a concept. They share one scope, and the last one starts.
_PROGRAM = (
    *("page.js", "codes.js", "flips.js", "photos.js", "exposures.js", "trials.js", "memory.js", "delivery.js"),
    "rater.js",
)
_MAX_TEXT = 20_000  # This is in bytes. A question of Mechanical Turk holds 65,535 bytes in all.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Texts:
    """The texts that raters read before they begin, as HTML."""

    title: str
    consent: str
    instructions: str


def read_texts(
    title: str, consent: str | None, instructions: str | None, fill: Callable[[str], str] = lambda text: text
) -> Texts:
    """Reads the team's own texts. If a text is not given, it uses the default.

    Args:
      title: plain text.
      consent, instructions: a .txt file (blank lines separate paragraphs), or an .html file with a fragment that is
        used as it is.
      fill: fills in the fields of the consent text.

    Raises:
      UserError: a file is missing, not UTF-8, too long, or neither .txt nor .html.
    """
    return Texts(
        title=title,
        consent=_fragment(consent, "consent.txt", fill),
        instructions=_fragment(instructions, "instructions.txt"),
    )


def render(
    texts: Texts,
    *,
    mode: str,
    study: str,
    side: int,
    forms: Sequence[dict],
    images: str = "images/",
    pilot: bool = False,
    service: str = "",
    **more: object,
) -> bytes:
    """Makes one rater page.

    Args:
      texts: the texts to show.
      mode: where the page runs. `static` is from disk or any web server, `mturk` and `turkle` are tasks of these
        services, and `server` is our own server.
      study: the study's name.
      side: side of the images, in pixels.
      forms: forms from `layout.public_form`. If there are several, the rater chooses one.
      images: the URL before a file name, relative or absolute. It ends in a slash.
      pilot: whether the answers belong to a trial run and never count.
      service: HTML that a service's task needs, such as the field that its form hands in.
      more: what else the mode needs (`server` needs session and answered).
    """
    about = {
        "mode": mode,
        "study": study,
        "title": texts.title,
        "width": side,
        "height": side,
        "images": images,
        "pilot": pilot,
        "forms": list(forms),
        **more,
    }
    return _filled(texts, about, service)


def _filled(texts: Texts, about: Mapping[str, object], service: str) -> bytes:
    """Returns the page, filled with the texts, the facts that its program needs, and the service's own HTML."""
    room = importlib.resources.files("human_eval.page")
    parts = {
        "/*STYLE*/": (room / "rater.css").read_text(),
        "/*PROGRAM*/": "".join((room / name).read_text() for name in _PROGRAM),
        # No text of ours may end the script element, or the CDATA section of a question.
        "/*STUDY*/": json.dumps(about, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e"),
        "<!--TITLE-->": html.escape(texts.title),
        "<!--CONSENT-->": texts.consent,
        "<!--INSTRUCTIONS-->": texts.instructions,
        "<!--SERVICE-->": service,
    }
    # We replace all marks in one pass, so that a mark inside a text stays text.
    return _MARK.sub(lambda found: parts[found[0]], (room / "rater.html").read_text()).encode()


def own_text() -> bytes:
    """Returns what the page of every study holds: program, style, default texts, and the names of its settings."""
    room = importlib.resources.files("human_eval.page")
    names = ("rater.html", "rater.css", *_PROGRAM, "consent.txt", "instructions.txt")
    known = "mode study title width height images pilot forms form trials session answered server static mturk turkle"
    return b"\n".join([*((room / name).read_bytes() for name in names), known.encode()])


def _fragment(path: str | None, default: str, fill: Callable[[str], str] = lambda text: text) -> str:
    if path is None:
        return _paragraphs(fill((importlib.resources.files("human_eval.page") / default).read_text("utf-8")))
    file = pathlib.Path(path)
    if not file.is_file() or file.suffix not in (".txt", ".html"):
        raise UserError(f"{path}: expected a .txt or .html file with the text that raters read")
    data = file.read_bytes()
    if len(data) > _MAX_TEXT:
        raise UserError(f"{path}: has {len(data):,} bytes, at most {_MAX_TEXT:,} are read by anyone")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text in UTF-8") from None
    # What is filled into a fragment is text, and not HTML.
    return _html_filled(text, fill) if file.suffix == ".html" else _paragraphs(fill(text))


def _html_filled(fragment: str, fill: Callable[[str], str]) -> str:
    """Fills in the fields of an HTML fragment. The values are escaped, and the fragment is not."""
    return re.sub(r"\{[a-z]+\}", lambda field: html.escape(fill(field[0])), fragment)


def _paragraphs(text: str) -> str:
    """Turns plain text into HTML. Blank lines separate its paragraphs."""
    paragraphs = [part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    return "\n".join(f"<p>{html.escape(part.strip())}</p>" for part in paragraphs)
