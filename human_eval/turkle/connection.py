"""From a command's flags to the server and what is known of the study there."""

from __future__ import annotations

import pathlib

from human_eval.turkle import state
from human_eval.turkle.access import read_address, read_token
from human_eval.turkle.arguments import ServerFlags
from human_eval.turkle.client import Client
from human_eval.turkle.service import Turkle


def connect(flags: ServerFlags, *, pilot: bool) -> tuple[Turkle, state.State]:
    """The server, and what the study's folder says of it.

    Args:
      flags: of the command.
      pilot: whether the pilot is meant.
    Raises:
      UserError: a wrong address or token, no Turkle server, or a study that is published elsewhere.
    """
    address = read_address(flags.turkle, insecure=flags.insecure)
    token = read_token(flags.token_file)
    known = state.load(pathlib.Path(flags.study), pilot=pilot, server=address)
    return Turkle(Client(address, token)), known
