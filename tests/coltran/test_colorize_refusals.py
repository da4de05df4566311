"""What coltran-colorize refuses, leaves out and never replaces: each is named, and the rest goes on."""

import json
import shutil

import pytest
from PIL import Image

from coltran import colorize, folder_lock
from coltran.weights import maturity
from tests.coltran.colorize_command import LOW_ONLY, arguments, files_below, pixels, run, write
from tests.conftest import encoded, smooth_photo
from tests.pipelines.sources.hostile_files import bad_files


def test_bad_files_are_named_and_the_rest_goes_on(networks, tmp_path, capsys):
    """Twice into a folder among the photos: the second run replaces the first's files and takes none for a photo."""
    bad = {name: file for name, file in bad_files().items() if file[1] not in ("too_small", "duplicate_key")}
    small = {name: data for name, (data, reason) in bad_files().items() if reason == "too_small"}
    good = {f"good_{number}.jpg": encoded(smooth_photo(number, 40, 50)) for number in range(4)} | small
    source = write(tmp_path / "photos", good | {name: data for name, (data, _) in bad.items()})
    (source / "link_to_nothing.jpg").symlink_to(source / "nowhere.jpg")
    reasons = {name: reason for name, (_, reason) in bad.items()} | {"link_to_nothing.jpg": "unreadable"}
    given = arguments(networks, source / "out", "--batch_size=4", source, stages=LOW_ONLY)
    kept = None
    for _ in range(2):
        status, printed, err = run(capsys, given)
        assert status == 1
        total = len(good) + len(reasons)
        assert f"{total} photos: {len(good)} colorized x 1 sample, {len(reasons)} rejected" in printed
        told = [line for line in err.splitlines() if line.startswith("coltran-colorize: ")]
        assert len(told) == len(reasons)
        assert sum("good_" in line for line in told) == 0
        lines = [json.loads(line) for line in (source / "out" / "rejects.jsonl").read_text().splitlines()]
        assert {line["source"].removeprefix(f"{source}/"): line["reason"] for line in lines} == reasons
        assert all(line["message"] and set(line) == {"source", "reason", "message"} for line in lines)
        made = files_below(source / "out")
        assert sum(name.endswith("_sample0.png") for name in made) == len(good)
        assert kept in (None, made)
        kept = made
    for name in reasons:
        (source / name).unlink()
    assert run(capsys, given)[0] == 0
    assert not (source / "out" / "rejects.jsonl").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["nowhere.jpg"], "nowhere.jpg: no such file or folder"),
        (["PHOTO", "PLACE/*.gif"], "*.gif: matches no images"),
        (["gs:///a.jpg"], "expected gs://BUCKET/NAME"),
        (["PHOTO", "--colorizer=/nowhere"], "there is no folder /nowhere"),
        (["PHOTO", "--color_upsampler=PLACE/colorizer"], "checkpoint of the colorizer, asked for the color_upsampler"),
        (["PHOTO", "--seed=-1"], "--seed -1: expected 0 to 2^32 - 1"),
        (["PHOTO", "--mode=argmax", "--samples=2"], "--mode argmax gives one image"),
        (["PHOTO", "--mode=parallel", "--samples=2"], "--mode parallel gives one image"),
        (["PHOTO", "--temperature=0"], "temperature must be above 0"),
        (["PHOTO", "--top_k=600"], "top_k must be at most 512"),
        (["PHOTO", "--sheet=-1"], "--sheet -1"),
        (["PHOTO", "--out=PHOTO"], "cannot be written"),
        ([], "PHOTOS"),
    ],
)
def test_mistakes_get_one_line(networks, tmp_path, capsys, more, message):
    (tmp_path / "photo.jpg").write_bytes(encoded(smooth_photo(1, 20, 20)))
    if not (tmp_path / "colorizer").exists():
        (tmp_path / "colorizer").symlink_to(networks / "colorizer")
    more = [text.replace("PHOTO", str(tmp_path / "photo.jpg")).replace("PLACE", str(tmp_path)) for text in more]
    status, printed, err = run(capsys, arguments(networks, tmp_path / "out", *more, stages=LOW_ONLY))
    assert status == 2
    assert message in err
    told = [line for line in err.splitlines() if not line.startswith("colorize:")]  # the bar
    assert len(told) == 1
    assert told[0].startswith("coltran-colorize: ")
    assert printed == ""


