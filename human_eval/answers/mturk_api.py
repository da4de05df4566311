"""Answers as Mechanical Turk's API gave them: the JSON of ListAssignmentsForHIT, in each assignment an XML text.

Also a bare QuestionFormAnswers document, where the answers themselves name the rater. A document type is refused, so
no entity is ever expanded or fetched.
"""

from __future__ import annotations

import json
import pathlib
import xml.parsers.expat
from collections.abc import Iterator

from coltran.errors import UserError
from human_eval.answers.submissions import Submission, from_fields, from_rater, utc_time
from human_eval.folder.strict_json import parse_json

SOURCE = "mturk-api"
_MAX_DEPTH = 8


def submissions(data: bytes, where: str) -> Iterator[Submission]:
    """One submission an assignment.

    Args:
      data: JSON (`{"Assignments": [...]}`, a list of assignments or of such pages, or one of them a line), or XML.
      where: the file's name.
    Raises:
      UserError: no such document, or one with a document type.
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
    for assignment in _assignments(text, where):
        if not isinstance(assignment, dict) or not isinstance(assignment.get("Answer"), str):
            raise UserError(f"{where}: an assignment has no text `Answer`; give what ListAssignmentsForHIT returned")
        name = str(assignment.get("AssignmentId", ""))
        place = f"{where}, assignment {name[:40]}"
        yield from_rater(
            parse_answers(assignment["Answer"], place),
            source=SOURCE,
            where=place,
            assignment=name,
            rater=str(assignment.get("WorkerId", "")),
            submitted=utc_time(str(assignment.get("SubmitTime", ""))),
        )


def _assignments(text: str, where: str) -> Iterator[object]:
    try:
        found = [json.loads(text)]
    except (ValueError, RecursionError):
        found = [parse_json(line, where) for line in text.splitlines() if line.strip()]
    for value in found:
        for page in value if isinstance(value, list) else [value]:
            yield from page["Assignments"] if isinstance(page, dict) and "Assignments" in page else [page]


def parse_answers(text: str, where: str) -> dict[str, str]:
    """Fields of a QuestionFormAnswers document, in any namespace or none.

    Raises:
      UserError: no whole document of this kind, a document type or entity in it, or a field that comes twice.
    """
    fields: dict[str, str] = {}
    path: list[str] = []
    answer: dict[str, list[str]] = {}

    def start(name: str, _: object) -> None:
        path.append(name.rpartition("}")[2])
        if len(path) > _MAX_DEPTH or path[0] != "QuestionFormAnswers":
            raise UserError(f"{where}: expected a document QuestionFormAnswers, got {path[0][:40]}")
        if path[-1] == "Answer":
            answer.clear()
        answer.setdefault(path[-1], [])

    def text_of(data: str) -> None:
        answer.setdefault(path[-1], []).append(data)

    def end(_: str) -> None:
        if path.pop() != "Answer":
            return
        field = "".join(answer.get("QuestionIdentifier", [])).strip()
        if field in fields:
            raise UserError(f"{where}: the field {field[:40]} comes twice")
        fields[field] = "".join(answer.get("FreeText", answer.get("SelectionIdentifier", [])))

    def refuse(*_: object) -> None:
        raise UserError(f"{where}: has a document type, which no answer of the service has; refused")

    parser = xml.parsers.expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text_of
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except xml.parsers.expat.ExpatError as error:
        raise UserError(f"{where}: is no whole XML document ({error}); download it again") from None
    return fields
