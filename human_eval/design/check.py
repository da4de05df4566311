"""Counts what a design promises from its forms alone, and refuses a design that breaks a promise."""

from __future__ import annotations

import collections
import dataclasses

from coltran.errors import UserError
from human_eval.design.forms import truth_ahead
from human_eval.folder.forms import CATCH, PRACTICE, TEST, Form, Trial
from human_eval.folder.layout import StudyDesign


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """What the self-check counted.

    Attributes:
      images, pairs, ratings: numbers of rated images, rated pairs and ratings.
      ratings_of_a_pair: smallest and largest number of ratings of a pair.
      form_sizes: smallest and largest number of rated pairs in a form.
      twice: (form, key) of images that a form shows twice.
      unbalanced: forms of the first design whose variants differ by more than one pair.
      truth_first: for each (model, sample), how many more ratings have the truth first than second, if a server flips
        every second sitting of a form.
      mixed: images that are both rated and shown in practice or catch trials.
      practice, catch: smallest and largest number of such trials in a form.
      twice_used: trial numbers that stand for two trials.
    """

    images: int
    pairs: int
    ratings: int
    ratings_of_a_pair: tuple[int, int]
    form_sizes: tuple[int, int]
    twice: tuple[tuple[int, str], ...]
    unbalanced: tuple[int, ...]
    truth_first: dict[tuple[str, int], int]
    mixed: tuple[str, ...]
    practice: tuple[int, int]
    catch: tuple[int, int]
    twice_used: tuple[int, ...]


def count(design: StudyDesign) -> Counts:
    """Counts the contents of a design."""
    kinds: dict[str, dict[int, list[Trial]]] = {kind: collections.defaultdict(list) for kind in (TEST, CATCH, PRACTICE)}
    ratings: collections.Counter[tuple[str, str, int]] = collections.Counter()
    numbers: collections.Counter[int] = collections.Counter()
    for form in design.forms:
        for trial in form.trials:
            numbers[trial.id] += 1
            kinds[trial.kind][form.number].append(trial)
            if trial.kind == TEST:
                ratings[trial.model, trial.key, trial.sample] += form.raters
    rated = {trial.key for trials in kinds[TEST].values() for trial in trials}
    others = {t.key for kind in (CATCH, PRACTICE) for trials in kinds[kind].values() for t in trials}

    def span(kind: str) -> tuple[int, int]:
        sizes = [len(kinds[kind][form.number]) for form in design.forms]
        return min(sizes), max(sizes)

    return Counts(
        images=len(rated),
        pairs=len(ratings),
        ratings=sum(ratings.values()),
        ratings_of_a_pair=(min(ratings.values()), max(ratings.values())),
        form_sizes=span(TEST),
        twice=tuple((form.number, key) for form in design.forms for key in _shown_twice(form)),
        unbalanced=tuple(form.number for form in design.forms if not _is_balanced(form, design)),
        truth_first={
            (model, sample): n for (kind, model, sample), n in truth_ahead(design.forms).items() if kind == TEST
        },
        mixed=tuple(sorted(rated & others)),
        practice=span(PRACTICE),
        catch=span(CATCH),
        twice_used=tuple(number for number, times in numbers.items() if times > 1),
    )


def _shown_twice(form: Form) -> list[str]:
    return [key for key, times in collections.Counter(trial.key for trial in form.trials).items() if times > 1]


def _is_balanced(form: Form, design: StudyDesign) -> bool:
    if form.number >= design.planned:
        return True  # This form was added later for any pairs that were short of ratings.
    shown = collections.Counter((trial.model, trial.sample) for trial in form.trials if trial.kind == TEST)
    variants = len(design.made_from["models"]) * design.made_from["samples"]
    return max(shown.values()) - (min(shown.values()) if len(shown) == variants else 0) <= 1


def check(design: StudyDesign, *, topped_up: bool = False) -> Counts:
    """Returns the counts of a design, and refuses a design that breaks a promise.

    Args:
      design: the design to check.
      topped_up: whether forms were added, so that pairs may have more ratings than asked.

    Raises:
      UserError: the design breaks a promise, which the message names.
    """
    found = count(design)
    least, most = found.ratings_of_a_pair
    wanted = design.made_from["raters"]
    broken = {
        f"pairs have {least} to {most} ratings instead of {wanted}": (least, most) != (wanted, wanted)
        and not (topped_up and least >= wanted),
        f"forms show an image twice: {found.twice[:3]}": bool(found.twice),
        f"samples are unbalanced in forms {found.unbalanced[:3]}": bool(found.unbalanced),
        f"rated images are in practice or catch trials: {found.mixed[:3]}": bool(found.mixed),
        f"trial numbers stand for two trials: {found.twice_used[:3]}": bool(found.twice_used),
        f"truths do not come first in half of the ratings: {found.truth_first}": not topped_up
        and max(map(abs, found.truth_first.values())) > 1,
    }
    for promise, is_broken in broken.items():
        if is_broken:
            raise UserError(f"the design breaks a promise, please report it: {promise}")
    return found


def describe(design: StudyDesign) -> str:
    """Returns the result of the self-check as lines of text for people."""
    found = count(design)
    sittings = sum(form.raters for form in design.forms)
    least, most = found.ratings_of_a_pair
    most_ahead = max(map(abs, found.truth_first.values()))
    return "\n".join(
        [
            f"{found.pairs} pairs of {found.images} images in {len(design.forms)} forms, {sittings} sittings, "
            f"{found.ratings} ratings",
            f"  ratings of a pair    {least}" + ("" if most == least else f" to {most}"),
            f"  rated pairs a form   {_span(found.form_sizes)}, and {_span(found.practice)} practice, "
            f"{_span(found.catch)} catch",
            f"  image twice in form  {len(found.twice)}",
            f"  forms out of balance {len(found.unbalanced)} (samples within a form differ by at most one pair)",
            f"  truth first          in half of each sample's ratings{f', to {most_ahead}' if most_ahead else ''}"
            " from our server; elsewhere the page flips by hash",
        ]
    )


def _span(ends: tuple[int, int]) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
