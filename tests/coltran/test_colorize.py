"""coltran-colorize on tiny untrained networks: every photo at its size, the same colors anywhere."""

import shutil

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from coltran import colorize, storage
from coltran.images import colors, decoding
from coltran.photos import batches, outputs, recolor
from coltran.weights import checkpoint
from tests.coltran.colorize_command import LOW_ONLY, arguments, files_below, pixels, run, write
from tests.conftest import encoded, smooth_photo
from tests.pipelines.sources.hostile_files import odd_but_good


def good_photos() -> dict[str, bytes]:
    """Files by name: all that is odd, and extreme sizes."""
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        **odd_but_good(),
        "portrait_exif.jpg": encoded(smooth_photo(1, 30, 80), exif=turned),
        "column.png": encoded(smooth_photo(2, 300, 1), "PNG"),
        "pixel.png": encoded(smooth_photo(3, 1, 1), "PNG"),
        "panorama.jpg": encoded(smooth_photo(4, 20, 900)),
        "small_97.jpg": encoded(smooth_photo(5, 97, 135)),
        "sub/folder/same.jpg": encoded(smooth_photo(6, 40, 50)),
        "sub/folder/same.png": encoded(smooth_photo(7, 50, 40), "PNG"),
        "large.jpg": encoded(smooth_photo(8, 700, 1100)),
    }


@pytest.fixture(scope="module")
def colorized(networks, tmp_path_factory):
    """(folder of photos, folder of results) of one command with two samples and maps."""
    root = tmp_path_factory.mktemp("colorized")
    write(root / "photos", good_photos())
    more = ["--samples=2", "--uncertainty", "--batch_size=3", "--seed=5", "--sheet=40", root / "photos"]
    assert colorize.main(arguments(networks, root / "out", *more)) == 0
    return root / "photos", root / "out"


def result_name(name: str) -> str:
    """What the results of one of `good_photos` are called; those of the longest name are for another test."""
    return name if "same" in name else name.rpartition(".")[0]


@pytest.mark.parametrize("name", [name for name in good_photos() if not name.startswith("xxx")])
def test_each_photo_keeps_its_size_and_luma_and_gets_color(colorized, name):
    _, out = colorized
    data = good_photos()[name]
    shown = decoding.decode(data, min_side=1).rgb
    made = [pixels((out / f"{result_name(name)}_sample{sample}.png").read_bytes()) for sample in (0, 1)]
    for rgb in made:
        assert rgb.shape == shown.shape
        assert np.abs(colors.luma(rgb) - colors.luma(shown)).max() <= 0.5 + 1e-3
    if shown.shape[0] > 1 and name != "bits.png":  # on black and white alone there is no room for color
        assert max(np.ptp(rgb.astype(int), axis=-1).max() for rgb in made) > 5
        assert not np.array_equal(*made)


def test_a_portrait_by_exif_stands_upright(colorized):
    _, out = colorized
    assert pixels((out / "portrait_exif_sample0.png").read_bytes()).shape == (80, 30, 3)


def test_every_photo_has_every_file_and_nothing_else_is_written(colorized):
    photos_folder, out = colorized
    count = len(files_below(photos_folder))
    made = files_below(out)
    endings = [f"_sample{sample}{end}" for sample in (0, 1) for end in (".png", "_certainty.png", "_certainty.npy")]
    for ending in endings:
        assert sum(name.endswith(ending) for name in made) == count
    assert len(made) == 6 * count + 1
    assert {"sub/folder/same.jpg_sample0.png", "sub/folder/same.png_sample0.png"} <= set(made)


def test_certainty_maps_are_probabilities_on_the_colorizers_pixels(colorized):
    _, out = colorized
    values = np.load(out / "panorama_sample0_certainty.npy")
    assert (values.dtype, values.shape) == (np.float32, (16, 16))
    assert 1 / 512 < values.min() <= values.max() <= 1
    picture = pixels((out / "panorama_sample0_certainty.png").read_bytes())
    assert picture.shape[1] > 2 * picture.shape[0]


