"""Which HITs a study has: private/mturk_hits.json, written after every single one, so that a kill loses none.

{"sandbox": {"hit_type": ..., "hits": {"0": "HIT of form 0", ...}}, "live": {...}}; those of a pilot apart from them,
under "sandbox-pilot" and "live-pilot".
"""

from __future__ import annotations

import dataclasses
import json
import pathlib

from coltran.errors import UserError
from human_eval.folder.layout import private_file
from human_eval.mturk_service import site

HITS = pathlib.PurePath("private", "mturk_hits.json")


@dataclasses.dataclass(kw_only=True)
class Hits:
    """The HITs of the study or of its pilot in one of the service's worlds; `hits` by form number."""

    study: pathlib.Path
    live: bool
    pilot: bool
    hits: dict[int, str]

    def add(self, form: int, hit: str, hit_type: str) -> None:
        """Notes one more, on the disk."""
        self.hits[form] = hit
        everything = _read(self.study)
        everything[place(live=self.live, pilot=self.pilot)] = {
            "hit_type": hit_type,
            "hits": {str(number): name for number, name in sorted(self.hits.items())},
        }
        private_file(self.study / HITS, json.dumps(everything, indent=1, sort_keys=True).encode() + b"\n")


def place(*, live: bool, pilot: bool) -> str:
    """What files call them."""
    return site(live) + ("-pilot" if pilot else "")


def load(study: pathlib.Path, *, live: bool, pilot: bool = False) -> Hits:
    """What is published so far; raises UserError for a damaged file."""
    hits = _read(study).get(place(live=live, pilot=pilot), {}).get("hits", {})
    return Hits(study=study, live=live, pilot=pilot, hits={int(form): hit for form, hit in hits.items()})


def published(study: pathlib.Path, *, live: bool, pilot: bool = False) -> Hits:
    """As `load`; raises UserError where nothing is."""
    found = load(study, live=live, pilot=pilot)
    if not found.hits:
        what = "nothing of a pilot" if pilot else "nothing"
        raise UserError(f"{study}: {what} is published in the {site(live)} yet; `coltran-study publish` does it")
    return found


def _read(study: pathlib.Path) -> dict:
    path = study / HITS
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
        for world in found.values():
            if not all(form.isdecimal() and isinstance(hit, str) for form, hit in world["hits"].items()):
                raise ValueError("not a form's number and a HIT's name")
        return found
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error!r}); restore it, since it alone names the HITs") from None
