"""The real server process on loopback: its start and its refusals."""

import signal
import subprocess
import sys

import pytest

from human_eval import study
from human_eval.server import access
from tests.human_eval.server.processes import PATIENCE


def test_start_refusals_and_end(new_process, kit, tmp_path):
    folder = kit.write_study(tmp_path / "study", kit.make_design())
    server = new_process(folder, "--access=open")
    said = server.start()
    assert f"http://127.0.0.1:{server.port}/?rater=NAME" in said
    token = (folder / "private" / "organizer_token").read_text().strip()
    assert f"/organizer?token={token}" in said
    for more, message in (
        ((), "another server has this database open"),
        (("--pilot",), f"--port {server.port}: is in use"),  # a database of its own, but the same port
    ):
        done = subprocess.run(server.command(*more), capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--study=nowhere"], "is no study folder"),
        (["--lease=0"], "expected minutes above 0"),
        (["--port=70000"], "expected a port"),
        (["--url=study.example.org"], "expected an address"),
        (["--completion_url=javascript:alert(1)"], "expected an address"),
        (["--completion_code=a b"], "expected letters"),
        (["--consent=nowhere.txt"], "expected a .txt or .html file"),
        (["--host=203.0.113.9"], "cannot listen there"),
    ],
)
def test_wrong_options_get_one_line(options, message, kit, tmp_path, capsys):
    folder = kit.write_study(tmp_path / "study", kit.make_design(images=2, block=2, samples=1))
    assert study.main(["serve", f"--study={folder}", "--port=1", "--access=open", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_no_framework_is_imported(kit, tmp_path):
    folder = kit.write_study(tmp_path / "study", kit.make_design(images=2, block=2, samples=1))
    code = (
        "import sys\nfrom human_eval import study\n"
        f"study.main(['serve', '--study={folder}', '--host=203.0.113.9', '--access=open'])\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    modules = set(done.stdout.split())
    assert {"flask", "waitress"} <= modules
    assert not {"jax", "tensorflow", "apache_beam", "matplotlib", "scipy", "PIL"} & modules


def test_invitations_are_added_and_let_in(new_rig, capsys):
    rig = new_rig("--access=invitation")
    path = rig.folder / "private" / "invitations.csv"
    for count in (3, 2):
        arguments = [f"--invitations={count}", "--url=https://study.example.org/"]
        assert study.main(["serve", f"--study={rig.folder}", *arguments]) == 0
    assert "2 invitations added to" in capsys.readouterr().out
    assert path.stat().st_mode & 0o777 == 0o600
    header, *lines = path.read_text().splitlines()
    assert header == "number,token,link"
    assert [line.split(",")[0] for line in lines] == ["0001", "0002", "0003", "0004", "0005"]
    tokens = [line.split(",")[1] for line in lines]
    assert len(set(tokens)) == 5
    assert lines[4].split(",")[2] == f"https://study.example.org/?invitation={tokens[4]}"
    assert rig.enter("", invitation=tokens[4]).trials
    assert rig.visit("", invitation=tokens[4][:-1]).status_code == 403
    assert rig.rows("SELECT rater FROM sittings") == rig.hashes("invitation-0005")
    study.main(["serve", f"--study={rig.folder}", "--invitations=1"])
    newest = path.read_text().splitlines()[-1].split(",")[1]
    assert rig.enter("", invitation=newest).trials  # while the server runs


def test_a_spreadsheets_zeros_make_nobody_new(new_rig):
    rig = new_rig("--access=invitation")
    path = access.invite(rig.folder, 2, "https://study.example.org")
    token = path.read_text().splitlines()[2].split(",")[1]
    first = rig.enter("", invitation=token)
    path.write_text(path.read_text().replace("\n000", "\n"))
    assert path.read_text().splitlines()[2].startswith("2,")
    assert rig.enter("", invitation=token).form == first.form
    assert rig.rows("SELECT rater FROM sittings") == rig.hashes("invitation-0002")


@pytest.mark.parametrize(
    "save",
    [
        lambda text: text.replace(",", ";").encode("utf-8-sig"),
        lambda text: text.replace(",", "\t").encode("utf-16"),
        lambda text: (text.replace("number,token,link", "Number, Token ,LINK") + "\n,,\n").encode(),
        lambda text: ("sep=;\r\n" + text.replace(",", ";").replace("\n", "\r\n")).encode("latin-1"),
    ],
)
def test_a_list_that_was_saved_again_lets_everybody_in(save, new_rig):
    rig = new_rig("--access=invitation")
    path = access.invite(rig.folder, 2, "https://study.example.org")
    token = path.read_text().splitlines()[2].split(",")[1]
    first = rig.enter("", invitation=token)
    path.write_bytes(save(path.read_text()))
    assert rig.enter("", invitation=token).form == first.form
    assert list(rig.problems) == []


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe,", b"number,link\n1,x\n", b'number,token\n1,"'])
def test_a_damaged_list_keeps_the_last_good_one(damage, new_rig):
    rig = new_rig("--access=invitation")
    path = access.invite(rig.folder, 2, "https://study.example.org")
    good = path.read_bytes()
    token = good.decode().splitlines()[2].split(",")[1]
    first = rig.enter("", invitation=token)
    path.write_bytes(damage)
    for _ in range(3):
        assert rig.enter("", invitation=token).form == first.form
    if damage:
        [problem] = rig.problems
        assert "the last good list with 2 invitations stays in use" in problem
    path.write_bytes(good)
    assert rig.enter("", invitation=token).form == first.form
    assert rig.visit("", invitation="guess").status_code == 403


def test_no_token_begins_like_a_formula(tmp_path, monkeypatch):
    drawn = iter(["-SUM(A1)", "--", "good"])
    monkeypatch.setattr(access.secrets, "token_urlsafe", lambda _: next(drawn))
    path = access.invite(tmp_path, 1, "https://x")
    assert path.read_text().splitlines()[1] == "0001,good,https://x/?invitation=good"


def test_no_server_without_invitations(kit, tmp_path, capsys):
    folder = kit.write_study(tmp_path / "study", kit.make_design(images=2, block=2, samples=1))
    for text in (None, "number,token,link\n"):
        if text:
            (folder / "private" / "invitations.csv").write_text(text)
        assert study.main(["serve", f"--study={folder}", "--host=203.0.113.9"]) == 2
        error = capsys.readouterr().err
        assert error == "coltran-study: no invitations yet: run with --invitations N, or --access open\n"
    warning = "warning: their links point to this machine only"
    for more, warned in (([], True), (["--url=https://study.example.org"], False), (["--host=203.0.113.9"], False)):
        assert study.main(["serve", f"--study={folder}", "--invitations=1", *more]) == 0
        assert (warning in capsys.readouterr().out) is warned
    assert study.main(["serve", f"--study={folder}", "--host=203.0.113.9"]) == 2
    assert "cannot listen there" in capsys.readouterr().err
