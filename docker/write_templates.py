"""Writes the Flex Template metadata of the jobs from their own options: docker/templates/*.json.

    python docker/write_templates.py

A template's parameter reaches the program as one `--name=value`. So a flag without a value cannot be a parameter, and
of a flag that takes several values a template gives one.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import typing
from collections.abc import Iterator

from coltran import cli, options as flags
from eval.sampling import arguments as sample
from eval.scoring import arguments as fid
from pipelines.truth import arguments as preprocess

TEMPLATES_FOLDER = pathlib.Path(__file__).parent / "templates"
# Flags of a command on somebody's terminal, which have nothing to say to a job that a service starts.
TERMINAL = {"dry_run", "verify", "describe", "repair", "wait", "no_wait"}
WRITTEN = {"out", "png_folder", "uncertainty", "features"}  # folders that a job writes; it reads the others
PATTERNS = {cli.positive: r"^[1-9][0-9]*$", cli.whole: r"^[0-9]+$", cli.fraction: r"^(0(\.[0-9]+)?|1(\.0+)?)$"}
ACCELERATORS = [
    (
        "resource_hints",
        "Accelerator",
        "for the step that runs the networks, such as accelerator=type:nvidia-l4;count:1;install-nvidia-driver",
        r"^(accelerator|min_ram)=.+$",
    )
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Template:
    """A job as a Flex Template.

    Attributes:
      file: the name of its metadata in docker/templates.
      command: the command that it runs.
      description: what the console says about it.
      options: the dataclass of the command's flags.
      beam: parameters of Beam itself: name, label, help, pattern.
    """

    file: str
    command: str
    description: str
    options: type
    beam: list[tuple[str, str, str, str]] = dataclasses.field(default_factory=list)


TEMPLATES = (
    Template(
        file="preprocess.json",
        command=preprocess.PROG,
        description="Photos (ImageNet in any packing) to sharded TFRecords for the Colorization Transformer",
        options=preprocess.Options,
    ),
    Template(
        file="sample.json",
        command=sample.PROG,
        description="Colorizes records with the Colorization Transformer: several samples of each grayscale image",
        options=sample.Options,
        beam=ACCELERATORS,
    ),
    Template(
        file="fid.json",
        command=fid.PROG,
        description="Frechet Inception distance between colorized and true images, by the paper's protocol",
        options=fid.Options,
        beam=ACCELERATORS,
    ),
)


def metadata(template: Template) -> dict[str, object]:
    """Makes the metadata that `gcloud dataflow flex-template build --metadata-file` takes."""
    image = ("sdk_container_image", "Worker image", "this template's image, for the workers", r"^\S+$")
    beam = [
        _parameter(name, label, text, optional=True, pattern=pattern) for name, label, text, pattern in template.beam
    ]
    own = list(_own(template.options))
    return {
        "name": template.command,
        "description": template.description,
        "parameters": [*own, _parameter(*image[:3], optional=True, pattern=image[3]), *beam],
    }


def _own(options: type) -> Iterator[dict[str, object]]:
    """Yields the parameters of the command's own flags, the required ones first."""
    hints = typing.get_type_hints(options)
    parser = cli.Parser("template", "")
    flags.add_flags(parser, options)
    texts = {action.dest: action.help or "" for action in parser._actions}
    wanted = [one for one in flags.flags_of(options) if hints[one.name] is not bool and one.name not in TERMINAL]
    for field in sorted(wanted, key=lambda one: one.default is not dataclasses.MISSING):
        flag = field.metadata["option"]
        several = typing.get_origin(hints[field.name]) is tuple and not flag.joined
        name = flag.name or field.name
        text = texts[field.name].replace("%%", "%").replace("local or gs://", "gs://")
        yield _parameter(
            name,
            name.replace("_", " ").capitalize(),
            text + ("; a template gives one value" if several else ""),
            optional=field.default is not dataclasses.MISSING,
            pattern=_pattern(name, flag, hints[field.name]),
            kind="TEXT" if several else _kind(name, flag.metavar),
        )


def _pattern(name: str, flag: typing.Any, hint: object) -> str | None:
    """Returns the regular expression of a flag's values, or None where only the command can tell."""
    if flag.choices is not None:
        return f"^({'|'.join(map(re.escape, flag.choices))})$"
    if flag.metavar == "FOLDER" or name == "source":  # nothing local is the same on all workers
        return "^gs://[a-z0-9][-_.a-z0-9]+(/.*)?$"
    if flag.parse is None and hint in (int, int | None):
        return "^-?[0-9]+$"
    return PATTERNS.get(flag.parse)


def _kind(name: str, metavar: str | None) -> str:
    if metavar != "FOLDER":
        return "TEXT"
    return "GCS_WRITE_FOLDER" if name in WRITTEN else "GCS_READ_FOLDER"


def _parameter(
    name: str, label: str, text: str, *, optional: bool, pattern: str | None, kind: str = "TEXT"
) -> dict[str, object]:
    rest: dict[str, object] = {"isOptional": True} if optional else {}
    rest |= {} if pattern is None else {"regexes": [pattern]}
    return {"name": name, "label": label, "helpText": text, "paramType": kind, **rest}


def main() -> None:
    """Writes all files."""
    for template in TEMPLATES:
        (TEMPLATES_FOLDER / template.file).write_text(json.dumps(metadata(template), indent=2) + "\n")


if __name__ == "__main__":
    main()
