"""Makes pairs of image sets that may be compared: with equally many images, and with no image on both sides.

Each pair also has a floor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from coltran.errors import UserError
from coltran.records import partition
from eval.images import sets as image_sets
from eval.images.sets import ImageSet, Opened, can_choose, has_halves
from eval.scoring.arguments import PAPER_COUNT, Options

OVERLAP_NONE = "none"
OVERLAP_ALLOWED = "overlap allowed: not the paper's protocol"
OVERLAP_UNCHECKED = "overlap unchecked"
_EXAMPLES = 3


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """One comparison.

    Attributes:
      seed: seed of the halves and of the choice.
      real, fake: the two sets.
      floor: equally many true images of the other half. No colorization can be expected to come nearer to `real`. None
        if --real has no other half.
      overlap: one of the three `OVERLAP_` states.
      overlapping_keys: number of keys in both sets; None if this is unchecked.
    """

    seed: int
    real: ImageSet
    fake: ImageSet
    floor: ImageSet | None
    overlap: str
    overlapping_keys: int | None

    @property
    def sets(self) -> list[ImageSet]:
        """The two or three sets of the pair."""
        return [images for images in (self.real, self.fake, self.floor) if images is not None]


def make_pair(
    real: Opened,
    fake: Opened,
    parts: Mapping[str, str | None],
    seed: int,
    options: Options,
    num: int | str | None = None,
) -> Pair:
    """Chooses the images of both sets and checks them against each other.

    Args:
      real, fake: what `open_sources` returned.
      parts: the half of each side, under the names `real` and `fake`; None for the whole side.
      seed: seed of the halves and of the choice.
      options: the command's options.
      num: number of images of each set. It takes precedence over the option --num.

    Raises:
      UserError: the distance of the sets would be misleading.
    """
    num = options.num if num is None else num
    if num is None:
        num = _default_num(real, fake, parts)
    first, second = (
        image_sets.choose(opened, part=parts[name], num=_asked(opened, num, options), seed=seed)
        for name, opened in (("real", real), ("fake", fake))
    )
    state, overlapping = _check(first, second, options)
    return Pair(
        seed=seed,
        real=first,
        fake=second,
        floor=_floor(real, first, options),
        overlap=state,
        overlapping_keys=overlapping,
    )


def other_half(part: str) -> str:
    """Returns the other half than `part`."""
    return partition.PARTS[1 - partition.PARTS.index(part)]


def _default_num(real: Opened, fake: Opened, parts: Mapping[str, str | None]) -> int:
    """Returns how many images both sets can have. This is at most the paper's number, unless a set cannot be cut."""
    opened_by_name = {"real": real, "fake": fake}
    known = {name: image_sets.available(opened, parts[name]) for name, opened in opened_by_name.items()}
    uncut = any(known[name] and not can_choose(opened) for name, opened in opened_by_name.items())
    return min([count for count in known.values() if count is not None] + ([] if uncut else [PAPER_COUNT]))


def _asked(opened: Opened, num: int | str, options: Options) -> int | None:
    """Returns --num for one set, or None for all images.

    None stands for 'all', and for a set that can only be taken as a whole.
    """
    if isinstance(num, str) or (options.num is None and not can_choose(opened)):
        return None
    return num


def _floor(real: Opened, chosen: ImageSet, options: Options) -> ImageSet | None:
    if options.floor != "measured" or chosen.part is None or chosen.seed is None or not has_halves(real):
        return None
    other = other_half(chosen.part)
    count = len(chosen.chosen)
    if (image_sets.available(real, other) or 0) < count:
        return None
    return image_sets.choose(real, part=other, num=count, seed=chosen.seed)


def _check(real: ImageSet, fake: ImageSet, options: Options) -> tuple[str, int | None]:
    """Returns the state of the overlap and its number of keys. It raises a UserError if the score would mislead."""
    for name, images in (("--real", real), ("fake set", fake)):
        if images.count is not None and images.count < 2:
            raise UserError(f"{name} {' '.join(images.paths)}: images: {images.count}, but a distance needs at least 2")
    if real.size and fake.size and real.size != fake.size:
        raise UserError(
            f"--real has images of {real.size[1]}x{real.size[0]}, {' '.join(fake.paths)} of "
            f"{fake.size[1]}x{fake.size[0]}: they would be blurred differently; give sets of one size"
        )
    if real.count and fake.count and real.count != fake.count and not options.allow_unequal:
        raise UserError(
            f"{real.count} real images against {fake.count} of {' '.join(fake.paths)}: FID falls as the number of "
            f"images grows, so unequal sets mislead; {_advice(real, fake)}--allow_unequal for a number that is marked"
        )
    shared = image_sets.shared_keys(real, fake)
    if shared is None:
        return OVERLAP_UNCHECKED, None
    if not shared:
        return OVERLAP_NONE, 0
    if not options.allow_overlap:
        examples = ", ".join(shared[:_EXAMPLES]) + (", ..." if len(shared) > _EXAMPLES else "")
        raise UserError(
            f"{len(shared)} of {fake.count} fake images have their own truth among the real ones ({examples}), "
            "which makes FID look better; score disjoint halves (--real_part truth --fake_part condition), or give "
            "--allow_overlap for a number that is marked"
        )
    return OVERLAP_ALLOWED, len(shared)


def _advice(real: ImageSet, fake: ImageSet) -> str:
    """Returns `give --num N, or ` if the larger set can be cut to the size of the smaller one, else `give `."""
    small, large = sorted((real, fake), key=lambda images: images.count or 0)
    can_cut = large.keys is not None and large.saved is None
    return f"give --num {small.count}, or " if can_cut else "give "
