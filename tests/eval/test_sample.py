"""coltran-sample on tiny untrained networks: every sample once, the same whatever the batch, the shards, the kill."""

import json
import shutil

import numpy as np
import pytest

from coltran.errors import UserError
from coltran.records import folder as record_folder, schema
from coltran.weights import built_in, maturity
from eval import sample
from pipelines.beam import worker_paths
from tests.eval.conftest import STAGES, save_untrained


def run(capsys, truth, checkpoints, out, *arguments, stages=tuple(STAGES)) -> tuple[int, str, str]:
    chosen = [f"--{stage}={checkpoints / stage}" for stage in stages]
    status = sample.main([f"--records={truth}", *chosen, f"--out={out}", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def rows(folder) -> dict[tuple, dict]:
    return {(v[schema.KEY], v[schema.SAMPLE]): v for v in record_folder.open_folder(str(folder)).read()}


@pytest.fixture(scope="module")
def sampled(truth_folder, checkpoints, tmp_path_factory):
    out = tmp_path_factory.mktemp("sampled") / "out"
    arguments = ["--samples=2", "--seed=5", "--batch_size=3", f"--png_folder={out.parent / 'png'}"]
    chosen = [f"--{stage}={checkpoints / stage}" for stage in STAGES]
    assert sample.main([f"--records={truth_folder}", *chosen, f"--out={out}", *arguments]) == 0
    return out


def test_every_sample_of_every_image_once(sampled, truth_folder):
    keys = {values[schema.KEY] for values in record_folder.open_folder(str(truth_folder)).read([schema.KEY])}
    made = rows(sampled)
    assert set(made) == {(key, index) for key in keys for index in range(2)}
    manifest = record_folder.open_folder(str(sampled), schema=schema.COLORIZED).manifest
    assert manifest.counts == {"read": 24, "written": 24, "rejected": 0}
    assert len(manifest.shards) == 3
    assert manifest.options["colorizer"]["step"] == 7
    for values in made.values():
        assert values[schema.RGB_HI].shape == (32, 32, 3)
        assert -np.inf < values[schema.LOG_LIKELIHOOD] < 0
    assert any((made[key, 0][schema.COARSE_LO] != made[key, 1][schema.COARSE_LO]).any() for key in keys)


def test_pngs_are_the_records_pixels(sampled):
    from PIL import Image

    for (key, index), values in rows(sampled).items():
        image = np.asarray(Image.open(sampled.parent / "png" / f"{key}_sample{index}.png"))
        np.testing.assert_array_equal(image, values[schema.RGB_HI])


def test_a_sample_does_not_depend_on_what_shares_its_batch(sampled, truth_folder, checkpoints, tmp_path, capsys):
    """Half of the images, one sample each: other batches, other neighbors, the same compiled size."""
    arguments = ["--samples=1", "--seed=5", "--batch_size=3", "--part=condition", "--num=5", "--direct_num_workers=1"]
    status, _, err = run(capsys, truth_folder, checkpoints, tmp_path / "out", *arguments)
    assert status == 0, err
    whole, part = rows(sampled), rows(tmp_path / "out")
    assert len(part) == 5
    for place, values in part.items():
        for name, value in values.items():
            np.testing.assert_array_equal(value, whole[place][name], err_msg=f"{place} {name}")


def test_a_network_that_was_trained_too_little_is_said_once(truth_folder, checkpoints, tmp_path, capsys):
    shutil.copytree(checkpoints / "color_upsampler", tmp_path / "color_upsampler")
    (path,) = tmp_path.glob("color_upsampler/*/checkpoint.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"training": {maturity.FINGERPRINT: "abc"}}))
    for out in ("a", "b"):
        arguments = ["--coarse=truth", "--num=1", "--seed=1", "--gallery=0"]
        status, _, err = run(capsys, truth_folder, tmp_path, tmp_path / out, *arguments, stages=["color_upsampler"])
        assert status == 0, err
        said = f"coltran-sample: {path.parent}: this color_upsampler was trained for 7 steps, fewer than"
        assert (said in err) == (out == "a")


def test_the_networks_that_ship_have_a_name_and_a_size(truth_folder, checkpoints, tmp_path, capsys):
    status, _, err = run(capsys, truth_folder, checkpoints, tmp_path, "--colorizer=built_in", "--seed=1", stages=[])
    assert status == 2
    assert f"{built_in.folder('colorizer')}: was trained for 32x32 pixels" in err
    assert "preprocess with --lo 32" in err


def test_workers_elsewhere_have_the_networks_that_ship(truth_folder, checkpoints, tmp_path, capsys, monkeypatch):
    """Their package lies elsewhere, so the word travels as it is, and no absolute path is made of it."""
    made_absolute: list[str] = []

    def stop(options, engine_options, names):
        made_absolute.extend(names)
        raise UserError("seen enough")

    monkeypatch.setattr(worker_paths, "for_workers", stop)
    arguments = ["--colorizer=built_in", "--seed=1"]
    status, _, err = run(capsys, truth_folder, checkpoints, tmp_path / "out", *arguments, stages=["color_upsampler"])
    assert (status, "seen enough" in err) == (2, True)
    assert "colorizer" not in made_absolute
    assert {"records", "out", "color_upsampler"} <= set(made_absolute)


@pytest.mark.slow
def test_a_smaller_colorizer_and_one_upsampler_for_color_and_space(truth_folder, checkpoints, tmp_path, capsys):
    save_untrained(tmp_path / "small", "colorizer", 8)
    save_untrained(tmp_path / "joint", "spatial_upsampler", 32, num_input_levels=8)
    arguments = ["--seed=1", "--num=2", f"--colorizer={tmp_path / 'small'}"]
    status, _, err = run(capsys, truth_folder, checkpoints, tmp_path / "a", *arguments)
    assert status == 0, err
    assert {values[schema.COARSE_LO].shape for values in rows(tmp_path / "a").values()} == {(16, 16)}
    arguments = ["--seed=1", "--num=2", f"--spatial_upsampler={tmp_path / 'joint'}"]
    status, _, err = run(capsys, truth_folder, checkpoints, tmp_path / "b", *arguments, stages=["colorizer"])
    assert status == 0, err
    assert {values[schema.RGB_HI].shape for values in rows(tmp_path / "b").values()} == {(32, 32, 3)}
    assert all(schema.RGB_LO not in values for values in rows(tmp_path / "b").values())
    arguments = ["--seed=1", f"--spatial_upsampler={checkpoints / 'spatial_upsampler'}"]
    status, _, err = run(capsys, truth_folder, checkpoints, tmp_path / "c", *arguments, stages=["colorizer"])
    assert status == 2
    assert "give --color_upsampler too" in err


def test_coarse_colors_alone(truth_folder, checkpoints, tmp_path, capsys):
    arguments = ["--seed=1", "--num=2", "--mode=argmax", f"--png_folder={tmp_path / 'png'}"]
    status, _, err = run(capsys, truth_folder, checkpoints, tmp_path / "out", *arguments, stages=["colorizer"])
    assert status == 0, err
    for values in rows(tmp_path / "out").values():
        assert set(values) == {schema.KEY, schema.SAMPLE, schema.COARSE_LO, schema.LOG_LIKELIHOOD}
    assert len(list((tmp_path / "png").rglob("*.png"))) == 2


def test_the_gallery_shows_gray_samples_and_truth(sampled, truth_folder):
    from PIL import Image

    from coltran.records import partition

    picture = np.asarray(Image.open(sampled / "gallery.png").convert("RGB"))
    made = rows(sampled)
    key = partition.shuffled({key for key, _ in made}, 5)[0]
    truth = {v[schema.KEY]: v for v in record_folder.open_folder(str(truth_folder)).read()}[key]
    gray = np.repeat(truth[schema.GRAY_HI][..., None], 3, axis=-1)
    first_row = [gray, made[key, 0][schema.RGB_HI], made[key, 1][schema.RGB_HI], truth[schema.RGB_HI]]
    for column, image in enumerate(first_row):
        left = 6 + column * (128 + 6)
        shown = picture[28 : 28 + 128, left : left + 128]
        np.testing.assert_array_equal(shown, image.repeat(4, axis=0).repeat(4, axis=1))


def test_a_rerun_makes_only_what_is_missing(sampled, truth_folder, checkpoints, tmp_path, capsys, monkeypatch):
    """The first run dies while it writes its second shard; the rerun must not touch the first."""
    from eval.sampling import shard as worker

    arguments = ["--samples=2", "--seed=5", "--batch_size=3", "--direct_num_workers=1", "--gallery=0"]
    real_write, calls = worker.write_shard, []

    def dying(job, index):
        calls.append(index)
        if len(calls) == 2:
            raise RuntimeError("the machine is gone")
        return real_write(job, index)

    monkeypatch.setattr(worker, "write_shard", dying)
    with pytest.raises(RuntimeError, match="the machine is gone"):
        run(capsys, truth_folder, checkpoints, tmp_path / "out", *arguments)
    monkeypatch.undo()
    assert not (tmp_path / "out" / "COMPLETED").exists()
    status, _, err = run(capsys, truth_folder, checkpoints, tmp_path / "out", *arguments)
    assert status == 0, err
    assert len(json.loads((tmp_path / "out" / "run.json").read_text())["shards_made"]) == 2
    for shard in record_folder.open_folder(str(sampled)).manifest.shards:
        assert (tmp_path / "out" / shard.name).read_bytes() == (sampled / shard.name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--records=/nowhere"], "/nowhere: no such folder"),
        (["--colorizer=/nowhere"], "/nowhere"),
        (["--colorizer=SPATIAL"], "checkpoint of the spatial_upsampler, asked for the colorizer"),
        (["--records=OTHER"], "was trained for 16x16 pixels, and the lo images of"),
        (["--num=13"], "has only 12 images"),
        (["--mode=argmax", "--samples=2"], "--mode argmax gives one image"),
        (["--temperature=0"], "temperature must be above 0"),
        (["--top_k=600"], "knows 512 colors"),
    ],
)
def test_mistakes_get_one_line(arguments, message, truth_folder, photo_folder, checkpoints, tmp_path, capsys):
    from pipelines import preprocess

    if "OTHER" in str(arguments):
        preprocess.main([f"--source={photo_folder}", f"--out={tmp_path / 'other'}", "--hi=16", "--lo=8"])
        capsys.readouterr()
    places = {"OTHER": str(tmp_path / "other"), "SPATIAL": str(checkpoints / "spatial_upsampler")}
    for word, path in places.items():
        arguments = [argument.replace(word, path) for argument in arguments]
    status, _, err = run(capsys, truth_folder, checkpoints, tmp_path / "out", "--seed=1", *arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_damaged_record_is_named(truth_folder, checkpoints, tmp_path, capsys):
    import shutil

    copy = tmp_path / "records"
    shutil.copytree(truth_folder, copy)
    shard = sorted(copy.glob("*.tfrecord-*"))[1]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    status, _, err = run(capsys, copy, checkpoints, tmp_path / "out", "--seed=1")
    assert status == 2
    assert f"{shard.name}: record at byte" in err
    assert not (tmp_path / "out" / "COMPLETED").exists()


def test_a_network_that_was_trained_on_since_the_plan_is_refused(truth_folder, checkpoints, tmp_path):
    from coltran.errors import UserError
    from coltran.weights import checkpoint
    from eval.sampling.arguments import Options
    from eval.sampling.shard import SampleShards

    folder = shutil.copytree(checkpoints / "colorizer", tmp_path / "colorizer")
    options = Options(records=str(truth_folder), out=str(tmp_path / "out"), seed=1, colorizer=str(folder))
    source = record_folder.open_folder(str(truth_folder))
    job = sample._plan_job(source, options)
    SampleShards(source, job, options).setup()
    old = checkpoint.load(folder)
    checkpoint.save(folder, stage=old.stage, config=old.config, step=8, ema=old.weights, weights=old.ema)
    with pytest.raises(UserError, match=r"another one than when this run was planned; .* step_00000007$"):
        SampleShards(source, job, options).setup()
