"""Whole files or none, on disk and on a Cloud Storage emulator that speaks Google's protocol on loopback."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from coltran import cloud_storage, storage
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


@pytest.mark.parametrize("name", ["chmod", "fsync", "posix_fadvise"])
@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_disk_that_cannot_do_everything_still_gets_the_file(tmp_path, monkeypatch, name, code):
    def refuse(*_: object) -> None:
        raise OSError(code, "this file system does not do that")

    monkeypatch.setattr(os, name, refuse)
    with storage.open_write(str(tmp_path / "file")) as file:
        file.write(b"data")
        storage.start_writing_out(file)
    assert storage.read_bytes(str(tmp_path / "file")) == b"data"
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "the disk is broken")))
    with pytest.raises(OSError, match="the disk is broken"):
        storage.write_bytes(str(tmp_path / "file"), b"other")
    assert storage.list_files(str(tmp_path)) == [("file", 4)]


def test_names_directly_in_a_folder(folder):
    for name in ("b/deep/1", "b/2", "a", "bc"):
        storage.write_bytes(storage.join(folder, name), b"x")
    assert storage.list_names(folder) == ["a", "b", "bc"]
    assert storage.list_names(storage.join(folder, "b")) == ["2", "deep"]
    assert storage.list_names(storage.join(folder, "none")) == []


def test_many_files_are_removed_and_missing_ones_are_no_error(folder):
    paths = [storage.join(folder, "work", f"done {i}%.json") for i in range(120)]
    storage.map_parallel(lambda path: storage.write_bytes(path, b"x", durable=False), paths)
    storage.write_bytes(storage.join(folder, "kept"), b"x")
    storage.remove_many([*paths[:60], storage.join(folder, "work", "missing"), *paths[60:110]])
    assert [name for name, _ in storage.list_files(folder)] == sorted(
        ["kept", *(f"work/done {i}%.json" for i in range(110, 120))]
    )
    storage.remove_folder(storage.join(folder, "work"))
    storage.remove_folder(storage.join(folder, "work"))
    assert storage.list_files(folder) == [("kept", 1)]


def test_a_folder_on_the_cloud_is_removed_by_a_hundred_objects_a_request(bucket, monkeypatch, caplog):
    folder = f"{bucket}/hundreds"
    storage.map_parallel(lambda i: storage.write_bytes(f"{folder}/{i}", b"x"), range(101))
    asked = []
    send = cloud_storage.client()._http.request
    monkeypatch.setattr(cloud_storage.client()._http, "request", lambda *a, **k: asked.append(a) or send(*a, **k))
    storage.remove_folder(folder)
    assert len(asked) == 1 + 2, "one listing, two batches"
    assert "Connection pool is full" not in caplog.text


def test_calls_run_at_once_and_keep_their_order():
    together = threading.Barrier(8)  # opens only when eight calls wait at the same time

    def double(number: int) -> int:
        together.wait(timeout=30)
        return 2 * number

    assert storage.map_parallel(double, range(16)) == list(range(0, 32, 2))


def test_the_first_error_in_order_is_raised_and_the_rest_is_left_out():
    called = []

    def fail(number: int) -> None:
        called.append(number)
        raise UserError(f"item {number}")

    with pytest.raises(UserError, match="item 0"):
        storage.map_parallel(fail, range(2_000))
    assert len(called) < 2_000


@pytest.mark.parametrize(
    "ask", [storage.list_files, storage.list_names, storage.is_folder, storage.remove_folder, storage.check_access]
)
def test_a_missing_bucket_is_named_when_looked_into(bucket, ask):
    with pytest.raises(UserError, match=r"^gs://no-such/a: there is no bucket 'no-such'$"):
        ask("gs://no-such/a")


def test_a_missing_bucket_is_named_when_written_to(bucket):
    with pytest.raises(UserError, match="gs://no-such/a: cannot be written: there is no bucket 'no-such'"):
        storage.write_bytes("gs://no-such/a", b"x")


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
