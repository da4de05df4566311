"""Disks and users as clusters have them: without modes, links, syncing of folders, a home, or a terminal of UTF-8."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from coltran import cli, local_copies, storage
from coltran.weights import steps

ROOT = pathlib.Path(cli.__file__).parents[1]
# What a file system refuses: each function fails with the number in its variable.
REFUSING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#define REFUSE(name) if (getenv(name)) { errno = atoi(getenv(name)); return -1; }
int fsync(int fd) {
  struct stat s; int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
  if (!fstat(fd, &s) && S_ISDIR(s.st_mode)) { REFUSE("NO_DIR_FSYNC") } else { REFUSE("NO_FSYNC") }
  return real(fd);
}
int chmod(const char *p, mode_t m) {
  int (*real)(const char *, mode_t) = dlsym(RTLD_NEXT, "chmod"); REFUSE("NO_CHMOD") return real(p, m);
}
int symlink(const char *a, const char *b) {
  int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "symlink"); REFUSE("NO_SYMLINK") return real(a, b);
}
int link(const char *a, const char *b) {
  int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "link"); REFUSE("NO_LINK") return real(a, b);
}
"""


@pytest.fixture(scope="module")
def refusing(tmp_path_factory) -> str:
    """The library that stands between a program and its disk."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc")
    folder = tmp_path_factory.mktemp("disk")
    (folder / "disk.c").write_text(REFUSING)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / "disk.so", folder / "disk.c", "-ldl"], check=True)
    return str(folder / "disk.so")


def python(code: str, *arguments: object, cwd=None, **variables: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    environment |= {"PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, errors="replace")


PREPROCESS = "import sys; from pipelines import preprocess; sys.exit(preprocess.main(sys.argv[1:]))"
EVERYTHING = {"NO_CHMOD": "95", "NO_LINK": "1", "NO_SYMLINK": "1", "NO_DIR_FSYNC": "22"}


def test_a_job_on_a_disk_without_modes_links_and_syncing(refusing, photo_folder, tmp_path):
    out = tmp_path / "out"
    done = python(
        PREPROCESS, f"--source={photo_folder}", f"--out={out}", "--hi=32", "--lo=16", LD_PRELOAD=refusing, **EVERYTHING
    )
    assert (done.returncode, "12 read = 12 written" in done.stdout) == (0, True), done.stderr
    assert (out / "COMPLETED").exists()


WRITE = """
import sys
from coltran import storage
from coltran.weights import steps
for step in (1, 2):
    storage.write_bytes(f"{sys.argv[1]}/step_0000000{step}/checkpoint.json", b"{}")
steps.mark_best(sys.argv[1], 1)
steps.mark_best(sys.argv[1], 2)
print(steps.best_step(sys.argv[1]))
"""
DISKS = [
    {"NO_CHMOD": "1"},
    {"NO_CHMOD": "95"},
    {"NO_DIR_FSYNC": "22"},
    {"NO_FSYNC": "22", "NO_DIR_FSYNC": "13"},
    {"NO_SYMLINK": "1"},
    {"NO_SYMLINK": "95", "NO_LINK": "95", "NO_CHMOD": "38"},
]


@pytest.mark.parametrize("disk", DISKS, ids=str)
def test_the_best_checkpoint_on_such_disks(disk, refusing, tmp_path):
    done = python(WRITE, tmp_path, LD_PRELOAD=refusing, **disk)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/step_00000002\n"), done.stderr
    assert not [path for path in tmp_path.rglob("*") if "writing" in path.name]


@pytest.mark.parametrize("number", ["28", "5"])
def test_a_disk_that_loses_data_is_no_small_matter(number, refusing, tmp_path):
    done = python(
        "from coltran import storage; storage.write_bytes('a', b'x')",
        cwd=tmp_path,
        LD_PRELOAD=refusing,
        NO_FSYNC=number,
    )
    assert done.returncode != 0
    assert not list(tmp_path.iterdir())


def test_a_work_folder_copied_with_its_links_followed_goes_on(tmp_path):
    """`cp -rL`, or a disk that makes folders of links: the best checkpoint stays it, until a better one comes."""
    for step in (1, 2, 3):
        storage.write_bytes(f"{tmp_path}/a/step_0000000{step}/checkpoint.json", b"{}")
    steps.mark_best(str(tmp_path / "a"), 1)
    subprocess.run(["cp", "-rL", tmp_path / "a", tmp_path / "b"], check=True)
    copied = str(tmp_path / "b")
    assert steps.best_step(copied) == f"{copied}/best"
    assert steps.locate(f"{copied}/best") == f"{copied}/best"
    steps.remove_old(copied, keep=1)
    assert steps.finished_steps(copied) == [3]
    assert steps.best_step(copied) == f"{copied}/best"
    steps.mark_best(copied, 3)
    assert os.path.realpath(steps.best_step(copied)) == f"{copied}/step_00000003"


def test_a_user_without_a_home(monkeypatch, tmp_path):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what Python answers for a user without an entry
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert os.path.isabs(local_copies.cache_folder())


NO_NAME = """
import pwd, sys
def nobody(*_): raise KeyError("getpwuid(): uid not found")
pwd.getpwuid = pwd.getpwnam = nobody
"""


def test_a_job_of_a_user_without_a_home_or_a_name(photo_folder, tmp_path):
    """And with the plotting backend of a notebook, a terminal of ASCII, and photos whose names are no text."""
    source = tmp_path / "photos"
    shutil.copytree(photo_folder, source)
    photo = sorted(photo_folder.rglob("*.JPEG"))[0].read_bytes()
    for name, data in ((b"\xff\xfe.jpg", photo), ("größe.jpg".encode(), b""), (b"\xff.jpg", b""), (b"x.\xff", b"")):
        pathlib.Path(os.fsdecode(os.fsencode(source) + b"/" + name)).write_bytes(data)
    arguments = [f"--source={source}", f"--out={tmp_path / 'out ü'}", "--hi=32", "--lo=16"]
    variables = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    code = NO_NAME + PREPROCESS
    done = python(code, *arguments, cwd=tmp_path, **variables)
    assert done.returncode == 2  # too many rejects, and their names are printed
    assert "2 of 15 inputs were rejected" in done.stderr
    assert "Traceback" not in done.stderr
    done = python(code, *arguments, "--max_reject_fraction=0.5", cwd=tmp_path, **variables | {"MPLBACKEND": "nonsense"})
    assert (done.returncode, "15 read = 13 written + 2 rejected" in done.stdout) == (0, True), done.stderr
    assert "1 file passed over: 1 without suffix" in done.stdout


def test_a_device_that_is_not_there_is_one_line(photo_folder, tmp_path):
    code = "import sys; from coltran import colorize; sys.exit(colorize.main(sys.argv[1:]))"
    done = python(code, photo_folder, "--out", tmp_path / "out", JAX_PLATFORMS="cuda", HOME=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("coltran-colorize: JAX_PLATFORMS=cuda: ")
    assert "Traceback" not in done.stderr


def test_names_below_a_folder_of_links_in_a_circle(tmp_path):
    (tmp_path / "a").touch()
    for name in ("x", "y"):
        (tmp_path / name).symlink_to(".")
    assert storage.list_files(str(tmp_path)) == [("a", 0)]
