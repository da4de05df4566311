"""Makes what people look at first in a new record folder: preview.png, statistics.json and statistics.png.

Every shard's report carries its sums, so that no pixel is read twice. Only the preview reads a few records again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from coltran import storage
from coltran.images import colors, geometry
from coltran.images.contact_sheet import contact_sheet
from coltran.records import framing, schema
from coltran.records.folder import Manifest
from pipelines.shards.job import ShardJob
from pipelines.shards.report import ShardReport
from pipelines.sources import labels as imagenet_labels

_PREVIEW_RECORDS = 64
_PREVIEW_COLUMNS = 4  # records side by side, each with three images
_PREVIEW_SIDE = 64


class TruthSums:
    """Adds up statistics over the records of a shard."""

    def __init__(self) -> None:
        self._rgb = np.zeros(3)
        self._pixels = 0
        self._coarse = np.zeros(colors.NUM_COARSE_COLORS, np.int64)
        self._labels: dict[str, int] = {}

    def add(self, values: Mapping[str, Any]) -> None:
        """Adds a truth record's values. Colors count only if the folder has them."""
        label = str(values[schema.LABEL])
        self._labels[label] = self._labels.get(label, 0) + 1
        if schema.COARSE_LO in values:
            self._coarse += np.bincount(values[schema.COARSE_LO].ravel(), minlength=colors.NUM_COARSE_COLORS)
        if schema.RGB_LO in values:
            pixels = values[schema.RGB_LO].reshape(-1, 3)
            self._rgb += np.ones(len(pixels)) @ pixels.astype(np.float64)  # whole numbers, far below 2**53
            self._pixels += len(pixels)

    def to_json(self) -> dict[str, object]:
        """Returns the sums as a JSON object for the shard's report."""
        return {
            "rgb_sum": self._rgb.astype(int).tolist(),
            "pixels": self._pixels,
            "coarse_histogram": self._coarse.tolist(),
            "labels": self._labels,
        }


def summary_files(job: ShardJob, reports: Sequence[ShardReport], _: Manifest) -> Iterator[tuple[str, bytes]]:
    """Yields (name, bytes) of the files that go with a finished truth folder."""
    totals = _total([report.statistics for report in reports])
    yield "statistics.json", json.dumps(totals, indent=1).encode() + b"\n"
    yield "statistics.png", _draw(totals)
    if schema.RGB_LO in job.features and schema.COARSE_LO in job.features:
        yield "preview.png", _preview(job)


def _total(parts: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    histogram = np.sum([part["coarse_histogram"] for part in parts], axis=0)
    pixels = sum(part["pixels"] for part in parts)
    labels: dict[str, int] = {}
    for part in parts:
        for label, number in part["labels"].items():
            labels[label] = labels.get(label, 0) + number
    share = histogram[histogram > 0] / max(histogram.sum(), 1)
    return {
        "mean_rgb": (np.sum([part["rgb_sum"] for part in parts], axis=0) / pixels).tolist() if pixels else None,
        "coarse_histogram": histogram.tolist(),
        "coarse_entropy_bits": float(-(share * np.log2(share)).sum()),
        "records_by_label": {label: labels[label] for label in sorted(labels, key=int)},
    }


def _draw(totals: Mapping[str, Any]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1)
    histogram = np.array(totals["coarse_histogram"])
    order = np.argsort(-histogram, kind="stable")
    shown = order[histogram[order] > 0]
    share = histogram[shown] / max(histogram.sum(), 1)
    # We do not use bar(), because it takes seconds to draw a thousand patches one by one.
    bars = {"colors": colors.coarse_to_rgb(shown) / 255, "linewidths": max(1.2, 600 / max(len(shown), 1))}
    above.vlines(np.arange(len(shown)), share.min(initial=1) / 2, share, **bars)
    above.set(yscale="log", xlabel="coarse colors by frequency, each in its own color", ylabel="share of pixels")
    entropy = totals["coarse_entropy_bits"]
    above.set_title(f"{len(shown)} of {colors.NUM_COARSE_COLORS} coarse colors, entropy {entropy:.3f} bits")
    above.set_facecolor("0.75")
    counts = np.zeros(len(imagenet_labels.wnids()), np.int64)
    for label, number in totals["records_by_label"].items():
        if int(label) >= 0:
            counts[int(label)] = number
    below.stairs(counts, fill=True)
    unknown = totals["records_by_label"].get(str(imagenet_labels.UNKNOWN), 0)
    below.set(
        xlabel="label", ylabel="records", title=f"{(counts > 0).sum()} of 1000 classes, {unknown} without a label"
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, metadata={"Software": None})
    return buffer.getvalue()


def _preview(job: ShardJob) -> bytes:
    """Draws the first records of the shards. They are a random choice, because records are in the order of hashes."""
    cells: list[list[np.ndarray]] = []
    for place, values in enumerate(_first_records(job)):
        if place % _PREVIEW_COLUMNS == 0:
            cells.append([])
        gray = np.repeat(values[schema.GRAY_LO][..., None], 3, axis=-1)
        triple = (gray, colors.coarse_to_rgb(values[schema.COARSE_LO]), values[schema.RGB_LO])
        cells[-1] += [geometry.area_resize(image, _PREVIEW_SIDE, _PREVIEW_SIDE) for image in triple]
    return contact_sheet(cells, ["gray", "coarse", "target"] * _PREVIEW_COLUMNS, min_side=_PREVIEW_SIDE)


def _first_records(job: ShardJob) -> Iterator[dict[str, Any]]:
    each = -(-_PREVIEW_RECORDS // job.num_shards)
    names = [schema.GRAY_LO, schema.COARSE_LO, schema.RGB_LO]
    left = _PREVIEW_RECORDS
    for index in range(job.num_shards):
        with storage.open_read(job.shard_path(index)) as file:
            for _, data in zip(range(min(each, left)), framing.read_frames(file, job.shard_path(index)), strict=False):
                left -= 1
                yield schema.decode(schema.TRUTH, data, job.sizes, names)
