"""Which photos are meant, and that no two of them get one name."""

import os

import pytest
from hypothesis import given, strategies as st

from coltran.errors import UserError
from coltran.photos import inputs as photo_inputs, outputs


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory, and a function that makes files in it."""
    monkeypatch.chdir(tmp_path)

    def make(*names: str):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")

    return make


def names(*inputs: str, out: str = "out") -> dict[str, str]:
    return {photo.path: photo.name for photo in photo_inputs.find_photos(inputs, out).photos}


def test_folders_are_searched_and_mirrored(here):
    here("p/a.jpg", "p/x/y/b.PNG", "p/notes.txt", "p/__MACOSX/a.jpg", "p/._a.jpg", "p/c.JFIF", "p/d.jp2")
    assert names("p") == {"p/a.jpg": "a", "p/x/y/b.PNG": "x/y/b", "p/c.JFIF": "c", "p/d.jp2": "d"}
    passed_over = photo_inputs.find_photos(("p", "p/a.jpg"), "out").passed_over
    assert passed_over == {".txt": 1, "hidden": 1, "system file": 1, "given twice": 1}
    assert list(names("p/")) == ["p/a.jpg", "p/c.JFIF", "p/d.jp2", "p/x/y/b.PNG"]


def test_a_file_that_is_named_is_taken_whatever_its_name(here):
    here("scan", "p/photo.dat")
    assert names("scan", "p/photo.dat") == {"scan": "scan", "p/photo.dat": "photo"}


def test_patterns(here):
    here("p/a.jpg", "p/b.png", "p/x/c.jpg", "p/x/notes.txt", "p/[1].jpg")
    assert names("p/*.jpg") == {"p/a.jpg": "a", "p/[1].jpg": "[1]"}
    assert names("p/**/*.jpg") == {"p/a.jpg": "a", "p/[1].jpg": "[1]", "p/x/c.jpg": "x/c"}
    assert names("p/*/*") == {"p/x/c.jpg": "x/c"}
    assert names("p/[1].jpg") == {"p/[1].jpg": "[1]"}


def test_one_name_for_each(here, tmp_path):
    here("p/a.jpg", "p/a.png", "p/b.jpg", "q/a.jpg", "r/q/a.jpg", "r/q/B.jpg")
    assert names("p") == {"p/a.jpg": "a.jpg", "p/a.png": "a.png", "p/b.jpg": "b"}
    assert names("p", "q") == {"p/a.jpg": "p/a.jpg", "p/a.png": "p/a.png", "p/b.jpg": "p/b", "q/a.jpg": "q/a"}
    assert names("q", "r/q") == {
        "q/a.jpg": f"{tmp_path.name}/q/a.jpg",
        "r/q/a.jpg": "r/q/a.jpg",
        "r/q/B.jpg": "q/B",
    }
    both = names("q/a.jpg", "p/a.jpg")
    assert both == {"q/a.jpg": "q/a.jpg", "p/a.jpg": "p/a.jpg"}


def test_capitals_alone_are_no_difference(here):
    """On many disks they are not."""
    here("p/a.jpg", "p/A.jpg")
    found = names("p")
    assert len(found) == 2
    assert len({name.casefold() for name in found.values()}) == 2


def test_a_photo_given_twice_is_one(here):
    here("p/a.jpg", "p/b.jpg")
    assert sorted(names("p/b.jpg", "p", "./p/../p/a.jpg", os.path.abspath("p/b.jpg"))) == ["p/a.jpg", "p/b.jpg"]


@given(
    st.sets(
        st.lists(st.sampled_from(["a", "A", "b", "a.b", "..", ""]), min_size=1, max_size=4).map("/".join), min_size=1
    )
)
def test_names_of_any_objects_differ_and_stay_below_the_output(stems):
    """Objects of Cloud Storage may have names that are no paths."""
    places = {f"gs://bucket/{stem}.jpg": f"{stem}.jpg" for stem in stems}
    found = photo_inputs._names(places)
    assert set(found) == set(places)
    assert len({name.casefold() for name in found.values()}) == len(places)
    for name in found.values():
        assert not {"", ".", ".."} & set(name.split("/"))


@pytest.mark.parametrize("letter", ["x", "ф"])
def test_long_names_are_cut_and_stay_apart(here, letter):
    stem = letter * (240 // len(letter.encode()))
    here(f"p/{stem}1.jpg", f"p/{stem}2.jpg")
    found = list(names("p").values())
    assert len(set(found)) == 2
    assert all(len(f"{name}_sample10_certainty.png".encode()) < 230 for name in found)


def test_names_that_are_no_text_get_one(here, tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff.jpg", "wb") as file:
        file.write(b"x")
    (name,) = names(".").values()
    name.encode()


def test_results_of_an_earlier_run_are_no_photos_and_all_else_is(here, tmp_path):
    """What somebody else calls `x_sample0.png` is a photo, and the command says so before it would replace it."""
    here("p/a.jpg", "p/out/a_sample0.png", "p/out/contact_sheet.png", "p/out/b.jpg", "p/out/scan_sample0.png")
    (tmp_path / "p/out" / outputs.LISTING).write_text('{"files": ["a_sample0.png", "contact_sheet.png"]}')
    found = photo_inputs.find_photos(("p",), "p/out")
    assert [photo.path for photo in found.photos] == ["p/a.jpg", "p/out/b.jpg", "p/out/scan_sample0.png"]
    assert found.passed_over == {photo_inputs.RESULT: 2, "hidden": 1}
    assert len(names("p", out="p/other")) == 5


def test_nobodys_file_is_claimed(here, tmp_path):
    here("out/a_sample0.png", "out/mine.txt")
    with pytest.raises(UserError, match=r"out/a_sample0.png: this command did not write that file"):
        outputs.claim("out", ["a_sample0.png", "b_sample0.png"])
    assert sorted(os.listdir("out")) == ["a_sample0.png", "mine.txt"]
    outputs.claim("out", ["b_sample0.png"])
    here("out/b_sample0.png")
    outputs.claim("out", ["b_sample0.png", "c_sample0.png"])
    assert outputs.earlier("out") == {"b_sample0.png", "c_sample0.png"}
    (tmp_path / "out" / "c_sample0.png").symlink_to("mine.txt")  # put there after the run that listed it: still listed
    (tmp_path / "out" / "d_sample0.png").symlink_to("nowhere")
    with pytest.raises(UserError, match="d_sample0"):
        outputs.claim("out", ["c_sample0.png", "d_sample0.png"])


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b"\xff", b'{"files": 3}'])
def test_a_damaged_listing_claims_nothing(here, tmp_path, damage):
    here("out/a_sample0.png")
    (tmp_path / "out" / outputs.LISTING).write_bytes(damage)
    with pytest.raises(UserError, match="did not write"):
        outputs.claim("out", ["a_sample0.png"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("p/*.jpg", "p/*.jpg: matches no images"),
        ("nowhere/*.jpg", "nowhere/*.jpg: matches no images"),
        ("p", "p: holds no images"),
        ("[z-a].jpg", "is no pattern that can be read"),
    ],
)
def test_inputs_that_are_no_photos_are_named(here, source, message):
    here("p/notes.txt", "good.jpg")
    with pytest.raises(UserError) as caught:
        names("good.jpg", source)
    assert message in str(caught.value)
