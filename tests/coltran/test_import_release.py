"""coltran-import: the public weights give the public outputs, or a sentence that names what is wrong."""

import json
import re
import shutil

import flax.nnx as nnx
import numpy as np
import pytest

from coltran import import_release, quiet_tensorflow
from coltran.errors import UserError
from coltran.networks import presets
from coltran.networks.config import UpsamplerConfig, replace_fields
from coltran.records.stages import STAGES
from coltran.release import config as release_config, conversion, names as release_names, variables as release_variables
from coltran.release.variables import ReleaseVariables
from coltran.weights import checkpoint, parameters
from tests.coltran.symbols import of_symbols

SMALL = {"hidden_size": 32, "ff_size": 32, "num_encoder_layers": 2}
RELEASED = ("coltran", "coltran_b", "no_cln", "no_cmlp", "no_catt", "shift_only", "catt_v_only", "cln_mean_pool")
LOGIT_TOLERANCE = 5e-5


def run(capsys, *arguments):
    """(exit status, {name: value} of the printed table, stderr)."""
    capsys.readouterr()
    status = import_release.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, dict(line.split(maxsplit=1) for line in captured.out.splitlines()), captured.err


@pytest.fixture(scope="module", params=STAGES)
def released(request, release_checkpoint):
    return request.param, release_checkpoint(request.param)


def outputs(stage, network, data):
    """{name in the reference file: what `network` makes of that file's inputs}."""
    gray = data["gray"][..., 0]
    if stage == "colorizer":
        coarse = data["rgb"] >> 5
        logits = nnx.jit(lambda net, g, s: net(g, s))(network, gray, (coarse * [64, 8, 1]).sum(-1).astype(np.int32))
        return {"decoder_logits": logits.decoder_BHWV, "parallel_logits": logits.parallel_BHWV}
    levels = data["coarse" if stage == "color_upsampler" else "low_res_up"]
    call = nnx.jit(lambda net, x, c, g: net(x, c, g))
    channels = [call(network, levels[..., c], np.full(len(gray), c), gray) for c in range(3)]
    return {"logits": np.stack(channels, axis=-2)}


def test_public_weights_give_the_public_outputs_and_survive_the_way_back(released, reference, tmp_path, capsys):
    stage, source = released
    status, said, _ = run(capsys, "--from", source, "--to", tmp_path / "ours")
    assert status == 0
    variant = "colorizer_coltran" if stage == "colorizer" else stage
    data = reference(f"{variant}.npz")
    network, loaded = checkpoint.load_network(tmp_path / "ours", stage=stage)
    assert said["sha256"] == loaded.ema_sha256
    assert said["network"].startswith(f"{stage}, {parameters.count(loaded.config):,} parameters")
    assert (said["training"].split(), loaded.step) == (["step", "1"], 1)
    for name, ours in outputs(stage, network, data).items():
        assert np.abs(of_symbols(ours, data[name]) - data[name]).max() <= LOGIT_TOLERANCE
    for name, array in loaded.weights.items():
        np.testing.assert_array_equal(array, loaded.ema[name] + np.float32(0.5))

    assert run(capsys, "--export", "--from", tmp_path / "ours", "--to", tmp_path / "theirs")[0] == 0
    assert keys(tmp_path / "theirs") == {key for key in keys(source) if "/.OPTIMIZER_SLOT/" not in key}
    assert run(capsys, "--from", tmp_path / "theirs", "--to", tmp_path / "again")[0] == 0
    again = checkpoint.load(tmp_path / "again", stage=stage, config=loaded.config)
    assert (again.ema_sha256, again.checksum("raw"), again.step) == (loaded.ema_sha256, loaded.checksum("raw"), 1)


def keys(folder):
    return set(
        quiet_tensorflow.import_tensorflow().train.load_checkpoint(f"{folder}/model-1").get_variable_to_shape_map()
    )


def test_raw_weights_give_other_outputs(released, reference, tmp_path, capsys):
    stage, source = released
    assert run(capsys, "--from", source, "--to", tmp_path, "--weights=raw")[0] == 0
    data = reference("colorizer_coltran.npz" if stage == "colorizer" else f"{stage}.npz")
    network, _ = checkpoint.load_network(tmp_path, stage=stage)
    for name, ours in outputs(stage, network, data).items():
        assert not np.abs(of_symbols(ours, data[name]) - data[name]).max() <= 0.1


