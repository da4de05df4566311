"""A design that was killed, or whose driver is gone, or whose images lie on Cloud Storage."""

import signal
import subprocess
import sys

import pytest

from human_eval import study
from human_eval.folder import layout
from tests.human_eval.commands.designs import public_files


@pytest.mark.slow
def test_killed_while_it_writes_and_run_again(new_folders, tmp_path):
    """SIGKILL once some of the images are there; the rerun gives the bytes of an uninterrupted run."""
    truth, fakes = new_folders(600)
    sizes = ("--images=550", "--block=50", "--practice=10", "--catch=0.05")
    command = [
        sys.executable,
        "-m",
        "human_eval.study",
        "design",
        f"--truth={truth}",
        f"--colorized={fakes}",
        "--seed=1",
    ]
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 32)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command += [*sizes, f"--secret={secret}"]
    subprocess.run([*command, f"--out={whole}"], check=True, capture_output=True)
    process = subprocess.Popen([*command, f"--out={killed}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    images = killed / "private" / "images"
    while process.poll() is None and not (images.is_dir() and len(list(images.iterdir())) > 200):
        pass
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "COMPLETED").exists()
    subprocess.run([*command, f"--out={killed}"], check=True, capture_output=True)
    assert public_files(killed) == public_files(whole)
    for name in ("key.csv", "design.json"):
        assert (killed / "private" / name).read_bytes() == (whole / "private" / name).read_bytes()


def test_images_go_to_cloud_storage(bucket, arguments, designed, tmp_path, capsys):
    """As on a cluster, whose workers have no disk in common with the driver."""
    from coltran import cloud_storage, storage

    out, images = tmp_path / "study", f"{bucket}/study/images"
    secret = f"--secret={designed / 'private' / 'secret'}"
    assert study.main([*arguments, secret, f"--out={out}", f"--images_to={images}"]) == 0
    assert {name: storage.read_bytes(f"{images}/{name}") for name, _ in storage.list_files(images)} == public_files(
        designed
    )
    assert not storage.is_folder(f"{images}-staging")
    # Everybody may list a public bucket: what it tells of when each object was written must follow the names alone.
    objects = cloud_storage.client().list_blobs("photos", prefix="study/images/")
    written = [(blob.name, blob.time_created, blob.generation) for blob in objects]
    assert len(written) == 72
    for told in (1, 2):  # A few may be equal.
        assert len({one[told] for one in written}) > len(written) / 2
        assert sorted(written, key=lambda one: (one[told], one[0])) == sorted(written)
    assert study.main(["export", f"--study={out}"]) == 2
    assert "give --image_url, where browsers find them" in capsys.readouterr().err
    assert study.main(["export", f"--study={out}", "--image_url=https://storage.example.org/study/images/"]) == 0
    storage.remove(f"{images}/{next(iter(public_files(designed)))}")
    assert study.main(["export", f"--study={out}", "--image_url=https://storage.example.org/study/images/"]) == 2
    assert "no file" in capsys.readouterr().err


def test_the_last_step_finishes_the_study_without_its_driver(arguments, designed, tmp_path, monkeypatch, capsys):
    """An engine may run the job after the driver is gone; the last step may run twice."""
    from human_eval.design import finishing
    from pipelines.beam import engine

    out = tmp_path / "study"
    command = [*arguments, f"--secret={designed / 'private' / 'secret'}", f"--out={out}"]
    jobs = []
    really_run = engine.run_pipeline
    monkeypatch.setattr(engine, "run_pipeline", lambda build, options: jobs.append((build, options)) or False)
    assert study.main(command) == 0
    assert f"the job was handed over; it finishes {out} by itself" in capsys.readouterr().out
    assert not (out / "COMPLETED").exists()
    assert (out / layout.NEXT / "design.json").exists()
    [(build, options)] = jobs
    really_run(build, options)
    assert (out / "COMPLETED").exists()
    assert public_files(out) == public_files(designed)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    place = finishing.Place(
        study=str(out), staging=str(out / "private" / "images"), images=str(out / "public" / "images"), expected=72
    )
    finishing.finish(
        72, place, layout.load_names_key(out, layout.load_design(out))
    )  # once more, by an engine that repeats it
    assert {
        path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != "COMPLETED"
    } == {path: time for path, time in before.items() if path.name != "COMPLETED"}
    monkeypatch.setattr(engine, "run_pipeline", None)  # a rerun only says what is there
    assert study.main(command) == 0
    assert "18 pairs of 6 images in 6 forms" in capsys.readouterr().out
