"""The leak audit's attacker: it finds every leak that is put in, and nothing in a study as `design` writes it."""

import gzip
import io
import os
import pathlib
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from coltran.errors import UserError
from human_eval.design import attacker, leak_audit
from human_eval.folder import layout, opaque_files

PAIRS = 40


def photos(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Noisy truths and smooth colorizations, whose PNG files differ in length as real ones do."""
    rng = np.random.default_rng(0)
    smooth = [rng.integers(0, 256, (4, 4, 3), np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(count)]
    return [(image ^ rng.integers(0, 4, image.shape, np.uint8), image) for image in smooth]


@pytest.fixture(scope="module")
def many():
    return photos(PAIRS)


@pytest.fixture
def study(tmp_path, new_study, many):
    """A study folder; its images are written as `design` writes them, unless a test does it otherwise."""
    folder = new_study(tmp_path / "study", images=PAIRS, samples=1, block=PAIRS)
    write(folder, many, opaque_files.encode_public)
    return folder


def named(folder: pathlib.Path, many) -> list[tuple[str, np.ndarray]]:
    """(name, pixels) of every file, truth first."""
    design = layout.load_design(folder)
    key = layout.load_names_key(folder, design)
    trials = [trial for form in design.forms for trial in form.trials]
    return [
        (name, image)
        for trial, pair in zip(trials, many, strict=True)
        for name, image in zip(opaque_files.names_of(key, trial.id), pair, strict=True)
    ]


def write(folder, many, encode, order=sorted) -> None:
    shutil.rmtree(folder / layout.IMAGES)
    (folder / layout.IMAGES).mkdir()
    files = {name: encode(image, b"key", name) for name, image in named(folder, many)}
    for name in order(files):
        (folder / layout.IMAGES / name).write_bytes(files[name])
    layout.level_times(folder / "public")


def result(folder) -> attacker.Attack:
    found = leak_audit.attack_images(folder, layout.load_design(folder))
    assert found is not None
    return found


def test_a_study_as_it_is_written_gives_the_attacker_a_coin(study):
    found = result(study)
    assert not found.found
    assert found.pairs == PAIRS
    assert abs(found.auc - 0.5) <= found.auc_bound < 0.5
    assert leak_audit.refuse_leaks(study, layout.load_design(study)) == found == leak_audit.read_result(study)


def test_all_files_have_one_length_whatever_compresses_them(many):
    """Noise, smooth areas, one color: also gzip cannot tell them apart by more than its own rounding."""
    flat = np.zeros((32, 32, 3), np.uint8)
    pixels = [image for pair in many for image in pair] + [flat, flat]
    files = [opaque_files.encode_public(image, b"key", f"{number}.png") for number, image in enumerate(pixels)]
    assert len({len(file) for file in files}) == 1
    assert len({len(gzip.compress(file, 9)) for file in files}) == 1
    assert files[-1] != files[-2]  # the same photo in two pairs
    for image, file in zip(pixels, files, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(file)))[1::2], image)
        np.testing.assert_array_equal(opaque_files.decode(file), image)


def png(image, level: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def padded(image, _key, _name) -> bytes:
    """As version 0.1.0 did it."""
    data, length = png(image, 6), 6000
    filling = bytes(length - len(data))
    chunk = struct.pack(">I", len(filling)) + b"paDd" + filling + struct.pack(">I", zlib.crc32(b"paDd" + filling))
    return data[:-12] + chunk + data[-12:]


def trailing(image, _key, _name) -> bytes:
    """One IDAT chunk of one length, with rubbish after the compressed data."""
    data = png(image, 6)
    at = data.index(b"IDAT")
    [length] = struct.unpack(">I", data[at - 4 : at])
    content = data[at + 4 : at + 4 + length].ljust(6000, b"\0")
    rest = data[at + 8 + length :]
    return (
        data[: at - 4]
        + struct.pack(">I", 6000)
        + b"IDAT"
        + content
        + struct.pack(">I", zlib.crc32(b"IDAT" + content))
        + rest
    )


def stored(image, _key, _name) -> bytes:
    return png(image, 0)


@pytest.mark.parametrize(
    ("encode", "fact"),
    [
        (padded, "bytes in"),
        (trailing, "length after|bytes after"),
        (stored, "length after"),
        (lambda i, *_: png(i, 6), "length|bytes"),
    ],
)
def test_lengths_that_tell_are_found(encode, fact, study, many):
    write(study, many, encode)
    found = result(study)
    assert found.found
    assert any(word in found.strongest for word in fact.split("|"))
    assert found.auc > 0.5 + found.auc_bound
    with pytest.raises(UserError, match="leak audit"):
        leak_audit.refuse_leaks(study, layout.load_design(study))


def test_truths_that_are_written_first_are_found(study, many):
    write(study, many, opaque_files.encode_public, order=list)
    found = result(study)
    assert found.found
    assert found.strongest in ("inode", "time of birth")


def test_times_that_tell_are_found(study, many):
    for place, (name, _) in enumerate(named(study, many)):
        os.utime(study / layout.IMAGES / name, (0, 1_000_000 + place))
    found = result(study)
    assert found.found
    assert found.strongest in ("time of change", "header Last-Modified")
    with pytest.raises(UserError, match="different time stamps"):
        leak_audit.refuse_leaks(study, layout.load_design(study))


def test_truths_with_the_same_bytes_are_found(study, many):
    """One photo in several pairs is the one file that comes again, unless noise of its own hides it."""
    same = [(many[0][0], fake) for _, fake in many]
    write(study, same, lambda image, key, _: opaque_files.encode_public(image, key, "one name for all"))
    assert result(study).strongest == "files with the same bytes"
    write(study, same, opaque_files.encode_public)
    assert not result(study).found


def test_a_page_that_lists_the_truth_first_is_found(study):
    design = layout.load_design(study)
    key = layout.load_names_key(study, design)
    names = [opaque_files.names_of(key, trial.id) for form in design.forms for trial in form.trials]
    facts = {name: {"place": float(place)} for pair in names for place, name in enumerate(pair)}
    assert attacker.attack(facts, names).found


def test_chance_is_refused_as_rarely_as_it_says():
    rng = np.random.default_rng(1)
    for _ in range(60):
        facts = {str(file): dict(zip("abcdefgh", rng.random(8), strict=True)) for file in range(60)}
        pairs = [(str(2 * pair), str(2 * pair + 1)) for pair in range(30)]
        assert not attacker.attack(facts, pairs).found
