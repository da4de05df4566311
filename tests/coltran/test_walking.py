"""The one walk: every file once, whatever links lead where, and all else counted."""

import os
import pathlib
import subprocess

import pytest
from hypothesis import given, settings, strategies as st

from coltran import walking
from coltran.errors import UserError


@pytest.fixture
def tree(tmp_path):
    """A folder with two photos, and a function that adds files."""

    def make(*names: str) -> pathlib.Path:
        for name in names:
            path = tmp_path / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * len(name))
        return tmp_path / "tree"

    make("a.jpg", "sub/b.jpg")
    return make


def names(folder, **options) -> list[str]:
    return [name for name, _ in walking.walk(str(folder), **options).files]


def passed(folder, **options) -> dict[str, int]:
    return dict(walking.walk(str(folder), **options).passed_over)


LINKS = {
    "the folder itself": (".", "."),
    "the folder itself from below": ("sub/up", ".."),
    "the folder above": ("up", ".."),
    "the root": ("up", "/"),
    "a folder beside": ("again", "sub"),
    "a file": ("a_again.jpg", "a.jpg"),
    "a file by another link": ("sub/c.jpg", "../a.jpg"),
}


@pytest.mark.parametrize("kind", [kind for kind in LINKS if kind != "the folder itself"])
def test_what_a_link_reaches_again_is_passed_over(tree, kind):
    link, target = LINKS[kind]
    folder = tree()
    (folder / link).symlink_to(target)
    assert names(folder) == ["a.jpg", "sub/b.jpg"]
    assert passed(folder) == {walking.LINKED: 1}


def test_many_links_to_each_other_end(tree):
    folder = tree("x/c.jpg", "y/d.jpg")
    for place in ("sub", "x", "y"):
        for other in ("sub", "x", "y", "."):
            (folder / place / f"to_{other.strip('.') or 'top'}").symlink_to(folder / other)
    assert names(folder) == ["a.jpg", "sub/b.jpg", "x/c.jpg", "y/d.jpg"]
    assert passed(folder) == {walking.LINKED: 12}


def test_links_to_elsewhere_are_followed_once(tree, tmp_path):
    """A folder of another disk, twice, and its part; a link to nothing is listed, so that reading it fails."""
    folder = tree()
    (tmp_path / "other" / "part").mkdir(parents=True)
    (tmp_path / "other" / "c.jpg").write_bytes(b"c")
    (tmp_path / "other" / "part" / "d.jpg").write_bytes(b"d")
    (tmp_path / "other" / "back").symlink_to(folder)
    for name in ("one", "two"):
        (folder / name).symlink_to(tmp_path / "other")
    (folder / "sub" / "part").symlink_to(tmp_path / "other" / "part")
    (folder / "sub" / "nothing.jpg").symlink_to("nowhere")
    (folder / "sub" / "itself.jpg").symlink_to("itself.jpg")
    (folder / "e.jpg").symlink_to(tmp_path / "other" / "c.jpg")
    found = dict(walking.walk(str(folder)).files)
    assert sorted(found) == [
        "a.jpg", "e.jpg", "one/c.jpg", "one/part/d.jpg", "sub/b.jpg", "sub/itself.jpg", "sub/nothing.jpg"
    ]  # fmt: skip
    assert found["sub/nothing.jpg"] == found["sub/itself.jpg"] == 0
    assert passed(folder) == {walking.LINKED: 3}


def test_a_link_with_a_photos_name_counts_where_its_target_has_none(tree):
    """Caches keep blobs under their digests, and photos as links to them."""
    folder = tree("blobs/0f3a", "blobs/77b1")
    for name, blob in (("n1/x.jpg", "0f3a"), ("n1/y.jpg", "77b1"), ("n2/x.jpg", "0f3a")):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(folder / "blobs" / blob)
    found = names(folder, takes=lambda name: name.endswith(".jpg"))
    assert [name for name in found if name.startswith("n")] == ["n1/x.jpg", "n1/y.jpg"]


def test_hard_links_are_files_of_their_own(tree):
    folder = tree()
    os.link(folder / "a.jpg", folder / "copy.jpg")
    assert names(folder) == ["a.jpg", "copy.jpg", "sub/b.jpg"]


