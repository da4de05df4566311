"""Defines the flags that all commands with a Turkle server share."""

from __future__ import annotations

import dataclasses

from coltran.options import option
from human_eval.turkle.access import TOKEN_VARIABLE


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerFlags:
    """The study and the server."""

    study: str = option(metavar="FOLDER", help="study folder, exported with --format turkle")
    turkle: str = option(metavar="URL", help="address of the Turkle server, such as https://turkle.example.org/")
    token_file: str | None = option(
        None,
        metavar="FILE",
        shown=f"the environment variable {TOKEN_VARIABLE}",
        help="file with the token of a staff account, readable by its owner only",
    )
    insecure: bool = option(False, help="send the token over http:// to another machine, where others can read it")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedFlags(ServerFlags):
    """The study and the server, and whether the command is about the pilot."""

    pilot: bool = option(False, help="the pilot's batch, not the study's")
