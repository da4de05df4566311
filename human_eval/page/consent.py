"""Fills in what the consent text says of the study, so that it tells the truth about this very study."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping

from coltran.errors import UserError
from coltran.options import option

_HEADING = "what the consent text says"
_FIELD = re.compile(r"\{(pairs|minutes|researcher|contact|ethics|withdrawal|identity|storage)\}")
_QUESTIONS = {
    "researcher": "Who runs the study (name and institution)?",
    "contact": "Where can raters ask (an e-mail address)?",
    "ethics": "Ethics approval (number and board, or why none is needed)?",
    "withdrawal": "How can raters have their answers deleted later (a sentence)?",
}
_IDENTITY = {
    "server": "Your name or number is turned into a code as soon as it arrives; the name itself is not stored.",
    "static": "The page turns your rater name into a code; the file that you save holds the code and not the name.",
    "mturk": "The service tells us your worker number, which we turn into a code when we collect the answers.",
    "turkle": "The server tells us your user name, which we turn into a code when we collect the answers.",
}
_STORAGE = {
    "server": "The data is stored on the study's server and on computers of the research team.",
    "static": "The data stays in your browser until you save the file and give it to the research team.",
    "mturk": "The data is stored by the service and on computers of the research team.",
    "turkle": "The data is stored on that server and on computers of the research team.",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConsentFlags:
    """What the consent text says. `design` asks for it, and keeps it in the study."""

    researcher: str = option("", decides=False, group=_HEADING, metavar="TEXT", help=_QUESTIONS["researcher"][:-1])
    contact: str = option("", decides=False, group=_HEADING, metavar="TEXT", help=_QUESTIONS["contact"][:-1])
    ethics: str = option("", decides=False, group=_HEADING, metavar="TEXT", help=_QUESTIONS["ethics"][:-1])
    withdrawal: str = option("", decides=False, group=_HEADING, metavar="TEXT", help=_QUESTIONS["withdrawal"][:-1])
    storage: str = option(
        "",
        decides=False,
        group=_HEADING,
        metavar="TEXT",
        shown="a sentence for the place of the page",
        help="where the data is stored (a sentence)",
    )


def given(options: ConsentFlags, before: Mapping[str, str]) -> dict[str, str]:
    """Returns what is known: the options, and what they leave empty from `before`."""
    names = [field.name for field in dataclasses.fields(ConsentFlags)]
    found = {name: getattr(options, name).strip() or before.get(name, "") for name in names}
    return {name: text for name, text in found.items() if text}


def ask(known: Mapping[str, str], *, terminal: bool | None = None) -> dict[str, str]:
    """Asks on the terminal for what is missing. Without a terminal, or for an empty answer, it stays missing.

    Args:
      known: what is known, by field.
      terminal: whether somebody answers; None asks the system.
    """
    found = dict(known)
    if not (sys.stdin.isatty() if terminal is None else terminal):
        return found
    for name, question in _QUESTIONS.items():
        if name not in found and (answer := input(f"{question} (empty: later) ").strip()):
            found[name] = answer
    return found


def fill(text: str, *, mode: str, pairs: int, minutes: int, known: Mapping[str, str], pilot: bool) -> str:
    """Fills in the fields of a consent text, such as {pairs}.

    Args:
      text: the default text, or the team's own one. It may leave fields out.
      mode: where the page runs, as for `render`.
      pairs, minutes: length of the longest form.
      known: the team's answers by field.
      pilot: whether a field may be missing, as nothing of a pilot counts.

    Raises:
      UserError: a field of the text is not known.
    """
    values = {"identity": _IDENTITY[mode], "storage": _STORAGE[mode], **known}
    values |= {"pairs": str(pairs), "minutes": str(minutes)}
    missing = [name for name in dict.fromkeys(_FIELD.findall(text)) if name not in values]
    if missing and not pilot:
        raise UserError(
            f"the consent text lacks {', '.join(missing)}: give {', '.join(f'--{name} TEXT' for name in missing)}, or "
            "--consent FILE with a text of your own; a trial run (--pilot) does without"
        )
    return _FIELD.sub(lambda found: values.get(found[1], f"[{found[1]}: not given yet]"), text)
