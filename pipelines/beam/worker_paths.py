"""Makes a command's paths such that workers on other machines, or in other folders, read and write the same files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from coltran import storage
from pipelines.beam import options as beam_options

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_Options = TypeVar("_Options")


def for_workers(options: _Options, engine_options: PipelineOptions, names: Sequence[str]) -> _Options:
    """Returns the options with absolute paths if the workers run elsewhere.

    Args:
      options: a command's options, a dataclass.
      engine_options: from `beam_options`.
      names: the options that hold a path, several paths, or dataclasses with paths.
    Raises:
      UserError: the engine's workers cannot see a path.
    """
    if beam_options.is_local(engine_options):
        return options
    made = {name: _absolute(getattr(options, name)) for name in names}
    for name, value in made.items():
        for path in _paths(value):
            beam_options.check_paths(engine_options, {f"--{name}": path})
    return dataclasses.replace(options, **made)  # type: ignore[type-var]  # every command's options are a dataclass


def _absolute(value: Any) -> Any:
    if isinstance(value, str):
        return value if storage.is_gcs(value) else os.path.abspath(value)
    if isinstance(value, tuple):
        return tuple(map(_absolute, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{n: _absolute(v) for n, v in fields.items() if isinstance(v, tuple)})
    return value


def _paths(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _paths(part)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if isinstance(getattr(value, field.name), tuple):
                yield from _paths(getattr(value, field.name))
