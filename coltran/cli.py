"""What every command shares: option parsing with one-line errors, quiet libraries, and progress bars."""

from __future__ import annotations

import argparse
import difflib
import errno
import io
import math
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TextIO

from coltran.errors import UserError
from coltran.storage import CREDENTIALS

# What to install for each command, as extras of setup.py; a plain installation holds what all of them share.
EXTRAS = {
    "coltran-preprocess": "beam",
    "coltran-train": "model",
    "coltran-import": "release",
    "coltran-colorize": "model",
    "coltran-sample": "beam,model",
    "coltran-fid": "eval",
    "coltran-study": "study",
}
_OUR_PACKAGES = ("coltran", "pipelines", "eval", "human_eval")
USER_ERROR_STATUS = 2
INTERRUPTED_STATUS = 130
_USER_CAUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOSPC)


class Parser(argparse.ArgumentParser):
    """An argparse parser that keeps paragraphs in help texts, shows defaults, and reports a mistake in one line."""

    def __init__(self, prog: str, description: str, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(prog=prog, description=description, **kwargs)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]  # two overloads
        """Parses as argparse does. The error for an unknown flag names the most similar known flag."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flag = unknown[0].partition("=")[0]
            flags = [name for action in self._actions for name in action.option_strings]
            self.error(f"unrecognized arguments: {' '.join(unknown)}.{nearest(flag, flags)}")
        return parsed

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def run_command(prog: str, command: Callable[[], int | None], *, rerun: str = "to go on") -> int:
    """Runs `command` and returns the exit status: 2 with one line on stderr for a UserError, 130 after Ctrl-C.

    `rerun` says what happens if the same command runs again after Ctrl-C.
    """
    quiet_libraries()
    _print_any_name()
    try:
        return command() or 0
    except UserError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return USER_ERROR_STATUS
    except KeyboardInterrupt:
        print(f"{prog}: interrupted; run the same command again {rerun}", file=sys.stderr)
        return INTERRUPTED_STATUS
    except BrokenPipeError:
        # The reader of our output, for example `head`, has ended. We point stdout elsewhere, so that we exit silently.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not missing or missing in _OUR_PACKAGES:
            raise
        print(f"{prog}: {missing_library(prog, missing)}", file=sys.stderr)
        return USER_ERROR_STATUS
    except (RuntimeError, AssertionError) as error:
        if not _lacks_device(error):
            raise
        platforms = os.environ.get("JAX_PLATFORMS")
        print(f"{prog}: JAX_PLATFORMS={platforms}: JAX finds no such device here; unset the variable", file=sys.stderr)
        return USER_ERROR_STATUS
    except OSError as error:
        if error.errno not in _USER_CAUSED:
            raise
        print(f"{prog}: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        return USER_ERROR_STATUS
    except Exception as error:
        if type(error).__module__ not in ("google.api_core.exceptions", "google.auth.exceptions"):
            raise
        print(f"{prog}: Google Cloud Storage: {error}; {CREDENTIALS}", file=sys.stderr)
        return USER_ERROR_STATUS


def command_line() -> str:
    """Returns the program's own command line, as one would type it, without the folder of the program."""
    return shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]])


def _lacks_device(error: BaseException) -> bool:
    """Tells whether JAX found no device of the kind that the user's JAX_PLATFORMS names."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = trace.tb_frame.f_globals.get("__name__", "") if trace else ""
    return bool(os.environ.get("JAX_PLATFORMS")) and where == "jax._src.xla_bridge"


def _print_any_name() -> None:
    """Lets names be printed that the terminal cannot show, or that are no text at all, with signs in their place."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def missing_library(prog: str, module: str) -> str:
    """Makes the line that names the extra to install for a command that misses a library's module."""
    extra = EXTRAS.get(prog.partition(" ")[0], "all")
    return f"needs '{module}', which this installation leaves out: pip install 'coltran-pipelines[{extra}]'"


def quiet_libraries() -> None:
    """Keeps messages of libraries off the terminal.

    They are those of the start of TensorFlow and gRPC, unless the user has set the variables, and warnings of Pillow.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    # A notebook leaves its own backend to the commands that it starts, and matplotlib refuses one that is not there.
    os.environ["MPLBACKEND"] = "agg"


def positive(text: str) -> int:
    """Parses a whole number above 0. It is an argparse type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got '{text}'")
    return int(text)


def whole(text: str) -> int:
    """Parses a whole number that is at least 0. It is an argparse type."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, at least 0, got '{text}'")
    return int(text)


def fraction(text: str) -> float:
    """Parses a share from 0 to 1. It is an argparse type."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, got '{text}'")
    return value


def nearest(name: str, good: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Returns ` Did you mean 'X'?` for a misspelled name, or an empty text if no good name is similar."""
    found = difflib.get_close_matches(name, list(good), n=1, cutoff=cutoff)
    return f" Did you mean '{found[0]}'?" if found else ""


def progress_bar(total: int | None, what: str, unit: str, initial: int = 0, delay: float = 0) -> Any:
    """Makes a tqdm bar on stderr. It is live on a terminal, and writes one line every 10 seconds to a log file.

    Args:
      total: how much there is to do; None if that is not known yet.
      what, unit: words before and after the numbers.
      initial: how much was done before.
      delay: seconds to wait before showing anything, for work that mostly ends at once.
    """
    from tqdm import tqdm

    live = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=initial,
        delay=delay,
        desc=what,
        unit=f" {unit}",
        mininterval=0.2 if live else 10.0,
        dynamic_ncols=live,
        ascii=not live,
        file=sys.stderr if live else _Lines(sys.stderr),
    )


class _Lines:
    """Writes each state of a progress bar as a line of its own, because a log file cannot move its cursor back."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        if text.strip():
            self._file.write(text.strip() + "\n")

    def flush(self) -> None:
        self._file.flush()


def table(rows: Sequence[tuple[str, object]]) -> str:
    """Aligns `name  value` lines for the summary that a command ends with."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)
