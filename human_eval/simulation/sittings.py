"""Simulates sittings of raters with known effects, as the rater page would save them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coltran import cli
from coltran.options import option
from human_eval.answers.key import AnswerKey, Pair
from human_eval.design.arguments import SizeFlags
from human_eval.folder import rater_ids
from human_eval.folder.layout import StudyDesign
from human_eval.simulation.effects import Effects

if TYPE_CHECKING:
    import numpy as np

SEED_OF_SALT = b"a made-up study has no secrets"
_START = 1_780_300_000  # In seconds. From here on there is a form every 10 minutes.
_FORM_SECONDS = 600


@dataclasses.dataclass(frozen=True, kw_only=True)
class MadeUpFlags(SizeFlags):
    """The flags for making up a study without images. With --study, the study's design says what they say here."""

    raters: int | None = option(  # type: ignore[assignment]
        None,
        parse=cli.positive,
        shown=f"as the study was designed, or {SizeFlags.raters}",
        help="raters a form, each with one form; forms that were added later keep theirs",
    )
    seed: int = option(parse=cli.whole, help="seed of all draws")


def made_up_key(options: MadeUpFlags) -> AnswerKey:
    """Makes the answer key of a study without images."""
    from human_eval.design import forms
    from human_eval.folder import opaque_files
    from human_eval.folder.forms import Variant

    pool = forms.Pool(test=[f"image-{number:05d}" for number in range(options.images)], catch=(), practice=())
    variants = [Variant(model="simulated", sample=sample) for sample in range(options.samples)]
    raters = options.raters or SizeFlags.raters
    planned = forms.plan(pool, variants, block=options.block, catch=0, raters=raters, seed=options.seed)
    pairs: dict[int, Pair] = {}
    listed: dict[int, list[tuple[int, str, str]]] = {}
    for form in planned:
        for trial in form.trials:
            truth, colorized = (opaque_files.opaque_name(SEED_OF_SALT, trial.id, role) for role in opaque_files.ROLES)
            pairs[trial.id] = Pair(
                trial=trial.id,
                form=form.number,
                kind="test",
                model=trial.model,
                key=trial.key,
                sample=trial.sample,
                truth=truth,
                colorized=colorized,
            )
            order = (truth, colorized) if trial.truth_first else (colorized, truth)
            listed.setdefault(form.number, []).append((trial.id, *order))
    return AnswerKey(
        study=f"simulated-{options.seed}",
        pairs=pairs,
        listed={form: tuple(trials) for form, trials in listed.items()},
        form_sizes={form.number: len(form.trials) for form in planned},
        raters=raters,
    )


def sittings_of_forms(key: AnswerKey, design: StudyDesign | None, raters: int | None) -> dict[int, int]:
    """Returns how many sittings are played of each form.

    Args:
      key: the study's answer key.
      design: the study's design, if it has one. Its forms say how many sittings they need.
      raters: another number of raters for the forms of the first design. Forms that were added later keep their own.
    """
    if design is None:
        return dict.fromkeys(sorted(key.form_sizes), raters or key.raters)
    return {form.number: raters if raters and form.number < design.planned else form.raters for form in design.forms}


def simulate(key: AnswerKey, effects: Effects, *, sittings: Mapping[int, int], seed: int) -> list[dict[str, Any]]:
    """Returns what the page would save for each sitting, plus an `assignment`.

    Args:
      key: the study's answer key.
      effects: the raters' effects. Catch trials are answered right, except by lapse.
      sittings: number of sittings of each form. Each rater takes one form, and the forms take turns.
      seed: seed of all draws.
    """
    import numpy as np

    from human_eval.simulation import rater_model

    rng = np.random.default_rng([seed, len(key.pairs), max(sittings.values())])
    listed = _listed_forms(key)
    taken = [form for turn in range(max(sittings.values())) for form in listed if turn < sittings[form]]
    rows = []  # Each rating has one row: (rater, pair, files in the order shown).
    for rater, form in enumerate(taken):
        name = rater_name(rater)
        for trial, *files in listed[form]:
            rows.append((rater, key.pairs[trial], files[::-1] if rater_ids.is_flipped(name, trial) else files))
    images: dict[str, int] = {}  # These are numbers from 0, in the order of showing.
    variants: dict[tuple[str, str, int], int] = {}
    image = np.array([images.setdefault(pair.key, len(images)) for _, pair, _ in rows])
    shown_pair = np.array(
        [variants.setdefault((pair.model, pair.key, pair.sample), len(variants)) for _, pair, _ in rows]
    )
    truth_first = np.array([shown[0] == pair.truth for _, pair, shown in rows])
    who = np.array([rater for rater, *_ in rows])
    fooled = rater_model.draw(effects, image, shown_pair, who, truth_first, rng)
    obvious = np.array([pair.kind != "test" for _, pair, _ in rows])
    fooled = np.where(obvious, rng.random(len(rows)) < effects.lapse / 2, fooled)
    measured = _measured(len(rows), rng)
    results = [_sitting(rater, form) for rater, form in enumerate(taken)]
    for place, (rater, pair, shown) in enumerate(rows):
        answer = {
            "trial": pair.trial,
            "shown": list(shown),
            "fake": pair.truth if fooled[place] else pair.colorized,
            **measured(place),
        }
        results[rater]["trials"].append(answer)
    return results


def rater_name(number: int) -> str:
    """Returns the name of the simulated rater with this number, from 0."""
    return f"simulated-rater-{number + 1:04d}"


def _listed_forms(key: AnswerKey) -> dict[int, Sequence[tuple[int, str, str]]]:
    if key.listed:
        return dict(sorted(key.listed.items()))
    forms: dict[int, list[tuple[int, str, str]]] = {}
    for trial, pair in sorted(key.pairs.items()):
        # We list the files by name, which tells nothing about what is real.
        forms.setdefault(pair.form, []).append(
            (trial, min(pair.truth, pair.colorized), max(pair.truth, pair.colorized))
        )
    return dict(sorted(forms.items()))


def _measured(n: int, rng: np.random.Generator) -> Callable[[int], dict[str, object]]:
    """Returns a function that gives the measured times of a row, similar to what browsers report."""
    response = rng.lognormal(6.9, 0.35, n).round(1)
    exposure = rng.normal(1000, 4, (n, 2)).round(1)
    return lambda row: {
        "response_ms": float(response[row]),
        "restarts": 0,
        "interrupted": False,
        "exposures": [{"planned_ms": 1000, "actual_ms": float(ms), "frame_ms": 16.7} for ms in exposure[row]],
    }


def _sitting(rater: int, form: int) -> dict[str, Any]:
    import datetime

    finished = datetime.datetime.fromtimestamp(_START + _FORM_SECONDS * rater, datetime.UTC)
    return {
        "simulated": True,  # Only this marks made-up answers. Names do not.
        "form": form,
        "rater": rater_name(rater),
        "assignment": f"A{rater + 1:06d}",
        "finished": finished.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "user_agent": "simulated",
        "device_pixel_ratio": 1,
        "screen": [1920, 1080],
        "trials": [],
    }
