"""Reads answers from Mechanical Turk's API: the JSON of ListAssignmentsForHIT, which has an XML text per assignment.

It also reads a bare QuestionFormAnswers document, in which the answers themselves name the rater. It refuses a document
type, so no entity is ever expanded or fetched.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping

from coltran.errors import UserError
from human_eval.answers.rounded_numbers import IDS, refuse_rounded_numbers
from human_eval.answers.submissions import Submission, from_fields, from_rater, unreadable, utc_time
from human_eval.folder.strict_json import parse_json

SOURCE = "mturk-api"
_MAX_DEPTH = 8


def submissions(data: bytes, where: str) -> Iterator[Submission]:
    """Yields one submission for each assignment.

    Args:
      data: XML, or JSON: `{"Assignments": [...]}`, a list of these or of assignments, or one of them per line.
      where: the file's name.

    Raises:
      UserError: the file is not such a document, or it has a document type.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{where}: is no text in UTF-8") from None
    if text.lstrip().startswith("<"):
        fields = parse_answers(text, where)
        name = fields.get("assignmentId") or pathlib.PurePath(where).stem
        yield from_fields(fields, source=SOURCE, where=where, assignment=name, rater=fields.get("workerId", ""))
        return
    found = list(_assignments(text, where))
    if not any(isinstance(one, dict) and "AssignmentId" in one for one in found):
        raise UserError(f"{where}: has no assignment; give what ListAssignmentsForHIT returned")
    refuse_rounded_numbers(
        {name: [str(one.get(name, "")) for one in found if isinstance(one, dict)] for name in IDS}, where
    )
    for assignment in found:
        yield _submission(assignment if isinstance(assignment, dict) else {}, where)


def _submission(assignment: Mapping[str, object], where: str) -> Submission:
    """Returns the submission of one assignment. If its answer cannot be read, the submission says why."""
    name = str(assignment.get("AssignmentId", ""))
    place = f"{where}, assignment {name[:40]}"
    about = {
        "source": SOURCE,
        "where": place,
        "assignment": name,
        "rater": str(assignment.get("WorkerId", "")),
        "submitted": utc_time(str(assignment.get("SubmitTime", ""))),
        "status": str(assignment.get("AssignmentStatus", "")),
        "accepted": str(assignment.get("AcceptTime", "")),
        "handed_in": str(assignment.get("SubmitTime", "")),
    }
    answer = assignment.get("Answer")
    if not isinstance(answer, str):
        return unreadable(f"{place}: has no text `Answer`; give what ListAssignmentsForHIT returned", about)
    try:
        fields = parse_answers(answer, place)
    except UserError as error:
        return unreadable(str(error), about)
    return from_rater(fields, **about)


def _assignments(text: str, where: str) -> Iterator[object]:
    try:
        found = [json.loads(text)]
    except (ValueError, RecursionError):
        found = [parse_json(line, where) for line in text.splitlines() if line.strip()]
    for value in found:
        for page in value if isinstance(value, list) else [value]:
            yield from page["Assignments"] if isinstance(page, dict) and "Assignments" in page else [page]


def parse_answers(text: str, where: str) -> dict[str, str]:
    """Reads the fields of a QuestionFormAnswers document, with or without a namespace.

    Raises:
      UserError: the text is not a whole document of this kind, it has a document type or entity, or it has a field
        twice.
    """
    from defusedxml import DefusedXmlException, ElementTree

    parser = ElementTree.DefusedXMLParser(target=_Fields(where), forbid_dtd=True)
    try:
        parser.feed(text.encode("utf-8", "replace"))
        return parser.close()
    except DefusedXmlException:
        raise UserError(f"{where}: has a document type, which no answer of the service has; refused") from None
    except ElementTree.ParseError as error:
        raise UserError(f"{where}: is no whole XML document ({error}); download it again") from None


class _Fields:
    """Collects the fields of a QuestionFormAnswers document while an XML parser calls it. `close` returns them."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._path: list[str] = []
        self._answer: dict[str, list[str]] = {}  # This holds the texts of the open Answer by element.
        self._fields: dict[str, str] = {}

    def start(self, name: str, _: Mapping[str, str]) -> None:
        path = self._path
        path.append(name.rpartition("}")[2])
        if len(path) > _MAX_DEPTH or path[0] != "QuestionFormAnswers":
            raise UserError(f"{self._where}: expected a document QuestionFormAnswers, got {path[0][:40]}")
        if path[-1] == "Answer":
            self._answer.clear()
        self._answer.setdefault(path[-1], [])

    def data(self, text: str) -> None:
        self._answer.setdefault(self._path[-1], []).append(text)

    def end(self, _: str) -> None:
        if self._path.pop() != "Answer":
            return
        field = "".join(self._answer.get("QuestionIdentifier", [])).strip()
        if field in self._fields:
            raise UserError(f"{self._where}: the field {field[:40]} comes twice")
        self._fields[field] = "".join(self._answer.get("FreeText", self._answer.get("SelectionIdentifier", [])))

    def close(self) -> dict[str, str]:
        return self._fields
