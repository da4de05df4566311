"""coltran-colorize on tiny untrained networks: every photo at its size, bad files named, the same colors anywhere."""

import io
import json
import shutil

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from coltran import colorize, folder_lock, storage
from coltran.images import colors, decoding
from coltran.networks import presets
from coltran.networks.config import replace_fields
from coltran.photos import batches, outputs, recolor
from coltran.weights import checkpoint, maturity, parameters
from tests.conftest import encoded, smooth_photo
from tests.pipelines.sources.hostile_files import bad_files, odd_but_good

STAGES = {"colorizer": 16, "color_upsampler": 16, "spatial_upsampler": 32}
TINY = {"hidden_size": 8, "ff_size": 8, "num_heads": 2}
LOW_ONLY = ("colorizer", "color_upsampler")


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Three tiny networks with random weights."""
    root = tmp_path_factory.mktemp("networks")
    for stage, side in STAGES.items():
        config = replace_fields(presets.network_config(stage, "smoke", height=side, width=side), TINY)
        flat = parameters.flatten(nnx.state(parameters.build(config, seed=3), nnx.Param))
        checkpoint.save(root / stage, stage=stage, config=config, step=1, ema=flat, weights=flat)
    return root


def arguments(networks, out, *more, stages=tuple(STAGES)) -> list[str]:
    return [f"--out={out}", *(f"--{stage}={networks / stage}" for stage in stages), *map(str, more)]


def run(capsys, given: list[str]) -> tuple[int, str, str]:
    status = colorize.main(given)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def files_below(folder) -> dict[str, bytes]:
    names = (name for name, _ in storage.list_files(str(folder)) if name != outputs.LISTING)
    return {name: (folder / name).read_bytes() for name in names}


def pixels(data) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


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


def write(folder, files: dict[str, bytes]):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


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


def test_bad_files_are_named_and_the_rest_goes_on(networks, tmp_path, capsys):
    """Twice into a folder among the photos: the second run replaces the first's files and takes none for a photo."""
    bad = {name: file for name, file in bad_files().items() if file[1] not in ("too_small", "duplicate_key")}
    small = {name: data for name, (data, reason) in bad_files().items() if reason == "too_small"}
    good = {f"good_{number}.jpg": encoded(smooth_photo(number, 40, 50)) for number in range(4)} | small
    source = write(tmp_path / "photos", good | {name: data for name, (data, _) in bad.items()})
    (source / "link_to_nothing.jpg").symlink_to(source / "nowhere.jpg")
    reasons = {name: reason for name, (_, reason) in bad.items()} | {"link_to_nothing.jpg": "unreadable"}
    given = arguments(networks, source / "out", "--batch_size=4", source, stages=LOW_ONLY)
    kept = None
    for _ in range(2):
        status, printed, err = run(capsys, given)
        assert status == 1
        total = len(good) + len(reasons)
        assert f"{total} photos: {len(good)} colorized x 1 sample, {len(reasons)} rejected" in printed
        told = [line for line in err.splitlines() if line.startswith("coltran-colorize: ")]
        assert len(told) == len(reasons)
        assert sum("good_" in line for line in told) == 0
        lines = [json.loads(line) for line in (source / "out" / "rejects.jsonl").read_text().splitlines()]
        assert {line["source"].removeprefix(f"{source}/"): line["reason"] for line in lines} == reasons
        assert all(line["message"] and set(line) == {"source", "reason", "message"} for line in lines)
        made = files_below(source / "out")
        assert sum(name.endswith("_sample0.png") for name in made) == len(good)
        assert kept in (None, made)
        kept = made
    for name in reasons:
        (source / name).unlink()
    assert run(capsys, given)[0] == 0
    assert not (source / "out" / "rejects.jsonl").exists()


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


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["nowhere.jpg"], "nowhere.jpg: no such file or folder"),
        (["PHOTO", "PLACE/*.gif"], "*.gif: matches no images"),
        (["gs:///a.jpg"], "expected gs://BUCKET/NAME"),
        (["PHOTO", "--colorizer=/nowhere"], "there is no folder /nowhere"),
        (["PHOTO", "--color_upsampler=PLACE/colorizer"], "checkpoint of the colorizer, asked for the color_upsampler"),
        (["PHOTO", "--seed=-1"], "--seed -1: expected 0 to 2^32 - 1"),
        (["PHOTO", "--mode=argmax", "--samples=2"], "--mode argmax gives one image"),
        (["PHOTO", "--mode=parallel", "--samples=2"], "--mode parallel gives one image"),
        (["PHOTO", "--temperature=0"], "temperature must be above 0"),
        (["PHOTO", "--top_k=600"], "top_k must be at most 512"),
        (["PHOTO", "--sheet=-1"], "--sheet -1"),
        (["PHOTO", "--out=PHOTO"], "cannot be written"),
        ([], "PHOTOS"),
    ],
)
def test_mistakes_get_one_line(networks, tmp_path, capsys, more, message):
    (tmp_path / "photo.jpg").write_bytes(encoded(smooth_photo(1, 20, 20)))
    if not (tmp_path / "colorizer").exists():
        (tmp_path / "colorizer").symlink_to(networks / "colorizer")
    more = [text.replace("PHOTO", str(tmp_path / "photo.jpg")).replace("PLACE", str(tmp_path)) for text in more]
    status, printed, err = run(capsys, arguments(networks, tmp_path / "out", *more, stages=LOW_ONLY))
    assert status == 2
    assert message in err
    told = [line for line in err.splitlines() if not line.startswith("colorize:")]  # the bar
    assert len(told) == 1
    assert told[0].startswith("coltran-colorize: ")
    assert printed == ""


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


