"""Runs a Beam pipeline. If a worker finds a user's mistake, the user sees one line and not Beam's traceback."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from coltran.cli import progress_bar
from coltran.errors import UserError
from pipelines.beam import options as beam_options

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_USER_ERROR = re.compile(r"^(?:coltran\.errors\.)?UserError: (.*?)(?: \[while running '[^\n]*)?$", re.MULTILINE)

_WORKER_LOGS = (
    "apache_beam.runners.common",
    "apache_beam.runners.worker.bundle_processor",
    "apache_beam.runners.worker.sdk_worker",
)


def _is_no_user_error(record: logging.LogRecord) -> bool:
    """Filters out a worker's traceback of a UserError, because `run_pipeline` reports the error in one line."""
    text = f"{record.getMessage()} {record.exc_info[1]!r}" if record.exc_info else record.getMessage()
    return "UserError" not in text


def run_pipeline(
    build: Callable[[Any], object], options: PipelineOptions, *, submitted: Callable[[str], None] | None = None
) -> bool:
    """Builds a pipeline and runs it to its end, unless the options say that it is only submitted or written.

    Args:
      build: a function that gets the beam.Pipeline and adds all steps.
      options: from `beam_options`.
      submitted: gets the job's id as soon as the engine has accepted a job that outlives this command.
    Returns:
      True if the pipeline ran to its end, or False if it was submitted (`--no_wait`) or written (a template).
    Raises:
      UserError: a worker raised it; it keeps its message.
    """
    import apache_beam as beam

    # This logger warns against in_memory with several workers, and recommends the mode that loses records.
    logging.getLogger("apache_beam.runners.portability.fn_api_runner.fn_runner").setLevel(logging.ERROR)
    for name in _WORKER_LOGS:
        logging.getLogger(name).addFilter(_is_no_user_error)
    try:
        # Beam's `with` block would wait in any case.
        pipeline = beam.Pipeline(options=options)
        build(pipeline)
        result = pipeline.run()
        if place := beam_options.written_to(options):
            print(f"the job was written to {place}; whoever launches it gets the finished folder from the job itself")
            return False
        job_id = _job_id(result)
        if job_id and submitted and beam_options.job_place(options):
            submitted(job_id)
        if beam_options.no_wait(options):
            return False
        result.wait_until_finish()
        return True
    except Exception as error:
        # Beam raises the worker's own exception with a note about its step, or a RuntimeError with a traceback as text.
        text = f"UserError: {error}" if isinstance(error, UserError) else str(error)
        found = _USER_ERROR.findall(text)
        if found:
            raise UserError(found[-1]) from error
        raise


def _job_id(result: Any) -> str | None:
    """Returns the id of a job on Dataflow or on a portable engine, or None if the job runs inside this command."""
    found = getattr(result, "job_id", None) or getattr(result, "_job_id", None)
    return found() if callable(found) else found


@contextlib.contextmanager
def watched(
    look: Callable[[], tuple[int, str]], total: int, what: str, unit: str, *, every: float = 0.5
) -> Iterator[None]:
    """Shows a progress bar while the block runs. `look()` returns how much of `total` is done, and a short remark.

    While a pipeline runs, Beam tells the driver nothing, so the bar looks at the files that the workers write.
    """
    stop = threading.Event()
    with progress_bar(total, what, unit, initial=look()[0]) as bar:

        def show() -> None:
            done, word = look()
            bar.set_postfix_str(word, refresh=False)
            bar.update(max(0, min(done, total) - bar.n))

        def watch() -> None:
            while not stop.wait(every):
                show()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            show()
