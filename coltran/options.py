"""Options as frozen dataclasses: name, type, default, choices and help of a flag stand in its field, and only there.

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Options:
        records: str = option(metavar="FOLDER", help="record folder to read")        # no default: the flag is required
        samples: int = option(1, parse=cli.positive, metavar="K", help="samples per image")
        num: int | None = option(None, shown="all", parse=cli.positive, help="colorize N images only")
        gallery: bool = option(False, decides=False, help="also draw a gallery")     # --gallery, no value

    parser = cli.Parser("coltran-sample", DESCRIPTION)
    add_flags(parser, Options)
    options = from_arguments(Options, parser.parse_args(argv))

A class may inherit the options of another, and declare one of them anew. `deciding` gives what a fingerprint is made
of: every option but those declared with `decides=False`, so that a new option cannot be forgotten there.
"""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

_METADATA = "option"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Flag:
    """What a field's flag is, besides the field's own name, type and default; see `option`."""

    help: str
    parse: Callable[[str], Any] | None
    choices: tuple[str, ...] | None
    metavar: str | None
    shown: str | None
    decides: bool
    positional: bool
    append: bool
    group: str | None


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    parse: Callable[[str], Any] | None = None,
    choices: Iterable[str] | None = None,
    metavar: str | None = None,
    shown: str | None = None,
    decides: bool = True,
    positional: bool = False,
    append: bool = False,
    group: str | None = None,
) -> Any:
    """A dataclass field that is a flag, too.

    Args:
      default: of the field; without one the flag must be given.
      help: one line for `--help`; the default is added to it.
      parse: text to value, raising argparse.ArgumentTypeError; by default the type of the field (of its elements).
      choices: the only values.
      metavar: what stands for the value in `--help`.
      shown: what `--help` shows as the default where the value itself says little, such as "all" for None.
      decides: whether the option decides on the bytes that the command writes.
      positional: whether it is given by its place, without `--name`.
      append: for tuples: whether the flag is repeated, with one value each; otherwise it takes several values.
      group: the heading in `--help` under which it stands.
    """
    flag = _Flag(
        help=help,
        parse=parse,
        choices=None if choices is None else tuple(choices),
        metavar=metavar,
        shown=shown,
        decides=decides,
        positional=positional,
        append=append,
        group=group,
    )
    return dataclasses.field(default=default, metadata={_METADATA: flag})


def add_flags(parser: argparse.ArgumentParser, options: type) -> None:
    """Adds a flag for every field of the dataclass `options` that was declared by `option`."""
    hints, groups = typing.get_type_hints(options), {}
    for field in dataclasses.fields(options):
        flag: _Flag | None = field.metadata.get(_METADATA)
        if flag is None:
            continue
        target = parser
        if flag.group is not None:
            target = groups.get(flag.group) or groups.setdefault(flag.group, parser.add_argument_group(flag.group))
        name = field.name if flag.positional else f"--{field.name}"
        target.add_argument(name, **_argparse_settings(field, flag, hints[field.name]))


def from_arguments(options: type[Any], found: argparse.Namespace) -> Any:
    """The `options` that a parser with their flags has found; lists become tuples."""
    given = {field.name: getattr(found, field.name) for field in flags_of(options)}
    return options(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def flags_of(options: type[Any]) -> list[dataclasses.Field[Any]]:
    """The fields of the dataclass `options` that are flags."""
    return [field for field in dataclasses.fields(options) if _METADATA in field.metadata]


def deciding(options: Any) -> dict[str, Any]:
    """{name: value} of the options that decide on what is written: all but those declared with `decides=False`."""
    return {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if _METADATA not in field.metadata or field.metadata[_METADATA].decides
    }


def _argparse_settings(field: dataclasses.Field[Any], flag: _Flag, hint: Any) -> dict[str, Any]:
    """The keyword arguments of `add_argument` for a field."""
    required = field.default is dataclasses.MISSING
    if hint is bool:
        return {"action": "store_true", "help": flag.help}
    several = typing.get_origin(hint) is tuple
    kind = typing.get_args(hint)[0] if several else _without_none(hint)
    parse = flag.parse or {int: _whole_number, float: _number}.get(kind)
    settings: dict[str, Any] = {"help": _help(field, flag, required)}
    if parse is not None:
        settings["type"] = parse
    for name in ("choices", "metavar"):
        if getattr(flag, name) is not None:
            settings[name] = getattr(flag, name)
    if several:
        settings |= {"action": "append"} if flag.append else {"nargs": "+"}
    if not required:
        settings["default"] = list(field.default) if several else field.default
    elif not flag.positional:
        settings["required"] = True
    return settings


def _help(field: dataclasses.Field[Any], flag: _Flag, required: bool) -> str:
    text = flag.help.replace("%", "%%")
    if required or flag.shown == "":
        return text
    default = field.default
    shown = flag.shown or (None if default is None or default == () else _text(default))
    return text if shown is None else f"{text} (default: {shown})".replace("(default: %", "(default: %%")


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _without_none(hint: Any) -> Any:
    """`int` of `int | None`; a union of several types has none that could parse it."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else None
    return hint


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got '{text}'") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got '{text}'") from None
