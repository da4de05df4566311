"""Makes a command's paths such that workers on other machines, or in other folders, read and write the same files."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from coltran import storage
from pipelines.beam import options as beam_options

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_Options = TypeVar("_Options")


def for_workers(options: _Options, engine_options: PipelineOptions | None, names: Sequence[str]) -> _Options:
    """Returns the options with absolute paths if the workers run elsewhere.

    Args:
      options: a command's options, a dataclass.
      engine_options: Beam's, or None for its defaults; see `options.asked`.
      names: the options that hold a path, several paths, or dataclasses with paths.
    Raises:
      UserError: the engine's workers cannot see a path.
    """
    if beam_options.is_local(engine_options):
        return options

    def visible(path: str, name: str) -> str:
        path = storage.absolute(path)
        beam_options.check_paths(engine_options, {f"--{name}": path})
        return path

    made = {name: _each_path(getattr(options, name), functools.partial(visible, name=name)) for name in names}
    return dataclasses.replace(options, **made)  # type: ignore[type-var]  # every command's options are a dataclass


def _each_path(value: Any, change: Callable[[str], str]) -> Any:
    """Returns an option's value with every path in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_each_path(part, change) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        changed = {name: _each_path(part, change) for name, part in fields.items() if isinstance(part, tuple)}
        return dataclasses.replace(value, **changed)
    return value
