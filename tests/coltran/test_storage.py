"""Whole files or none, on disk and on a Cloud Storage emulator that speaks Google's protocol on loopback."""

import os
import subprocess
import sys

import pytest

from coltran import storage
from coltran.errors import UserError
from coltran.records import folder as record_folder


@pytest.fixture(params=["disk", "cloud"])
def folder(request, tmp_path) -> str:
    return str(tmp_path) if request.param == "disk" else f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


def test_written_files_are_listed_and_read(folder):
    for name, data in {"b/2": b"two", "a": b"", "b/1": b"x" * 300_000}.items():
        storage.write_bytes(storage.join(folder, name), data)
    assert storage.list_files(folder) == [("a", 0), ("b/1", 300_000), ("b/2", 3)]
    assert storage.read_bytes(storage.join(folder, "b", "2")) == b"two"
    with storage.open_read(storage.join(folder, "b/2")) as file:
        file.seek(1)
        assert file.read() == b"wo"
    assert storage.is_folder(storage.join(folder, "b"))
    assert not storage.is_folder(storage.join(folder, "c"))
    storage.remove_folder(storage.join(folder, "b"))
    assert storage.list_files(folder) == [("a", 0)]


def test_a_write_that_fails_leaves_the_old_file(folder):
    path = storage.join(folder, "file")
    storage.write_bytes(path, b"old")
    with pytest.raises(RuntimeError), storage.open_write(path) as file:  # noqa: PT012
        file.write(b"new, but not whole")
        raise RuntimeError
    assert storage.read_bytes(path) == b"old"
    assert storage.list_files(folder) == [("file", 3)]


def test_a_missing_file_is_named(folder):
    path = storage.join(folder, "nothing")
    assert not storage.exists(path)
    with pytest.raises(UserError, match="nothing"):
        storage.read_bytes(path)


def test_records_are_read_from_the_cloud(truth_folder, bucket):
    for path in truth_folder.iterdir():
        storage.write_bytes(f"{bucket}/records/{path.name}", path.read_bytes())
    local = [str(values) for values in record_folder.open_folder(str(truth_folder)).read()]
    assert [str(values) for values in record_folder.open_folder(f"{bucket}/records").read()] == local


def test_a_killed_writer_leaves_nothing_that_is_listed(tmp_path):
    code = (
        "import os, sys\nfrom coltran import storage\n"
        "with storage.open_write(sys.argv[1]) as file:\n    file.write(b'half'); file.flush(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "shard")], cwd=os.getcwd())
    assert storage.list_files(str(tmp_path)) == []
    assert len(list(tmp_path.iterdir())) == 1
    storage.remove_temporaries(str(tmp_path))
    assert not list(tmp_path.iterdir())
