"""Turns what an engine reports of a failed job into one line: what it was, and what to do."""

from __future__ import annotations

import logging
import os
import re

from coltran.errors import UserError
from pipelines.beam import options as beam_options

GO_ON = "the same command goes on with what is missing"
_STEP = r"(?: \[while running '[^\n]*)?$"
_USER_ERROR = re.compile(r"^(?:coltran\.errors\.)?UserError: (.*?)" + _STEP, re.MULTILINE)
_PYTHON_ERROR = re.compile(r"^((?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b: .*?)" + _STEP, re.MULTILINE)
_WORKER_DIED = (
    "SDK worker disconnected",  # Prism
    "SDK harness disconnected",  # Dataflow
    "Channel closed prematurely",  # the Python job service, where it notices at all
    "lost contact with the service",
)
_ENDED = re.compile(
    r"(?:Pipeline \S+ failed in state|Dataflow pipeline failed. State:) (?P<state>\w+)(?:: |, Error:\s*)"
)
_NO_REASON = ("", "None", "unknown error")
_UNSEEN = ("no such object", "No such file or directory", "there is no folder")
_LOGS = (
    "root",  # a portable engine's messages
    "apache_beam.runners.common",
    "apache_beam.runners.worker.bundle_processor",
    "apache_beam.runners.worker.sdk_worker",
)


def quiet_logs() -> None:
    """Keeps Beam's traceback of an error off the terminal, if `to_user_error` reports the error in one line."""
    for name in _LOGS:
        logging.getLogger(name).addFilter(_is_no_user_error)
    # This logger warns against in_memory with several workers, and recommends the mode that loses records.
    logging.getLogger("apache_beam.runners.portability.fn_api_runner.fn_runner").setLevel(logging.ERROR)
    # These repeat what `checks.check` says about flags that nobody knows.
    logging.getLogger("apache_beam.options.pipeline_options").addFilter(_is_no_unknown_flag)


def to_user_error(error: Exception, *, runner: str, job_id: str | None = None) -> UserError | None:
    """Returns the one line for what an engine raised, or None for a mistake of ours, which keeps its traceback.

    Args:
      error: the exception from building, submitting or waiting.
      runner: the engine's class name.
      job_id: the job's id, if the engine had accepted it and runs on its own.
    """
    # Beam raises the worker's own exception with a note about its step, or a RuntimeError with a traceback as text.
    text = f"UserError: {error}" if isinstance(error, UserError) else str(error)
    if found := _USER_ERROR.findall(text):
        return UserError(_seen_from_a_worker(found[-1]) if job_id else found[-1])
    if text.startswith("Pipeline has validations errors"):
        return UserError(f"--runner={runner}: {' '.join(text.partition(':')[2].split())}")
    if job_id is None:
        return _refused_by_engine(error, runner)
    what = _what_happened(text)
    return UserError(f"job {job_id} failed on {runner}: {what}; {GO_ON}") if _from_engine(error) else None


def _what_happened(text: str) -> str:
    if any(words in text for words in _WORKER_DIED):
        return "a worker died in the middle of its work (killed, or out of memory)"
    if found := _PYTHON_ERROR.findall(text):
        return f"a worker raised {found[-1]}"
    ended = _ENDED.match(text)
    reason = re.sub(r"\s+", " ", text[ended.end() :] if ended else text).strip()[:500]
    reason = "the engine gives no reason; see its page of the job" if reason in _NO_REASON else reason
    return f"{ended['state']}, {reason}" if ended else reason


def _from_engine(error: Exception) -> bool:
    """Tells whether the engine reports the error; our own mistakes in this process are other exceptions."""
    kind = type(error)
    return kind is RuntimeError or kind.__module__.startswith(("grpc", "google.api_core", "apache_beam"))


def _refused_by_engine(error: Exception, runner: str) -> UserError | None:
    kind = type(error)
    if runner not in (beam_options.DATAFLOW, *beam_options.PORTABLE_RUNNERS):
        return None
    if kind.__module__.startswith(("google.api_core", "google.auth", "grpc", "apache_beam")):
        details = getattr(error, "details", None)
        text = details() if callable(details) and kind.__module__.startswith("grpc") else str(error)
        return UserError(
            f"--runner={runner} did not take the job: {' '.join(str(text).split())[:500] or kind.__name__}"
        )
    return None


def _seen_from_a_worker(message: str) -> str:
    """Adds the reason if a worker does not find a file that this machine has."""
    path = message.partition(": ")[0]
    if os.path.isabs(path) and os.path.exists(path) and any(words in message for words in _UNSEEN):
        return f"{message} by a worker, but it is here: workers must see this folder (shared storage, or gs://)"
    return message


def _is_no_user_error(record: logging.LogRecord) -> bool:
    text = f"{record.getMessage()} {record.exc_info[1]!r}" if record.exc_info else record.getMessage()
    return not any(words in text for words in ("UserError", *_WORKER_DIED))


def _is_no_unknown_flag(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(("Unparseable argument", "Discarding unparseable args"))
