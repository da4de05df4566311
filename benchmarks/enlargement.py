"""How the networks' few pixels of color come to a photo's size: methods compared on photos whose color is known.

    python benchmarks/enlargement.py --photos photos --records records/validation128

Each photo's own color is averaged to 32x32 pixels, as a perfect colorizer would give it, enlarged by each method, and
compared with the photo's color at its own size: root mean square of color minus luma, in levels. --records holds photos
at 128x128 that the spatial upsampler was not trained on (one crop each); only these photos of --photos are used.

| method | |
|---|---|
| `smooth` | bicubic |
| `guided` | a guided filter (He et al., 2010) on the photo's luma, after bicubic |
| `edges` | joint bilateral with corrected means, coltran/photos/enlarge.py: what coltran-colorize does |
| `upsampler` | the spatial upsampler of the package to 128x128, then bicubic |
| `upsampler, edges` | the same, then as `edges` |
"""

from __future__ import annotations

import argparse
import pathlib
import time
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

from coltran import loading
from coltran.images import colors, geometry
from coltran.photos import enlarge, recolor
from coltran.records import folder as record_folder, schema
from coltran.weights import built_in

LOW, HIGH, LONGEST = 32, 128, 640


def smooth(low_rgb: np.ndarray, photo_rgb: np.ndarray) -> np.ndarray:
    """Enlarges bicubically."""
    return enlarge.smooth(colors.chroma(low_rgb), *photo_rgb.shape[:2])


def edges(low_rgb: np.ndarray, photo_rgb: np.ndarray) -> np.ndarray:
    """Enlarges along the photo's edges."""
    return enlarge.smooth(recolor.enlarged_chroma(photo_rgb, low_rgb), *photo_rgb.shape[:2])


def guided(low_rgb: np.ndarray, photo_rgb: np.ndarray) -> np.ndarray:
    """Fits color as a linear function of luma in each window, after bicubic enlargement."""
    side = 512
    color = enlarge.smooth(colors.chroma(low_rgb), side, side)
    light = colors.luma(geometry.area_resize(photo_rgb, side, side))[..., None]

    def mean(image: np.ndarray) -> np.ndarray:
        width = 2 * (side // LOW // 2) + 1
        return ndimage.uniform_filter(image, (width, width, 1), mode="nearest")

    slope = (mean(light * color) - mean(light) * mean(color)) / (mean(light**2) - mean(light) ** 2 + 4.0**2)
    offset = mean(color) - slope * mean(light)
    return enlarge.smooth(mean(slope) * light + mean(offset), *photo_rgb.shape[:2])


def upsampler() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Returns the spatial upsampler of the package as a function from low colors and photo to 128x128 colors."""
    import jax

    network = loading.load(built_in.folder("spatial_upsampler"))
    run = jax.jit(network.argmax)

    def enlarged(low_rgb: np.ndarray, photo_rgb: np.ndarray) -> np.ndarray:
        gray = colors.rgb_to_gray(geometry.area_resize(photo_rgb, HIGH, HIGH))
        repeated = geometry.repeat_pixels(low_rgb, HIGH, HIGH)
        return np.asarray(run(repeated[None].astype(np.int32), gray[None].astype(np.int32)))[0]

    return enlarged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True, type=pathlib.Path, help="folder of photos")
    parser.add_argument("--records", required=True, help="record folder whose keys end in names of the photos to use")
    options = parser.parse_args()
    folder = record_folder.open_folder(options.records, schema=schema.TRUTH)
    read = (record for shard in folder.manifest.shards for record in folder.read_shard(shard, [schema.KEY]))
    wanted = {str(record[schema.KEY]).rsplit("/", 1)[-1] for record in read}
    network = upsampler()
    methods: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "smooth": smooth,
        "guided": guided,
        "edges": edges,
        "upsampler": lambda low, photo: smooth(network(low, photo), photo),
        "upsampler, edges": lambda low, photo: edges(network(low, photo), photo),
    }
    errors: dict[str, list[float]] = {name: [] for name in ("gray", *methods)}
    seconds = dict.fromkeys(methods, 0.0)
    for path in sorted(path for path in options.photos.rglob("*") if path.stem in wanted):
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((LONGEST, LONGEST))
        photo = np.asarray(picture)
        low, truth = geometry.area_resize(photo, LOW, LOW), colors.chroma(photo)
        errors["gray"].append(float(np.sqrt(np.mean(truth**2))))
        for name, method in methods.items():
            started = time.perf_counter()
            made = method(low, photo)
            seconds[name] += time.perf_counter() - started
            errors[name].append(float(np.sqrt(np.mean((made - truth) ** 2))))
    count = len(errors["gray"])
    print(f"{count} photos\n")
    print("| method | error | of `smooth` | better than `smooth` on | seconds a photo |\n|---|---|---|---|---|")
    for name, values in errors.items():
        better = sum(mine < other for mine, other in zip(values, errors["smooth"], strict=True))
        ratio = np.mean(values) / np.mean(errors["smooth"])
        time_each = f"{seconds[name] / count:.2f}" if name in seconds else "-"
        print(f"| {name} | {np.mean(values):.2f} | {ratio:.2f} | {better} of {count} | {time_each} |")


if __name__ == "__main__":
    main()