def test_the_contact_sheet_shows_each_photo_beside_its_samples(colorized):
    from coltran.images.contact_sheet import thumbnail

    photos_folder, out = colorized
    sheet = pixels((out / "contact_sheet.png").read_bytes())[..., :3]
    assert sheet.shape[1] == 4 * (256 + 6) + 6  # gray, two samples, certainty
    cell = thumbnail(pixels((out / "large_sample1.png").read_bytes()), 256)
    column = sheet[:, 6 + 2 * 262 : 6 + 2 * 262 + cell.shape[1]]
    assert any(np.array_equal(column[top : top + len(cell)], cell) for top in range(len(column) - len(cell)))
    gray = sheet[:, 6 : 6 + 256].astype(int)
    assert len(files_below(photos_folder)) <= 40
    assert np.ptp(gray, axis=-1).max() == 0  # the first column: no color


def test_the_same_colors_alone_and_in_other_batches(colorized, networks, tmp_path, capsys, monkeypatch):
    """Alone; and all, in another order, in batches cut short for memory."""
    photos_folder, out = colorized
    shutil.copy(photos_folder / "large.jpg", tmp_path / "renamed")
    more = ["--samples=2", "--batch_size=3", "--seed=5", tmp_path / "renamed"]
    assert run(capsys, arguments(networks, tmp_path / "alone", *more))[0] == 0
    for sample in (0, 1):
        alone = (tmp_path / "alone" / f"renamed_sample{sample}.png").read_bytes()
        assert alone == (out / f"large_sample{sample}.png").read_bytes()

    monkeypatch.setattr(batches, "_BATCH_PIXELS", 9000)
    several = sorted((path for path in photos_folder.iterdir() if path.is_file()), reverse=True)
    more = ["--samples=2", "--batch_size=3", "--seed=5", "--sheet=0", *several]
    assert run(capsys, arguments(networks, tmp_path / "all", *more))[0] == 0
    first = files_below(out)
    again = files_below(tmp_path / "all")
    assert len(again) == 2 * len(several)
    for name, data in again.items():
        assert data == first[name], name


def test_another_seed_gives_other_colors(colorized, networks, tmp_path, capsys):
    photos_folder, out = colorized
    more = ["--batch_size=3", "--seed=6", photos_folder / "large.jpg"]
    status, printed, err = run(capsys, arguments(networks, tmp_path, *more))
    assert status == 0, err
    assert printed.startswith("1 photo: 1 colorized x 1 sample, 0 rejected\n")
    assert (tmp_path / "large_sample0.png").read_bytes() != (out / "large_sample0.png").read_bytes()


def test_padding_and_jpeg_and_limits(networks, tmp_path, capsys):
    arrays = {
        "wide": smooth_photo(4, 20, 90),
        "long": np.zeros((1, 70_000, 3), np.uint8),
        "big": smooth_photo(1, 400, 400),
    }
    source = write(tmp_path / "photos", {f"{name}.png": encoded(array, "PNG") for name, array in arrays.items()})
    more = ["--fit=pad", "--format=jpeg", "--uncertainty", "--max_pixels=100000", "--mode=argmax", source]
    status, _, err = run(capsys, arguments(networks, tmp_path / "out", *more))
    assert status == 1
    assert "long.png: too_large, 70000x1 pixels, more than a JPEG file can hold; use --format png" in err
    assert "big.png: too_large, 400x400 pixels, above --max_pixels=100000" in err
    image = Image.open(tmp_path / "out" / "wide_sample0.jpg")
    assert (image.format, image.size) == ("JPEG", (90, 20))
    assert np.load(tmp_path / "out" / "wide_sample0_certainty.npy").shape[0] in (4, 5)  # 16 * 20 / 90, edges whole


