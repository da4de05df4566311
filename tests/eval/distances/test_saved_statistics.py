"""Statistics as .npz: what a run writes can be given to a later one, and so can files of pytorch-fid and clean-fid."""

import numpy as np
import pytest

from coltran.errors import UserError
from eval.distances import saved_statistics
from eval.distances.frechet import frechet_distance
from eval.distances.statistics import Statistics

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(6, 2048)).astype(np.float32)
ABOUT = {"extractor": "random", "image_size": [8, 8]}


def test_what_is_written_is_read(tmp_path):
    summed = Statistics.from_features(FEATURES)
    path = str(tmp_path / "a.npz")
    keys = tuple(f"val/ключ{index}" for index in range(6))
    saved_statistics.write(path, summed, about=ABOUT, features=FEATURES, keys=keys)
    found = saved_statistics.read(path)
    assert (found.count, found.keys, found.about) == (6, keys, ABOUT)
    np.testing.assert_array_equal(found.features, FEATURES)
    np.testing.assert_allclose(found.covariance, np.cov(FEATURES.astype(np.float64), rowvar=False), atol=1e-12)
    other = Statistics.from_features(FEATURES[::-1] + 1)
    assert frechet_distance(found.statistics(), other) == frechet_distance(summed, other)


def test_pytorch_fid_reads_what_is_written(tmp_path):
    path = tmp_path / "a.npz"
    saved_statistics.write(str(path), Statistics.from_features(FEATURES), about=ABOUT)
    with np.load(path) as file:  # as pytorch_fid.fid_score.compute_statistics_of_path does
        mean, covariance = file["mu"][:], file["sigma"][:]
    np.testing.assert_allclose(mean, FEATURES.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(FEATURES, rowvar=False), atol=1e-5)


@pytest.mark.parametrize("extra", [{}, {"feats": FEATURES}], ids=["mu and sigma", "clean-fid's features"])
def test_files_of_other_tools(extra, tmp_path):
    mean, covariance = FEATURES.mean(axis=0), np.cov(FEATURES, rowvar=False)
    np.savez(tmp_path / "theirs.npz", mu=mean, sigma=covariance, **extra)
    found = saved_statistics.read(str(tmp_path / "theirs.npz"))
    assert found.count == (6 if extra else None)
    assert (found.keys, found.about) == (None, None)
    statistics = found.statistics()
    np.testing.assert_allclose(statistics.covariance, covariance, atol=1e-5)
    np.testing.assert_allclose(statistics.mean, mean, atol=1e-6)
    assert statistics.trace / (statistics.count - 1) == pytest.approx(np.trace(covariance), rel=1e-5)


def test_pickled_objects_are_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return print, ("code of the file ran",)

    np.savez(tmp_path / "trap.npz", mu=np.array([Trap()], dtype=object), sigma=np.zeros((2048, 2048)))
    with pytest.raises(UserError, match=r"array 'mu': expected real floats \[2048\], got object \[1\]"):
        saved_statistics.read(str(tmp_path / "trap.npz"))
