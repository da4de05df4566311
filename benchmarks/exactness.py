"""How far the sampler's probabilities lie from the teacher-forced ones, on this device, by dtype and matmul precision.

    python benchmarks/exactness.py                                  # the model that ships with the package
    python benchmarks/exactness.py --checkpoint runs/colorizer
    python benchmarks/exactness.py --weights out/colorizer.npz --description out/colorizer.json

The sampler draws images of random gray; the decoder then reads the drawn symbols, and the largest difference of any
symbol's probability is printed. In float32 at the precision `highest` it is rounding alone (below 1e-5); accelerators
multiply float32 matrices with fewer bits by default (TF32 on NVIDIA's).
"""

from __future__ import annotations

import argparse
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from coltran.networks import config as configs
from coltran.sampling import sampler
from coltran.sampling.random_keys import sample_keys
from coltran.weights import built_in, checkpoint, parameters


def largest_difference(network, gray_BHW: np.ndarray, keys_B2: jax.Array, sharpen: float) -> tuple[float, float]:
    """Largest and mean (over pixels of the largest over symbols) difference of probabilities."""
    network.head.kernel[...] = network.head.kernel[...] * sharpen
    options = sampler.SamplerOptions(keep_logits=True)
    drawn = sampler.sample_compiled(network, gray_BHW, keys_B2, options)
    forced = nnx.jit(lambda network, gray, symbols: network(gray, symbols).decoder_BHWV)
    forced_BHWV = forced(network, gray_BHW, drawn.symbols_BHW)
    difference = jnp.abs(jax.nn.softmax(drawn.logits_BHWV) - jax.nn.softmax(forced_BHWV)).max(axis=-1)
    return float(difference.max()), float(difference.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=pathlib.Path, default=built_in.folder("colorizer"))
    parser.add_argument("--weights", type=pathlib.Path, help="npz of parameters, instead of a checkpoint")
    parser.add_argument("--description", type=pathlib.Path, help="JSON with the config of these weights")
    parser.add_argument("--images", type=int, default=8)
    options = parser.parse_args()
    if options.weights:
        _, config = configs.from_json(json.loads(options.description.read_text())["config"])
        with np.load(options.weights) as file:
            flat = {name: file[name].astype(np.float32) for name in file.files}
    else:
        loaded = checkpoint.load(options.checkpoint, stage="colorizer")
        config, flat = loaded.config, loaded.ema
    gray = np.random.default_rng(0).integers(0, 256, (options.images, config.height, config.width)).astype(np.int32)
    keys = sample_keys(1, [str(i) for i in range(options.images)], [0] * options.images)
    print(f"{jax.devices()[0].device_kind}; {options.weights or options.checkpoint}")
    print("dtype      precision  sharpened  largest difference  mean")
    for dtype, precision in (("float32", "highest"), ("float32", "default"), ("bfloat16", "default")):
        for sharpen in (1.0, 4.0):
            network = parameters.restore(configs.replace_fields(config, {"compute_dtype": dtype}), flat)
            with jax.default_matmul_precision(precision):
                largest, mean = largest_difference(network, gray, keys, sharpen)
            print(f"{dtype:10} {precision:10} {sharpen:9.0f}  {largest:18.2e}  {mean:.2e}", flush=True)


if __name__ == "__main__":
    main()
