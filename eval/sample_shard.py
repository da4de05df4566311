"""The worker's side of coltran-sample: the samples of one shard to one TFRecord file."""

from __future__ import annotations

import io
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics
from apache_beam.utils import shared
from PIL import Image

from coltran import colors, records, storage
from coltran.record_folder import RecordFolder
from pipelines import shard_job


def sampler_options(options):
    """The sampler's part of the options; raises UserError for values out of range."""
    from coltran.sampler import SamplerOptions

    return SamplerOptions(mode=options.mode, temperature=options.temperature, top_k=options.top_k)


def load_model(options):
    """The three networks of the options, ready to sample."""
    from coltran.colorize_batch import ColorizationPipeline

    return ColorizationPipeline.load(
        colorizer=options.colorizer,
        color_upsampler=options.color_upsampler,
        spatial_upsampler=options.spatial_upsampler,
        batch_size=options.batch_size,
        weights=options.weights,
        options=sampler_options(options),
    )


class SampleShard(beam.DoFn):
    """Makes one output shard from the input shard of the same number."""

    def __init__(self, source: RecordFolder, job: shard_job.ShardJob, options) -> None:
        self._source = source
        self._job = job
        self._options = options
        self._shared = shared.Shared()  # one model a process, for all its threads

    def setup(self) -> None:
        self._model = self._shared.acquire(lambda: load_model(self._options))

    def process(self, index: int):
        with shard_job.write_shard(self._job, index) as writer:
            for batch in self._batches(index):
                for values in self._colorize(batch):
                    writer.write(records.encode(records.COLORIZED, values, self._job.sizes))
                    self._write_png(values)
        Metrics.counter("samples", "written").inc(writer.counts["written"])
        yield index

    def _batches(self, index: int) -> Iterator[list[tuple[dict, int]]]:
        """Batches of (truth record, sample index), in the order of the plan."""
        wanted: dict[str, list[int]] = {}
        for line in shard_job.read_inputs(self._job, index):
            wanted.setdefault(line["key"], []).append(line["sample"])
        if not wanted:
            return
        names = [records.KEY, records.CROP, records.GRAY_LO]
        names += [records.GRAY_HI] if self._options.spatial_upsampler else []
        batch = []
        for values in self._source.read_shard(self._source.manifest.shards[index], names):
            for sample in wanted.get(values[records.KEY], ()) if not values[records.CROP] else ():
                batch.append((values, sample))
                if len(batch) == self._options.batch_size:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _colorize(self, batch: list[tuple[dict, int]]) -> Iterator[dict[str, object]]:
        values, samples = [values for values, _ in batch], [sample for _, sample in batch]
        hi = self._options.spatial_upsampler is not None
        result = self._model.colorize(
            np.stack([v[records.GRAY_LO] for v in values]),
            np.stack([v[records.GRAY_HI] for v in values]) if hi else None,
            keys=[v[records.KEY] for v in values],
            sample_indices=samples,
            seed=self._options.seed,
        )
        for place, (truth, sample) in enumerate(batch):
            made = {
                records.KEY: truth[records.KEY],
                records.SAMPLE: sample,
                records.COARSE_LO: result.coarse_lo[place],
                records.LOG_LIKELIHOOD: float(result.log_likelihood[place]),
            }
            if self._options.color_upsampler is not None:
                made[records.RGB_LO] = result.rgb_lo[place]
            if result.rgb_hi is not None:
                made[records.RGB_HI] = result.rgb_hi[place]
            yield made

    def _write_png(self, values: dict[str, object]) -> None:
        if self._options.png_folder is None:
            return
        image = values.get(records.RGB_HI, values.get(records.RGB_LO))
        image = colors.coarse_to_rgb(values[records.COARSE_LO]) if image is None else image
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        name = f"{values[records.KEY]}_sample{values[records.SAMPLE]}.png"
        storage.write_bytes(storage.join(self._options.png_folder, *name.split("/")), buffer.getvalue())
