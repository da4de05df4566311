"""Plans a run. Each row of its result is made of pairs of image sets that the paper's protocol compares.

The paper compares 5000 colorizations with the truth of other images (section 5.1). A hash of (seed, key) splits records
into two halves. We compare colorizations of the `condition` half with the truth of the other half. A folder that
coltran-sample made from --real with --part says in its manifest which half and seed it has, and its pair follows from
that. Repeats are samplings with other seeds, and so with other halves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from coltran import storage
from coltran.errors import UserError
from coltran.records import folder as record_folder
from eval.images import sets as image_sets, sources as image_sources
from eval.images.sets import ImageSet, Opened, can_choose, has_halves
from eval.scoring.arguments import GRAY_ROW, Options, RowSpec
from eval.scoring.pairs import Pair, make_pair, other_half


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the result. Its pairs are repeats. `step` is the step of the colorizer's checkpoint, if it is known."""

    name: str
    pairs: tuple[Pair, ...]
    step: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Own:
    """What a colorized folder says about its sampling."""

    seed: int
    part: str


def plan(options: Options) -> list[Row]:
    """Opens every folder and pairs the sets. It reads keys, but no pixels.

    Raises:
      UserError: a folder cannot be opened, or the distance of two sets would be misleading. That is so for sets with
        fewer than 2 images, other sizes, unequal counts, or one image on both sides.
    """
    real = image_sets.open_sources(options.real, options.image, options.sample, options.alpha)
    steps = _steps_specs(options)
    specs = [*options.rows, *steps]
    if options.fake:
        specs.append(RowSpec(name=options.fake_row, repeats=(options.fake,)))
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


def _plan_row(spec: RowSpec, real: Opened, options: Options) -> Row:
    pairs: list[Pair] = []
    steps: set[int | None] = set()
    if options.seed and len(options.seed) not in (1, len(spec.repeats)):
        raise UserError(
            f"--seed: {len(options.seed)} given, and row '{spec.name}' has {len(spec.repeats)} repeats; "
            "give one, or one for each"
        )
    for index, paths in enumerate(spec.repeats):
        fake = image_sets.open_sources(paths, options.image, options.sample, options.alpha)
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
        parts = {"real": options.real_part or (other_half(own.part) if own else None), "fake": options.fake_part}
        pairs.append(make_pair(real, fake, parts, seed, options))
        steps.add(_step(fake))
    step = steps.pop() if len(steps) == 1 else None
    return Row(name=spec.name, pairs=tuple(pairs), step=step)


def _plan_from_truth(name: str, real: Opened, options: Options, sampled: Sequence[Pair]) -> Row:
    """Plans the row `truth` or `grayscale`. It shows the colorized half of --real, in its true colors or in gray."""
    if not has_halves(real):
        raise UserError(f"row {name}: --real has to be one folder of truth records, to take its other half from")
    gray = name == GRAY_ROW
    fake: Opened = (image_sources.open_records(real[0].path, options.image, gray=True),) if gray else real
    seeds = options.seed or tuple(dict.fromkeys(pair.seed for pair in sampled)) or (0,)
    part = options.real_part or next((pair.real.part for pair in sampled if pair.real.part), "truth")
    pairs = []
    for seed in seeds:
        # We take as many images as the other rows have, because distances of other counts cannot be compared.
        counts = [pair.real.count for pair in sampled if pair.seed == seed and pair.real.count]
        num = options.num if options.num is not None else min(counts, default=None)
        pairs.append(make_pair(real, fake, {"real": part, "fake": other_half(part)}, seed, options, num))
    return Row(name=name, pairs=tuple(pairs))


def _own_choice(real: Opened, fake: Opened) -> _Own | None:
    """Returns what a colorized folder says about its half, or None if it was not sampled from a half of --real."""
    if not has_halves(real) or not can_choose(fake) or len(fake) > 1:
        return None
    said = fake[0].made_with
    if said.get("part") is None or said.get("records_fingerprint") != real[0].fingerprint:
        return None
    return _Own(seed=said["seed"], part=said["part"])


def _step(fake: Opened) -> int | None:
    if not can_choose(fake):
        return None
    said = fake[0].made_with.get("colorizer")
    return said.get("step") if isinstance(said, dict) else None


def distinct_sets(rows: Sequence[Row]) -> dict[str, ImageSet]:
    """Returns {identity: set} with every set of the rows once."""
    return {images.identity: images for row in rows for pair in row.pairs for images in pair.sets}