HIDDEN = [".a.jpg", "._a.jpg", ".ipynb_checkpoints/a.jpg", "sub/.git/x/b.jpg", ".DS_Store", "sub/.writing-b.jpg"]
SYSTEM = ["__MACOSX/sub/b.jpg", "sub/@eaDir/b.jpg/SYNO.jpg", "Thumbs.db", "$RECYCLE.BIN/c.jpg", "sub/desktop.ini"]


@pytest.mark.parametrize(("files", "reason"), [(HIDDEN, walking.HIDDEN), (SYSTEM, walking.SYSTEM)])
def test_hidden_and_system_files_are_counted(tree, files, reason):
    folder = tree(*files)
    assert names(folder) == ["a.jpg", "sub/b.jpg"]
    assert passed(folder) == {reason: len(files)}
    assert {walking.reason_to_pass_over(name) for name in files} == {reason}


def test_an_empty_hidden_folder_counts_as_one(tree):
    (tree() / ".cache").mkdir()
    assert passed(tree()) == {walking.HIDDEN: 1}


def test_a_source_below_a_hidden_folder_is_one(tmp_path):
    folder = tmp_path / ".cache" / "photos"
    folder.mkdir(parents=True)
    (folder / "a.jpg").touch()
    assert names(folder) == ["a.jpg"]


def test_a_folder_that_cannot_be_read(tree, monkeypatch):
    folder = tree()
    real = os.scandir

    def scandir(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # the superuser may read everything
    with pytest.raises(UserError, match=r"sub: the folder cannot be read: Permission denied; give access to it$"):
        walking.walk(str(folder))
    with pytest.raises(UserError, match=r"or leave it out with --skip_unreadable$"):
        walking.walk(str(folder), can_skip=True)
    assert names(folder, skip_unreadable=True) == ["a.jpg"]
    assert passed(folder, skip_unreadable=True) == {walking.UNREADABLE: 1}


@pytest.mark.skipif(os.getuid() != 0, reason="only the superuser may become another user")
def test_another_users_folder_as_the_system_says_it(tree):
    folder = tree("closed/c.jpg")
    for parent in [folder, *folder.parents[:-2]]:
        parent.chmod(0o755)
    (folder / "closed").chmod(0)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setuid(65534)
        try:
            walking.walk(str(folder))
        except UserError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with open(reading) as said:
        assert said.read() == f"{folder}/closed: the folder cannot be read: Permission denied; give access to it"


def test_deep_folders(tree):
    """Deeper than Python calls functions."""
    folder = tree()
    here = os.getcwd()
    try:
        os.chdir(folder)
        for _ in range(1100):
            os.mkdir("d")
            os.chdir("d")
        pathlib.Path("deep.jpg").touch()
    finally:
        os.chdir(here)
    found = names(folder)
    subprocess.run(["rm", "-r", folder / "d"], check=True)  # pytest itself could not
    assert f"{'d/' * 1100}deep.jpg" in found


FOLDERS = [".", "x", "y", "x/z"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(FOLDERS), st.sampled_from([*FOLDERS, ".."])), max_size=5))
def test_any_links_among_folders(tmp_path_factory, links):
    """Whatever links there are, each real file is listed under exactly one name, and every link is accounted for."""
    folder = tmp_path_factory.mktemp("links")
    for place in FOLDERS:
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "f.jpg").touch()
    for number, (place, target) in enumerate(links):
        (folder / place / f"link{number}").symlink_to(folder / target)
    assert names(folder) == ["f.jpg", "x/f.jpg", "x/z/f.jpg", "y/f.jpg"]
    assert sum(passed(folder).values()) == len(links)


def test_the_line_for_people():
    line = walking.describe_passed_over({".pdf": 1, ".heic": 2, "hidden": 1})
    assert line == "4 files passed over: 2 .heic, 1 .pdf, 1 hidden"
    assert walking.describe_passed_over({"hidden": 1}) == "1 file passed over: 1 hidden"
    assert walking.describe_passed_over({}) is None
