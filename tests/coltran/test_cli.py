"""What every command does with errors: one line for what a user can cause, silence for a reader that has left."""

import errno
import os
import pathlib
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


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import importlib
sys.exit(importlib.import_module({module!r}).main(sys.argv[1:]))
"""
EXTRAS = ("apache_beam", "pyarrow", "jax", "flax", "optax", "orbax", "tensorflow", "tf_keras", "yaml", "flask",
          "waitress", "jinja2", "defusedxml", "requests", "pillow_heif")  # fmt: skip
PLAIN = {
    "coltran-preprocess": ("pipelines.preprocess", ["--source=photos", "--out=out"]),
    "coltran-train": ("coltran.train", ["--stage=colorizer", "--data=records", "--workdir=out"]),
    "coltran-import": ("coltran.import_release", ["--from=release", "--to=out"]),
    "coltran-colorize": ("coltran.colorize", ["photos", "--out=out"]),
    "coltran-sample": ("eval.sample", ["--records=records", "--out=out", "--seed=1", "--colorizer=built_in"]),
    "coltran-fid": ("eval.fid", ["--real=records", "--rows", "model=c", "--out=out"]),
    "coltran-study design": (
        "human_eval.study",
        [
            "design",
            "--truth=photos",
            "--colorized=colored",
            "--out=out",
            "--seed=1",
            "--images=4",
            "--samples=1",
            "--practice=2",
        ],
    ),
}


@pytest.mark.parametrize("command", PLAIN)
def test_a_plain_installation_names_the_extra(command, photo_folder, truth_folder, tmp_path):
    """What the extras bring is hidden from Python, as in a wheel that was installed without them.

    The inputs are there, because a missing one is refused before any library is needed.
    """
    module, arguments = PLAIN[command]
    for name, folder in {"photos": photo_folder, "colored": photo_folder, "records": truth_folder}.items():
        (tmp_path / name).symlink_to(folder)
    (tmp_path / "release").mkdir()
    for name in ("model-1.index", "model-1.data-00000-of-00001"):
        (tmp_path / "release" / name).write_bytes(b"")
    code = WITHOUT.format(absent=EXTRAS, module=module)
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(cli.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    extra = cli.EXTRAS[command.partition(" ")[0]]
    assert done.returncode == 2
    assert done.stderr.startswith(f"{command.partition(' ')[0]}")
    assert done.stderr.endswith(f"which this installation leaves out: pip install 'coltran-pipelines[{extra}]'\n")
    assert done.stderr.count("\n") == 1


def test_the_extras_that_are_named_are_those_of_setup():
    setup = (pathlib.Path(cli.__file__).parents[1] / "setup.py").read_text()
    named = {extra for extras in cli.EXTRAS.values() for extra in extras.split(",")} | {"heic", "all"}
    assert all(f'"{extra}": ' in setup for extra in named)
