"""Copies of gs:// on the disk: whole, current, fetched once however many ask at the same time."""

import hashlib
import os
import pathlib
import subprocess
import sys
import time

import pytest

from coltran import cloud_storage, local_copies, storage
from coltran.errors import UserError

FILES = {"saved_model.pb": b"graph", "variables/a.index": b"index", "variables/b/c": b"x" * 100_000, "empty": b""}


@pytest.fixture
def folder(bucket, tmp_path, monkeypatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, data in FILES.items():
        storage.write_bytes(f"{bucket}/{tmp_path.name}/{name}", data)
    return f"{bucket}/{tmp_path.name}"


def content(folder: str) -> dict[str, bytes]:
    return {name: storage.read_bytes(storage.join(folder, name)) for name, _ in storage.list_files(folder)}


def copies() -> list[str]:
    return os.listdir(pathlib.Path(local_copies.cache_folder(), "copies"))


def test_a_folder_is_kept_until_an_object_changes(folder, monkeypatch):
    kept = local_copies.kept_folder(folder)
    assert content(kept) == FILES
    with monkeypatch.context() as offline:
        offline.setattr(cloud_storage, "download", lambda *_: pytest.fail("fetched again"))
        assert local_copies.kept_folder(folder + "/") == kept
    storage.write_bytes(f"{folder}/saved_model.pb", b"other")
    assert content(local_copies.kept_folder(folder)) == FILES | {"saved_model.pb": b"other"}
    assert content(kept) == FILES


def test_a_copy_that_was_damaged_here_is_fetched_again(folder):
    path = f"{folder}/variables/b/c"
    digest = hashlib.sha256(FILES["variables/b/c"]).hexdigest()
    kept = pathlib.Path(local_copies.kept_file(path, digest))
    kept.write_bytes(b"damaged")
    assert pathlib.Path(local_copies.kept_file(path, digest)).read_bytes() == FILES["variables/b/c"]
    assert kept.name == "c"


def test_processes_that_fetch_at_the_same_time_get_the_same_whole_copy(folder):
    code = (
        "import sys, time\nfrom coltran import local_copies, storage\nstorage.exists(sys.argv[1])\n"
        "print('ready', flush=True); input()\nprint(local_copies.kept_folder(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, folder]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    found = {child.communicate()[0].strip() for child in children}
    assert len(found) == 1
    assert content(found.pop()) == FILES
    assert len(copies()) == 1


def test_a_failed_fetch_leaves_nothing_that_is_taken_for_a_copy(folder, monkeypatch):
    fetch = cloud_storage.download

    def fail(path: str, local: str) -> None:
        if path.endswith("index"):
            raise ConnectionError("gone")
        fetch(path, local)

    with monkeypatch.context() as broken:
        broken.setattr(cloud_storage, "download", fail)
        with pytest.raises(ConnectionError):
            local_copies.kept_folder(folder)
    assert copies() == []
    assert content(local_copies.kept_folder(folder)) == FILES


def test_the_part_of_a_copy_from_a_killed_process_goes_after_a_day(folder):
    local_copies.kept_folder(folder)
    left = pathlib.Path(local_copies.cache_folder(), "copies")
    for name, age in ((".fetching-old", 2 * 24 * 3600), (".fetching-new", 60)):
        (left / name).mkdir()
        os.utime(left / name, (time.time() - age,) * 2)
    storage.write_bytes(f"{folder}/more", b"more")
    local_copies.kept_folder(folder)
    assert {name for name in copies() if name.startswith(".")} == {".fetching-new"}


def test_names_that_lead_out_of_a_folder_are_refused(folder, monkeypatch):
    # Cloud Storage has such names, the emulator has not.
    monkeypatch.setattr(cloud_storage, "list_versions", lambda _: [("../../out", "1")])
    with pytest.raises(UserError, match=r"'\.\.' leads out of a folder"):
        local_copies.kept_folder(folder)


def test_local_paths_are_taken_as_they_are(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    assert local_copies.kept_file(str(tmp_path / "file"), "0" * 64) == str(tmp_path / "file")
    assert local_copies.kept_folder(str(tmp_path)) == str(tmp_path)
    with local_copies.temporary(str(tmp_path)) as path:
        assert path == str(tmp_path)


def test_a_temporary_copy_is_gone_afterwards_and_an_upload_brings_all_files(folder):
    with local_copies.temporary(folder) as path:
        assert content(path) == FILES
    assert not os.path.exists(path)
    with local_copies.uploaded(f"{folder}-2") as path:
        for name, data in FILES.items():
            pathlib.Path(path, name).parent.mkdir(parents=True, exist_ok=True)
            pathlib.Path(path, name).write_bytes(data)
    assert content(f"{folder}-2") == FILES
