"""coltran-preprocess as a user runs it: nothing lost, nothing half-written, the same bytes every time."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile

import numpy as np
import pytest

from coltran.images import colors, decoding, geometry
from coltran.records import folder as record_folder, schema
from pipelines import preprocess
from tests.conftest import encoded, smooth_photo

SMALL = ["--hi=32", "--lo=16"]


def run(capsys, *arguments) -> tuple[int, str, str]:
    status = preprocess.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def contents(folder) -> dict[str, bytes]:
    """All bytes of a finished folder but run.json, which holds timings."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.json"}


def digest(folder) -> dict[str, tuple]:
    """Every record of a folder by key."""
    rows = {}
    for values in record_folder.open_folder(str(folder)).read():
        rows[values[schema.KEY]] = tuple(
            value.tobytes() if isinstance(value, np.ndarray) else value for _, value in sorted(values.items())
        )
    return rows


def test_records_are_what_the_definitions_say(photo_folder, truth_folder):
    seen = {}
    for values in record_folder.open_folder(str(truth_folder)).read():
        seen[values[schema.KEY]] = values
        path = photo_folder / (values[schema.KEY].removeprefix("train/") + ".JPEG")
        photo = decoding.decode(path.read_bytes())
        crop = geometry.random_crop(photo.rgb, seed=0, key=values[schema.KEY], index=0)
        rgb_hi = geometry.area_resize(crop, 32, 32)
        rgb_lo = geometry.area_resize(rgb_hi, 16, 16)
        np.testing.assert_array_equal(values[schema.RGB_HI], rgb_hi)
        np.testing.assert_array_equal(values[schema.RGB_LO], rgb_lo)
        np.testing.assert_array_equal(values[schema.GRAY_HI], colors.rgb_to_gray(rgb_hi))
        np.testing.assert_array_equal(values[schema.GRAY_LO], colors.rgb_to_gray(rgb_lo))
        np.testing.assert_array_equal(values[schema.COARSE_LO], colors.rgb_to_coarse(rgb_lo))
    assert len(seen) == 12
    assert seen["train/n01443537/photo_1"][schema.LABEL] == 1
    assert [key for key, values in seen.items() if values[schema.GRAYSCALE]] == ["train/n01484850/photo_5"]


def test_kaggle_zip_gives_the_records_of_the_folder(photo_folder, truth_folder, tmp_path, capsys):
    packed = tmp_path / "imagenet.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for number, path in enumerate(sorted(photo_folder.rglob("*.JPEG"))):
            name = f"ILSVRC/Data/CLS-LOC/train/{path.relative_to(photo_folder)}"
            archive.write(path, name, zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED)
        archive.writestr("ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG", encoded(smooth_photo(1, 50, 50)))
        archive.writestr("LOC_synset_mapping.txt", "n01440764 tench")
    status, out, _ = run(capsys, "--source", packed, "--out", tmp_path / "train", *SMALL)
    assert status == 0
    assert "12 read = 12 written + 0 rejected" in out
    assert digest(tmp_path / "train") == digest(truth_folder)
    run(capsys, "--source", packed, "--out", tmp_path / "val", "--split=validation", *SMALL)
    assert list(digest(tmp_path / "val")) == ["validation/ILSVRC2012_val_00000001"]


