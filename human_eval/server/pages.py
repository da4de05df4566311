"""Makes the server's small pages for raters who have nothing to do or cannot take part.

Each page has one or two sentences and no program.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlencode

import jinja2

from human_eval.server.sitting import Visit
from human_eval.server.sittings import ALL_TAKEN, COMPLETE, NOTHING_LEFT

_INLINE = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)
_TEXTS = {
    COMPLETE: ("The study is complete", "All answers that we need are in. Thank you for your interest!"),
    NOTHING_LEFT: ("Nothing left for you", "There are no more photos that you have not seen. Thank you for your help!"),
    ALL_TAKEN: (
        "Everything is taken right now",
        "Other people are working on all the photos that are left. Please open your link again in half an hour.",
    ),
}


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("human_eval.server", ""),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def fill(template: str, **values: object) -> bytes:
    """Fills in a template that lies beside this file.

    Args:
      template: name of the template file.
      values: the values that it shows. All texts are escaped.
    """
    return _ENVIRONMENT.get_template(template).render(**values).encode()


def message(title: str, text: str) -> bytes:
    """Makes a page with one paragraph of plain text."""
    return fill("message.html", title=title, text=text)


def visit(found: Visit, query: Mapping[str, str]) -> bytes:
    """Makes the page for a rater who gets no form at this moment.

    Args:
      found: a visit without a sitting.
      query: the address's parameters, for a link to the next form.
    """
    if not found.finished:
        return message(*_TEXTS[found.why])
    link = "?" + urlencode({**query, "another": str(len(found.finished))}) if found.more else ""
    return fill("thanks.html", title="Thank you!", finished=found.finished, another=link)


def security_policy(data: bytes, *, ours: bool) -> str:
    """Returns the Content-Security-Policy of a page. The page can only run, load or send what the policy names.

    Args:
      data: the page. Its own style and program are allowed by their hashes.
      ours: whether it is the rater page, which loads images and sends answers.
    """
    allowed: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(data):
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        allowed[kind.decode()].append(f"'sha256-{digest}'")
    parts = ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    parts += [f"{kind}-src {' '.join(hashes)}" for kind, hashes in allowed.items() if hashes]
    if ours:
        parts += ["img-src 'self'", "connect-src 'self'"]
    return "; ".join(parts)
