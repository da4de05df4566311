"""Makes training batches as a pure function of (folder, seed, step), so a resumed run needs only the step number.

Each epoch is one permutation of the whole folder, drawn from (seed, epoch). Every example comes once per epoch, and a
batch may contain the end of one epoch and the start of the next.
"""

import collections
import contextlib
import functools
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from coltran import storage
from coltran.errors import UserError
from coltran.images import colors, geometry
from coltran.networks.config import NetworkConfig, joins_color_and_space, refuse_unknown
from coltran.records import folder as record_folder, framing, schema
from coltran.records.folder import RecordFolder
from coltran.records.stages import JOINT_FEATURES, STAGE_FEATURES, STAGES

Batch = dict[str, np.ndarray]
BATCHES_AHEAD = 2  # batches that threads read, one each, while a step is computed
_CLOUD_READERS = 16  # threads


def network_side(path: str, stage: str) -> int:
    """Returns how many pixels on each side the images have that train a network of `stage`."""
    refuse_unknown("stage", stage, STAGES)
    return _side(record_folder.open_folder(path, schema=schema.TRUTH, needs=()), stage)


def _side(folder: RecordFolder, stage: str) -> int:
    if stage != "spatial_upsampler":
        return folder.sizes.lo
    if folder.sizes.hi is None:
        raise UserError(f"{folder.path}: expected records with a high resolution, got {folder.sizes.lo} pixels alone")
    return folder.sizes.hi


class Examples:
    """The examples of one stage in a record folder, read in any order.

    The single upsampler for color and space needs `config`, because it reads other features than its stage does.

    Attributes:
      stage: colorizer, color_upsampler or spatial_upsampler.
      side: pixels on each side of the images that the network sees.
      fingerprint: the record folder's fingerprint, so that training can refuse to continue with other data.
    """

    def __init__(self, path: str, stage: str, config: NetworkConfig | None = None):
        refuse_unknown("stage", stage, STAGES)
        self.stage, self.path = stage, path
        joint = config is not None and joins_color_and_space(stage, config)
        self._features = JOINT_FEATURES if joint else STAGE_FEATURES[stage]
        self._folder: RecordFolder = record_folder.open_folder(path, schema=schema.TRUTH, needs=self._features)
        self.side = _side(self._folder, stage)
        self.fingerprint = self._folder.manifest.fingerprint
        self._where: list[tuple[str, int, int]] = []  # (file, offset, bytes) of each example's record
        for shard in self._folder.manifest.shards:
            file_path = self._folder.shard_path(shard)
            with storage.open_read(file_path) as file:
                for offset, length in framing.read_layout(file, file_path):
                    self._where.append((file_path, offset, length + framing.FRAME_BYTES))
        # On Cloud Storage each record takes one request, and many requests can run at once.
        self._readers = ThreadPoolExecutor(_CLOUD_READERS) if storage.is_gcs(path) else None
        if not self._where:
            raise UserError(f"{path} holds no record: nothing to train or evaluate on")

    def __len__(self) -> int:
        return len(self._where)

    def __enter__(self) -> "Examples":
        return self

    def __exit__(self, *_: object) -> None:
        if self._readers is not None:
            self._readers.shutdown()

    def check_size(self, config: NetworkConfig) -> None:
        """Raises UserError unless a network of `config` takes images of this size."""
        if (config.height, config.width) != (self.side, self.side):
            raise UserError(
                f"the network takes {config.height}x{config.width} pixels, {self.path} holds {self.side}x{self.side}"
            )

    def read(self, index: int) -> dict[str, np.ndarray]:
        """Reads the features of one example as uint8 and uint16 arrays by name, as they are in the record."""
        path, offset, size = self._where[index]
        data = framing.unframe(storage.read_range(path, offset, size), f"{path}: record at byte {offset}")
        return schema.decode(schema.TRUTH, data, self._folder.sizes, self._features)

    def name(self, index: int) -> dict[str, Any]:
        """Reads what tells one example from the others: the key and the crop of its record, by these names."""
        path, offset, size = self._where[index]
        data = framing.unframe(storage.read_range(path, offset, size), f"{path}: record at byte {offset}")
        return schema.decode(schema.TRUTH, data, self._folder.sizes, [schema.KEY, schema.CROP])

    def names(self) -> list[tuple[str, int]]:
        """Reads (key, crop) of every example."""
        each = self._readers.map if self._readers is not None else map
        found = each(self.name, range(len(self)))
        return [(str(values[schema.KEY]), int(values[schema.CROP])) for values in found]

    def batch(self, indices: np.ndarray) -> Batch:
        """Reads the examples at `indices` (int64 [B]) and stacks the network's inputs.

        A colorizer gets gray uint8 [B,h,w] and symbols uint16 [B,h,w]. A color upsampler gets gray, levels uint8
        [B,h,w,3] in 0..7 and target uint8 [B,h,w,3]. A spatial upsampler gets the same at H x W, with levels in 0..255
        (or 0..7).
        """
        each = self._readers.map if self._readers is not None else map
        read = list(each(self.read, indices.tolist()))
        stacked = {name: np.stack([example[name] for example in read]) for name in self._features}
        if self.stage == "colorizer":
            return {"gray": stacked[schema.GRAY_LO], "symbols": stacked[schema.COARSE_LO]}
        if self.stage == "color_upsampler":
            levels = colors.coarse_to_rgb(stacked[schema.COARSE_LO]) >> 5
            return {"gray": stacked[schema.GRAY_LO], "levels": levels, "target": stacked[schema.RGB_LO]}
        joint = self._features == JOINT_FEATURES
        low = colors.coarse_to_rgb(stacked[schema.COARSE_LO]) >> 5 if joint else stacked[schema.RGB_LO]
        enlarged = geometry.repeat_pixels(low, self.side, self.side)
        return {"gray": stacked[schema.GRAY_HI], "levels": enlarged, "target": stacked[schema.RGB_HI]}


