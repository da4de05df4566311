"""Plans more forms for a study that was already shown, for pairs that exclusions left short of ratings."""

from __future__ import annotations

import collections
import itertools
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from coltran.errors import UserError
from human_eval.answers import ratings
from human_eval.answers.ratings import Rating
from human_eval.design import forms
from human_eval.folder.forms import CATCH, PRACTICE, TEST, WRONG_COLORS, Form, Variant
from human_eval.folder.layout import StudyDesign
from human_eval.folder.spreadsheet import unescape_formula

Need = Mapping[tuple[str, str, int], int]


def read_needs(path: str, design: StudyDesign) -> dict[tuple[str, str, int], int]:
    """Reads how many ratings each (model, key, sample) lacks.

    Raises:
      UserError: the table is missing, or it has pairs of another study.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"{path}: no such file; `coltran-study score` writes it")
    known = {(t.model, t.key, t.sample) for form in design.forms for t in form.trials if t.kind == TEST}
    rows = iter(ratings.read_rows(file.read_bytes(), path))
    header = next(rows, (0, []))[1]
    if not {"study", "model", "key", "sample", "missing"} <= set(header):
        raise UserError(f"{path}: expected the columns study, model, key, sample and missing, as `score` writes them")
    needed: dict[tuple[str, str, int], int] = {}
    for line, cells in rows:
        row = {name: unescape_formula(cell) for name, cell in zip(header, cells, strict=False)}
        try:
            pair, missing = (row["model"], row["key"], int(row["sample"])), int(row["missing"])
        except (KeyError, ValueError):
            raise UserError(f"{path}, line {line}: sample and missing must be whole numbers") from None
        if row["study"] != design.study:
            raise UserError(f"{path}, line {line}: is of '{row['study'][:40]}', not of the study {design.study}")
        if pair not in known:
            raise UserError(f"{path}, line {line}: the study has no such pair; give the list of this study's score")
        if missing > 0:
            needed[pair] = missing
    return needed


def without_open(needed: Need, design: StudyDesign, table: Sequence[Rating]) -> dict[tuple[str, str, int], int]:
    """Returns the ratings that will still be missing when all forms are done. Open places will bring some of them.

    So a list that was made while raters are at work asks for nothing twice. The same is true for a list given twice.

    Args:
      needed: missing ratings by (model, key, sample).
      design: design of the study so far.
      table: all ratings that were handed in, also those that do not count.
    """
    sittings: dict[int, set[str]] = collections.defaultdict(set)
    for rating in table:
        if rating.form is not None:
            sittings[rating.form].add(rating.assignment)
    left = collections.Counter(needed)
    for form in design.forms:
        still = max(0, form.raters - len(sittings[form.number]))
        for trial in form.trials:
            if trial.kind == TEST:
                left[trial.model, trial.key, trial.sample] -= still
    return {pair: left[pair] for pair in needed if left[pair] > 0}


def plan(design: StudyDesign, needed: Need, *, block: int, seeds: Sequence[int]) -> list[Form]:
    """Plans new forms of one sitting each. They give every pair exactly the ratings that it lacks.

    Args:
      design: design of the study so far.
      needed: missing ratings by (model, key, sample).
      block: maximum number of rated pairs per form.
      seeds: seeds of the orders, with the study's secret among them.
    """
    left: dict[str, list[tuple[str, int]]] = collections.defaultdict(list)  # What each image still has to show.
    for (model, key, sample), missing in sorted(needed.items()):
        left[key] += [(model, sample)] * missing
    first = max(trial.id for form in design.forms for trial in form.trials) + 1
    numbers = itertools.count(first)
    order = forms.Order(np.random.default_rng([*seeds, first]), forms.truth_ahead(design.forms))
    old = design.forms[0].trials
    practice = [(PRACTICE, t.key, Variant(model=t.model, sample=t.sample)) for t in old if t.kind == PRACTICE]
    catch = sorted({t.key for form in design.forms for t in form.trials if t.kind == CATCH})
    new: list[Form] = []
    # The images that lack most ratings come first, so that the last forms do not need one image many times.
    while left:
        keys = sorted(left, key=lambda key: (-len(left[key]), key))[:block]
        rated: list[tuple[str, str, Variant]] = []
        for key in keys:
            model, sample = left[key].pop()
            rated.append((TEST, key, Variant(model=model, sample=sample)))
            if not left[key]:
                del left[key]
        count = min(forms.catch_count(len(rated), design.made_from["catch"]), len(catch))
        start = len(new) * count
        obvious = [catch[(start + place) % len(catch)] for place in range(count)]
        rated += [(CATCH, key, Variant(model=WRONG_COLORS, sample=0)) for key in obvious]
        new.append(forms.make_form(len(design.forms) + len(new), 1, practice, rated, numbers, order))
    return new