def of_npz(reference, name):
    data = reference(f"{name}.npz")
    return {key[4:]: data[key] for key in data if key.startswith("var:")}


def as_read(variables, **changes):
    averaged = {name: array for name, array in variables.items() if not release_names.is_fixed(name)}
    given = {"raw": variables, "averaged": averaged, "step": 1, "config_text": None, "path": "there/model-1"}
    return ReleaseVariables(**{**given, **changes})


@pytest.mark.parametrize("file", ["colorizer_coltran", "color_upsampler"])
@pytest.mark.parametrize("damage", ["delete", "rename", "transpose"])
def test_damage_to_any_variable_is_refused_by_its_name(reference, file, damage):
    whole = of_npz(reference, file)
    for name, array in whole.items():
        variables = dict(whole)
        if damage == "delete":
            del variables[name]
        elif damage == "rename":
            variables[name.replace(":0", "_old:0")] = variables.pop(name)
        elif array.T.shape == array.shape:
            continue
        else:
            variables[name] = array.T
        with pytest.raises(UserError, match=rf"(^| ){re.escape(name)}( |,|;|$)"):
            conversion.convert(as_read(variables), "raw")


def test_damage_to_averages_is_refused_by_name(reference):
    whole = as_read(of_npz(reference, "color_upsampler"))
    name = "color_upsampler/dense_2/bias"
    for averaged in (
        {key: array for key, array in whole.averaged.items() if key != f"{name}:0"},
        {**whole.averaged, f"{name}:0": np.zeros((3, 2), np.float32)},
        {**whole.averaged, "color_upsampler/other/bias:0": np.zeros(3, np.float32)},
    ):
        with pytest.raises(UserError, match=r"color_upsampler/(dense_2|other)/bias"):
            conversion.convert(as_read(whole.raw, averaged=averaged), "ema")
    with pytest.raises(UserError, match="no averaged weights; --weights=raw"):
        conversion.convert(as_read(whole.raw, averaged={}), "ema")


@pytest.mark.parametrize(("part", "value"), [("gamma", 1), ("beta", 0)])
def test_fixed_gamma_and_beta_must_be_1_and_0(reference, part, value):
    variables = of_npz(reference, "colorizer_coltran")
    name = f"col_tran_core/inner_decoder/conditional_layer_norm_9/normalize/{part}:0"
    variables[name] = variables[name] + np.float32(0.5)
    with pytest.raises(UserError, match=f"{name} must be {value} everywhere"):
        conversion.convert(as_read(variables), "ema")


def test_other_starting_numbers_load_the_same(reference):
    variables = of_npz(reference, "colorizer_coltran")

    def renumber(name):
        pattern = r"(dense|_norm|layer_normalization|self_attention_nd|position_embed)(?:_(\d+))?/"
        return re.sub(pattern, lambda found: f"{found[1]}_{int(found[2] or 0) + 95}/", name)

    moved = {renumber(name): array for name, array in variables.items()}
    assert not set(moved) & {name for name in variables if "dense" in name}
    ours, theirs = (conversion.convert(as_read(v), "ema") for v in (variables, moved))
    assert (ours[1], parameters.checksum(ours[2])) == (theirs[1], parameters.checksum(theirs[2]))


def test_460_names_436_of_them_trained_24_fixed(reference_file):
    listed = json.loads(reference_file("release_variables.json").read_text())
    trained = fixed = 0
    for stage in STAGES:
        side = 256 if stage == "spatial_upsampler" else 64
        config = presets.network_config(stage, "coltran", height=side, width=side)
        expected = release_names.expected_names(stage, config)
        assert len(set(expected.values())) == len(expected)
        names = set(release_names.release_names(expected).values())
        assert names == {entry["name"] for entry in listed[stage] if entry["trainable"]}
        constant = release_names.fixed_variables(stage, config)
        assert set(constant) == {entry["name"] for entry in listed[stage] if not entry["trainable"]}
        trained, fixed = trained + len(names), fixed + len(constant)
        shapes = {entry["name"]: tuple(entry["shape"]) for entry in listed[stage]}
        assert release_config.infer(shapes) == (stage, config)
    assert (trained, fixed) == (436, 24)


