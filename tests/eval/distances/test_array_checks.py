"""Statistics files that are not what they say: each fault is one line that names the file and the array."""

import io
import json
import zipfile

import numpy as np
import pytest

from coltran.errors import UserError
from eval.distances import array_checks, saved_statistics

DIMS = 16
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(40, DIMS)).astype(np.float32)
GOOD = {
    "mu": FEATURES.mean(axis=0, dtype=np.float64),
    "sigma": np.cov(FEATURES.astype(np.float64), rowvar=False),
    "count": np.array(40),
    "features": FEATURES,
    "keys": np.array([f"val/{number}" for number in range(40)]),
    "about": np.array(json.dumps({"extractor": "random", "image_size": [8, 8]})),
}
BARE = {name: GOOD[name] for name in ("mu", "sigma", "count")}


@pytest.fixture(autouse=True)
def few_dims(monkeypatch):
    """Of 16 dimensions, so that thousands of files are read in seconds."""
    monkeypatch.setattr(array_checks, "FEATURE_DIMS", DIMS)
    monkeypatch.setattr(saved_statistics, "FEATURE_DIMS", DIMS)


def with_eigenvalue(value: float) -> np.ndarray:
    """The good covariance with its lowest eigenvalue set to `value`."""
    values, vectors = np.linalg.eigh(GOOD["sigma"])
    values[0] = value
    return (vectors * values) @ vectors.T


def lopsided(by: float) -> np.ndarray:
    sigma = GOOD["sigma"].copy()
    sigma[0, 1] += by * np.abs(sigma).max()
    return sigma


def changed(name: str, index: object, value: object) -> np.ndarray:
    array = GOOD[name].copy()
    array[index] = value
    return array


