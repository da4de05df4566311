"""Begin a study: asks what is needed, and writes study.toml, which every other command reads.

    coltran-study new

asks for the folders of photos and of their colorizations, for raters and payment, and for what raters must be told.
Then run, in the same folder: coltran-study design, serve, ingest study/private/server.sqlite, and score. The page
docs/studies.md goes through it step by step.
"""

from __future__ import annotations

import dataclasses
import pathlib
import secrets
from collections.abc import Callable
from typing import TypeVar

from coltran.errors import UserError
from coltran.options import option
from human_eval.design import plain_photos
from human_eval.design.arguments import PlanFlags, SizeFlags
from human_eval.design.forms import blocks, catch_count
from human_eval.folder import settings
from human_eval.page import consent

_Answer = TypeVar("_Answer")
_FEWEST = 3  # A study of fewer rated photos says nothing.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The command's options."""

    folder: str = option(".", metavar="FOLDER", help="where study.toml and the study go")


def run(options: Options) -> None:
    """Asks for the settings of a study and writes study.toml."""
    path = pathlib.Path(options.folder) / settings.FILE
    if path.exists():
        raise UserError(f"{path}: is there already; change it with an editor, or give --folder another folder")
    try:
        found = ask(path.parent)
    except EOFError:
        raise UserError("the questions were not answered to the end; nothing was written") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    settings.write(path, found)
    print(
        f"\n{path} is written; change it with an editor if you like. Next, in the same folder:\n  coltran-study design"
    )


def ask(folder: pathlib.Path) -> dict[str, object]:
    """Asks for all settings, each until the answer can be used.

    Args:
      folder: the folder that paths are relative to.
    """
    truth = _ask("Folder with the original photos (.png, .jpg)", lambda text: _photos(folder, text))
    models = _ask_for_models(folder)
    practice, most = _room_for(_count(folder, truth))
    found: dict[str, object] = {"folder": "study", "truth": truth, "colorized": models, "samples": 1}
    found["images"] = _ask(f"How many photos shall be rated, at most {most}", _number(most), str(most))
    found["practice"] = practice
    found["raters"] = _ask("How many people shall see each pair", _number(1000), str(SizeFlags.raters))
    found["reward"] = _ask("Payment for one sitting (0: none)", _amount, "0")
    found["access"] = _ask("Who may take part: open, invitation or prolific", _access, "open")
    found["seed"] = secrets.randbelow(10**6)
    return found | consent.ask({}, terminal=True)


def _ask_for_models(folder: pathlib.Path) -> list[str]:
    models: list[str] = []
    question = "Name of the first model (letters and digits)"
    while name := _ask(question, _model_name):
        where = _ask(
            f"Folder with the photos that {name} colored (same file names)", lambda text: _photos(folder, text)
        )
        models.append(f"{name}={where}")
        question = "Name of the next model (empty: no more)"
    return models


def _room_for(photos: int) -> tuple[int, int]:
    """Returns the number of practice pairs, and how many of the photos can then be rated beside the catch trials."""
    practice = min(PlanFlags.practice, photos // 10)
    most = photos - practice
    while most > _FEWEST:
        catch = sum(catch_count(len(block), PlanFlags.catch) for block in blocks(range(most), PlanFlags.block))
        if most + practice + catch <= photos:
            break
        most -= 1
    return practice, most


def _ask(question: str, read: Callable[[str], _Answer], default: str = "") -> _Answer:
    while True:
        answer = input(f"{question}{f' [{default}]' if default else ''}: ").strip() or default
        try:
            return read(answer)
        except ValueError as error:
            print(f"  {error}")


def _photos(folder: pathlib.Path, text: str) -> str:
    if not text or not (folder / text).is_dir():
        raise ValueError(f"there is no folder '{text}'")
    if not _count(folder, text):
        raise ValueError(f"'{text}' has no .png or .jpg files")
    return text


def _count(folder: pathlib.Path, name: object) -> int:
    return sum(path.suffix.lower() in plain_photos.ENDS for path in (folder / str(name)).rglob("*"))


def _model_name(text: str) -> str:
    if text in ("truth", "wrong_colors"):
        raise ValueError(f"'{text}' has another meaning here")
    if not all(letter.isalnum() or letter in "-_" for letter in text):
        raise ValueError("use letters, digits, - and _")
    return text


def _number(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not 0 < int(text) <= most:
            raise ValueError(f"expected a number from 1 to {most}")
        return int(text)

    return read


def _amount(text: str) -> float:
    return float(text.replace(",", "."))


def _access(text: str) -> str:
    if text not in ("open", "invitation", "prolific"):
        raise ValueError("expected open, invitation or prolific")
    return text
