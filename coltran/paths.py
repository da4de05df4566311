"""Decides what a text on the command line names: a local path, a gs:// path, or something that we cannot open.

A path is local unless it begins with a scheme. `gs://` and `file://` are served, in capital letters too. Every other
scheme is refused, because as a local path it would quietly become a folder named `s3:`.
"""

from __future__ import annotations

import re
import urllib.parse

from coltran.errors import UserError

GCS_PREFIX = "gs://"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(/+)")
_COPY = {
    "s3": "copy it with `aws s3 cp --recursive` or `gcloud storage cp -r`",
    "s3a": "copy it with `hadoop distcp`",
    "hdfs": "copy it with `hdfs dfs -get` or `-put`",
    "az": "copy it with `azcopy copy --recursive`",
    "abfs": "copy it with `azcopy copy --recursive`",
    "abfss": "copy it with `azcopy copy --recursive`",
    "wasb": "copy it with `azcopy copy --recursive`",
    "wasbs": "copy it with `azcopy copy --recursive`",
    "http": "download it with `curl -LO`",
    "https": "download it with `curl -LO`",
    "ftp": "download it with `curl -LO`",
}
_KNOWN = {*_COPY, "gs", "file"}


def normalized(text: str) -> str:
    """Returns the path that a text names: gs://BUCKET/NAME, or a local path without a scheme.

    Raises:
      UserError: the text has a scheme that we do not serve, or no bucket, or is no absolute file:// path.
    """
    found = _SCHEME.match(text)
    if found is None:
        return text
    scheme, slashes, rest = found[1].lower(), found[2], text[found.end() :]
    if scheme == "file":
        return _from_file_url(text, slashes, rest)
    if len(slashes) == 1 and scheme not in _KNOWN:
        return text  # a folder whose name ends in a colon
    if scheme != "gs":
        how = _COPY.get(scheme, "copy it")
        raise UserError(
            f"{text}: {scheme}:// is not read or written here, only local paths (file:// too) and gs://; {how} to or "
            "from one of these"
        )
    if len(slashes) != 2 or not rest.strip("/"):
        raise UserError(f"{text}: expected gs://BUCKET/NAME")
    return GCS_PREFIX + rest


def is_gcs(path: str) -> bool:
    """Tells whether a path is a gs:// path. Raises UserError for a scheme that `normalized` refuses or changes."""
    if path.startswith(GCS_PREFIX):
        return True
    if "://" in path and normalized(path) != path:
        raise UserError(f"{path}: expected a local path or gs://BUCKET/NAME")
    return False


def _from_file_url(text: str, slashes: str, rest: str) -> str:
    """Turns file:///path or file://localhost/path into the local path. Signs of patterns may stand for themselves."""
    host, path = "", "/" + rest
    if len(slashes) == 2:
        host, _, path = rest.partition("/")
        path = "/" + path
    decoded = urllib.parse.unquote(path, errors="surrogateescape")
    if host not in ("", "localhost") or not path.strip("/") or "\0" in decoded:
        raise UserError(f"{text}: expected file:///PATH with the absolute path of a file or folder of this machine")
    return decoded
