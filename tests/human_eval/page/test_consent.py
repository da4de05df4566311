"""The consent text says what is true of the study, or nothing is shown."""

import dataclasses
import io
import sys

import pytest

from coltran.errors import UserError
from human_eval import study
from human_eval.folder import layout
from human_eval.page import consent

KNOWN = {"researcher": "R. & Co", "contact": "r@example.org", "ethics": "E-12", "withdrawal": "Write to us."}
TEXT = "{pairs} pairs, {minutes} minutes; {researcher} {contact} {ethics} {withdrawal} {identity} {storage}"


@pytest.fixture
def bare(study_path):
    """A study whose design says nothing of consent."""
    design = dataclasses.replace(layout.load_design(study_path), consent={})
    layout.private_file(study_path / layout.DESIGN, design.to_json())
    return study_path


def fill(known, *, mode="server", pilot=False, text=TEXT) -> str:
    return consent.fill(text, mode=mode, pairs=32, minutes=3, known=known, pilot=pilot)


def test_all_fields_are_filled():
    filled = fill(KNOWN)
    assert filled.startswith("32 pairs, 3 minutes; R. & Co r@example.org E-12 Write to us. Your name")
    assert "{" not in filled
    assert len({fill(KNOWN, mode=mode) for mode in ("server", "static", "mturk", "turkle")}) == 4


def test_what_is_missing_is_named_and_only_a_pilot_does_without():
    with pytest.raises(UserError, match=r"lacks contact, ethics, withdrawal: give --contact TEXT, --ethics TEXT"):
        fill({"researcher": "R"})
    assert "[contact: not given yet]" in fill({"researcher": "R"}, pilot=True)
    assert fill({}, text="a text of one's own, {with} braces") == "a text of one's own, {with} braces"


def test_export_and_serve_refuse_and_say_what_to_give(bare, tmp_path, capsys):
    for command in (["export"], ["serve", "--access=open", "--host=203.0.113.9"]):
        assert study.main([*command, f"--study={bare}"]) == 2
        err = capsys.readouterr().err
        assert "the consent text lacks researcher, contact, ethics, withdrawal" in err
        assert err.count("\n") == 1
    assert study.main(["export", f"--study={bare}", "--pilot"]) == 0
    flags = [f"--{name}={text}" for name, text in KNOWN.items()]
    assert study.main(["export", f"--study={bare}", *flags]) == 0
    page = (bare / "public" / "index.html").read_text()
    assert "You will see 12 pairs of photos, which takes about 2 minutes." in page
    assert "R. &amp; Co" in page
    own = tmp_path / "own.html"
    own.write_text("<p>Ask {researcher}</p>")
    assert study.main(["export", f"--study={bare}", f"--consent={own}", "--researcher=<b>"]) == 0
    assert "<p>Ask &lt;b&gt;</p>" in (bare / "public" / "index.html").read_text()


def test_a_terminal_is_asked_for_what_is_missing(monkeypatch):
    terminal = io.StringIO("me\n\nE-1\n\n")
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    assert consent.ask({}) == {"researcher": "me", "ethics": "E-1"}
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert consent.ask({"contact": "c"}) == {"contact": "c"}
