"""`make demo`: the whole way, from photos that ship inside installed packages to a FID number and a study folder.

Prints every command before it runs it, so that a reader learns the commands in the order of the data. The networks are
those that ship with the package; a tiny colorizer is trained for a few seconds to show the command, and used by none.
"""

import argparse
import importlib.resources
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

from PIL import Image

from coltran.records.stages import STAGES
from coltran.weights import built_in

PHOTOS = {
    "skimage.data": ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png"),
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
}
PHOTO = "chelsea.png"  # the one that is colorized whole at the end
TILE, STRIDE, TILES_PER_PHOTO = 256, 40, 30


def tiles(folder: pathlib.Path) -> int:
    """Cuts the packages' photos into overlapping squares, so that there are enough images; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for package, names in PHOTOS.items():
        for name in names:
            path = importlib.resources.files(package) / name
            photo = Image.open(path).convert("RGB")
            photo.thumbnail((640, 640))
            places = [
                (left, top)
                for top in range(0, photo.height - TILE + 1, STRIDE)
                for left in range(0, photo.width - TILE + 1, STRIDE)
            ]
            step = max(1, len(places) // TILES_PER_PHOTO)
            for left, top in places[::step][:TILES_PER_PHOTO]:
                target = folder / pathlib.Path(name).stem / f"{top}_{left}.png"
                target.parent.mkdir(exist_ok=True)
                photo.crop((left, top, left + TILE, top + TILE)).save(target)
                count += 1
    return count


def commands(out: str) -> list[str]:
    """The commands, in the order of the data; the last is for a photo that is in no record folder."""
    networks = " ".join(f"--{stage} {built_in.NAME}" for stage in STAGES)
    return [
        f"coltran-preprocess --source {out}/photos --out {out}/records --hi 128 --lo 32",
        f"coltran-train --stage colorizer --config smoke --data {out}/records --workdir {out}/colorizer --steps 20 "
        "--seed 1",
        f"coltran-sample --records {out}/records {networks} --out {out}/colorized --samples 3 --num 40 "
        "--temperature 0.9 --top_k 16 --part condition --seed 1",
        f"coltran-fid --real {out}/records --rows model={out}/colorized truth grayscale --extractor random "
        f"--out {out}/fid",
        f"coltran-study design --truth {out}/records --colorized {out}/colorized --out {out}/study --seed 1 "
        "--images 40 --block 20 --researcher 'the demo' --contact nobody --ethics 'none needed: nobody is asked' "
        "--withdrawal 'No answer leaves your browser by itself.'",
        f"coltran-study export --study {out}/study",
        f"coltran-study simulate --study {out}/study --out {out}/rehearsal --seed 1",
        f"coltran-study ingest --study {out}/study --out {out}/rehearsal/ratings.csv {out}/rehearsal/turkle.csv",
        f"coltran-study score --study {out}/study --ratings {out}/rehearsal/ratings.csv --out {out}/rehearsal/score",
        f"coltran-colorize {out}/{PHOTO} --samples 3 --out {out}/colored --seed 1",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="demo", help="folder for everything (demo)")
    options = parser.parse_args()
    started = time.monotonic()
    print(f"{tiles(pathlib.Path(options.out, 'photos'))} tiles of 5 photos in {options.out}/photos")
    # Simulated raters are refused in a folder that holds answers already: made-up and real ones must never mix.
    shutil.rmtree(pathlib.Path(options.out, "rehearsal"), ignore_errors=True)
    shutil.copy(importlib.resources.files("skimage.data") / PHOTO, options.out)
    for command in commands(options.out):
        print(f"\n$ {command}", flush=True)
        done = subprocess.run(shlex.split(command))
        if done.returncode:
            sys.exit(f"the demo stopped: `{command.split()[0]}` ended with status {done.returncode}")
    print(f"\nDone in {time.monotonic() - started:.0f} seconds. Look at:")
    for what, name in (
        ("gallery (gray, samples, truth)", "colorized/gallery.png"),
        ("FID, a report", "fid/report.html"),
        ("study page, for a browser", "study/public/index.html"),
        ("fooling rates, made-up raters", "rehearsal/score/report.html"),
        ("one photo, colorized whole", "colored/contact_sheet.png"),
    ):
        print(f"  {what:31} {pathlib.Path(options.out, name)}")


if __name__ == "__main__":
    main()
