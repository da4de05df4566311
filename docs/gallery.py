"""Makes docs/gallery.png: 24 photos that the model in the box never saw, as it colors them.

    apt-get download lomiri-wallpapers-16.04 lomiri-wallpapers-20.04     and dpkg-deb -x each into photos/
    pip download --no-deps scikit-learn                                  and unzip sklearn/datasets/images into photos/
    python docs/gallery.py --photos photos --out docs/gallery.png

The pool is every color photo of these packages, and those of scikit-image and matplotlib, which are installed anyway;
drawings and microscope pictures are no photos. From the pool, 24 are taken by the hash of their bytes, and nothing is
left out because it looks bad. Licenses and authors stand in docs/gallery.md.
"""

import argparse
import hashlib
import importlib.resources
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

COUNT, SAMPLES = 24, 3
CELL = (76, 57)  # so small that the picture stays below 1 MB
COLUMNS = 3  # blocks of one photo side by side
GAP = 10
DRAWINGS = ("Fossa", "Infinite-Sea", "Painting-Colors", "analogpattern", "umang")
INSTALLED = {
    "skimage.data": (
        *("astronaut.png", "camera.png", "chelsea.png", "coffee.png"),
        *("hubble_deep_field.jpg", "motorcycle_left.png", "retina.jpg", "rocket.jpg"),
    ),
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
}
TITLES = ("gray", "sample 1", "sample 2", "sample 3", "how sure")


def pool(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the photos of the packages in `folder` and of those that are installed."""
    yield from (path for path in folder.rglob("*.jpg") if not path.name.startswith(DRAWINGS))
    for package, names in INSTALLED.items():
        yield from (pathlib.Path(str(importlib.resources.files(package))) / name for name in names)


def chosen(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the first photos of the pool by the sha256 of their bytes."""
    return sorted(pool(folder), key=lambda path: hashlib.sha256(path.read_bytes()).digest())[:COUNT]


def colorize(photos: list[pathlib.Path], folder: pathlib.Path, flags: list[str]) -> list[list[Image.Image]]:
    """Colors the photos by coltran-colorize with `flags`. Returns of each photo: gray, samples, certainty."""
    given, made = folder / "photos", folder / "colored"
    given.mkdir()
    for number, path in enumerate(photos):
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((640, 640))
        photo.save(given / f"{number:02}.png")
    command = [pathlib.Path(sys.executable).parent / "coltran-colorize", given, "--out", made, "--uncertainty"]
    subprocess.run([*command, "--samples", str(SAMPLES), "--seed", "1", *flags], check=True)
    rows = []
    for number in range(len(photos)):
        gray = Image.open(given / f"{number:02}.png").convert("L")
        samples = [Image.open(next(made.rglob(f"{number:02}_sample{sample}.png"))) for sample in range(SAMPLES)]
        certainty = np.load(next(made.rglob(f"{number:02}_sample0_certainty.npy")))
        rows.append([gray, *samples, map_of(certainty).resize(gray.size, Image.Resampling.NEAREST)])
    return rows


def map_of(certainty: np.ndarray) -> Image.Image:
    """Draws probabilities, float32 [h, w], from dark (0) to light (1)."""
    from matplotlib import colormaps

    return Image.fromarray((colormaps["viridis"](certainty)[..., :3] * 255).astype(np.uint8))


def draw(rows: list[list[Image.Image]]) -> Image.Image:
    """Puts the pictures of each photo side by side, COLUMNS photos in a line, below titles."""
    block = len(TITLES) * CELL[0]
    lines = -(-len(rows) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * block + (COLUMNS - 1) * GAP, 20 + lines * (CELL[1] + 2)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        left, top = number % COLUMNS * (block + GAP), 20 + number // COLUMNS * (CELL[1] + 2)
        for place, picture in enumerate(row):
            if number < COLUMNS:
                pen.text((left + place * CELL[0] + 4, 1), TITLES[place], fill="black", font_size=12)
            sheet.paste(fill_cell(picture), (left + place * CELL[0], top))
    return sheet


def fill_cell(picture: Image.Image) -> Image.Image:
    """Cuts the middle of a picture in the cell's proportions and makes it as large as the cell."""
    picture = picture.convert("RGB")
    scale = max(CELL[0] / picture.width, CELL[1] / picture.height)
    width, height = CELL[0] / scale, CELL[1] / scale
    left, top = max(0, picture.width - width) / 2, max(0, picture.height - height) / 2
    right_bottom = min(left + width, picture.width), min(top + height, picture.height)
    return picture.resize(CELL, Image.Resampling.LANCZOS, (left, top, *right_bottom))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=pathlib.Path, required=True, help="folder of the unpacked packages")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the picture to write")
    options, flags = parser.parse_known_args()  # the rest are flags of coltran-colorize, such as --colorizer
    photos = chosen(options.photos)
    print(*(path.name for path in photos), sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        draw(colorize(photos, pathlib.Path(folder), flags)).save(options.out, optimize=True)
    print(options.out)


if __name__ == "__main__":
    main()