def test_after_an_interruption_it_says_that_a_rerun_starts_over(networks, tmp_path, capsys, monkeypatch):
    (tmp_path / "photo.jpg").write_bytes(encoded(smooth_photo(1, 20, 20)))

    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(colorize, "_load_model", interrupt)
    status, _, err = run(capsys, arguments(networks, tmp_path / "out", tmp_path / "photo.jpg"))
    assert status == 130
    assert "run the same command again to start over" in err
    assert "go on" not in err


def test_networks_that_were_trained_too_little_are_said(networks, tmp_path, capsys):
    shutil.copytree(networks / "colorizer", tmp_path / "colorizer")
    (path,) = tmp_path.glob("colorizer/*/checkpoint.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"training": {maturity.FINGERPRINT: "abc"}}))
    photos = write(tmp_path / "in", {"photo.jpg": encoded(smooth_photo(1, 30, 40))})
    given = [f"--out={tmp_path / 'out'}", f"--color_upsampler={networks / 'color_upsampler'}", str(photos)]
    status, _, err = run(capsys, [*given, f"--colorizer={tmp_path / 'colorizer'}"])
    assert status == 0
    assert f"coltran-colorize: {path.parent}: this colorizer was trained for 1 steps, fewer than" in err
    assert err.count("steps, fewer than") == 1


def test_the_built_in_model_has_no_raw_weights(tmp_path, capsys):
    status, _, err = run(capsys, ["photo.jpg", f"--out={tmp_path}", "--weights=raw"])
    assert status == 2
    assert "moving averages only" in err


def test_upsamplers_alone_do_not_replace_the_built_in_ones(tmp_path, capsys):
    status, _, err = run(capsys, ["photo.jpg", f"--out={tmp_path}", "--color_upsampler=somewhere"])
    assert status == 2
    assert "go with --colorizer" in err


def test_nobodys_file_is_replaced_and_every_file_is_counted(networks, tmp_path, capsys):
    """The results beside the photos: a scan that is called as a result would be; then again after it was moved."""
    own = write(tmp_path / "own", {f"photo_{number}.jpg": encoded(smooth_photo(number, 30, 40)) for number in range(3)})
    write(own, {"contact_sheet.png": b"mine", ".hidden.jpg": b"x", "letter.pdf": b"x", "phone.heic": b"x"})
    before = files_below(own)
    given = arguments(networks, own, own, "--sheet=2", stages=LOW_ONLY)
    status, _, err = run(capsys, given)
    assert status == 2
    assert "contact_sheet.png: this command did not write that file and would replace it" in err
    assert files_below(own) == before
    (own / "contact_sheet.png").rename(own / "sheet.txt")
    for _ in range(2):
        (own / "phone.heic").rename(own / "phone.xcf") if (own / "phone.heic").exists() else None
        status, printed, err = run(capsys, given)
        assert (status, err.count("coltran-colorize:")) == (0, 0)
        assert "3 photos: 3 colorized x 1 sample, 0 rejected" in printed
        assert "(2 of 3 photos)" in printed
        assert " files passed over: " in printed
        assert "1 .pdf" in printed
    assert "4 result of an earlier run" in printed
    assert (own / "sheet.txt").read_bytes() == b"mine"


def test_pages_that_are_left_out_are_named(networks, tmp_path, capsys):
    photo, small = (Image.fromarray(smooth_photo(seed, 30 * seed, 40 * seed)) for seed in (2, 1))
    small.save(tmp_path / "scan.tif", save_all=True, append_images=[photo])
    status, _, err = run(capsys, arguments(networks, tmp_path / "out", tmp_path / "scan.tif", stages=LOW_ONLY))
    assert (status, "scan.tif: page 2 of 2, the largest one" in err) == (0, True)
    assert pixels((tmp_path / "out" / "scan_sample0.png").read_bytes()).shape == (60, 80, 3)


def test_a_second_run_in_the_same_folder_is_refused(networks, tmp_path, capsys):
    photo = write(tmp_path, {"a.jpg": encoded(smooth_photo(1, 30, 40))}) / "a.jpg"
    given = arguments(networks, tmp_path / "out", photo, stages=LOW_ONLY)
    with folder_lock.held(str(tmp_path / "out" / folder_lock.LOCK)):
        status, _, err = run(capsys, given)
    assert status == 2
    assert "is writing this folder" in err
    assert not (tmp_path / "out" / "a_sample0.png").exists()
    assert run(capsys, given)[0] == 0
    assert not (tmp_path / "out" / folder_lock.LOCK).exists()