def test_the_official_tar_of_tars_gives_the_records_of_the_folder(photo_folder, truth_folder, tmp_path, capsys):
    outer = tmp_path / "ILSVRC2012_img_train.tar"
    with tarfile.open(outer, "w") as archive:
        for folder in sorted(photo_folder.iterdir()):
            inner = tmp_path / f"{folder.name}.tar"
            with tarfile.open(inner, "w") as members:
                for path in sorted(folder.iterdir()):
                    members.add(path, path.name)
            archive.add(inner, inner.name)
    assert run(capsys, "--source", outer, "--out", tmp_path / "train", *SMALL)[0] == 0
    assert digest(tmp_path / "train") == digest(truth_folder)
    outer.write_bytes(outer.read_bytes()[: outer.stat().st_size // 2])
    status, _, err = run(capsys, "--source", outer, "--out", tmp_path / "cut", *SMALL)
    assert status == 2
    assert "damaged" in err


def test_the_official_validation_tar(tmp_path, capsys):
    source = tmp_path / "ILSVRC2012_img_val.tar"
    with tarfile.open(source, "w") as archive:
        for number in (1, 2):
            path = tmp_path / f"ILSVRC2012_val_0000000{number}.JPEG"
            path.write_bytes(encoded(smooth_photo(number, 40, 50)))
            archive.add(path, path.name)
    assert run(capsys, "--source", source, "--split=validation", "--out", tmp_path / "val", *SMALL)[0] == 0
    assert sorted(digest(tmp_path / "val")) == [f"validation/ILSVRC2012_val_0000000{n}" for n in (1, 2)]


def test_no_key_leads_out_of_a_folder(tmp_path, capsys):
    packed = tmp_path / "slip.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../etc/photo.png", encoded(smooth_photo(1, 40, 40), "PNG"))
        archive.writestr("good.png", encoded(smooth_photo(1, 40, 40), "PNG"))
    arguments = ["--source", packed, "--out", tmp_path / "out", *SMALL]
    status, _, err = run(capsys, *arguments)
    assert (status, "photo.png': unsafe_name, its name leads out of the archive" in err) == (2, True)
    assert run(capsys, *arguments, "--max_reject_fraction=0.5")[0] == 0
    assert list(digest(tmp_path / "out")) == ["train/good"]


def test_bytes_do_not_depend_on_workers_or_modes(photo_folder, truth_folder, tmp_path, capsys):
    common = ["--source", photo_folder, *SMALL, "--num_shards=3"]
    run(capsys, *common, "--out", tmp_path / "one", "--direct_num_workers=1")
    run(capsys, *common, "--out", tmp_path / "many", "--direct_num_workers=2", "--direct_running_mode=multi_processing")
    assert contents(tmp_path / "one") == contents(tmp_path / "many") == contents(truth_folder)


def test_finished_work_is_not_repeated_and_other_options_are_refused(photo_folder, tmp_path, capsys):
    common = ["--source", photo_folder, "--out", tmp_path / "out", "--lo=16"]
    run(capsys, *common, "--hi=32")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    status, out, _ = run(capsys, *common, "--hi=32")
    assert status == 0
    assert "already finished" in out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
    status, _, err = run(capsys, *common, "--hi=64")
    assert status == 2
    assert "other inputs or options" in err


def test_an_output_that_cannot_be_written_gets_one_line(photo_folder, tmp_path, capsys):
    (tmp_path / "file").touch()
    status, _, err = run(capsys, "--source", photo_folder, "--out", tmp_path / "file" / "out", *SMALL)
    assert status == 2
    assert "cannot be written: Not a directory" in err


def test_several_random_crops_of_each_image(photo_folder, truth_folder, tmp_path, capsys):
    arguments = ["--source", photo_folder, "--out", tmp_path / "out", *SMALL, "--crops=3"]
    status, out, _ = run(capsys, *arguments)
    assert status == 0
    assert "12 read = 12 written" in out
    folder = record_folder.open_folder(str(tmp_path / "out"))
    rows = {(values[schema.KEY], values[schema.CROP]): values for values in folder.read()}
    assert len(rows) == folder.num_records == 36
    for values in record_folder.open_folder(str(truth_folder)).read():  # the first crop is that of --crops=1
        np.testing.assert_array_equal(rows[values[schema.KEY], 0][schema.RGB_HI], values[schema.RGB_HI])
    differ = [(rows[key, 1][schema.RGB_HI] != rows[key, 2][schema.RGB_HI]).any() for key, crop in rows if not crop]
    assert sum(differ) > 6
    status, _, err = run(capsys, *arguments, "--crop=center")
    assert status == 2
    assert "center crops of an image are all the same" in err


def test_holdout_and_train_share_no_image(photo_folder, tmp_path, capsys):
    for split in ("train", "holdout"):
        arguments = ["--source", photo_folder, "--out", tmp_path / split, *SMALL, f"--split={split}", "--holdout=5"]
        assert run(capsys, *arguments)[0] == 0
    train, holdout = digest(tmp_path / "train"), digest(tmp_path / "holdout")
    assert (len(train), len(holdout)) == (7, 5)
    assert not set(train) & set(holdout)
    assert all(key.startswith("train/") for key in holdout)  # a key names the original split


def test_a_folder_for_one_stage_holds_what_that_network_reads(photo_folder, tmp_path, capsys):
    arguments = ["--source", photo_folder, "--out", tmp_path / "out", *SMALL, "--stages=colorizer"]
    assert run(capsys, *arguments)[0] == 0
    features = {schema.KEY, schema.CROP, schema.LABEL, schema.GRAYSCALE, schema.GRAY_LO, schema.COARSE_LO}
    assert set(record_folder.open_folder(str(tmp_path / "out")).manifest.features) == features
    status, _, err = run(capsys, *arguments[:-1], "--stages=colorizer,upsampler")
    assert status == 2
    assert "expected some of colorizer,color_upsampler,spatial_upsampler" in err


def hostile_folder(folder, photo_folder):
    """Six good photos and one of each bad kind; returns the bad ones' reasons by name."""
    for path in sorted(photo_folder.rglob("*.JPEG"))[:6]:
        (folder / path.name).write_bytes(path.read_bytes())
    good = encoded(smooth_photo(1, 64, 64))
    bad = {
        "cut.JPEG": (good[: len(good) // 2], "truncated"),
        "empty.png": (b"", "empty_file"),
        "pixel.png": (encoded(np.zeros((1, 1, 3), np.uint8), "PNG"), "too_small"),
        "text.JPEG": (b"I am not an image\n", "not_an_image"),
        "photo_0.png": (encoded(smooth_photo(1, 64, 64), "PNG"), "duplicate_key"),
    }
    for name, (data, _) in bad.items():
        (folder / name).write_bytes(data)
    (folder / "notes.txt").write_text("no image, no claim to be one")
    return {name: reason for name, (_, reason) in bad.items()}


def test_every_bad_file_is_listed_with_its_reason(photo_folder, tmp_path, capsys):
    source = tmp_path / "source"
    source.mkdir()
    bad = hostile_folder(source, photo_folder)
    common = ["--source", source, "--out", tmp_path / "out", *SMALL]
    status, _, err = run(capsys, *common)
    assert status == 2
    assert "5 of 11 inputs were rejected (--max_reject_fraction=0.01)" in err
    assert not (tmp_path / "out" / "COMPLETED").exists()
    status, out, _ = run(capsys, *common, "--max_reject_fraction=0.5")
    assert status == 0
    assert "11 read = 6 written + 5 rejected" in out
    lines = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert {line["source"]: line["reason"] for line in lines} == bad
    assert len(digest(tmp_path / "out")) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source=/nowhere"], "/nowhere: no such file or folder"),
        (["--source=EMPTY"], "no images of split 'train'"),
        (["--source=EMPTY", "--lo=0"], "--lo: expected a whole number above 0, got '0'"),
        (["--source=EMPTY", "--hi=32"], "--hi 32 is below --lo 64"),
        (["--source=EMPTY", "--limt=5"], "unknown option '--limt'. Did you mean '--limit'?"),
        (["--source=EMPTY", "--direct_running_mode=multi_threading"], "loses records"),
        ([], "--source"),
        (["--source=EMPTY/file"], "expected a folder of images, Kaggle's zip, the official tar"),
    ],
)
def test_mistakes_get_one_line(arguments, message, tmp_path, capsys):
    if arguments == ["--source=EMPTY/file"]:
        (tmp_path / "file").write_text("no zip")
    arguments = [argument.replace("EMPTY", str(tmp_path)) for argument in arguments]
    status, _, err = run(capsys, *arguments, "--out", tmp_path / "out")
    assert status == 2
    assert message in err
    assert err.startswith("coltran-preprocess: ")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_full_disk_gets_one_line_and_the_run_can_go_on(photo_folder, tmp_path, capsys):
    """A limit on the size of files stands for the full disk: the write fails in the middle of a shard."""
    code = (
        "import resource, sys\nfrom pipelines import preprocess\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\nsys.exit(preprocess.main(sys.argv[1:]))"
    )
    arguments = ["--source", str(photo_folder), "--out", str(tmp_path / "out"), *SMALL]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith("preprocess:")]  # the progress bar
    assert len(lines) == 1, done.stderr
    assert "cannot be written: File too large; make room" in lines[0]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["_work"]
    assert run(capsys, *arguments)[0] == 0


