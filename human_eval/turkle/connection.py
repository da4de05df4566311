"""Connects a command to the server, and loads what is known about the study there."""

from __future__ import annotations

import pathlib

from human_eval.turkle import state
from human_eval.turkle.access import read_address, read_token
from human_eval.turkle.arguments import ServerFlags
from human_eval.turkle.client import Client
from human_eval.turkle.service import Turkle


def connect(flags: ServerFlags, *, pilot: bool) -> tuple[Turkle, state.State]:
    """Returns the server, and what the study's folder knows about it.

    Args:
      flags: the command's flags.
      pilot: whether the pilot is meant.

    Raises:
      UserError: the address or token is wrong, the server is not a Turkle server, or the study is published elsewhere.
    """
    address = read_address(flags.turkle, insecure=flags.insecure)
    token = read_token(flags.token_file)
    known = state.load(pathlib.Path(flags.study), pilot=pilot, server=address)
    return Turkle(Client(address, token)), known
