"""What is compared with what: the rows of a result, each one or several pairs of image sets, by the paper's protocol.

The paper compares 5000 colorizations with the truth of other images (section 5.1). Records are halved by a hash of
(seed, key); colorizations of the `condition` half stand against the truth of the other. A folder that coltran-sample
made from --real with --part says in its manifest which half and seed it has, and its pair follows from that. Repeats
are samplings with other seeds, and so with other halves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from coltran import storage
from coltran.errors import UserError
from coltran.records import folder as record_folder, partition, schema
from eval.distances.saved_statistics import SavedStatistics
from eval.images import sets as image_sets, sources as image_sources
from eval.images.sets import ImageSet
from eval.images.sources import Source
from eval.scoring.arguments import ALL, GRAY_ROW, PAPER_COUNT, Options, RowSpec

OVERLAP_NONE = "none"
OVERLAP_ALLOWED = "overlap allowed: not the paper's protocol"
OVERLAP_UNCHECKED = "overlap unchecked"
_EXAMPLES = 3
_Opened = tuple[Source, ...] | SavedStatistics


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """One comparison.

    Attributes:
      seed: of the halves and of the choice.
      real, fake: the two sets.
      floor: as many true images of the other half, whose distance from `real` no colorization can be expected to
        beat; None where --real has no other half.
      overlap: one of the states above.
      overlapping_keys: how many keys are in both sets; None where unchecked.
    """

    seed: int
    real: ImageSet
    fake: ImageSet
    floor: ImageSet | None
    overlap: str
    overlapping_keys: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the result: its pairs are repeats; `step` is of the colorizer's checkpoint, where that is known."""

    name: str
    pairs: tuple[Pair, ...]
    step: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Own:
    """What a colorized folder says of its sampling."""

    seed: int
    part: str


def plan(options: Options) -> list[Row]:
    """Opens every folder and pairs the sets. Reads keys, and no pixels.

    Raises:
      UserError: folders that cannot be opened, or sets whose distance would mean something else than it seems to:
        fewer than 2 images, other sizes, unequal counts, or one image on both sides.
    """
    real = image_sets.open_sources(options.real, options.image, options.sample)
    steps = _steps_specs(options)
    specs = [*options.rows, *steps]
    if options.fake:
        specs.append(RowSpec(name=" ".join(options.fake), repeats=(options.fake,)))
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two rows are named '{name}'; give repeats as {name}=FOLDER,FOLDER")
    for name, _ in options.bits:
        if name not in names:
            raise UserError(f"--bits {name}: no row has this name; rows are {', '.join(names)}")
    rows = {spec.name: _plan_row(spec, real, options) for spec in specs if spec.repeats}
    sampled = [pair for row in rows.values() for pair in row.pairs]
    for spec in specs:
        if not spec.repeats:
            rows[spec.name] = _plan_from_truth(spec.name, real, options, sampled)
    for spec in steps:
        if rows[spec.name].step is None:
            raise UserError(f"{spec.repeats[0][0]}: its manifest names no step of a colorizer to draw a curve over")
    return [rows[name] for name in names]


def _steps_specs(options: Options) -> list[RowSpec]:
    if options.at_steps is None:
        return []
    names = {
        name.partition("/")[0]
        for name, _ in storage.list_files(options.at_steps)
        if name.count("/") == 1 and name.endswith("/" + record_folder.COMPLETED)
    }
    if not names:
        raise UserError(f"--at_steps {options.at_steps}: holds no finished folder of coltran-sample")
    return [RowSpec(name=name, repeats=((storage.join(options.at_steps, name),),)) for name in sorted(names)]


def _plan_row(spec: RowSpec, real: _Opened, options: Options) -> Row:
    pairs, steps = [], set()
    if options.seed and len(options.seed) not in (1, len(spec.repeats)):
        raise UserError(
            f"--seed: {len(options.seed)} given, and row '{spec.name}' has {len(spec.repeats)} repeats; "
            "give one, or one for each"
        )
    for index, paths in enumerate(spec.repeats):
        fake = image_sets.open_sources(paths, options.image, options.sample)
        own = _own_choice(real, fake)
        if options.seed:
            seed = options.seed[min(index, len(options.seed) - 1)]
            if own is not None and own.seed != seed:
                raise UserError(
                    f"--seed {seed}: {paths[0]} was sampled with --seed {own.seed}, which decides on its half; "
                    "leave --seed out"
                )
        else:
            seed = own.seed if own else 0
        parts = {"real": options.real_part or (own and _other(own.part)), "fake": options.fake_part}
        pairs.append(_pair(real, fake, parts, seed, options))
        steps.add(_step(fake))
    step = steps.pop() if len(steps) == 1 else None
    return Row(name=spec.name, pairs=tuple(pairs), step=step)


