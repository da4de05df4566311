"""Looks at a few photos before a job, and warns if enlarging all of them would only make the records larger."""

from __future__ import annotations

from collections.abc import Sequence

from coltran.images import decoding
from coltran.images.decoding import ImageRejected
from pipelines.sources.image_ref import ImageRef
from pipelines.sources.reading import read_images
from pipelines.truth.arguments import Options

_LOOKED_AT = 16


def enlargement_warning(options: Options, refs: Sequence[ImageRef]) -> str | None:
    """Returns a line if the first photos are all smaller than the resolution, None if one is not.

    Args:
      options: the job's options.
      refs: the chosen images in a random order; it stops at the first photo that is large enough.
    """
    side = options.hi or options.lo
    name = "--lo" if options.hi is None else "--hi"
    largest = 0
    for _, data in read_images(refs[:_LOOKED_AT]):
        if isinstance(data, ImageRejected):
            continue
        try:
            rgb = decoding.decode(data, max_pixels=options.max_pixels, min_side=options.min_side, profiles=False).rgb
        except ImageRejected:
            continue
        largest = max(largest, min(rgb.shape[:2]))
        if largest >= side:
            return None
    if not largest:
        return None
    times = (side / largest) ** 2
    return (
        f"{name} {side} is above every photo's size (the largest square of those looked at has {largest} pixels a "
        f"side): enlarged, the records take {times:.0f} times the space and show no more"
    )