def test_cloud_storage_in_and_out(bucket, networks, tmp_path, capsys):
    files = {f"scans/{name}": encoded(smooth_photo(index, 40, 50)) for index, name in enumerate(["a.jpg", "x/b.jpg"])}
    for name, data in files.items():
        storage.write_bytes(f"{bucket}/{name}", data)
    storage.write_bytes(f"{bucket}/scans/notes.txt", b"no photo")
    local = write(tmp_path, files)
    more = ["--batch_size=2"]
    given = arguments(networks, tmp_path / "out", *more, local / "scans", stages=LOW_ONLY)
    assert run(capsys, given)[0] == 0
    for name, _ in storage.list_files(str(networks)):
        storage.write_bytes(f"{bucket}/networks/{name}", (networks / name).read_bytes())
    there = [f"--{stage}={bucket}/networks/{stage}" for stage in LOW_ONLY]
    for source in (f"{bucket}/scans", f"{bucket}/scans/**/*.jpg", f"GS{bucket[2:]}/scans"):
        storage.remove_folder(f"{bucket}/out")
        given = [f"--out={bucket}/out", *there, *more, source]
        status, _, err = run(capsys, given)
        assert status == 0, err
        made = {name: storage.read_bytes(f"{bucket}/out/{name}") for name, _ in storage.list_files(f"{bucket}/out")}
        assert made.pop(outputs.LISTING)
        assert made == files_below(tmp_path / "out")
        assert {"a_sample0.png", "x/b_sample0.png"} <= set(made)
    storage.write_bytes(f"{bucket}/scans/c.jpg", b"broken")
    status, _, err = run(capsys, arguments(networks, f"{bucket}/out", f"{bucket}/scans/c.jpg", stages=LOW_ONLY))
    assert status == 1
    assert f"{bucket}/scans/c.jpg: not_an_image" in err


def test_the_parallel_head_s_certainty(networks, tmp_path, capsys):
    photo = smooth_photo(1, 16, 16)
    (tmp_path / "photo.png").write_bytes(encoded(photo, "PNG"))
    more = ["--mode=parallel", "--uncertainty", tmp_path / "photo.png"]
    status, _, err = run(capsys, arguments(networks, tmp_path / "out", *more, stages=["colorizer"]))
    assert status == 0, err
    network, _ = checkpoint.load_network(networks / "colorizer", stage="colorizer")
    gray = recolor.gray_inputs(photo, (16, 16), None, "squeeze").lo
    logits = network.parallel_head(network.encode(gray[None].astype(np.int32)).pixel_BHWD)
    certainty = np.load(tmp_path / "out" / "photo_sample0_certainty.npy")
    np.testing.assert_allclose(certainty, nnx.softmax(logits).max(axis=-1)[0], rtol=2e-3)


@pytest.mark.slow
def test_480_real_photos_and_a_corrupt_one(shared_data, networks, tmp_path, capsys):
    source = tmp_path / "photos"
    shutil.copytree(shared_data / "photos", source)
    truth = {path.stem: Image.open(path) for path in source.iterdir()}
    assert len(truth) == 480
    sizes = {name: image.size for name, image in truth.items()}
    assert min(min(size) for size in sizes.values()) == 97
    gray = [name for name, image in truth.items() if image.mode == "L"]
    assert len(gray) == 9
    largest = (source / f"{max(sizes, key=lambda name: max(sizes[name]))}.JPEG").read_bytes()
    (source / "corrupt.JPEG").write_bytes(largest[: len(largest) // 2])
    status, printed, err = run(capsys, arguments(networks, tmp_path / "out", "--batch_size=16", source))
    assert status == 1
    assert "481 photos: 480 colorized x 1 sample, 1 rejected" in printed
    assert f"{source}/corrupt.JPEG: truncated" in err
    made = {path.name.removesuffix("_sample0.png"): path for path in (tmp_path / "out").glob("*_sample0.png")}
    assert {name: Image.open(path).size for name, path in made.items()} == sizes
    for name in gray:
        # Not the file's own levels: some gray photos have a profile, and are shown (and colorized) as sRGB.
        levels = decoding.decode((source / f"{name}.JPEG").read_bytes()).rgb[..., 0].astype(int)
        assert np.abs(np.asarray(Image.open(made[name]).convert("L")).astype(int) - levels).max() <= 1
