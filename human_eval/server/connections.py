"""Listens for connections. Slow or silent ones cannot keep others out.

waitress reads and writes without a thread for each connection. What it lacks is here: a number of connections below
the process's own limit of open files, room for a new one if there are too many, and a time by which a request must be
whole.
"""

from __future__ import annotations

import time
from typing import Any

import waitress
from waitress import channel as waitress_channel, server as waitress_server

_THREADS = 8
_HEADER_BYTES = 16 << 10
_MOST = 2000
_LEAST = 32
_OTHER_FILES = 64  # So many files are open for other things: the database, images, the log.
_SILENT_SECONDS = 30
_REQUEST_SECONDS = 30.0  # A request has 64 KiB at most, which takes no longer on any phone.


def listen(app: Any, host: str, port: int, *, proxy: str | None, max_body: int) -> Any:
    """Opens the port and returns the server, whose `run` serves until Ctrl-C.

    Args:
      app: the WSGI application.
      host, port: where to listen.
      proxy: the address whose X-Forwarded-For is believed, if any.
      max_body: most bytes of a request's body.
    """
    trusted = {"trusted_proxy": proxy, "trusted_proxy_headers": {"x-forwarded-for"}} if proxy else {}
    most = most_connections()
    server = waitress.create_server(
        app,
        host=host,
        port=port,
        threads=_THREADS,
        connection_limit=most + _LEAST,  # From here on waitress accepts none, so we make room before.
        asyncore_use_poll=True,  # select() allows only 1024 connections.
        channel_timeout=_SILENT_SECONDS,
        cleanup_interval=5,
        max_request_body_size=max_body,
        max_request_header_size=_HEADER_BYTES,
        ident=None,
        **trusted,
    )
    # If a name stands for several addresses, there is a server for each.
    several = isinstance(server, waitress_server.MultiSocketServer)
    for one in list(server.map.values()) if several else [server]:
        one.channel_class = _channel_class(most)
    return server


def most_connections() -> int:
    """Returns how many connections may be open, after asking the system for as many as the server can use."""
    import resource  # Windows lacks this module.

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST + _LEAST + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    free = _MOST if soft == resource.RLIM_INFINITY else soft - _OTHER_FILES - _LEAST
    return max(_LEAST, min(_MOST, free))


def _channel_class(most: int) -> type:
    """Makes the class of connections of which at most `most` are open."""

    class Channel(waitress_channel.HTTPChannel):
        """A connection that makes room for itself, and whose requests must be whole in time."""

        def __init__(self, server: Any, *arguments: Any, **more: Any) -> None:
            if len(server.active_channels) >= most:
                _make_room(server)
            self.begun = time.monotonic()
            super().__init__(server, *arguments, **more)

        def received(self, data: bytes) -> bool:
            if self.request is None:
                self.begun = time.monotonic()
            going_on = super().received(data)
            if self.request is not None and time.monotonic() - self.begun > _REQUEST_SECONDS:
                self.will_close = True
            return going_on

    return Channel


def _make_room(server: Any) -> None:
    """Closes the connection that has been silent for the longest time and for which nothing is being done."""
    waiting = [one for one in server.active_channels.values() if not (one.requests or one.total_outbufs_len)]
    if waiting:
        min(waiting, key=lambda one: one.last_activity).handle_close()
