"""fid.json is the same however the path of a folder is spelled, on the disk and on the cloud."""

import dataclasses
import os

import pytest
from PIL import Image

from coltran import storage
from eval import fid
from eval.images import sets
from eval.scoring import arguments
from tests.conftest import smooth_photo

COUNT = 24


@pytest.fixture(scope="module")
def pngs(tmp_path_factory):
    """Three folders with files of the same names and other pictures, and a link to one of them."""
    root = tmp_path_factory.mktemp("pngs")
    for place, folder in enumerate(("truth", "ours", "others")):
        (root / folder).mkdir()
        for index in range(COUNT):
            Image.fromarray(smooth_photo(100 * place + index, 32, 32)).save(root / folder / f"{index}.png")
    (root / "link").symlink_to("ours")
    return root


def spellings(root) -> dict[str, str]:
    return {
        "absolute": f"{root}/ours",
        "relative": "ours",
        "dots": "./others/../ours",
        "slash": f"{root}/ours/",
        "link": "link",
        "file": f"file://{root}/ours",
    }


def scored(out, *flags: str):
    options, _ = arguments.parse([*flags, "--extractor=random", "--batch_size=4", f"--out={out}"])
    return fid.run(options)


def told(result) -> tuple:
    """All that a result says, except how the user spelled the paths."""
    (row,) = result.rows

    def unnamed(side):
        return dataclasses.replace(side, paths=())

    scores = [dataclasses.replace(one, real=unnamed(one.real), fake=unnamed(one.fake)) for one in row.scores]
    return result.fingerprint, row.fid, scores


def test_pngs_are_the_same_set_under_every_spelling(pngs, tmp_path, monkeypatch, quick_features, bucket):
    monkeypatch.chdir(pngs)
    for name, _ in storage.list_files("ours"):
        storage.write_bytes(f"{bucket}/ours/{name}", (pngs / "ours" / name).read_bytes())
    ways = {"absolute": f"{pngs}/ours", "link": "./link/", "cloud": f"GS{bucket[2:]}/ours/"}
    results = {
        way: told(scored(tmp_path / way, "--real", f"{pngs}/truth", "--fake", path)) for way, path in ways.items()
    }
    assert results["absolute"][2][0].kid is not None
    assert results["absolute"][2][0].standard_error is not None
    for way, result in results.items():
        assert result == results["absolute"], way


def test_a_run_goes_on_under_another_spelling(pngs, tmp_path, monkeypatch, quick_features, capsys):
    monkeypatch.chdir(pngs)
    for number, path in enumerate(spellings(pngs).values()):
        out = os.path.relpath(tmp_path / "fid") if number % 2 else f"{tmp_path}/fid/"
        flags = ["--real", "truth", "--fake", path, "--extractor=random", "--batch_size=4", f"--out={out}"]
        assert fid.main(flags) == 0
        assert ("already finished, nothing to do" in capsys.readouterr().out) == (number > 0)


def test_images_of_the_same_name_are_in_the_same_tenth(pngs, monkeypatch):
    monkeypatch.chdir(pngs)
    truth, ours = (
        sets.choose(sets.open_sources([path], "hi", 0), part=None, num=None, seed=0) for path in ("truth", "./ours")
    )
    assert truth.groups == ours.groups
    assert truth.identity != ours.identity


def test_saved_statistics_of_pngs_deal_their_images_into_the_same_groups(pngs, tmp_path, monkeypatch, quick_features):
    monkeypatch.chdir(pngs)
    whole = scored(tmp_path / "a", "--real", "truth", "--fake", "ours").rows[0].scores[0]
    saved = next(iter((tmp_path / "a" / "statistics").glob("real*.npz")))
    again = scored(tmp_path / "b", "--real", str(saved), "--fake", "ours").rows[0].scores[0]
    for name in ("fid", "standard_error", "kid", "kid_standard_error"):
        assert getattr(again, name) == pytest.approx(getattr(whole, name), rel=1e-9), name
    assert again.overlap == whole.overlap == "overlap unchecked"


def test_folders_of_one_set_may_hold_files_of_the_same_name(pngs, tmp_path, monkeypatch, quick_features):
    monkeypatch.chdir(pngs)
    both = ["ours", "others"], [f"{pngs}/others/", "link"]
    results = [
        scored(tmp_path / str(number), "--real", "truth", "--fake", *fake, "--allow_unequal")
        for number, fake in enumerate(both)
    ]
    assert {result.rows[0].scores[0].fake.count for result in results} == {2 * COUNT}
    assert results[0].rows[0].fid == pytest.approx(results[1].rows[0].fid, rel=1e-9)


def test_a_folder_counts_once_in_a_set(pngs, tmp_path, monkeypatch, quick_features, capsys):
    monkeypatch.chdir(pngs)
    assert fid.main(["--real", "truth", "--fake", "ours", "link", "--extractor=random", f"--out={tmp_path}/o"]) == 2
    assert "link and ours both hold" in capsys.readouterr().err
