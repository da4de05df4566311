"""Images in one .npz file, as Guided Diffusion writes them: read as images, and never all at once."""

import tracemalloc

import numpy as np
import pytest

from coltran.errors import UserError
from eval.distances import saved_statistics
from eval.images import sample_dumps, sets
from eval.images.reading import read_chunk

RNG = np.random.default_rng(5)
IMAGES = RNG.integers(256, size=(7, 12, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_images_come_in_their_order(save, tmp_path, monkeypatch):
    monkeypatch.setattr(sample_dumps, "_IMAGES_A_CHUNK", 3)
    save(tmp_path / "samples.NPZ.npz", IMAGES, np.arange(7))
    (tmp_path / "samples.NPZ.npz").rename(tmp_path / "samples.NPZ")
    (source,) = sets.open_sources([str(tmp_path / "samples.NPZ")], "hi", 0)
    assert (source.kind, source.size, len(source.chunks)) == ("images in an .npz file", (12, 10), 3)
    for index, names in enumerate(source.chunks):
        images = [pixels for _, pixels, _ in read_chunk(source, index, frozenset(names))]
        np.testing.assert_array_equal(images, IMAGES[3 * index : 3 * index + 3])
    ((name, pixels, _),) = read_chunk(source, 1, {source.names[4]})
    assert name == "00000004"
    np.testing.assert_array_equal(pixels, IMAGES[4])


def test_a_large_dump_takes_little_memory(tmp_path):
    np.savez(tmp_path / "large.npz", np.zeros((400, 128, 128, 3), np.uint8))  # 19.7 MB
    tracemalloc.start()
    try:
        (source,) = sets.open_sources([str(tmp_path / "large.npz")], "hi", 0)
        assert sum(1 for _ in read_chunk(source, 0, frozenset(source.names))) == 400
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"arr_0": IMAGES / 255}, "array 'arr_0': expected images as uint8 [count, height, width, 3], got float64"),
        ({"arr_0": np.moveaxis(IMAGES, -1, 1)}, "array 'arr_0': expected images"),
        ({"arr_0": np.zeros(2048), "arr_1": np.zeros((2048, 2048))}, "statistics are named 'mu' and 'sigma'"),
        ({"arr_0": IMAGES[:0]}, "array 'arr_0': expected images"),
        ({"arr_0": np.asfortranarray(IMAGES)}, "array 'arr_0': expected images"),
    ],
    ids=["floats", "channels first", "unnamed statistics", "none", "another order of axes"],
)
def test_what_is_no_dump(arrays, message, tmp_path):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(UserError) as caught:
        sets.open_sources([str(tmp_path / "bad.npz")], "hi", 0)
    assert message in str(caught.value)


def test_damage_within_the_images_is_found_before_the_job(tmp_path):
    np.savez(tmp_path / "bad.npz", IMAGES)
    data = bytearray((tmp_path / "bad.npz").read_bytes())
    data[1000] ^= 1
    (tmp_path / "bad.npz").write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"bad\.npz: not a readable \.npz file .*CRC"):
        sets.open_sources([str(tmp_path / "bad.npz")], "hi", 0)


@pytest.mark.parametrize("name", ["inception.npy", "stats.pt", "samples.zip", "stats.pkl"])
def test_other_files_are_told_what_is_expected(name, tmp_path):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=r"is a file of no known kind; expected a folder of records or images, or an"):
        sets.open_sources([str(tmp_path / name)], "hi", 0)


def test_a_statistics_file_is_a_set_by_itself(tmp_path):
    np.savez(tmp_path / "images.npz", IMAGES)
    np.savez(tmp_path / "statistics.npz", features=np.eye(3, 2048, dtype=np.float32))
    both = [str(tmp_path / name) for name in ("images.npz", "statistics.npz")]
    with pytest.raises(UserError, match="a statistics file is a set by itself"):
        sets.open_sources(both, "hi", 0)
    assert isinstance(sets.open_sources(both[1:], "hi", 0), saved_statistics.SavedStatistics)
