"""The worker's side of coltran-preprocess: the images of one shard to one TFRecord file."""

from __future__ import annotations

import apache_beam as beam
from apache_beam.metrics import Metrics

from coltran import colors, images, records
from coltran.images import ImageRejected, Photo
from pipelines import shard_job
from pipelines.image_ref import ImageRef
from pipelines.read_images import read_images
from pipelines.shard_job import ShardWriter
from pipelines.truth_summary import TruthSums


def truth_values(photo: Photo, options, *, key: str, label: int, crop: int = 0) -> dict[str, object]:
    """All features of a truth record, from a decoded photo.

    The release's order: square crop, area to `hi`, area from the rounded `hi` to `lo`, then grays and coarse colors
    from the rounded images.

    Args:
      photo: any size.
      options: of the job (sizes, seed, random_crop, features).
      key, label, crop: of the record.
    Returns:
      Values by feature name, for `records.encode`.
    """
    if options.random_crop:
        square = images.random_crop(photo.rgb, seed=options.seed, key=key, index=crop)
    else:
        square = images.center_crop(photo.rgb)
    rgb_hi = square if options.hi is None else images.area_resize(square, options.hi, options.hi)
    rgb_lo = images.area_resize(rgb_hi, options.lo, options.lo)
    values = {
        records.KEY: key,
        records.CROP: crop,
        records.LABEL: label,
        records.GRAYSCALE: int(photo.grayscale),
        records.RGB_LO: rgb_lo,
        records.GRAY_LO: colors.rgb_to_gray(rgb_lo),
        records.COARSE_LO: colors.rgb_to_coarse(rgb_lo),
    }
    if options.hi is not None:
        values |= {records.RGB_HI: rgb_hi, records.GRAY_HI: colors.rgb_to_gray(rgb_hi)}
    return {name: values[name] for name in options.features}


class WriteTruthShard(beam.DoFn):
    """Makes one shard from its planned inputs; an unusable image is listed with its reason, never dropped."""

    def __init__(self, job: shard_job.ShardJob, options) -> None:
        self._job = job
        self._options = options

    def process(self, index: int):
        sums = TruthSums()
        with shard_job.write_shard(self._job, index) as writer:
            lines = shard_job.read_inputs(self._job, index)
            for line in lines:
                if "duplicate" in line:
                    message = f"another image has the key '{line['key']}'; rename one of them"
                    writer.reject(line["name"], "duplicate_key", message)
            refs = [ImageRef.from_json(line) for line in lines if "duplicate" not in line]
            for ref, data in read_images(refs):
                self._add(writer, sums, ref, data)
            writer.statistics = sums.to_json()
        for name, number in writer.counts.items():
            Metrics.counter("images", name).inc(number)
        yield index

    def _add(self, writer: ShardWriter, sums: TruthSums, ref: ImageRef, data: bytes | ImageRejected) -> None:
        try:
            if isinstance(data, ImageRejected):
                raise data
            photo = images.decode(data, max_pixels=self._options.max_pixels, min_side=self._options.min_side)
        except ImageRejected as error:
            writer.reject(ref.name, error.reason, str(error))
            return
        crops = [
            truth_values(photo, self._options, key=ref.key, label=ref.label, crop=crop)
            for crop in range(self._options.crops)
        ]
        for values in crops:
            sums.add(values)
        options = self._options
        encoded = [records.encode(records.TRUTH, values, options.sizes, options.encoding) for values in crops]
        writer.write(*encoded, grayscale=int(photo.grayscale))