TRACE = float(np.trace(GOOD["sigma"]))
FAULTS = {
    "complex mean": ({"mu": GOOD["mu"] + 1j}, "array 'mu': expected real floats [16], got complex128 [16]"),
    "complex covariance": ({"sigma": GOOD["sigma"] + 0j}, "array 'sigma': expected real floats [16, 16], got complex"),
    "whole numbers as a mean": ({"mu": np.zeros(DIMS, int)}, "array 'mu': expected real floats"),
    "text as a mean": ({"mu": np.array(["a"] * DIMS)}, "array 'mu': expected real floats [16], got <U1 [16]"),
    "yes and no as a mean": ({"mu": np.ones(DIMS, bool)}, "array 'mu': expected real floats [16], got bool [16]"),
    "times as a mean": ({"mu": np.zeros(DIMS, "datetime64[s]")}, "array 'mu': expected real floats"),
    "fields": ({"mu": np.zeros(DIMS, [("a", "f4")])}, "array 'mu': expected real floats"),
    "objects": ({"mu": np.array([None] * DIMS)}, "array 'mu': expected real floats [16], got object"),
    "a short mean": ({"mu": np.zeros(3)}, "array 'mu': expected real floats [16], got float64 [3]"),
    "a column": ({"mu": np.zeros((DIMS, 1))}, "array 'mu': expected real floats [16], got float64 [16, 1]"),
    "variances alone": ({"sigma": np.ones(DIMS)}, "array 'sigma': expected real floats [16, 16], got float64 [16]"),
    "an empty covariance": ({"sigma": np.zeros((0, 0))}, "array 'sigma': expected real floats"),
    "NaN in the mean": ({"mu": changed("mu", 3, np.nan)}, "array 'mu': holds NaN or infinity"),
    "infinity": ({"sigma": changed("sigma", (0, 0), np.inf)}, "array 'sigma': holds NaN or infinity"),
    "a huge mean": ({"mu": changed("mu", 0, 1e300)}, "array 'mu': holds 1e+300"),
    "asymmetric": ({"sigma": lopsided(1e-3)}, "array 'sigma': is not symmetric"),
    "a triangle": ({"sigma": np.triu(GOOD["sigma"])}, "array 'sigma': is not symmetric"),
    "negative": ({"sigma": -GOOD["sigma"]}, "array 'sigma': has the negative eigenvalue"),
    "indefinite": ({"sigma": with_eigenvalue(-1e-3 * TRACE)}, "array 'sigma': has the negative eigenvalue"),
    "correlations shuffled": ({"sigma": np.ones((DIMS, DIMS)) - np.eye(DIMS)}, "has the negative eigenvalue -1"),
    "one image": ({"count": np.array(1)}, "array 'count': expected a whole number, at least 2, got 1"),
    "minus": ({"count": np.array(-5)}, "array 'count': expected a whole number, at least 2, got -5"),
    "half an image": ({"count": np.array(5000.5)}, "array 'count': expected a whole number, at least 2, got 5000.5"),
    "NaN images": ({"count": np.array(np.nan)}, "array 'count': expected a whole number, at least 2, got nan"),
    "text as count": ({"count": np.array("many")}, "array 'count': expected one whole number, got <U4 []"),
    "counts": ({"count": np.array([40, 40])}, "array 'count': expected one whole number, got int64 [2]"),
    "complex count": ({"count": np.array(40j)}, "array 'count': expected one whole number, got complex128 []"),
    "flat features": ({"features": np.zeros(DIMS)}, "array 'features': expected real floats [count, 16] of at least 2"),
    "a feature vector": ({"feats": FEATURES[:1]}, "array 'feats': expected real floats [count, 16] of at least 2"),
    "text as features": ({"feats": np.array("none")}, "array 'feats': expected real floats [count, 16]"),
    "other features": ({"features": np.zeros((5, 3))}, "array 'features': expected real floats [count, 16]"),
    "complex features": ({"features": FEATURES * 1j}, "array 'features': expected real floats"),
    "NaN features": ({"features": changed("features", (1, 2), np.nan)}, "array 'features': holds NaN or infinity"),
    "another set's features": ({**GOOD, "features": FEATURES + 1}, "array 'mu': is not that of the features beside it"),
    "wider features": ({**GOOD, "features": (FEATURES - GOOD["mu"]) * 2 + GOOD["mu"]}, "array 'sigma': is not that"),
    "fewer than they say": ({**GOOD, "count": np.array(50)}, "array 'count': is 50, and 'features' has 40 rows"),
    "2-d keys": ({**GOOD, "keys": GOOD["keys"][:, None]}, "array 'keys': expected text [count], got <U6 [40, 1]"),
    "numbers as keys": ({**GOOD, "keys": np.arange(40)}, "array 'keys': expected text [count], got int64 [40]"),
    "too few keys": ({**GOOD, "keys": GOOD["keys"][1:]}, "array 'keys': expected 40, one for each image, got 39"),
    "a key twice": ({**GOOD, "keys": changed("keys", 1, "val/7")}, "array 'keys': 'val/7' is there twice"),
    "names of others": ({"names": np.array(["a"])}, "array 'names': expected 40, one for each image, got 1"),
    "no JSON": ({"about": np.array("random")}, "array 'about': is not JSON"),
    "a list": ({"about": np.array("[1]")}, "array 'about': expected a JSON object, got list"),
    "a vector of texts": ({"about": np.array(["{}"])}, "array 'about': expected one text in JSON, got <U2 [1]"),
    "a number": ({"about": np.array(7)}, "array 'about': expected one text in JSON, got int64 []"),
    "deep": ({"about": np.array("[" * 100_000)}, "array 'about': is not JSON"),
    "no size": ({"about": np.array('{"image_size": 64}')}, "array 'about': expected image_size as [height, width]"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_that_names_file_and_array(fault, tmp_path):
    arrays, message = FAULTS[fault]
    np.savez(tmp_path / "bad.npz", **(BARE | arrays))
    with pytest.raises(UserError) as caught:
        saved_statistics.read(str(tmp_path / "bad.npz"))
    line = str(caught.value)
    assert message in line
    assert line.startswith(f"{tmp_path / 'bad.npz'}: ")
    assert "\n" not in line
    assert not line.endswith(".")


@pytest.mark.parametrize(
    "arrays",
    [
        GOOD,
        {"feats": FEATURES},
        BARE | {"sigma": np.cov(FEATURES, rowvar=False, dtype=np.float32)},
        BARE | {"sigma": lopsided(1e-7)},
        BARE | {"sigma": with_eigenvalue(-1e-8 * TRACE)},
        BARE | {"sigma": with_eigenvalue(0)},
        BARE | {"sigma": np.zeros((DIMS, DIMS))},
        BARE | {"count": np.array([40.0])},
        BARE | {"sigma": GOOD["sigma"].astype(">f8").copy(order="F"), "else": np.array([None])},
    ],
    ids=["own", "features alone", "float32", "rounded", "rounded root", "flat", "equal images", "float count", "other"],
)
def test_what_other_tools_write_is_read(arrays, tmp_path):
    np.savez(tmp_path / "good.npz", **arrays)
    found = saved_statistics.read(str(tmp_path / "good.npz"))
    np.testing.assert_allclose(found.mean, GOOD["mu"], atol=1e-6)
    assert found.count == 40


def test_other_arrays_and_files(tmp_path):
    def refused(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError) as caught:
            saved_statistics.read(str(tmp_path / name))
        return str(caught.value)

    def packed(**arrays) -> bytes:
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    assert "expected arrays 'mu' and 'sigma'" in refused("a.npz", packed(mu=GOOD["mu"]))
    assert "got no array" in refused("a.npz", packed())
    assert "not a readable .npz file" in refused("cut.npz", packed(**GOOD)[:500])
    assert "not a readable .npz file" in refused("empty.npz", b"")
    npy = io.BytesIO()
    np.save(npy, GOOD["mu"])
    assert "not a readable .npz file" in refused("renamed.npz", npy.getvalue())


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Changes some bytes, mostly where the headers of the zip and its arrays are; or cuts, doubles or moves a part."""
    way = random.integers(6)
    changed = bytearray(data)
    first, last = sorted(int(place) for place in random.integers(len(data), size=2))
    if way == 0:
        return data[:first]
    if way == 1:
        return data[:first] + data[last:]
    if way == 2:
        return data[:last] + data[first:]
    headers = [place for place in range(len(data) - 6) if data[place : place + 2] in (b"PK", b"\x93N")]
    for _ in range(int(random.integers(1, 8))):
        near = headers[random.integers(len(headers))] + int(random.integers(140)) if way != 3 else first
        changed[min(near, len(data) - 1)] = int(random.choice([0, 255, 39, 44, 49, random.integers(256)]))
    return bytes(changed)


def rezipped(data: bytes, random: np.random.Generator) -> bytes:
    """Changes bytes within the arrays' files, under a zip whose checksums fit."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as read, zipfile.ZipFile(made, "w") as write:
        for name in read.namelist():
            member = read.read(name)
            if random.random() < 0.4:
                head = bytearray(member[:160])
                for place in random.integers(len(head), size=3):
                    head[place] = int(random.choice([32, 39, 44, 49, 57, random.integers(256)]))
                member = bytes(head) + member[160:]
            write.writestr(name, member)
    return made.getvalue()


@pytest.mark.filterwarnings("ignore")
def test_2000_mutated_files_are_read_or_refused_in_one_line(tmp_path):
    random = np.random.default_rng(18)
    file = io.BytesIO()
    np.savez(file, **GOOD)
    path = tmp_path / "mutated.npz"
    refused = 0
    for number in range(2000):
        path.write_bytes((rezipped if number % 2 else mutated)(file.getvalue(), random))
        line, found = "", None
        try:
            found = saved_statistics.read(str(path))
        except UserError as error:
            refused += 1
            line = str(error)
        assert line.isprintable(), number  # so it is one line, too
        if found is not None:
            assert np.isfinite(found.mean).all(), number
            assert np.linalg.eigvalsh(found.covariance)[0] > -1e-5, number
    assert 1000 < refused < 2000
