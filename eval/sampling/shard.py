"""Does the worker's side of coltran-sample. It makes the samples of some shards, with one TFRecord file per shard."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import numpy as np
from apache_beam.utils import shared

from coltran import storage
from coltran.errors import UserError
from coltran.images import colors, encoding
from coltran.records import schema
from coltran.records.folder import RecordFolder
from coltran.sampling import certainty
from eval.sampling.arguments import Options, needed_features, sampler_options
from pipelines.beam import counters
from pipelines.shards.counters import count_report
from pipelines.shards.inputs import read_inputs
from pipelines.shards.job import ShardJob
from pipelines.shards.report import is_made
from pipelines.shards.writer import write_shard

if TYPE_CHECKING:
    from coltran.sampling.pipeline import ColorizationPipeline, Result


def load_model(options: Options) -> ColorizationPipeline:
    """Loads the networks that the options name. They are then ready to sample."""
    from coltran.sampling.pipeline import ColorizationPipeline

    return ColorizationPipeline.load(
        colorizer=options.colorizer,
        color_upsampler=options.color_upsampler,
        spatial_upsampler=options.spatial_upsampler,
        batch_size=options.batch_size,
        weights=options.weights,
        compute_dtype=options.compute_dtype,
        options=sampler_options(options),
    )


class SampleShards(beam.DoFn):
    """Makes each output shard from the input shard with the same number, in the order of the input.

    It fills batches across shards. Otherwise, with small shards, most of a compiled batch would be padding.
    """

    def __init__(self, source: RecordFolder, job: ShardJob, options: Options) -> None:
        self._source = source
        self._job = job
        self._options = options
        self._shared = shared.Shared()  # All threads of a process share one model.

    def setup(self) -> None:
        self._model = self._shared.acquire(lambda: load_model(self._options))
        self._refuse_newer_networks()

    def _refuse_newer_networks(self) -> None:
        """Raises a UserError if a folder's newest checkpoint is not that of the plan: its training may have gone on."""
        planned: Mapping[str, Any] = self._job.options
        for stage, checksum in self._model.checksums.items():
            if checksum != planned[stage]["weights_sha256"]:
                raise UserError(
                    f"{getattr(self._options, stage)}: its newest checkpoint is another one than when this run was "
                    f"planned; name the folder of the step itself, step_{planned[stage]['step']:08d}"
                )

    def process(self, indices: Sequence[int]) -> Iterator[int]:
        seconds: dict[str, float] = {}
        # An engine hands out shards again if a worker dies after making them.
        missing = [index for index in indices if not is_made(self._job, index)]
        planned = {index: read_inputs(self._job, index) for index in missing}
        made = self._made(planned, seconds)
        for index, lines in planned.items():
            with write_shard(self._job, index) as writer:
                for values, max_probability in itertools.islice(made, len(lines)):
                    writer.write(schema.encode(schema.COLORIZED, values, self._job.sizes))
                    self._write_pictures(values, max_probability)
                writer.seconds |= seconds
                seconds.clear()
            count_report(writer.report(), counters.SAMPLES)
        yield from indices

    def _made(
        self, planned: Mapping[int, Sequence[Mapping]], seconds: dict[str, float]
    ) -> Iterator[tuple[dict[str, Any], np.ndarray | None]]:
        """Yields (colorized record, its largest probabilities) of every sample. It adds to `seconds` by stage."""
        wanted = itertools.chain.from_iterable(itertools.starmap(self._wanted, planned.items()))
        # We take enough rows for full batches of distinct images. So an image is encoded once, not once per sample.
        while rows := list(itertools.islice(wanted, self._options.batch_size * self._options.samples)):
            result = self._colorize(rows)
            for stage, time in result.seconds.items():
                seconds[stage] = seconds.get(stage, 0) + time
            for place, (truth, sample) in enumerate(rows):
                sure = None if result.max_probability is None else result.max_probability[place]
                yield self._values(result, place, truth[schema.KEY], sample), sure

    def _wanted(self, index: int, lines: Sequence[Mapping]) -> Iterator[tuple[dict, int]]:
        """Yields (truth record, sample index) of one shard, in the order of the plan."""
        wanted: dict[str, list[int]] = {}
        for line in lines:
            wanted.setdefault(line["key"], []).append(line["sample"])
        if not wanted:
            return
        names = needed_features(self._options)
        for values in self._source.read_shard(self._source.manifest.shards[index], names):
            if not values[schema.CROP]:
                for sample in wanted.get(values[schema.KEY], ()):
                    yield values, sample

    def _colorize(self, rows: Sequence[tuple[dict, int]]) -> Result:
        truths = [truth for truth, _ in rows]

        def stacked(name: str) -> np.ndarray | None:
            return np.stack([truth[name] for truth in truths]) if name in truths[0] else None

        return self._model.colorize(
            stacked(schema.GRAY_LO),
            stacked(schema.GRAY_HI),
            keys=[truth[schema.KEY] for truth in truths],
            sample_indices=[sample for _, sample in rows],
            seed=self._options.seed,
            coarse_lo=stacked(schema.COARSE_LO),
        )

    def _values(self, result: Result, place: int, key: str, sample: int) -> dict[str, Any]:
        values: dict[str, Any] = {schema.KEY: key, schema.SAMPLE: sample, schema.COARSE_LO: result.coarse_lo[place]}
        if result.log_likelihood is not None:
            # With a sure network, the float32 sum may exceed 0 by an ulp.
            values[schema.LOG_LIKELIHOOD] = min(float(result.log_likelihood[place]), 0.0)
        if self._options.color_upsampler is not None:
            values[schema.RGB_LO] = result.rgb_lo[place]
        if result.rgb_hi is not None:
            values[schema.RGB_HI] = result.rgb_hi[place]
        return values

    def _write_pictures(self, values: dict[str, Any], max_probability: np.ndarray | None) -> None:
        name = f"{values[schema.KEY]}_sample{values[schema.SAMPLE]}"
        if self._options.png_folder is not None:
            image = values.get(schema.RGB_HI, values.get(schema.RGB_LO))
            image = colors.coarse_to_rgb(values[schema.COARSE_LO]) if image is None else image
            path = storage.join(self._options.png_folder, *f"{name}.png".split("/"))
            storage.write_bytes(path, encoding.encode(image, "png"))
        if self._options.uncertainty is not None and max_probability is not None:
            path = storage.join(self._options.uncertainty, *name.split("/"))
            storage.write_bytes(f"{path}.npy", certainty.certainty_array(max_probability))
            storage.write_bytes(f"{path}.png", certainty.certainty_map(max_probability))
