"""Sampling and FID from gs:// to gs://, with networks from gs://, give what the local runs give."""

import json
import pathlib

import numpy as np
import pytest

from coltran import local_copies, storage
from eval import fid, sample
from eval.features import inception_weights
from eval.features.extractors import load_extractor
from tests.eval.conftest import STAGES
from tests.eval.features.weight_files import write_zip

DIFFERS = {"run.json"}  # measured times


def upload(folder: pathlib.Path, to: str) -> str:
    for name, _ in storage.list_files(str(folder)):
        storage.write_bytes(f"{to}/{name}", (folder / name).read_bytes())
    return to


def files_of(folder: str) -> dict[str, bytes]:
    return {
        name: storage.read_bytes(storage.join(folder, name))
        for name, _ in storage.list_files(folder)
        if name not in DIFFERS
    }


@pytest.fixture(scope="module")
def sampled(bucket, truth_folder, checkpoints, tmp_path_factory):
    """The same sampling on the disk and on the cloud: (records, colorized) of each."""
    local, cloud = str(tmp_path_factory.mktemp("sampled")), f"{bucket}/sampled"
    places = {
        local: (str(truth_folder), str(checkpoints)),
        cloud: (upload(truth_folder, f"{bucket}/truth"), upload(checkpoints, f"{bucket}/checkpoints")),
    }
    for place, (records, networks) in places.items():
        flags = ["--seed=5", "--part=condition", "--batch_size=4", "--gallery=2", f"--png_folder={place}/png"]
        chosen = [f"--{stage}={networks}/{stage}" for stage in STAGES]
        assert sample.main([f"--records={records}", *chosen, *flags, f"--out={place}/out"]) == 0
    return [(records, f"{place}/out", place) for place, (records, _) in places.items()]


@pytest.mark.slow
def test_samples_on_the_cloud_are_the_local_ones(sampled):
    (_, local, above), (_, cloud, cloud_above) = sampled
    ours, theirs = files_of(cloud), files_of(local)
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} <= {"manifest.json"}
    manifests = [json.loads(files["manifest.json"]) for files in (ours, theirs)]
    assert manifests[0]["fingerprint"] == manifests[1]["fingerprint"]
    assert files_of(f"{cloud_above}/png") == files_of(f"{above}/png")


@pytest.mark.slow
def test_a_distance_on_the_cloud_is_the_local_one(sampled, bucket, tmp_path, capsys, monkeypatch, parity_weights):
    weights = tmp_path / inception_weights.PUBLIC_NAME
    write_zip(weights, parity_weights("calib"))
    monkeypatch.setattr(inception_weights, "PUBLIC_SHA256", inception_weights.file_sha256(str(weights)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    storage.write_bytes(f"{bucket}/weights/{weights.name}", weights.read_bytes())
    (local_records, local, _), (cloud_records, cloud, _) = sampled
    results = []
    for records, colorized, out, file in (
        (local_records, local, f"{tmp_path}/fid", str(weights)),
        (cloud_records, cloud, f"{bucket}/fid", f"{bucket}/weights/{weights.name}"),
    ):
        flags = [f"--real={records}", f"--fake={colorized}", f"--weights={file}", "--batch_size=4", f"--out={out}"]
        assert fid.main([*flags, "--num=5"]) == 0, capsys.readouterr().err
        results.append(json.loads(storage.read_bytes(f"{out}/fid.json")))
        assert storage.exists(f"{out}/COMPLETED")
        assert {name.partition("/")[0] for name, _ in storage.list_files(out)} == {
            *("COMPLETED", "features", "fid.json", "report.html", "rows.csv", "run.json", "statistics"),
        } | {name for name, _ in storage.list_files(out) if name.endswith(".png")}
    ours, theirs = results
    assert ours["fingerprint"] == theirs["fingerprint"]
    for row, other in zip(ours["rows"], theirs["rows"], strict=True):
        (score,), (expected,) = row["scores"], other["scores"]
        for side in ("real", "fake"):
            del score[side]["paths"], expected[side]["paths"]
        assert score == expected
    assert len([*(tmp_path / "cache" / "coltran" / "copies").iterdir()]) == 1
    assert fid.main([*flags, "--num=5"]) == 0
    assert "already finished, nothing to do" in capsys.readouterr().out


def test_a_saved_model_is_fetched_once(bucket, tmp_path, monkeypatch):
    import tensorflow as tf

    class Pool3(tf.Module):
        """Answers like TF-GAN's model."""

        @tf.function(input_signature=[tf.TensorSpec([None, 299, 299, 3], tf.float32)])
        def __call__(self, images):
            pool_3 = tf.repeat(images[:, 150, 40], 683, axis=1)[:, :2048]
            return {"pool_3": pool_3[:, None, None, :], "logits": pool_3[:, :1008]}

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tf.saved_model.save(Pool3(), str(tmp_path / "model"))
    address = upload(tmp_path / "model", f"{bucket}/tfgan")
    local, cloud = (load_extractor("tfgan", folder) for folder in (str(tmp_path / "model"), address))
    assert cloud.weights_sha256 == local.weights_sha256
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cloud.features(images), local.features(images))
    assert local_copies.kept_folder(address) == local_copies.kept_folder(address)