def test_after_an_interruption_it_says_that_a_rerun_starts_over(networks, tmp_path, capsys, monkeypatch):
    (tmp_path / "photo.jpg").write_bytes(encoded(smooth_photo(1, 20, 20)))

    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(colorize, "_load_model", interrupt)
    status, _, err = run(capsys, arguments(networks, tmp_path / "out", tmp_path / "photo.jpg"))
    assert status == 130
    assert "run the same command again to start over" in err
    assert "go on" not in err


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


def test_networks_that_were_trained_too_little_are_said(networks, tmp_path, capsys):
    shutil.copytree(networks / "colorizer", tmp_path / "colorizer")
    (path,) = tmp_path.glob("colorizer/*/checkpoint.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"training": {maturity.FINGERPRINT: "abc"}}))
    photos = write(tmp_path / "in", {"photo.jpg": encoded(smooth_photo(1, 30, 40))})
    given = [f"--out={tmp_path / 'out'}", f"--color_upsampler={networks / 'color_upsampler'}", str(photos)]
    status, _, err = run(capsys, [*given, f"--colorizer={tmp_path / 'colorizer'}"])
    assert status == 0
    assert f"coltran-colorize: {path.parent}: this colorizer was trained for 1 steps, fewer than" in err
    assert err.count("steps, fewer than") == 1


def test_the_built_in_model_has_no_raw_weights(tmp_path, capsys):
    status, _, err = run(capsys, ["photo.jpg", f"--out={tmp_path}", "--weights=raw"])
    assert status == 2
    assert "moving averages only" in err


def test_upsamplers_alone_do_not_replace_the_built_in_ones(tmp_path, capsys):
    status, _, err = run(capsys, ["photo.jpg", f"--out={tmp_path}", "--color_upsampler=somewhere"])
    assert status == 2
    assert "go with --colorizer" in err


def test_nobodys_file_is_replaced_and_every_file_is_counted(networks, tmp_path, capsys):
    """The results beside the photos: a scan that is called as a result would be; then again after it was moved."""
    own = write(tmp_path / "own", {f"photo_{number}.jpg": encoded(smooth_photo(number, 30, 40)) for number in range(3)})
    write(own, {"contact_sheet.png": b"mine", ".hidden.jpg": b"x", "letter.pdf": b"x", "phone.heic": b"x"})
    before = files_below(own)
    given = arguments(networks, own, own, "--sheet=2", stages=LOW_ONLY)
    status, _, err = run(capsys, given)
    assert status == 2
    assert "contact_sheet.png: this command did not write that file and would replace it" in err
    assert files_below(own) == before
    (own / "contact_sheet.png").rename(own / "sheet.txt")
    for _ in range(2):
        (own / "phone.heic").rename(own / "phone.xcf") if (own / "phone.heic").exists() else None
        status, printed, err = run(capsys, given)
        assert (status, err.count("coltran-colorize:")) == (0, 0)
        assert "3 photos: 3 colorized x 1 sample, 0 rejected" in printed
        assert "(2 of 3 photos)" in printed
        assert " files passed over: " in printed
        assert "1 .pdf" in printed
    assert "4 result of an earlier run" in printed
    assert (own / "sheet.txt").read_bytes() == b"mine"


def test_pages_that_are_left_out_are_named(networks, tmp_path, capsys):
    photo, small = (Image.fromarray(smooth_photo(seed, 30 * seed, 40 * seed)) for seed in (2, 1))
    small.save(tmp_path / "scan.tif", save_all=True, append_images=[photo])
    status, _, err = run(capsys, arguments(networks, tmp_path / "out", tmp_path / "scan.tif", stages=LOW_ONLY))
    assert (status, "scan.tif: page 2 of 2, the largest one" in err) == (0, True)
    assert pixels((tmp_path / "out" / "scan_sample0.png").read_bytes()).shape == (60, 80, 3)


def test_a_second_run_in_the_same_folder_is_refused(networks, tmp_path, capsys):
    photo = write(tmp_path, {"a.jpg": encoded(smooth_photo(1, 30, 40))}) / "a.jpg"
    given = arguments(networks, tmp_path / "out", photo, stages=LOW_ONLY)
    with folder_lock.held(str(tmp_path / "out" / folder_lock.LOCK)):
        status, _, err = run(capsys, given)
    assert status == 2
    assert "is writing this folder" in err
    assert not (tmp_path / "out" / "a_sample0.png").exists()
    assert run(capsys, given)[0] == 0
    assert not (tmp_path / "out" / folder_lock.LOCK).exists()
