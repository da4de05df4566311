"""What every command does with errors: one line for what a user can cause, silence for a reader that has left."""

import errno
import subprocess
import sys

import pytest

from coltran import cli

PROGRAM = "import sys; from coltran import cli; sys.exit(cli.run_command('coltran-x', lambda: {}))"


def test_a_reader_that_leaves_gets_no_traceback():
    body = "[print('line', flush=True) for _ in range(100000)] and None"
    command = [sys.executable, "-c", PROGRAM.format(body)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_the_system_s_refusals_are_one_line(number, capsys):
    def command():
        raise OSError(number, "the reason", "/some/file")

    assert cli.run_command("coltran-x", command) == 2
    assert capsys.readouterr().err == "coltran-x: /some/file: the reason\n"


def test_a_mistake_of_ours_keeps_its_traceback():
    def command():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cli.run_command("coltran-x", command)


def test_cloud_storage_s_refusals_are_one_line(capsys):
    from google.api_core.exceptions import Forbidden

    def command():
        raise Forbidden("no access to the bucket")

    assert cli.run_command("coltran-x", command) == 2
    err = capsys.readouterr().err
    assert "Google Cloud Storage: 403 no access to the bucket" in err
    assert err.count("\n") == 1
