"""Reading the public weights file without PyTorch, and random weights."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from coltran.errors import UserError
from eval.features import inception_weights
from eval.features.inception_graph import parameter_shapes
from eval.features.torch_file import read_tensors
from tests.eval.features.weight_files import write_zip

FORMATS = ["mini_legacy.pth", "mini_zip.pth"]


@pytest.mark.parametrize("name", FORMATS)
def test_both_formats_hold_the_same_tensors(name, parity_file, parity_weights):
    tensors = read_tensors(str(parity_file(name)))
    assert len(tensors) == 6
    for key, value in tensors.items():
        np.testing.assert_array_equal(value, parity_weights("calib")[key])
        assert value.dtype == np.float32


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.9, -1])
def test_a_truncated_file_is_one_error(name, kept, parity_file, tmp_path):
    data = parity_file(name).read_bytes()
    cut = tmp_path / "cut.pth"
    cut.write_bytes(data[: int(len(data) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(UserError, match=r"cut\.pth is not a PyTorch file of tensors, or a truncated one"):
        read_tensors(str(cut))


@pytest.fixture
def whole_file(tmp_path, parity_weights):
    path = tmp_path / inception_weights.PUBLIC_NAME
    extra = {"Conv2d_1a_3x3.bn.num_batches_tracked": np.zeros((), np.float32)}
    write_zip(path, parity_weights("calib") | extra)
    return path


def test_a_whole_file_loads(whole_file, parity_weights, monkeypatch):
    sha256 = inception_weights.file_sha256(str(whole_file))
    monkeypatch.setattr(inception_weights, "PUBLIC_SHA256", sha256)
    weights, found = inception_weights.load_public(str(whole_file))
    assert found == sha256
    assert weights.keys() == parameter_shapes().keys()
    for key in ("Mixed_7c.branch3x3_2b.conv.weight", "Mixed_6d.branch_pool.bn.running_var", "fc.bias"):
        np.testing.assert_array_equal(weights[key], parity_weights("calib")[key])


def test_another_file_is_refused_by_its_checksum(whole_file):
    with pytest.raises(UserError, match=r"expected sha256 6726825d.*95,628,359 bytes, got [0-9a-f]{64}"):
        inception_weights.load_public(str(whole_file))


def test_an_absent_file_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError) as error:
        inception_weights.load_public()
    for part in (inception_weights.PUBLIC_URL, inception_weights.PUBLIC_SHA256, str(tmp_path / "coltran")):
        assert part in str(error.value)


def test_missing_and_misshapen_tensors_are_named(parity_file, parity_weights):
    with pytest.raises(UserError, match=r"lacks 466 of the 472 tensors .* 'Conv2d_2a_3x3\.bn\.bias'"):
        inception_weights.check_weights(read_tensors(str(parity_file("mini_zip.pth"))), "mini")
    wrong = parity_weights("rule") | {"fc.bias": np.zeros(1000, np.float32)}
    with pytest.raises(UserError, match=r"'fc.bias' has shape \(1000,\), expected \(1008,\)"):
        inception_weights.check_weights(wrong, "wrong")


def test_random_weights_are_fixed_by_their_seed():
    first = inception_weights.random_weights(0)
    # Golden: features of `random` may change between versions only on purpose.
    assert inception_weights.weights_sha256(first).startswith("6552c8de")
    assert inception_weights.weights_sha256(inception_weights.random_weights(1)) != inception_weights.weights_sha256(
        first
    )
    filters = first["Mixed_6b.branch7x7_2.conv.weight"]
    np.testing.assert_allclose(filters.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose((filters**2).sum((1, 2, 3)), 3, rtol=1e-2)


def test_code_in_the_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "broken-in"),)

    bare = tmp_path / "bare.pth"
    bare.write_bytes(pickle.dumps({"a": Evil()}, protocol=2))
    zipped = tmp_path / "zipped.pth"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("weights/data.pkl", bare.read_bytes())
    for path in (bare, zipped):
        with pytest.raises(UserError, match="not a PyTorch file of tensors"):
            read_tensors(str(path))
    with pytest.raises(UserError, match=r"mkdir, which is not a tensor"):
        read_tensors(str(zipped))
    assert not (tmp_path / "broken-in").exists()
