"""Runs a Beam pipeline. If a worker finds a user's mistake, the user sees one line and not Beam's traceback."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from coltran.cli import progress_bar
from coltran.errors import UserError
from pipelines.beam import checks, mistakes, options as beam_options

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_PASSING = (OSError, UserError, ValueError)  # of a look at files that workers write; the next look may succeed
_look: contextvars.ContextVar[Callable[[], object] | None] = contextvars.ContextVar("look", default=None)


def run_pipeline(
    build: Callable[[Any], object],
    options: PipelineOptions | None,
    *,
    submitted: Callable[[str], None] | None = None,
) -> bool:
    """Builds a pipeline and runs it to its end, unless the options say that it is only submitted or written.

    Args:
      build: a function that gets the beam.Pipeline and adds all steps.
      options: Beam's, or None for its defaults; see `options.asked`.
      submitted: gets the job's id as soon as the engine has accepted a job that outlives this command.
    Returns:
      True if the pipeline ran to its end, or False if it was submitted (`--no_wait`) or written (a template).
    Raises:
      UserError: a worker raised it, and it keeps its message; or the engine refused the job, or reports a failure.
    """
    import apache_beam as beam

    if options is None:
        options = beam_options.beam_options([])
    mistakes.quiet_logs()
    checks.check(options)
    runner, written = beam_options.runner(options), beam_options.written_to(options)
    job_id = None
    try:
        # A `with beam.Pipeline` block would wait in any case.
        pipeline = beam.Pipeline(options=options)
        build(pipeline)
        result = pipeline.run()
        beam_options.set_runner(options, runner)  # PortableRunner takes its own name out
        if written:
            print(f"the job was written to {written}; whoever launches it gets COMPLETED from the job itself")
            return False
        job_id = _job_id(result)
        if job_id and submitted and beam_options.job_place(options):
            submitted(job_id)
        if beam_options.no_wait(options):
            return False
        _wait(result, options, job_id)
        return True
    except Exception as error:
        found = mistakes.to_user_error(error, runner=runner, job_id=job_id)
        if found is None or found is error:
            raise
        raise found from error


def _job_id(result: Any) -> str | None:
    """Returns the id of a job on Dataflow or on a portable engine, or None if the job runs inside this command."""
    found = getattr(result, "job_id", None) or getattr(result, "_job_id", None)
    return found() if callable(found) else found


def _wait(result: Any, options: PipelineOptions, job_id: str | None) -> None:
    """Waits until a job ends, or until what is `watched` has not moved for as long as the options allow."""
    try:
        limit = checks.give_up_seconds(options) if job_id else None
        if limit is None or (look := _look.get()) is None:
            result.wait_until_finish()
        else:
            _wait_while_it_moves(result, limit, look)
    except KeyboardInterrupt:
        if job_id and beam_options.job_place(options):
            print(f"\njob {job_id} goes on without this command; with --wait, the command joins it", file=sys.stderr)
        raise


def _wait_while_it_moves(result: Any, limit: float, look: Callable[[], object]) -> None:
    failures: list[Exception] = []

    def wait() -> None:
        try:
            result.wait_until_finish()
        except Exception as error:
            failures.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    last, since = look(), time.monotonic()
    while waiting.is_alive():
        waiting.join(min(30.0, limit / 4))
        now = last
        with contextlib.suppress(*_PASSING):
            now = look()
        if now != last:
            last, since = now, time.monotonic()
        elif waiting.is_alive() and time.monotonic() - since > limit:
            with contextlib.suppress(Exception):
                result.cancel()
            raise RuntimeError(
                f"nothing has moved for {limit:.0f} s, as when a worker was killed (--give_up_seconds allows more)"
            )
    if failures:
        raise failures[0]


@contextlib.contextmanager
def watched(
    look: Callable[[], tuple[int, str]], total: int, what: str, unit: str, *, every: float = 0.5
) -> Iterator[None]:
    """Shows a progress bar while the block runs. `look()` returns how much of `total` is done, and a short remark.

    While a pipeline runs, Beam tells the driver nothing, so the bar looks at the files that the workers write. Where
    stderr is no terminal, it is a plain line now and then. A look that fails is left out. `run_pipeline` gives a job up
    if nothing moves here for as long as `--give_up_seconds` allows.

    Args:
      every: seconds between two looks: a fraction on the local disk, several where a look costs requests.
    """
    stop = threading.Event()
    with progress_bar(total, what, unit, initial=look()[0]) as bar:

        def show() -> None:
            try:
                done, word = look()
            except _PASSING:
                return
            bar.set_postfix_str(word, refresh=False)
            bar.update(max(0, min(done, total) - bar.n))

        def watch() -> None:
            while not stop.wait(every):
                show()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        token = _look.set(look)
        try:
            yield
        finally:
            _look.reset(token)
            stop.set()
            thread.join()
            show()