@pytest.mark.parametrize("variant", RELEASED)
def test_configs_are_read_from_shapes_and_exported_names(variant, reference):
    small = {**SMALL, "num_heads": 2, "num_outer_layers": 1, "num_inner_layers": 3, "ff_size": 24, "width": 6}
    config = replace_fields(presets.network_config("colorizer", variant, height=4, width=4), small)
    flat = {name: np.zeros(shape, np.float32) for name, shape in parameters.shapes(config).items()}
    made = release_names.to_release("colorizer", config, flat) | release_names.fixed_variables("colorizer", config)
    assert release_config.infer({name: array.shape for name, array in made.items()}) == ("colorizer", config)

    variables = of_npz(reference, f"colorizer_{variant}")
    given = json.loads(str(reference(f"colorizer_{variant}.npz")["config_json"]))
    _, found, _, _ = conversion.convert(as_read(variables, config_text=json.dumps({"model": given})), "ema")
    assert found == replace_fields(presets.network_config("colorizer", variant, height=8, width=8), SMALL)
    assert set(variables) == set(
        release_names.to_release("colorizer", found, {n: np.zeros(s) for n, s in parameters.shapes(found).items()})
    ) | set(release_names.fixed_variables("colorizer", found))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decoder": {"num_heads": 8}}, "model.decoder.num_heads is 8, but the variables make it 4"),
        ({"resolution": [8, 4]}, r"model.resolution is \[8, 4\]"),
        ({"decoder": {"cond_ln_act": "tanh"}}, "model.decoder.cond_ln_act is 'tanh'"),
        ({"decoder": {"cond_mlp": "shift"}}, "cond_mlp is 'shift', but the variables make it 'affine'"),
        ({"name": "color_upsampler"}, "model.name is 'color_upsampler'"),
        (None, "has no entry `model`"),
    ],
)
def test_a_config_that_contradicts_the_shapes_is_refused(reference, change, said):
    text = json.dumps({"model": change})  # JSON is YAML
    with pytest.raises(UserError, match=f"there/config.yaml.*{said}"):
        conversion.convert(as_read(of_npz(reference, "colorizer_coltran"), config_text=text), "ema")


