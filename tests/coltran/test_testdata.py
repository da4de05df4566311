"""tests/testdata against the whole reference, of which it is a part."""

import numpy as np

from tests.coltran.symbols import of_symbols
from tests.conftest import TESTDATA, load_arrays

UPSAMPLERS = ("color_upsampler", "spatial_upsampler")


def check(name: str, small: dict[str, np.ndarray], whole: dict[str, np.ndarray], *, rounded: bool) -> None:
    assert {key for key in small if key.startswith("var:")} == {key for key in whole if key.startswith("var:")}, name
    for key in small.keys() & whole.keys():
        ours, theirs, place = small[key], whole[key], f"{name}, {key}"
        if key.endswith(("logits", "_proba")):
            theirs = of_symbols(theirs, ours)
        if not rounded or theirs.dtype.kind != "f":
            np.testing.assert_array_equal(ours, theirs, err_msg=place)
        elif key.startswith("var:"):
            assert np.abs(ours - theirs).max() <= np.abs(theirs).max() / 127 * 0.501, place
        else:
            assert np.abs(ours - theirs).max() <= 0.1, place


def test_numbers_are_those_of_the_reference(reference_folder):
    colorizers = [path.stem for path in sorted(reference_folder.glob("colorizer_*.npz"))]
    assert len(colorizers) == 8
    for name in (*colorizers, *UPSAMPLERS):
        small, whole = (load_arrays(place / f"{name}.npz") for place in (TESTDATA / "release", reference_folder))
        check(name, small, whole, rounded=name not in ("colorizer_coltran", *UPSAMPLERS))


def test_checkpoints_are_put_together_byte_for_byte(reference_folder, release_checkpoint, monkeypatch):
    monkeypatch.delenv("COLTRAN_REFERENCE")
    for stage in ("colorizer", *UPSAMPLERS):
        whole, made = reference_folder / "release_checkpoints" / stage, release_checkpoint.__wrapped__(stage)
        assert {path.name for path in made.iterdir()} == {path.name for path in whole.iterdir()}
        for path in whole.iterdir():
            assert (made / path.name).read_bytes() == path.read_bytes(), path.name


def test_it_stays_small():
    assert sum(path.stat().st_size for path in TESTDATA.rglob("*") if path.is_file()) <= 4_000_000
