"""Options are frozen dataclasses. A flag's name, type, default, choices and help stand in its field, and only there.

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Options:
        records: str = option(metavar="FOLDER", help="record folder to read")        # no default: the flag is required
        samples: int = option(1, parse=cli.positive, metavar="K", help="samples per image")
        num: int | None = option(None, shown="all", parse=cli.positive, help="colorize N images only")
        gallery: bool = option(False, decides=False, help="also draw a gallery")     # --gallery, no value

    parser = cli.Parser("coltran-sample", DESCRIPTION)
    add_flags(parser, Options)
    options = from_arguments(Options, parser.parse_args(argv))

A class may inherit the options of another class and declare one of them again. `deciding` returns the options that a
fingerprint is made of. These are all options except those with `decides=False`, so nobody can forget a new option.
Texts are paths as far as they look like one (coltran/paths.py), so that no option of any command takes `s3://bucket`
for a local folder. Only a `metavar="URL"` says that a text is an address of the web.
"""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from coltran import paths
from coltran.errors import UserError

_METADATA = "option"
_ADDRESS = "URL"
_Options = TypeVar("_Options")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Flag:
    """The properties of a field's flag, besides the field's own name, type and default; see `option`."""

    help: str
    parse: Callable[[str], Any] | None
    choices: tuple[str, ...] | None
    metavar: str | None
    shown: str | None
    decides: bool
    positional: bool
    append: bool
    joined: bool
    name: str | None
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
    joined: bool = False,
    name: str | None = None,
    group: str | None = None,
) -> Any:
    """Declares a dataclass field that is also a flag.

    Args:
      default: the field's default; without one, the flag must be given.
      help: one line for `--help`; the default is added to it.
      parse: turns text into the value, or raises argparse.ArgumentTypeError; by default the field's (elements') type.
      choices: the only allowed values.
      metavar: what stands for the value in `--help`. A text with `URL` is an address, any other may be a path.
      shown: what `--help` shows as the default if the value itself says little, such as "all" for None.
      decides: whether the option changes the bytes that the command writes.
      positional: whether it is given by its place, without `--name`.
      append: for tuples, whether the flag is repeated with one value each; otherwise it takes several values.
      joined: for tuples, whether the flag takes one text, from which `parse` makes the whole tuple.
      name: the flag's name without dashes, if the field cannot have that name, such as `from`.
      group: the heading in `--help` under which the flag stands.
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
        joined=joined,
        name=name,
        group=group,
    )
    return dataclasses.field(default=default, metadata={_METADATA: flag})


def add_flags(parser: argparse.ArgumentParser, options: type, *, unset: str | None = None) -> None:
    """Adds a flag for every field of the dataclass `options` that was declared by `option`.

    Args:
      parser: the parser that gets the flags.
      options: a dataclass.
      unset: the words in `--help` for the source of values that the user leaves out, such as "the config's". With
        them, no flag is required, and the flags left out are None; see `given`.
    """
    hints = typing.get_type_hints(options)
    for field in flags_of(options):
        flag: _Flag = field.metadata[_METADATA]
        settings = _argparse_settings(field, flag, hints[field.name])
        if unset is not None:
            settings |= {"default": None, "help": _help(field, flag, unset)}
            settings.pop("required", None)
        target = parser if flag.group is None else _group(parser, flag.group)
        if flag.positional:
            target.add_argument(field.name, **settings)
        else:
            target.add_argument(f"--{flag.name or field.name}", dest=field.name, **settings)


def _group(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """Returns the group under the heading `title`, and adds it if the parser has none."""
    found = (group for group in parser._action_groups if group.title == title)
    return next(found, None) or parser.add_argument_group(title)


def from_arguments(options: type[_Options], found: argparse.Namespace, **others: Any) -> _Options:
    """Makes the `options` from what a parser with their flags has found. Lists become tuples.

    Args:
      options: the dataclass whose flags the parser has.
      found: what the parser returned.
      **others: the values of the fields that are not flags.
    """
    return options(**_given(options, found), **others)


def given(options: type[Any], found: argparse.Namespace) -> dict[str, Any]:
    """Returns {name: value} of the flags of the dataclass `options` that stand in the command line (see `unset`)."""
    return {name: value for name, value in _given(options, found).items() if value is not None}


def _given(options: type[Any], found: argparse.Namespace) -> dict[str, Any]:
    values = {field.name: getattr(found, field.name) for field in flags_of(options)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def flags_of(options: type[Any]) -> list[dataclasses.Field[Any]]:
    """Lists the fields of the dataclass `options` that are flags."""
    return [field for field in dataclasses.fields(options) if _METADATA in field.metadata]


def flag_names(options: type[Any]) -> list[str]:
    """The flags of the dataclass `options` as they are typed, such as `--out`."""
    return [f"--{field.metadata[_METADATA].name or field.name}" for field in flags_of(options)]


def deciding(options: Any) -> dict[str, Any]:
    """Returns {name: value} of the options that change what is written: all except those with `decides=False`."""
    return {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if _METADATA not in field.metadata or field.metadata[_METADATA].decides
    }


def _argparse_settings(field: dataclasses.Field[Any], flag: _Flag, hint: Any) -> dict[str, Any]:
    """Makes the keyword arguments of `add_argument` for a field."""
    required = field.default is dataclasses.MISSING
    if hint is bool:
        return {"action": "store_true", "help": _help(field, flag)}
    several = typing.get_origin(hint) is tuple and not flag.joined
    kind = typing.get_args(hint)[0] if several else _without_none(hint)
    text = None if flag.metavar == _ADDRESS or flag.choices else parse_path
    parse = flag.parse or {int: _whole_number, float: _number, str: text}.get(kind)
    settings: dict[str, Any] = {"help": _help(field, flag)}
    if parse is not None:
        settings["type"] = parse
    for name in ("choices", "metavar"):
        if getattr(flag, name) is not None:
            settings[name] = getattr(flag, name)
    if several:
        settings |= {"action": "append"} if flag.append else {"nargs": "+"}
    if not required:
        default: Any = field.default
        settings["default"] = list(default) if several else default
    elif not flag.positional:
        settings["required"] = True
    return settings


def _help(field: dataclasses.Field[Any], flag: _Flag, unset: str | None = None) -> str:
    default = field.default
    if flag.shown is not None:
        shown = flag.shown
    elif default is False:
        shown = ""
    elif default is dataclasses.MISSING or default is None or default == ():
        shown = unset or ""
    else:
        shown = _text(default) if unset is None else f"{_text(default)}, or {unset}"
    text = f"{flag.help} (default: {shown})" if shown else flag.help
    return text.replace("%", "%%")


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _without_none(hint: Any) -> Any:
    """Returns `int` for `int | None`, and None for a union of several types, because none of them can parse it."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else None
    return hint


def parse_path(text: str) -> str:
    """Parses a local or gs:// path, as `paths.normalized` does. It is an argparse type, and the one of texts."""
    try:
        return paths.normalized(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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
