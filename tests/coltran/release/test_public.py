"""The public ImageNet networks: fetched from an emulator that serves their names, interrupted, resumed, and used."""

import time

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from coltran import colorize, import_release, storage
from coltran.networks import presets
from coltran.networks.config import replace_fields
from coltran.records.stages import STAGES
from coltran.release import public
from coltran.weights import checkpoint, parameters

SIDES = {"colorizer": 8, "color_upsampler": 8, "spatial_upsampler": 16}
SMALL = {"hidden_size": 8, "ff_size": 8, "num_heads": 2}


@pytest.fixture(scope="module")
def published(bucket, tmp_path_factory):
    """Tiny networks under the names of the release, {stage: sha256 of the averages}."""
    from coltran import cloud_storage

    cloud_storage.client().create_bucket("gresearch")
    folder, sums = tmp_path_factory.mktemp("networks"), {}
    for stage, side in SIDES.items():
        config = replace_fields(presets.network_config(stage, "coltran", height=side, width=side), SMALL)
        flat = parameters.flatten(nnx.state(parameters.build(config, seed=1), nnx.Param))
        flat = {name: np.asarray(array) for name, array in flat.items()}
        checkpoint.save(folder / stage, stage=stage, config=config, step=3, ema=flat, weights=flat)
        assert import_release.main(["--export", "--from", str(folder / stage), "--to", public.address(stage)]) == 0
        sums[stage] = parameters.checksum(flat)
    return sums


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "coltran" / "imagenet"


def test_interrupted_resumed_and_then_taken_from_the_cache(published, cache, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(public, "_PIECE", 4000)
    read, pieces = storage.read_range, []

    def dies(path, offset, length):
        if "color_upsampler" in path and offset >= 8000:
            raise KeyboardInterrupt
        pieces.append((path, offset))
        return read(path, offset, length)

    monkeypatch.setattr(storage, "read_range", dies)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        list(public.fetch())
    assert public.missing() == ["color_upsampler", "spatial_upsampler"]
    before = set(pieces)
    pieces.clear()
    monkeypatch.setattr(storage, "read_range", lambda *where: pieces.append(where[:2]) or read(*where))
    assert import_release.main(["--public"]) == 0
    assert not before & set(pieces)  # nothing is fetched twice
    assert not (cache / "fetched" / "color_upsampler").exists()
    for stage in STAGES:
        assert checkpoint.load(cache / stage, stage=stage).ema_sha256 == published[stage]
    pieces.clear()
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    assert colorize.main([str(tmp_path / "photo.png"), "--weights=imagenet", f"--out={tmp_path / 'out'}"]) == 0
    assert (tmp_path / "out" / "photo_sample0.png").exists()
    assert "trained on ImageNet" in capsys.readouterr().out
    assert pieces == []


def test_offline_it_says_the_manual_way_within_seconds(cache, monkeypatch, capsys):
    from coltran import cloud_storage

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    cloud_storage.client.cache_clear()
    started = time.monotonic()
    assert import_release.main(["--public"]) == 2
    assert time.monotonic() - started < 8  # with the imports; the request itself gives up after 5
    error = capsys.readouterr().err
    assert "gs://gresearch/coltran/colorizer_v2" in error
    assert "https://console.cloud.google.com/storage/browser/gresearch/coltran" in error
    monkeypatch.undo()
    cloud_storage.client.cache_clear()


@pytest.mark.parametrize("flags", [["--from=x"], ["--export"], ["--step=3"], ["--weights=raw"]])
def test_public_is_given_alone(flags, capsys):
    assert import_release.main(["--public", *flags]) == 2
    assert "give it alone, or with --to" in capsys.readouterr().err


def test_imagenet_brings_its_own_networks(tmp_path, capsys):
    assert colorize.main(["a.jpg", "--out", str(tmp_path), "--weights=imagenet", "--colorizer=x"]) == 2
    assert "--weights imagenet brings its own networks" in capsys.readouterr().err
