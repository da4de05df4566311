"""Wraps a page for Mechanical Turk as a batch template, or as an HTMLQuestion or ExternalQuestion of the API."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.sax.saxutils import escape

from coltran.errors import UserError

MAX_QUESTION_BYTES = 65_535  # This includes white space.
_HTML = "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2011-11-11/HTMLQuestion.xsd"
_EXTERNAL = "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2006-07-14/ExternalQuestion.xsd"
_PREFIX = '<?xml version="1.0" encoding="UTF-8"?>\n'
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def as_template(html: str, columns: Iterable[str]) -> bytes:
    """Makes a batch template of a page. It goes inside the service's own page and form.

    The service fills in each ${column}. Nothing else may look like one, so the page has no template literals.

    Args:
      html: the page.
      columns: columns of the batch CSV.

    Raises:
      UserError: a text of the team has a ${...} of its own.
    """
    style = html[html.index("<style>") : html.index("</head>")]
    body = html[html.index("<body>") + len("<body>") : html.index("</body>")]
    html = f"{style.strip()}\n{body.strip()}\n"
    unknown = set(_VARIABLE.findall(html)) - set(columns)
    if unknown:
        raise UserError(
            f"the texts contain ${{{sorted(unknown)[0]}}}, which the service would fill in; write it otherwise"
        )
    return html.encode()


def own_text() -> bytes:
    """Returns the text that these wrappers add to any page."""
    return html_question("") + external_question("https://", 0)


def html_question(html: str) -> bytes:
    """Makes the HTMLQuestion XML of a whole page.

    Raises:
      UserError: the question has more bytes than the service takes, or a text ends the CDATA section.
    """
    if "]]>" in html:
        raise UserError("the texts contain ]]>, which ends the question's page; write it otherwise")
    question = (
        f'{_PREFIX}<HTMLQuestion xmlns="{_HTML}">\n<HTMLContent><![CDATA[{html}]]></HTMLContent>\n'
        "<FrameHeight>0</FrameHeight>\n</HTMLQuestion>\n"
    ).encode()
    if len(question) > MAX_QUESTION_BYTES:
        raise UserError(
            f"a question has {len(question):,} bytes, the service takes {MAX_QUESTION_BYTES:,}; shorten the texts, "
            "design with a smaller --block, or use ExternalQuestion (--page_url)"
        )
    return question


def external_question(page_url: str, form: int) -> bytes:
    """Makes the ExternalQuestion XML that opens one form of the static page."""
    url = f"{page_url}{'&' if '?' in page_url else '?'}form={form + 1}"
    return (
        f'{_PREFIX}<ExternalQuestion xmlns="{_EXTERNAL}">\n<ExternalURL>{escape(url)}</ExternalURL>\n'
        "<FrameHeight>0</FrameHeight>\n</ExternalQuestion>\n"
    ).encode()
