"""The command coltran-colorize on tiny networks, as the tests of its results and of its refusals call it."""

import io

import numpy as np
from PIL import Image

from coltran import colorize, storage
from coltran.photos import outputs

STAGES = {"colorizer": 16, "color_upsampler": 16, "spatial_upsampler": 32}
LOW_ONLY = ("colorizer", "color_upsampler")


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


def write(folder, files: dict[str, bytes]):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
