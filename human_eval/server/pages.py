"""The server's small pages, for raters who have nothing to do, or cannot: one sentence or two, no program."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from urllib.parse import urlencode

from human_eval.server.sittings import ALL_TAKEN, COMPLETE, NOTHING_LEFT, Sitting, Visit

STYLE = (
    "body{font:17px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem;color:#222}"
    "code{font-size:1.2em;background:#eee;padding:.1em .4em}"
    "table{border-collapse:collapse}td,th{padding:.15em .7em;text-align:right;border-bottom:1px solid #ddd}"
)
_INLINE = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)
_TEXTS = {
    COMPLETE: ("The study is complete", "All answers that we need are in. Thank you for your interest!"),
    NOTHING_LEFT: ("Nothing left for you", "There are no more photos that you have not seen. Thank you for your help!"),
    ALL_TAKEN: (
        "Everything is taken right now",
        "Other people are working on all the photos that are left. Please open your link again in half an hour.",
    ),
}


def page(title: str, body: str) -> bytes:
    """A page; `body` is HTML."""
    name = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>{STYLE}</style></head><body><h1>{name}</h1>\n{body}\n</body></html>\n"
    ).encode()


def message(title: str, text: str) -> bytes:
    """A page with one paragraph of plain text."""
    return page(title, f"<p>{html.escape(text)}</p>")


def visit(found: Visit, query: dict[str, str]) -> bytes:
    """What a rater reads for whom there is no form at this moment.

    Args:
      found: without a sitting.
      query: the address's parameters, for a link to the next form.
    """
    if not found.finished:
        return message(*_TEXTS[found.why])
    body = "".join(map(_code, found.finished))
    if found.more:
        link = html.escape("/?" + urlencode({**query, "another": str(len(found.finished))}), quote=True)
        body += f'<p>If you like, you can <a href="{link}">do another set of photos</a>.</p>'
    return page("Thank you!", body)


def security_policy(data: bytes, *, ours: bool) -> str:
    """The Content-Security-Policy of a page: nothing runs, loads or is sent but what it names.

    Args:
      data: the page; its own style and program are allowed by their hashes.
      ours: whether it is the rater page, which loads images and sends answers.
    """
    allowed = {"script": [], "style": []}
    for kind, text in _INLINE.findall(data):
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        allowed[kind.decode()].append(f"'sha256-{digest}'")
    parts = ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    parts += [f"{kind}-src {' '.join(hashes)}" for kind, hashes in allowed.items() if hashes]
    if ours:
        parts += ["img-src 'self'", "connect-src 'self'"]
    return "; ".join(parts)


def _code(sitting: Sitting) -> str:
    text = f"<p>You have finished a set of photos. Your code: <code>{html.escape(sitting.code)}</code></p>"
    if sitting.redirect:
        text += f'<p><a href="{html.escape(sitting.redirect, quote=True)}">Go back with this code</a></p>'
    return text


def progress_rows(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An HTML table."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    lines = ("".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in rows)
    return f"<table><tr>{head}</tr>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
