"""Reads the public weights of the Inception network, or makes random ones by a rule."""

import hashlib
import os
from collections.abc import Mapping

import numpy as np

from coltran import downloads, local_copies, storage
from coltran.errors import UserError
from eval.features.inception_graph import BATCH_NORM_EPSILON, convolutions, parameter_shapes
from eval.features.torch_file import read_tensors

PUBLIC_NAME = "pt_inception-2015-12-05-6726825d.pth"
PUBLIC_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
PUBLIC_BYTES = 95_628_359
PUBLIC_URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{PUBLIC_NAME}"

Weights = dict[str, np.ndarray]


def public_path() -> str:
    """Returns where we look for the public file if no path is given, below XDG_CACHE_HOME or below ~/.cache."""
    return os.path.join(local_copies.cache_folder(), PUBLIC_NAME)


def fetch_public() -> None:
    """Fetches the public file to `public_path()`, unless it is there.

    The environment variable COLTRAN_INCEPTION_URL names another place of the same file, such as a mirror.

    Raises:
      UserError: the address cannot be reached, or gives another file.
    """
    if not os.path.exists(public_path()):
        url = os.environ.get("COLTRAN_INCEPTION_URL", PUBLIC_URL)
        downloads.fetch(url, public_path(), sha256=PUBLIC_SHA256, size=PUBLIC_BYTES)


def load_public(path: str | None = None) -> tuple[Weights, str]:
    """Reads the public weights of the 2015-12-05 network.

    Args:
      path: the file, local or gs://; None for `public_path()`.

    Returns:
      (the arrays of `parameter_shapes()` in float32, the file's sha256).

    Raises:
      UserError: the file is absent, has another sha256, or does not hold the expected tensors.
    """
    path = path or public_path()
    storage.check_access(path)
    if not storage.exists(path):
        raise UserError(
            f"no Inception weights at {path}. Give --fetch_weights, or download {PUBLIC_URL} ({PUBLIC_BYTES:,} bytes, "
            f"sha256 {PUBLIC_SHA256}) and put the file there, or name it with --weights; --extractor random needs none"
        )
    local = local_copies.kept_file(path, PUBLIC_SHA256)
    found = file_sha256(local)
    if found != PUBLIC_SHA256:
        raise UserError(
            f"{path} is not {PUBLIC_NAME}, or is truncated: expected sha256 {PUBLIC_SHA256} and "
            f"{PUBLIC_BYTES:,} bytes, got {found} and {os.path.getsize(local):,} bytes. Download it "
            f"again from {PUBLIC_URL}"
        )
    return check_weights(read_tensors(local), path), found


def check_weights(tensors: Mapping[str, np.ndarray], source: str) -> Weights:
    """Returns the tensors that the network needs as float32. It leaves out others (`num_batches_tracked`).

    Args:
      tensors: {key: array}.
      source: the name of their file for the error message.

    Raises:
      UserError: a key is missing, or its shape differs from `parameter_shapes()`.
    """
    expected = parameter_shapes()
    missing = sorted(expected.keys() - tensors.keys())
    if missing:
        raise UserError(
            f"{source} lacks {len(missing)} of the {len(expected)} tensors of the network, the first is {missing[0]!r}"
        )
    for key, shape in expected.items():
        if tensors[key].shape != shape:
            raise UserError(f"{source}: {key!r} has shape {tensors[key].shape}, expected {shape}")
    return {key: np.asarray(tensors[key], np.float32) for key in expected}


def random_weights(seed: int) -> Weights:
    """Makes weights by a rule from a seed, for tests and demonstrations without the public file.

    Each filter has mean 0 and norm sqrt(3). The mean matters. Inputs after a ReLU are all positive, and filters with
    another mean pass this common part on. Some 50 layers later, every image would give nearly the same feature. The
    norm keeps activations from fading and from exploding. Features of photos lie between 0 and about 6, and none of
    them is constant.

    Args:
      seed: any non-negative integer.

    Returns:
      The float32 arrays of `parameter_shapes()`. Each value is exact in float16 and the same on every machine.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    weights = {}
    for key, shape in sorted(parameter_shapes().items()):
        uniform = 2 * generator.random(shape) - 1
        if key.endswith("conv.weight"):
            value = uniform - uniform.mean(axis=(1, 2, 3), keepdims=True)
            value *= np.sqrt(3 / (value**2).sum(axis=(1, 2, 3), keepdims=True))
        elif key.endswith("bn.weight"):
            value = 1 + 0.25 * uniform
        elif key.endswith("bn.bias"):
            value = 0.3 * uniform
        elif key.endswith("running_mean"):
            value = np.zeros(shape)
        elif key.endswith("running_var"):
            value = np.ones(shape)
        else:
            value = uniform / np.sqrt(shape[-1])
        weights[key] = value.astype(np.float16).astype(np.float32)
    return weights


def fold_batch_norm(
    weights: Mapping[str, np.ndarray], epsilon: float = BATCH_NORM_EPSILON
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Puts each batch normalization into its convolution. This saves a multiplication and an addition per activation.

    Args:
      weights: the arrays of `parameter_shapes()`, with kernels as [out, in, height, width].
      epsilon: the number to add to the variance.

    Returns:
      {name of the convolution: (kernel float32 [height, width, in, out], bias float32 [out])}.
    """
    folded = {}
    for conv, _ in convolutions():
        kernel = np.asarray(weights[f"{conv.name}.conv.weight"], np.float64)
        gamma, beta, mean, variance = (
            np.asarray(weights[f"{conv.name}.bn.{key}"], np.float64)
            for key in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + epsilon)
        kernel = kernel.transpose(2, 3, 1, 0) * scale
        folded[conv.name] = (kernel.astype(np.float32), (beta - mean * scale).astype(np.float32))
    return folded


def weights_sha256(weights: Mapping[str, np.ndarray]) -> str:
    """Computes a fingerprint of weights that are not in a file.

    It is a sha256 over the sorted keys, each followed by its float32 bytes.
    """
    digest = hashlib.sha256()
    for key in sorted(weights):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(weights[key], "<f4").tobytes())
    return digest.hexdigest()


def file_sha256(path: str) -> str:
    """Returns the sha256 of a file as lower-case hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
