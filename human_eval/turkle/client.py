"""Sends requests to a Turkle server, with bounded waiting, bounded retries, and a one-line message for each error.

A request that only reads is repeated if the server does not answer or is overloaded. A request that writes is never
repeated here, because the server may have done it without an answer. It raises `Unanswered`, and the caller first looks
at the server.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

import requests
from requests.auth import AuthBase

from coltran.errors import UserError
from human_eval.turkle.access import is_loopback

_TRIES = 4
_TIMEOUT = (10.0, 60.0)  # These are seconds to connect, and seconds between two bytes of an answer.
_TOO_MANY = 429  # With this status, the server refused before it did anything.
_LONGEST_REASON = 300


class Unanswered(UserError):
    """Says that nobody knows whether the server did what it was asked to do."""


class _Token(AuthBase):
    """Sends the token. As it is an object, a .netrc file cannot replace the token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Token {self._token}"
        return request


class Client:
    """The REST API of a server.

    Attributes:
      address: address of the server, without a last slash.
    """

    def __init__(
        self, address: str, token: str, *, pause: float = 1.0, timeout: tuple[float, float] = _TIMEOUT
    ) -> None:
        """Prepares requests, but sends nothing yet.

        Args:
          address: the address from `access.read_address`.
          token: the token from `access.read_token`.
          pause: seconds before the first repetition. Each later one waits twice as long.
          timeout: seconds to connect, and seconds to wait for bytes.
        """
        self.address = address
        self._pause = pause
        self._timeout = timeout
        self._session = requests.Session()
        self._session.auth = _Token(token)
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self._session.trust_env = not is_loopback(address)  # Requests to this machine itself need no proxy.

    def wait(self, attempt: int) -> None:
        """Waits before a repetition. Later repetitions wait longer.

        Args:
          attempt: number of the attempt that failed, from 0.
        """
        time.sleep(self._pause * 2**attempt)

    def get(self, path: str, query: Mapping[str, object] | None = None, *, tries: int = _TRIES) -> Any:
        """Returns the JSON that the server answers.

        Args:
          path: path below the address's api/, with its last slash.
          query: query of the address.
          tries: how often to ask a server that does not answer.

        Raises:
          UserError: the server does not answer after several attempts, or it refuses.
        """
        return self._json(self._read(path, query or {}, tries), path)

    def get_bytes(self, path: str) -> bytes:
        """Returns the bytes that the server answers. It works like `get`, for answers that are not JSON."""
        return self._read(path, {}, _TRIES).content

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Makes something on the server.

        Raises:
          Unanswered: nobody knows whether it was made.
          UserError: the server refuses.
        """
        return self._json(self._write("POST", path, body), path)

    def patch(self, path: str, body: Mapping[str, object]) -> Any:
        """Changes something on the server. It raises the same errors as `post`."""
        return self._json(self._write("PATCH", path, body), path)

    def _read(self, path: str, query: Mapping[str, object], tries: int) -> requests.Response:
        for attempt in range(tries):
            try:
                return self._request("GET", path, params=query)
            except Unanswered:
                if attempt == tries - 1:
                    raise
                self.wait(attempt)
        raise AssertionError("the last attempt returns or raises")

    def _write(self, method: str, path: str, body: Mapping[str, object]) -> requests.Response:
        return self._request(method, path, json=body)

    def _request(self, method: str, path: str, **more: Any) -> requests.Response:
        url = f"{self.address}/api/{path}"
        try:
            # We do not follow redirections. They would take the token elsewhere, and turn a POST into a GET.
            reply = self._session.request(method, url, timeout=self._timeout, allow_redirects=False, **more)
        except requests.exceptions.SSLError:
            raise UserError(
                f"{self.address}: its certificate is not trusted; REQUESTS_CA_BUNDLE may name a file of authorities"
            ) from None
        except requests.exceptions.Timeout:
            raise Unanswered(f"{self.address}: no answer within {sum(self._timeout):g} seconds") from None
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError):
            raise Unanswered(f"{self.address}: cannot be reached, or broke off; is the server running there?") from None
        except requests.exceptions.RequestException as error:
            raise UserError(f"{self.address}: cannot be asked ({type(error).__name__})") from None
        if not reply.ok or reply.is_redirect:
            raise self._refusal(reply, path)
        return reply

    def _refusal(self, reply: requests.Response, path: str) -> UserError:
        status = reply.status_code
        if reply.is_redirect:
            return UserError(f"{self.address}: sends on to another address; give --turkle the one where it really is")
        if status == _TOO_MANY or status >= 500:
            return Unanswered(f"{self.address}: answers {status} {reply.reason} to api/{path}; try again later")
        if status == 401:
            return UserError(f"{self.address}: does not know this token (401); its admin pages have them under Tokens")
        if status == 403:
            return UserError(f"{self.address}: the token's account may not do this (403); it has to be of its staff")
        if status == 404:
            return NotThere(f"{self.address}: has no api/{path} (404)")
        return UserError(f"{self.address}: refused api/{path} ({status}: {_reason(reply)})")

    def _json(self, reply: requests.Response, path: str) -> Any:
        try:
            return json.loads(reply.content)
        except ValueError:
            raise UserError(f"{self.address}: api/{path} is no JSON; is this a Turkle server?") from None


class NotThere(UserError):
    """Says that the server has no such thing."""


def _reason(reply: requests.Response) -> str:
    text = " ".join(reply.text.split())
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "..."
