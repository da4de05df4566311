"""Which texts are local paths, which are gs:// paths, and that every command refuses all other schemes before work."""

import argparse
import os
import re
import urllib.parse
from collections.abc import Callable
from importlib import metadata

import pytest
from hypothesis import given, strategies as st

from coltran import paths, storage
from coltran.errors import UserError
from human_eval import study
from human_eval.design.study import named_folders

OTHERS = (  # schemes that we do not serve
    "s3://b/x",
    "S3://b/x",
    "hdfs://host/x",
    "az://c/x",
    "http://h/x",
    "https://h/x",
    "ftp://h/x",
    "abc://x",
    "s3:/b/x",
)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("photos", "photos"),
        ("./s3:/x", "./s3:/x"),
        ("odd:/name", "odd:/name"),
        ("a/b://c", "a/b://c"),
        ("C:x", "C:x"),
        ("", ""),
        ("gs://b/x", "gs://b/x"),
        ("GS://B/x", "gs://B/x"),
        ("file:///a/b%20c", "/a/b c"),
        ("FILE://localhost/a", "/a"),
        ("file:/a", "/a"),
        ("file:///a/**/*.jp?g", "/a/**/*.jp?g"),
        ("file:///%C3%A9%FF", os.fsdecode(b"/\xc3\xa9\xff")),
    ],
)
def test_texts_that_are_paths(text, path):
    assert paths.normalized(text) == path


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_a_file_url_of_any_path_names_that_path(name):
    absolute = f"/{name}"
    if absolute.strip("/"):
        assert paths.normalized(f"file://{urllib.parse.quote(absolute)}") == absolute


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, "is not read or written here, only local paths .* and gs://") for text in OTHERS),
        ("s3://b/x", "aws s3 cp"),
        ("hdfs://h/x", "hdfs dfs -get"),
        ("https://h/x", "curl"),
        ("gs://", "expected gs://BUCKET/NAME"),
        ("gs:///x", "expected gs://BUCKET/NAME"),
        ("gs:/b/x", "expected gs://BUCKET/NAME"),
        ("file://host/x", "expected file:///PATH"),
        ("file://", "expected file:///PATH"),
        ("file:///a%00b", "expected file:///PATH"),
    ],
)
def test_texts_that_are_refused(text, reason):
    with pytest.raises(UserError, match=reason) as refusal:
        paths.normalized(text)
    assert str(refusal.value).startswith(f"{text}: ")


@pytest.mark.parametrize("text", ["s3://b/x", "file:///x", "GS://b/x"])
@pytest.mark.parametrize("call", [storage.exists, storage.list_files, storage.read_bytes, storage.is_folder])
def test_storage_refuses_what_no_command_has_normalized(call, text):
    with pytest.raises(UserError):
        call(text)
    with pytest.raises(UserError):
        storage.write_bytes(text, b"x")
    assert not os.path.exists(text.partition("/")[0])


SCRIPTS = [
    script for script in metadata.distribution("coltran-pipelines").entry_points if script.group == "console_scripts"
]
WORDS = [
    [script.name, *words]
    for script in SCRIPTS
    for words in ([[name] for name in study._COMMANDS] if script.name == "coltran-study" else [[]])
]
PLACES = re.compile(r"FOLDER|FILE|PATH|PNG|PHOTOS|WORKDIR|ROW\b|SOURCE|DIR")  # metavars of what is on a disk
OTHERWISE_NEEDED = {
    **{name: ["turkle"] for name in ("publish", "status", "fetch")},
    "design": ["seed"],
    "simulate": ["seed"],
    "forget": ["rater"],
}
NAMED = {"ROW": "ours=", "[NAME=]FOLDER": "ours="}  # what stands before the path


def main_of(words: list[str]) -> Callable[[list[str]], int]:
    script = next(script for script in SCRIPTS if script.name == words[0])
    return lambda flags: script.load()([*words[1:], *flags])


def places_of(words: list[str], monkeypatch: pytest.MonkeyPatch) -> list[argparse.Action]:
    """The options of a command that name something on a disk, as its --help shows them."""
    shown: list[argparse.ArgumentParser] = []
    monkeypatch.setattr(argparse.ArgumentParser, "print_help", lambda parser, file=None: shown.append(parser))
    with pytest.raises(SystemExit):
        main_of(words)(["--help"])
    return [action for action in shown[0]._actions if PLACES.search(str(action.metavar))]


def flag(action: argparse.Action, text: str) -> str:
    return f"{action.option_strings[0]}={text}" if action.option_strings else text


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_every_command_refuses_other_schemes_in_every_option(words, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    places = places_of(words, monkeypatch)
    assert places or words[1:] == ["power"]
    for action in places:
        for address in ("s3://bucket/x", "hdfs://h/x", "az://c/x", "https://h/x", "gs:/bucket/x"):
            text = NAMED.get(str(action.metavar), "") + address
            flags = [flag(action, text)]
            if action.metavar == "[NAME=]FOLDER":
                flags += ["--truth=t", "--out=o", "--raters=3", "--seed=1"]
            assert main_of(words)(flags) == 2, flags
            said = capsys.readouterr().err
            assert said.count("\n") == 1, said
            assert address in said, said
            assert "not read or written here" in said or "expected gs://BUCKET/NAME" in said, said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_every_option_of_every_command_understands_file_urls_and_capitals(words, monkeypatch):
    for action in places_of(words, monkeypatch):
        before = NAMED.get(str(action.metavar), "")
        for text, path in (("file:///a%20b", "/a b"), ("GS://bucket/x", "gs://bucket/x")):
            if action.metavar == "[NAME=]FOLDER":
                assert named_folders([action.type(before + text)]) == {"ours": path}
            elif action.metavar == "ROW":
                assert action.type(before + text).repeats == ((path,),)
            else:
                assert action.type(text) == path


@pytest.mark.parametrize("words", [words for words in WORDS if words[0] == "coltran-study"], ids=" ".join)
def test_a_study_is_never_on_the_cloud(words, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    places = places_of(words, monkeypatch)
    needed = {action: flag(action, "1") for action in places if action.required}
    needed |= {name: f"--{name}=1" for name in OTHERWISE_NEEDED.get(words[1], ())}
    for action in places:
        if action.dest not in study._MAY_BE_CLOUD:
            assert main_of(words)([*(needed | {action: flag(action, "gs://bucket/x")}).values()]) == 2
            assert "gs://bucket/x: a study folder and its files are local" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