def _plan_from_truth(name: str, real: _Opened, options: Options, sampled: Sequence[Pair]) -> Row:
    """The rows `truth` and `grayscale`: the half of --real that colorizations are made from, as it is or as gray."""
    if not _has_halves(real):
        raise UserError(f"row {name}: --real has to be one folder of truth records, to take its other half from")
    gray = name == GRAY_ROW
    fake = (image_sources.open_records(real[0].path, options.image, gray=True),) if gray else real
    seeds = options.seed or tuple(dict.fromkeys(pair.seed for pair in sampled)) or (0,)
    part = options.real_part or next((pair.real.part for pair in sampled if pair.real.part), "truth")
    pairs = []
    for seed in seeds:
        # As many as the rows beside it have: distances of other counts do not compare.
        counts = [pair.real.count for pair in sampled if pair.seed == seed and pair.real.count]
        num = options.num if options.num is not None else min(counts, default=None)
        pairs.append(_pair(real, fake, {"real": part, "fake": _other(part)}, seed, options, num))
    return Row(name=name, pairs=tuple(pairs))


def _pair(real: _Opened, fake: _Opened, parts, seed: int, options: Options, num: int | str | None = None) -> Pair:
    num = options.num if num is None else num
    if num is None:
        known = [image_sets.available(opened, parts[name]) for name, opened in (("real", real), ("fake", fake))]
        fixed = [count for count, opened in zip(known, (real, fake), strict=True) if count and not _can_choose(opened)]
        num = min([count for count in known if count is not None] + ([] if fixed else [PAPER_COUNT]))
    sets = {
        name: image_sets.choose(opened, part=parts[name], num=_asked(opened, num, options), seed=seed)
        for name, opened in (("real", real), ("fake", fake))
    }
    state, overlapping = _check(sets["real"], sets["fake"], options)
    return Pair(
        seed=seed, **sets, floor=_floor(real, sets["real"], options), overlap=state, overlapping_keys=overlapping
    )


def _asked(opened: _Opened, num: int | str, options: Options) -> int | None:
    """--num for one set: nothing for 'all', and for what comes whole unless the user asked."""
    if num == ALL or (options.num is None and not _can_choose(opened)):
        return None
    return num


def _can_choose(opened: _Opened) -> bool:
    return not isinstance(opened, SavedStatistics) and opened[0].kind != image_sources.PNG_KIND


def _has_halves(opened: _Opened) -> bool:
    return _can_choose(opened) and len(opened) == 1 and opened[0].folder.schema is schema.TRUTH


def _floor(real: _Opened, chosen: ImageSet, options: Options) -> ImageSet | None:
    if options.floor != "measured" or chosen.part is None or not _has_halves(real):
        return None
    other = _other(chosen.part)
    if image_sets.available(real, other) < chosen.count:
        return None
    return image_sets.choose(real, part=other, num=chosen.count, seed=chosen.seed)


def _other(part: str) -> str:
    return partition.PARTS[1 - partition.PARTS.index(part)]


def _own_choice(real: _Opened, fake: _Opened) -> _Own | None:
    """What a colorized folder says of its half, where it was sampled from --real."""
    if not _has_halves(real) or not _can_choose(fake) or len(fake) > 1:
        return None
    said = fake[0].folder.manifest.options
    if said.get("part") is None or said.get("records_fingerprint") != real[0].fingerprint:
        return None
    return _Own(seed=said["seed"], part=said["part"])


def _step(fake: _Opened) -> int | None:
    if not _can_choose(fake):
        return None
    said = fake[0].folder.manifest.options.get("colorizer")
    return said.get("step") if isinstance(said, dict) else None


def _advice(real: ImageSet, fake: ImageSet) -> str:
    """`give --num N, or ` where the larger set can be cut to the smaller one, else `give `."""
    small, large = sorted((real, fake), key=lambda images: images.count)
    can_cut = large.saved is None and large.kind != image_sources.PNG_KIND
    return f"give --num {small.count}, or " if can_cut else "give "


def _check(real: ImageSet, fake: ImageSet, options: Options) -> tuple[str, int | None]:
    """The overlap's state and number of keys; refuses what would mislead."""
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
