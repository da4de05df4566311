"""What photos get back from the networks: their own part of the square, in pixels of the size that chose the colors."""

import numpy as np
import pytest
from flax import nnx

from coltran.images import geometry
from coltran.networks import presets
from coltran.networks.config import replace_fields
from coltran.photos import arguments, batches
from coltran.photos.inputs import PhotoFile
from coltran.sampling.pipeline import ColorizationPipeline
from coltran.weights import checkpoint, parameters
from tests.conftest import encoded, smooth_photo

LOW = 16


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny random networks: a color upsampler and colorizers of its size, of half its size and of a fraction of it."""
    root = tmp_path_factory.mktemp("networks")
    for stage, side in (("color_upsampler", LOW), ("colorizer", LOW), ("colorizer", LOW // 2), ("colorizer", 6)):
        config = presets.network_config(stage, "smoke", height=side, width=side)
        config = replace_fields(config, {"hidden_size": 8, "ff_size": 8, "num_heads": 2})
        flat = parameters.flatten(nnx.state(parameters.build(config, seed=5), nnx.Param))
        checkpoint.save(root / f"{stage}{side}", stage=stage, config=config, step=1, ema=flat, weights=flat)
    return root


@pytest.mark.parametrize(
    ("side", "fit", "shape"),
    [
        (LOW, "squeeze", (16, 16)),
        (LOW // 2, "squeeze", (8, 8)),
        (LOW // 2, "pad", (4, 8)),
        (6, "squeeze", (6, 6)),
        (6, "pad", (3, 6)),
    ],
)
def test_colors_have_the_pixels_of_the_colorizer(folders, tmp_path, side, fit, shape):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(smooth_photo(2, 40, 80)))
    upsampler = folders / f"color_upsampler{LOW}"
    model = ColorizationPipeline.load(colorizer=folders / f"colorizer{side}", color_upsampler=upsampler, batch_size=2)
    options = arguments.parse([str(path), f"--out={tmp_path}", f"--fit={fit}", "--samples=2"])
    photo = batches.load(PhotoFile(path=str(path), name="photo.jpg"), options, model)
    ((colored, certainty),) = batches.colorize([photo], options, model)
    network = model.colorize(np.stack([photo.gray.lo] * 2), keys=[photo.key] * 2, sample_indices=[0, 1], seed=0)
    rows = slice(None) if fit == "squeeze" else slice(4, 12)  # 40x80 in a square: the middle half of its rows
    assert (colored.shape[:3], certainty.shape[0]) == ((2, *shape), 2)
    for made, whole in zip(colored, network.rgb_lo, strict=True):
        np.testing.assert_array_equal(made, geometry.area_resize(whole[rows], *shape))
