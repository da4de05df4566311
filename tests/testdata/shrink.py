"""Makes the small files beside this one from the whole reference: python tests/testdata/shrink.py REFERENCE.

What each file keeps, and why a test that passes on it says the same as on the whole file, is in README.md here.
"""

import json
import pathlib
import shutil
import sys

import flax.nnx as nnx
import numpy as np
from scipy import special

from coltran.networks import presets
from coltran.networks.config import replace_fields
from coltran.quiet_tensorflow import import_tensorflow
from coltran.release import names as release_names
from coltran.training import losses
from coltran.weights import parameters

HERE = pathlib.Path(__file__).parent
EXACT = {"colorizer_coltran": 16, "color_upsampler": 1, "spatial_upsampler": 32}  # logits of every n-th symbol or level
VARIANTS = ("coltran_b", "no_cln", "no_cmlp", "no_catt", "shift_only", "catt_v_only", "cln_mean_pool")
VARIANT_STRIDE = 32
STRIDED = ("decoder_logits", "parallel_logits", "release_argmax_proba", "logits", "slice_logits")
VARIABLE = "var:"


def load(path: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(path) as data:
        return {key: data[key] for key in data}


def strided(data: dict[str, np.ndarray], stride: int) -> dict[str, np.ndarray]:
    """Every `stride`-th symbol of what is given for all symbols; the rest is left as it is."""
    return {key: value[..., ::stride] if key in STRIDED else value for key, value in data.items()}


@nnx.jit
def _run(network, gray_BHW, symbols_BHW):
    return network.encode(gray_BHW).pixel_BHWD, network(gray_BHW, symbols_BHW)


def _outputs(variant: str, data: dict[str, np.ndarray], variables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    config = presets.network_config("colorizer", variant, height=8, width=8)
    config = replace_fields(config, {"hidden_size": 32, "ff_size": 32, "num_encoder_layers": 2})
    network = parameters.restore(config, release_names.from_release("colorizer", config, variables))
    symbols = (data["rgb"] >> 5) @ np.array([64, 8, 1])
    encoder, logits = _run(network, data["gray"][..., 0], symbols)
    made = {"encoder": encoder}
    for head in ("decoder", "parallel"):
        made[f"{head}_logits"] = getattr(logits, f"{head}_BHWV")
        made[f"{head}_bits_per_pixel"] = losses.bits(made[f"{head}_logits"], symbols).mean()
    return {name: np.asarray(value, np.float64) for name, value in made.items()}


def on_rounded_weights(variant: str, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights rounded to 8 bits, and the release's outputs carried over to them.

    Rounding moves the outputs by a few hundredths. That move is computed by our network, which equals the release
    on the whole weights to 5e-6 here; so the sum is the release's output on the rounded weights, to about that.
    """
    variables = {name[4:]: value for name, value in data.items() if name.startswith(VARIABLE)}
    steps = {name: np.float32(max(np.abs(value).max(), 1e-6) / 127) for name, value in variables.items()}
    rounded = {name: np.round(value / steps[name]).astype(np.int8) for name, value in variables.items()}
    before = _outputs(variant, data, variables)
    after = _outputs(variant, data, {name: value * steps[name] for name, value in rounded.items()})
    carried = {}
    for name, value in before.items():
        distance, move = (np.abs(value - other).max() for other in (data[name], after[name]))
        print(f"{variant}, {name}: {distance:.1e} from the release, moved by {move:.4f}")
        assert distance <= 5e-6
        assert move <= 0.2
        carried[name] = (data[name] + (after[name] - value)).astype(np.float32)
    return {
        "rounded": np.concatenate([value.ravel() for value in rounded.values()]),
        "rounded_steps": np.array(list(steps.values())),
        "rounded_shapes": np.array(json.dumps({name: value.shape for name, value in rounded.items()})),
        **{name: data[name] for name in ("rgb", "gray", "config_json")},
        **carried,
    }


def checkpoint_parts(folder: pathlib.Path, variables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A checkpoint of the release without the weights of `variables`; fixture `release_checkpoint` puts them back."""
    reader = import_tensorflow().train.load_checkpoint(str(folder / "model-1"))
    data = bytearray((folder / "model-1.data-00000-of-00001").read_bytes())
    names, places, added, place = [], [], [], 0
    for key in sorted(reader.get_variable_to_shape_map()):
        name = key.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE").replace(".S", "/")
        name = name.replace("/ExponentialMovingAverage:0", ":0")
        if name not in variables:
            continue
        raw = reader.get_tensor(key).tobytes()
        place = data.index(raw, place)
        plus = 0.0 if raw == variables[name].tobytes() else 0.5
        assert raw == (variables[name] + np.float32(plus)).tobytes(), name
        names.append(name)
        places.append(place)
        added.append(plus)
        data[place : place + len(raw)] = bytes(len(raw))
        place += len(raw)
    files = {
        name: np.frombuffer((folder / name).read_bytes(), np.uint8)
        for name in ("checkpoint", "config.yaml", "model-1.index")
    }
    return {
        **files,
        "model-1.data-00000-of-00001": np.frombuffer(bytes(data), np.uint8),
        "names": np.array(names),
        "places": np.array(places, np.int64),
        "added": np.array(added, np.float32),
    }


def main(reference: pathlib.Path, out: pathlib.Path) -> None:
    release = out / "release"
    for name, stride in EXACT.items():
        data = load(reference / f"{name}.npz")
        kept = strided(data, stride)
        if name == "colorizer_coltran":
            kept["parallel_max_probability"] = special.softmax(data["parallel_logits"], axis=-1).max(-1)
        np.savez_compressed(release / f"{name}.npz", **kept)
        stage = name.removesuffix("_coltran")
        variables = {key[4:]: value for key, value in data.items() if key.startswith(VARIABLE)}
        parts = checkpoint_parts(reference / "release_checkpoints" / stage, variables)
        np.savez_compressed(release / f"checkpoint_{stage}.npz", **parts)
    for variant in VARIANTS:
        data = on_rounded_weights(variant, load(reference / f"colorizer_{variant}.npz"))
        np.savez_compressed(release / f"colorizer_{variant}.npz", **strided(data, VARIANT_STRIDE))
    shutil.copyfile(reference / "release_variables.json", release / "release_variables.json")
    features = load(reference / "fid" / "features200.npz")
    first = {key: value[:, :64] for key, value in features.items()}
    np.savez_compressed(out / "fid" / "features200_first64.npz", **first)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), HERE)
