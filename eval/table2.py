"""The rows of the paper's table 2 that the given checkpoints allow, from records to the report.

`coltran-fid --protocol table2` runs the same jobs that a user would run: `coltran-sample` for each row and seed, and
then `coltran-fid` over their folders. Each of them goes on where it was interrupted, and so does the whole.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from coltran import storage
from coltran.errors import UserError
from coltran.records import folder as record_folder
from eval.scoring.arguments import GRAY_ROW, NETWORKS, PAPER_COUNT, TRUTH_ROW, Options, RowSpec
from eval.scoring.layout import SAMPLES

SEEDS = (1, 2, 3)
_SCORING = ("extractor", "weights", "weights_seed", "resize", "framework", "batch_size", "floor", "features")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Row:
    """A row of the table that is sampled.

    Attributes:
      name: the paper's name of it.
      needs: the options of coltran-fid that it takes, by the option of coltran-sample that each one becomes.
      flags: further flags of coltran-sample.
    """

    name: str
    needs: dict[str, str]
    flags: tuple[str, ...] = ()


_UPSAMPLERS = {"color_upsampler": "color_upsampler", "spatial_upsampler": "spatial_upsampler"}
_ROWS = (
    _Row(name="ColTran", needs={"colorizer": "colorizer", **_UPSAMPLERS}),
    _Row(name="ColTran-B", needs={"colorizer": "colorizer_b", **_UPSAMPLERS}),
    _Row(name="ColTran-S", needs={"colorizer": "colorizer_s", **_UPSAMPLERS}),
    _Row(name="true coarse", needs=_UPSAMPLERS, flags=("--coarse=truth",)),
    _Row(name="one upsampler", needs={"spatial_upsampler": "single_upsampler"}, flags=("--coarse=truth",)),
)


def missing(options: Options) -> Iterator[str]:
    """Yields a line for each row of the table that the given checkpoints do not allow."""
    for row in _ROWS:
        lacking = _lacking(row, options)
        if lacking:
            yield f"row {row.name} is left out: give {' and '.join(f'--{name}' for name in lacking)}"


def samplings(options: Options) -> dict[str, list[list[str]]]:
    """Returns {row: arguments of coltran-sample of each seed} of all rows that the given checkpoints allow.

    Raises:
      UserError: no row can be sampled, or --real is not one folder.
    """
    if len(options.real) != 1:
        raise UserError("--protocol table2: --real has to be one folder of truth records, whose halves are compared")
    if isinstance(options.num, str):
        raise UserError(f"--num {options.num}: the table compares equal halves; give a number")
    rows = [row for row in _ROWS if not _lacking(row, options)]
    if not rows:
        raise UserError("--protocol table2: nothing to sample with; " + "; ".join(missing(options)))
    return {row.name: [_arguments(row, seed, options) for seed in options.seed or SEEDS] for row in rows}


def run(
    options: Options,
    beam_arguments: Sequence[str],
    sample: Callable[[Sequence[str]], object],
    say: Callable[[str], None],
) -> Options:
    """Samples all rows, and says which commands it runs.

    Args:
      options: the options of coltran-fid.
      beam_arguments: Beam's own flags, which every job gets.
      sample: runs coltran-sample with some arguments.
      say: prints a line.

    Returns:
      The options of the coltran-fid run that scores the rows.

    Raises:
      UserError: as `samplings` and coltran-sample do.
    """
    planned = samplings(options)
    for line in missing(options):
        say(line)
    for seeds in planned.values():
        for arguments in seeds:
            say("$ " + shlex.join(["coltran-sample", *arguments, *beam_arguments]))
            sample([*arguments, *beam_arguments])
    specs = [
        RowSpec(name=name, repeats=tuple((_out(arguments),) for arguments in seeds)) for name, seeds in planned.items()
    ]
    texts = [f"{spec.name}={','.join(path for (path,) in spec.repeats)}" for spec in specs]
    flags = ["--real", *options.real, "--rows", *texts, TRUTH_ROW, GRAY_ROW, "--out", options.out]
    say("$ " + shlex.join(["coltran-fid", *flags, *_scoring_flags(options), *beam_arguments]))
    rows = (*specs, RowSpec(name=TRUTH_ROW), RowSpec(name=GRAY_ROW))
    without: dict[str, Any] = dict.fromkeys(("protocol", *NETWORKS))
    return dataclasses.replace(options, rows=rows, seed=(), **without)


def _lacking(row: _Row, options: Options) -> list[str]:
    return [name for name in row.needs.values() if getattr(options, name) is None]


def _arguments(row: _Row, seed: int, options: Options) -> list[str]:
    out = storage.join(options.out, SAMPLES, f"{row.name.replace(' ', '_')}-seed{seed}")
    networks = [text for flag, name in row.needs.items() for text in (f"--{flag}", getattr(options, name))]
    chosen = ["--part", "condition", *_num(options), "--seed", str(seed)]
    return ["--records", options.real[0], *networks, *row.flags, *chosen, "--out", out]


def _num(options: Options) -> list[str]:
    """Asks for as many images as the paper, unless half of the folder has fewer."""
    if isinstance(options.num, int):
        return ["--num", str(options.num)]
    half = record_folder.open_folder(options.real[0]).manifest.counts["written"] // 2
    return ["--num", str(PAPER_COUNT)] if half >= PAPER_COUNT else []


def _scoring_flags(options: Options) -> list[str]:
    """Lists the flags of the scoring that are not at their defaults."""
    fields = [field for field in dataclasses.fields(options) if field.name in _SCORING]
    given = [(field.name, getattr(options, field.name)) for field in fields]
    return [f"--{name}={value}" for name, value in given if value != Options.__dataclass_fields__[name].default]


def _out(arguments: Sequence[str]) -> str:
    return arguments[-1]
