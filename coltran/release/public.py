"""The three ImageNet networks of the public release: fetched, and converted into the cache once a machine.

    gs://gresearch/coltran/colorizer_v2, color_upsampler_v2, spatial_upsampler_v2      (public; no credentials)
    <cache>/coltran/imagenet/colorizer, color_upsampler, spatial_upsampler             what is made of them

A run that was interrupted goes on: with the network that it was at, and within a file with its next piece.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from coltran import cli, local_copies, storage
from coltran.errors import UserError
from coltran.records.stages import STAGES
from coltran.release import conversion, variables
from coltran.weights import steps

BUCKET = "gs://gresearch/coltran"
_PUBLIC = "imagenet"
_PIECE = 8 << 20


def address(stage: str) -> str:
    """Returns the published folder of a stage's network."""
    return f"{BUCKET}/{stage}_v2"


def default_folder() -> str:
    """Returns the folder in the cache that holds the three converted networks."""
    return os.path.join(local_copies.cache_folder(), _PUBLIC)


def folders(target: str | None = None) -> dict[str, str]:
    """Returns {stage: checkpoint folder} of the three networks below `target`, by default in the cache."""
    return {stage: storage.join(target or default_folder(), stage) for stage in STAGES}


def missing(target: str | None = None) -> list[str]:
    """Lists the stages whose networks are not there yet."""
    return [stage for stage, folder in folders(target).items() if not steps.finished_steps(folder)]


def fetch(target: str | None = None) -> Iterator[tuple[str, str]]:
    """Fetches and converts the networks that are missing below `target`.

    Returns:
      (stage, checkpoint folder) of each network, when it is there.

    Raises:
      UserError: the bucket cannot be reached, or a disk is full.
    """
    wanted = missing(target)
    if wanted:
        _check_access()
    for stage, folder in folders(target).items():
        if stage in wanted:
            local = os.path.join(default_folder(), "fetched", stage)
            _fetch_checkpoint(address(stage), local)
            conversion.import_checkpoint(local, folder, origin=address(stage))
            shutil.rmtree(local, ignore_errors=True)
        yield stage, folder


def _check_access() -> None:
    try:
        storage.check_access(address(STAGES[0]))
    except UserError as error:
        names = ", ".join(address(stage).rpartition("/")[2] for stage in STAGES)
        page = f"https://console.cloud.google.com/storage/browser/{BUCKET.removeprefix('gs://')}"
        raise UserError(
            f"{error}. By hand: download the folders {names} of {page} and run coltran-import --from FOLDER "
            f"--to {default_folder()}/STAGE on each"
        ) from error


def _fetch_checkpoint(source: str, target: str) -> None:
    folder, _, names = variables.locate(source)
    beside = (variables.STATE_FILE, variables.CONFIG_FILE)
    others = [name for name in beside if storage.exists(storage.join(folder, name))]
    os.makedirs(target, exist_ok=True)
    sizes = {name: storage.size(storage.join(folder, name)) for name in [*names, *others]}
    with cli.progress_bar(sum(sizes.values()), f"fetching {source.rpartition('/')[2]}", "B") as bar:
        for name, size in sizes.items():
            with open(os.path.join(target, name), "ab") as file:
                if file.tell() > size:
                    file.truncate(0)
                bar.update(file.tell())
                while file.tell() < size:
                    piece = storage.read_range(storage.join(folder, name), file.tell(), _PIECE)
                    if not piece:
                        raise UserError(f"{storage.join(folder, name)}: ended early; run again")
                    file.write(piece)
                    bar.update(len(piece))
