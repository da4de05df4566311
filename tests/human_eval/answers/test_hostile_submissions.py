"""Files that no service hands out: hostile XML, cut JSON, other tables. One line each; nothing is expanded."""

import json

import pytest

from coltran.errors import UserError
from human_eval import study
from human_eval.answers import mturk_api

NAMESPACED = (
    '<?xml version="1.0"?><q:QuestionFormAnswers xmlns:q="http://example/2005-10-01/QuestionFormAnswers.xsd">'
    "<q:Answer><q:QuestionIdentifier>comment</q:QuestionIdentifier><q:FreeText/></q:Answer>"
    "<q:Answer><q:QuestionIdentifier>a</q:QuestionIdentifier><q:FreeText>1 &lt; 2</q:FreeText></q:Answer>"
    "<q:Answer><q:QuestionIdentifier>b</q:QuestionIdentifier><q:SelectionIdentifier>x</q:SelectionIdentifier></q:Answer>"
    "</q:QuestionFormAnswers>"
)
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE QuestionFormAnswers [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    "]><QuestionFormAnswers><Answer><QuestionIdentifier>r</QuestionIdentifier><FreeText>&b;</FreeText></Answer>"
    "</QuestionFormAnswers>"
)
OUTSIDE = '<!DOCTYPE x SYSTEM "file:///etc/passwd"><QuestionFormAnswers/>'


def test_answers_in_any_namespace():
    assert mturk_api.parse_answers(NAMESPACED, "f") == {"comment": "", "a": "1 < 2", "b": "x"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "has a document type"),
        (OUTSIDE, "has a document type"),
        (NAMESPACED[:-30], "is no whole XML document"),
        ("<html/>", "expected a document QuestionFormAnswers, got html"),
        ("<QuestionFormAnswers>" + "<a>" * 5000, "expected a document"),
        (NAMESPACED.replace(">b<", ">a<"), "the field a comes twice"),
        ("<QuestionFormAnswers>&undefined;</QuestionFormAnswers>", "is no whole XML"),
    ],
)
def test_hostile_xml_is_refused_in_one_line(text, message):
    with pytest.raises(UserError, match=message) as caught:
        mturk_api.parse_answers(text, "f")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "none of the formats"),
        (b"{", "is no whole JSON text"),
        (b"[" * 100_000, "is no whole JSON text"),
        (b'{"trials": 3}', "expected the rater page's answers"),
        (b'{"trials": [{"trial": NaN}]}', "NaN is no JSON"),
        (b'{"trials": [{"trial": 0, "shown": ["a", "b"], "fake": "a"}]}', "none of its 1 answers belongs to"),
        (b'{"Assignments": [{"AssignmentId": 1}]}', "has no text `Answer`"),
        (BOMB.encode(), "has a document type"),
        (b"\xff\xfe{", "is no whole CSV file in UTF-8"),
        (b"HITId,AssignmentId,WorkerId,SubmitTime\nx\n", "give the results file, not the batch"),
        (b"AssignmentId,WorkerId,SubmitTime,Answer.result\nA1,W1\n", "line 2: 2 cells|unreadable|expected 4"),
        (b'AssignmentId,WorkerId,SubmitTime,Answer.result\n"A1,W1', "is no whole CSV file"),
        (b"form,trials\n0,x\n", "none of the formats"),
    ],
)
def test_hostile_files_get_one_line(data, message, study_path, tmp_path, capsys):
    import re

    (tmp_path / "file").write_bytes(data)
    status = study.main(["ingest", f"--study={study_path}", str(tmp_path / "file")])
    err = capsys.readouterr().err
    if status == 0:
        summary = json.loads((study_path / "private" / "ingest.json").read_text())
        assert re.search(message, json.dumps(summary))
    else:
        assert status == 2
        assert re.search(message, err)
        assert err.count("\n") == 1