@pytest.mark.slow
def test_killed_and_run_again_gives_the_same_bytes(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for index in range(400):
        (source / f"photo_{index}.JPEG").write_bytes(encoded(smooth_photo(index, 300, 400)))
    command = [sys.executable, "-m", "pipelines.preprocess", "--source", str(source), "--num_shards=8"]
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    process = subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.DEVNULL, start_new_session=True)
    while len(list(out.glob("_work/done-*"))) < 2:  # some, but not all shards are finished
        assert process.poll() is None, "the job ended before it could be killed"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path.name for path in out.glob("_work/done-*")}
    assert 2 <= len(finished) < 8
    assert not (out / "COMPLETED").exists()
    subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
    subprocess.run([*command, "--out", str(undisturbed)], check=True, capture_output=True)
    made = json.loads((out / "run.json").read_text())["shards_made"]
    assert not {f"done-{index:05d}.json" for index in made} & finished
    assert len(made) == 8 - len(finished)
    assert contents(out) == contents(undisturbed)


def test_the_480_photos(shared_data, tmp_path, capsys):
    status, out, _ = run(capsys, "--source", shared_data / "photos", "--out", tmp_path / "out", "--hi=64", "--lo=32")
    assert status == 0
    assert "480 read = 480 written + 0 rejected" in out
    folder = record_folder.open_folder(str(tmp_path / "out"))
    values = list(folder.read([schema.KEY, schema.GRAYSCALE, schema.LABEL]))
    assert sum(row[schema.GRAYSCALE] for row in values) == folder.manifest.counts["grayscale"] == 9
    assert len({row[schema.LABEL] for row in values} - {-1}) == 480
