"""Validation beside training: the same images in every evaluation, all of them at the end, and one compiled program."""

import hashlib
import json
import logging

import jax
import numpy as np
import pytest

from coltran import train
from coltran.records import schema
from coltran.training import inputs, validation
from coltran.training.evaluation import make_evaluator
from coltran.training.mesh import Placement
from coltran.training.validation import Validation
from tests.conftest import smooth_photo, write_records

SIZES = schema.Sizes(lo=4)
IMAGES = [(f"val/{number}", crop) for number in range(15) for crop in range(2)]
# The first six by the sha256 of crop and key, and so without the order of any file.
CHOSEN = sorted(IMAGES, key=lambda image: hashlib.sha256(f"{image[1]}|{image[0]}".encode()).digest())[:6]


def records(folder, order, num_shards):
    rows = []
    for key, crop in order:
        photo = smooth_photo(IMAGES.index((key, crop)), 4, 4)
        coarse = ((photo >> 5) @ np.array([64, 8, 1])).astype(np.uint16)
        facts = {schema.KEY: key, schema.CROP: crop, schema.LABEL: 0, schema.GRAYSCALE: 0, schema.RGB_LO: photo}
        rows.append({**facts, schema.GRAY_LO: photo[..., 0], schema.COARSE_LO: coarse})
    return str(write_records(folder, schema.TRUTH, SIZES, rows, num_shards))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same images in one shard, and in another order in four."""
    scratch = tmp_path_factory.mktemp("shards")
    return [records(scratch / "one", IMAGES, 1), records(scratch / "four", IMAGES[::-1][5:] + IMAGES[::-1][:5], 4)]


def test_shards_and_their_order_do_not_change_the_choice(folders):
    """A stand-in for the network, which gives each image's own number, tells which images are measured."""

    def number(flat, batch):
        return {"gray": np.asarray(batch["gray"], np.float64).reshape(-1, 16) @ np.arange(16) * flat}

    found = []
    for folder in folders:
        with inputs.Examples(folder, "colorizer") as examples:
            some = Validation(examples, 6, number, 4, Placement())
            assert [examples.names()[index] for index in some.chosen] == CHOSEN
            found.append(some.measure({"once": 1.0, "twice": 2.0}))
            each = number(1.0, examples.batch(some.chosen))["gray"]
    assert found[0] == found[1]
    assert found[0].everything is None
    assert found[0].subset == {"once": {"gray": each.mean()}, "twice": {"gray": 2 * each.mean()}}


@pytest.mark.parametrize(("count", "chosen"), [(0, 30), (30, 30), (31, 30), (29, 29), (1, 1)])
def test_no_more_images_than_there_are(folders, count, chosen):
    with inputs.Examples(folders[1], "colorizer") as examples:
        found = validation.choose(examples, count)
    assert len(set(found.tolist())) == len(found) == chosen
    if chosen == 30:
        assert found.tolist() == list(range(30))


def test_bits_of_other_images_are_not_compared(folders):
    old: dict = {}  # of a version that always measured all images
    with inputs.Examples(folders[0], "colorizer") as examples:
        some, whole = (Validation(examples, count, dict, 4, Placement()) for count in (6, 0))
    assert [some.is_comparable(training) for training in ({validation.IMAGES: 6}, {validation.IMAGES: 30}, old)] == [
        True,
        False,
        False,
    ]
    assert [whole.is_comparable(training) for training in ({validation.IMAGES: 6}, {validation.IMAGES: 30}, old)] == [
        False,
        True,
        True,
    ]


def test_a_run_measures_some_images_and_at_its_end_all(folders, tmp_path, capsys, caplog):
    workdir = tmp_path / "run"
    tiny = ["--config=smoke", "--set=hidden_size=8", "--set=ff_size=8", "--batch_size=4", "--samples=0"]
    more = ["--steps=4", "--evaluate_every=2", "--evaluate_images=6", "--keep=1", "--learning_rate=1e-2"]
    given = ["--stage=color_upsampler", *tiny, *more, f"--data={folders[0]}", f"--validation={folders[1]}"]
    with jax.log_compiles(), caplog.at_level(logging.WARNING, "jax"):
        assert train.main([*given, f"--workdir={workdir}"]) == 0
    # The function that evaluates, compiled once for the moving average, the raw weights and all images.
    name = f"Finished XLA compilation of jit({_evaluator_name()})"
    assert sum(name in record.getMessage() for record in caplog.records) == 1
    printed = capsys.readouterr().out
    assert "validation: 6 of 30 images, chosen by a hash of their keys" in printed

    lines = [json.loads(text) for text in (workdir / "metrics.jsonl").read_text().splitlines()]
    told = {line["step"]: line for line in lines if "validation/images" in line}
    assert sorted(told) == [0, 2, 4]
    assert {line["validation/images"] for line in told.values()} == {6}
    assert [step for step, line in told.items() if any("_all/" in name for name in line)] == [4]
    assert told[4]["validation_all/images"] == 30
    for weights, tag in (("ema", "validation"), ("raw", "validation_raw")):
        out = tmp_path / f"{weights}.json"
        asked = ["--evaluate", f"--data={folders[0]}", f"--checkpoint={workdir}", f"--weights={weights}"]
        assert train.main([*asked, f"--json={out}"]) == 0
        images = {(image["key"], image["crop"]): image for image in json.loads(out.read_text())["images"]}
        assert sorted(images) == sorted(IMAGES)
        every, some = (np.mean([images[image]["bits_per_dim"] for image in which]) for which in (IMAGES, CHOSEN))
        assert told[4][f"{tag}_all/bits_per_dim"] == pytest.approx(every, rel=1e-6)
        assert told[4][f"{tag}/bits_per_dim"] == pytest.approx(some, rel=1e-6)
    last = f"step 4: validation bits per dim {told[4]['validation_all/bits_per_dim']:.4f}"
    assert last in printed
    # The same command again measures all images.
    assert train.main([*given, f"--workdir={workdir}"]) == 0
    assert last in capsys.readouterr().out


def _evaluator_name() -> str:
    from coltran.networks import presets

    return make_evaluator(presets.network_config("color_upsampler", "smoke", height=4, width=4), Placement()).__name__
