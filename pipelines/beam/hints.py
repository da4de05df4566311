"""Puts the resource hints of the command line on the steps that run networks, and on no others.

Beam's own `--resource_hints=accelerator=...` asks for accelerators in every step. Then the steps that only read and
write would run on such machines too, although they never use them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coltran.errors import UserError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_MOVED = {"accelerator": "accelerator", "min_ram": "min_ram", "minRam": "min_ram"}


def take_network_hints(options: PipelineOptions | None) -> dict[str, str]:
    """Takes the hints for accelerator and memory out of the options.

    Call it before the pipeline is made, because Beam then gives what is left in the options to every step.

    Args:
      options: from `asked` or `beam_options`. They lose the hints.

    Returns:
      The hints as arguments of `with_resource_hints`, for the steps that run networks. Empty if none was given.

    Raises:
      UserError: a hint has no value or an impossible one, or the same accelerators are asked for in two ways.
    """
    if options is None:
        return {}
    from apache_beam.options.pipeline_options import GoogleCloudOptions, StandardOptions

    standard = options.view_as(StandardOptions)
    given = [hint.partition("=")[::2] for hint in standard.resource_hints]
    taken = {_MOVED[name]: value for name, value in given if name in _MOVED}
    service_options = options.view_as(GoogleCloudOptions).dataflow_service_options or []
    if "accelerator" in taken and any(one.startswith("worker_accelerator=") for one in service_options):
        raise UserError(
            "--resource_hints=accelerator=... and --dataflow_service_options=worker_accelerator=... exclude each other "
            "on Dataflow; give the hint (machines of their own for networks) or the option (all machines alike)"
        )
    _check(taken)
    standard.resource_hints = [hint for hint in standard.resource_hints if hint.partition("=")[0] not in _MOVED]
    return taken


def _check(hints: dict[str, str]) -> None:
    from apache_beam.transforms.resources import parse_resource_hints

    for name, value in hints.items():
        try:
            if not value:
                raise ValueError
            parse_resource_hints({name: value})
        except ValueError:
            example = "16GB" if name == "min_ram" else "type:nvidia-l4;count:1;install-nvidia-driver"
            raise UserError(
                f"--resource_hints={name}={value}: expected a value such as --resource_hints='{name}={example}'"
            ) from None
