"""Mistakes that change a FID without an error message raise it by more than its standard error (real photos)."""

import numpy as np
import pytest
from PIL import Image

from coltran.images import colors, geometry
from eval.distances.spread import measure_spread
from eval.distances.statistics import Statistics
from eval.features.extractors import load_extractor
from eval.images.sets import GROUPS

COUNT = 110
SIDE = 128
pytestmark = pytest.mark.slow


def groups(features: np.ndarray) -> list[Statistics]:
    return [Statistics.from_features(features[place::GROUPS]) for place in range(GROUPS)]


def gray(photo: np.ndarray) -> np.ndarray:
    return np.repeat(colors.rgb_to_gray(photo)[..., None], 3, axis=-1)


@pytest.fixture(scope="module")
def features(shared_data):
    """`features(name)` of truth, its other half, and the other half with a mistake, computed once."""
    paths = sorted((shared_data / "photos").rglob("*.*"))[: 2 * COUNT]
    photos = [geometry.center_crop(np.asarray(Image.open(path).convert("RGB"))) for path in paths]
    small = np.stack([geometry.area_resize(photo, SIDE, SIDE) for photo in photos])
    other_tool = [Image.fromarray(photo).resize((SIDE, SIDE), Image.Resampling.NEAREST) for photo in photos[1::2]]
    made = {
        "truth": small[::2],
        "right": small[1::2],
        "BGR": small[1::2, ..., ::-1],
        "gray": np.stack([gray(photo) for photo in small[1::2]]),
        "another resize": np.stack([np.asarray(photo) for photo in other_tool]),
    }
    extractor = load_extractor("random", framework="tensorflow")
    return {name: groups(extractor.features(np.ascontiguousarray(pixels))) for name, pixels in made.items()}


@pytest.mark.parametrize("mistake", ["BGR", "gray", "another resize"])
def test_raises_the_distance(mistake, features):
    right = measure_spread(features["truth"], features["right"])
    wrong = measure_spread(features["truth"], features[mistake])
    assert wrong.fid - right.fid > max(right.standard_error, wrong.standard_error)
