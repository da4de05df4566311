"""Takes a finished folder with damaged shards back to an unfinished one, so that only these shards are made again."""

from __future__ import annotations

import concurrent.futures

import google_crc32c

from coltran import cli, storage
from coltran.records.folder import COMPLETED, Manifest, Shard

_READERS = 4
_CHUNK = 1 << 20


def checksum(path: str) -> tuple[int, str]:
    """Reads a file and returns its size in bytes and its crc32c, as 8 hexadecimal digits."""
    size, crc = 0, google_crc32c.Checksum()
    with storage.open_read(path) as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            crc.update(chunk)
    return size, crc.hexdigest().decode()


def damaged_shards(folder: str, manifest: Manifest) -> tuple[int, ...]:
    """Reads all shards and returns the indices of those that are missing, or differ from what the manifest says."""

    def is_whole(shard: Shard) -> bool:
        path = storage.join(folder, shard.name)
        return storage.exists(path) and checksum(path) == (shard.size, shard.crc32c)

    damaged = []
    with (
        concurrent.futures.ThreadPoolExecutor(_READERS) as readers,
        cli.progress_bar(len(manifest.shards), "verify", "shards") as bar,
    ):
        for index, whole in enumerate(readers.map(is_whole, manifest.shards)):
            bar.update()
            if not whole:
                damaged.append(index)
    return tuple(damaged)


def take_back(folder: str) -> None:
    """Removes COMPLETED from a folder whose repair is planned. Nobody takes the damaged folder for a whole one now."""
    storage.remove(storage.join(folder, COMPLETED))