@functools.lru_cache(maxsize=4)
def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)


def batch_indices(count: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Chooses which of `count` examples make the batch of `step` (from 0), int64 [batch_size]."""
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    return np.array([_permutation(count, seed, int(p) // count)[int(p) % count] for p in positions])


def flips(batch_size: int, seed: int, step: int) -> np.ndarray:
    """Chooses the examples that are mirrored in the batch of `step` if flipping is on, bool [batch_size]."""
    return np.random.default_rng([seed, step, 1]).random(batch_size) < 0.5


def mirrored(batch: Batch, flip_B: np.ndarray) -> Batch:
    """Swaps left and right in the images of a batch that `flip_B` (bool [B]) marks."""
    return {
        name: np.where(flip_B.reshape(-1, *(1,) * (array.ndim - 1)), array[:, :, ::-1], array)
        for name, array in batch.items()
    }


def training_batches(
    examples: Examples,
    batch_size: int,
    seed: int,
    first_step: int,
    steps: int,
    *,
    rows: np.ndarray | None = None,
    flip: bool = False,
) -> Generator[Batch, None, None]:
    """Yields the batches of steps first_step..steps-1. The next ones are read while the caller computes.

    With `rows` (int64 [rows]), it reads only these rows of each batch, which are one process's share. Every process
    takes other rows of the same global batch, so all processes together read every example once per epoch.
    """
    share = np.arange(batch_size) if rows is None else rows

    def make(step: int) -> Batch:
        batch = examples.batch(batch_indices(len(examples), batch_size, seed, step)[share])
        return mirrored(batch, flips(batch_size, seed, step)[share]) if flip else batch

    yield from _read_ahead(make, range(first_step, steps))


def _read_ahead(make: Callable[[int], Batch], places: range) -> Generator[Batch, None, None]:
    """Yields what `make` returns for each place. Threads make the next ones while the caller computes."""
    with ThreadPoolExecutor(max_workers=BATCHES_AHEAD) as readers:
        waiting: collections.deque[Future] = collections.deque()
        try:
            for number in range(len(places)):
                while len(waiting) < BATCHES_AHEAD and number + len(waiting) < len(places):
                    waiting.append(readers.submit(make, places[number + len(waiting)]))
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def evaluation_batches(
    examples: Examples, chosen: np.ndarray, batch_size: int, rows: np.ndarray | None = None
) -> Generator[tuple[Batch, int], None, None]:
    """Yields the chosen examples once, in their order, and how many of a batch count. The rest of the last is padding.

    Args:
      examples: the record folder.
      chosen: which of its examples, int64 [examples].
      batch_size: of every batch, also the last one.
      rows: int64 [rows], which rows of each batch to read; None for all. The count is of the whole batch.
    """
    share = np.arange(batch_size) if rows is None else rows
    starts = range(0, len(chosen), batch_size)

    def make(start: int) -> Batch:
        return examples.batch(chosen[np.minimum(start + share, len(chosen) - 1)])

    with contextlib.closing(_read_ahead(make, starts)) as batches:
        for start, batch in zip(starts, batches, strict=True):
            yield batch, min(batch_size, len(chosen) - start)


def coarse_entropy(examples: Examples, seed: int, limit: int = 20_000) -> tuple[float, int]:
    """Measures the entropy, in bits, of the histogram of coarse colors, and returns how many examples it counted.

    A model that knew only how often each color occurs would need that many bits per pixel. In a larger folder, it
    counts `limit` random examples.
    """
    chosen = _permutation(len(examples), seed, 0)[:limit]
    counts = np.zeros(colors.NUM_COARSE_COLORS, np.int64)
    for index in chosen:
        symbols = examples.read(int(index))[schema.COARSE_LO]
        counts += np.bincount(symbols.ravel(), minlength=len(counts))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()), len(chosen)