@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        ("colorizer", {"attention_modulation": "gated"}),
        ("colorizer", {"context": "global"}),
        ("color_upsampler", {"grayscale": False}),
        ("spatial_upsampler", {"num_input_levels": 8}),
    ],
)
def test_networks_that_the_release_has_not_are_not_exported(stage, changes, tmp_path, capsys):
    config = replace_fields(presets.network_config(stage, "smoke", height=4, width=4), changes)
    flat = {name: np.zeros(shape, np.float32) for name, shape in parameters.shapes(config).items()}
    checkpoint.save(tmp_path / "ours", stage=stage, config=config, step=2, ema=flat, weights=flat)
    status, _, error = run(capsys, "--export", "--from", tmp_path / "ours", "--to", tmp_path / "theirs")
    assert (status, error.count("\n")) == (2, 1)
    assert f"the public release has no {stage} with {next(iter(changes))}" in error
    assert not (tmp_path / "theirs").exists()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a public checkpoint of a tiny network that is not square."""
    config = UpsamplerConfig(height=2, width=3, hidden_size=4, num_heads=2, ff_size=4, num_layers=1)
    flat = parameters.flatten(nnx.state(parameters.build(config, seed=0), nnx.Param))
    variables = release_names.to_release("color_upsampler", config, flat)
    folder = tmp_path_factory.mktemp("public")
    given = {"step": 7, "learning_rate": 3e-4, "config_text": "model: {name: color_upsampler, resolution: [2, 3]}\n"}
    release_variables.write(str(folder), raw=variables, averaged=variables, **given)
    return folder, config, flat


def copied(tiny, tmp_path):
    return shutil.copytree(tiny[0], tmp_path / "public")


@pytest.mark.parametrize("where", ["folder", "prefix", "index", "cloud", "no_state_file"])
def test_all_ways_to_say_where(tiny, where, tmp_path, capsys, request):
    source, (_, config, flat) = copied(tiny, tmp_path), tiny
    if where == "no_state_file":
        (source / "checkpoint").unlink()
    elif where == "cloud":
        from coltran import storage

        bucket = request.getfixturevalue("bucket")
        for file in source.iterdir():
            storage.write_bytes(f"{bucket}/coltran/color/{file.name}", file.read_bytes())
        source = f"{bucket}/coltran/color"
    elif where != "folder":
        source = source / ("model-1" if where == "prefix" else "model-1.index")
    target = f"{bucket}/coltran/ours" if where == "cloud" else tmp_path / "ours"
    assert run(capsys, "--from", source, "--to", target)[0] == 0
    loaded = checkpoint.load(target, stage="color_upsampler", config=config)
    assert (loaded.step, loaded.ema_sha256) == (7, parameters.checksum(flat))
    if where == "cloud":
        assert run(capsys, "--export", "--from", target, "--to", f"{bucket}/coltran/back")[0] == 0
        assert run(capsys, "--from", f"{bucket}/coltran/back", "--to", tmp_path / "again")[0] == 0
        assert checkpoint.load(tmp_path / "again").ema_sha256 == loaded.ema_sha256


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("folder", "there is no folder"),
        ("empty", "holds no TensorFlow checkpoint"),
        ("prefix", r"has no checkpoint model-2; it has model-1$"),
        ("step", r"has no checkpoint of step 9; it has model-1$"),
        ("state", r"names model-8, which is not there; it has model-1$"),
        ("cut", "cannot be read as a TensorFlow checkpoint"),
        ("index", "cannot be read as a TensorFlow checkpoint"),
        ("data", "model-1.data-00000-of-00001 is missing"),
        ("other", "expected the variables of one ColTran network"),
        ("target", "holds a checkpoint of step 3 already"),
        ("yaml", "is no YAML file"),
    ],
)
def test_mistakes_get_one_line_and_write_nothing(tiny, damage, said, tmp_path, capsys):
    source, more, target = copied(tiny, tmp_path), [], tmp_path / "ours"
    data = source / "model-1.data-00000-of-00001"
    if damage == "folder":
        source = tmp_path / "missing" / "deeper"
    elif damage == "empty":
        source = tmp_path / "empty"
        source.mkdir()
    elif damage == "prefix":
        source = source / "model-2"
    elif damage == "step":
        more = ["--step=9"]
    elif damage == "state":
        (source / "checkpoint").write_text('model_checkpoint_path: "/train/model-8"\n')
    elif damage == "cut":
        data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    elif damage == "index":
        (source / "model-1.index").write_bytes(b"not an index")
    elif damage == "data":
        data.unlink()
    elif damage == "other":
        source = tmp_path / "other"
        given = {"raw": {"dense/kernel:0": np.zeros(3, np.float32)}, "averaged": {}, "config_text": ""}
        release_variables.write(str(source), step=1, learning_rate=1.0, **given)
        more = ["--weights=raw"]
    elif damage == "yaml":
        (source / "config.yaml").write_text("model: [")
    else:
        _, config, flat = tiny
        checkpoint.save(target, stage="color_upsampler", config=config, step=3, ema=flat, weights=flat)
    status, _, error = run(capsys, "--from", source, "--to", target, *more)
    assert (status, error.count("\n")) == (2, 1)
    assert re.search(said, error)
    assert checkpoint.finished_steps(target) == ([3] if damage == "target" else [])


def test_a_variable_that_is_deleted_from_the_file_is_named(tiny, tmp_path, capsys):
    read = release_variables.read(str(tiny[0]))
    lost = "color_upsampler/factorized_attention/self_attention_nd_1/k/kernel:0"
    raw, averaged = ({n: a for n, a in group.items() if n != lost} for group in (read.raw, read.averaged))
    given = {"step": 7, "learning_rate": 3e-4, "config_text": read.config_text}
    release_variables.write(str(tmp_path / "public"), raw=raw, averaged=averaged, **given)
    status, _, error = run(capsys, "--from", tmp_path / "public", "--to", tmp_path / "ours")
    assert (status, error.count("\n")) == (2, 1)
    assert f"missing {lost}" in error
