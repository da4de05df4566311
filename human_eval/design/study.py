"""Plans a study and writes its folder: chooses images, makes forms, and writes opaque images and the answer key."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coltran import paths, storage
from coltran.errors import UserError
from coltran.options import deciding
from coltran.records import partition
from coltran.records.folder import COMPLETED
from human_eval.design import forms
from human_eval.design.arguments import PlanFlags, SizeFlags
from human_eval.design.forms import Pool
from human_eval.folder import layout
from human_eval.folder.forms import WRONG_COLORS, Form, Variant
from human_eval.folder.layout import StudyDesign

if TYPE_CHECKING:
    from human_eval.design.sources import Source

CROPS = pathlib.PurePath("private", "crops.csv")
LUMA = pathlib.PurePath("private", "luma.json")


def choose_secret(out: pathlib.Path, given: str | None) -> bytes:
    """Returns the study's secret from the folder or from the given file, or draws a new one.

    Raises:
      UserError: the folder holds something other than a study, the file is missing, or the folder has another secret.
    """
    ours = out / layout.SECRET
    if not ours.exists() and out.is_dir() and any(p.is_file() and p.suffix != ".part" for p in out.rglob("*")):
        raise UserError(f"{out}: is not empty and is no study; give --out a new folder")
    if given and not pathlib.Path(given).is_file():
        raise UserError(f"{given}: no such file; give private/secret of a study")
    secret = pathlib.Path(given).read_bytes() if given else None
    if ours.exists():
        if secret not in (None, ours.read_bytes()):
            raise UserError(f"{out}: has a secret of its own; leave --secret out, or give --out a new folder")
        return ours.read_bytes()
    return secret or secrets.token_bytes(32)


def plan_study(options: PlanFlags, secret: bytes) -> tuple[StudyDesign, Source, list[Source]]:
    """Plans the design that the options ask for, and opens the truth and the models.

    Args:
      options: the study's options.
      secret: the study's secret. Without it, nobody can guess orders from trial numbers.

    Raises:
      UserError: folders cannot be read or do not fit together, or there are too few images.
    """
    from human_eval.design import check as design_check

    named = {name: storage.absolute(path) for name, path in named_folders(options.colorized).items()}
    truth, models = open_sources(
        storage.absolute(options.truth), named, options.image
    )  # workers stand in another folder
    options = _with_samples(options, models)
    variants = [Variant(model=model.model, sample=sample) for model in models for sample in range(options.samples)]
    pool = choose_images(truth, models, variants, options)
    made_from = deciding(options) | {
        "truth": truth.fingerprint,
        "models": {model.model: model.fingerprint for model in models},
        "secret": hashlib.sha256(secret).hexdigest()[:16],
    }
    planned = forms.plan(
        pool,
        variants,
        block=options.block,
        catch=options.catch,
        raters=options.raters,
        seed=[options.seed, int.from_bytes(secret)],
    )
    design = StudyDesign(
        study=layout.study_id(made_from),
        title=options.title,
        side=truth.side,
        made_from=made_from,
        sources={
            "truth": storage.absolute(options.truth),
            "models": {model.model: storage.absolute(model.path) for model in models},
            "images": storage.absolute(options.images_to) if options.images_to else "",
        },
        planned=len(planned),
        forms=tuple(planned),
    )
    design_check.check(design)
    return design, truth, models


def named_folders(arguments: Sequence[str]) -> dict[str, str]:
    """Returns {model: folder} of --colorized. A folder without a name is called `colorized`.

    Raises:
      UserError: a name comes twice, or the tables use it for something else.
    """
    from human_eval.answers.key import DEFAULT_MODEL

    named: dict[str, str] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        name, path = (name, path) if equals and "/" not in name else (DEFAULT_MODEL, argument)
        if not name or not path or not all(c.isalnum() or c in "-_.+ " for c in name):
            raise UserError(f"--colorized {argument}: expected FOLDER or NAME=FOLDER, NAME of letters, digits and -_.+")
        if name in named or name in (WRONG_COLORS, "truth"):
            raise UserError(f"--colorized {argument}: the name '{name}' is taken; give each folder one: NAME=FOLDER")
        named[name] = paths.normalized(path)
    return named


def open_sources(truth: str, models: Mapping[str, str], image: str) -> tuple[Source, list[Source]]:
    """Opens the truth and the models. It raises a UserError if they do not fit together, such as for other sizes."""
    from human_eval.design import common_size, sources

    photos = sources.open_source(truth, sources.TRUTH, image)
    opened = [sources.open_source(path, name, image, truth=photos) for name, path in models.items()]
    side = common_size.common_side([photos, *opened])
    for line in filter(None, (common_size.describe(source, side) for source in (photos, *opened))):
        print(line)
    photos, *opened = (dataclasses.replace(source, side=side) for source in (photos, *opened))
    return photos, opened


def _with_samples(options: PlanFlags, models: Sequence[Source]) -> PlanFlags:
    """Returns the options with fewer samples, if folders of files have fewer than the default."""
    have = min(max(sample for _, sample in model.found) for model in models) + 1
    plain = all(model.folder is None for model in models)
    if plain and have < options.samples == SizeFlags.samples:
        print(f"the folders have {have} sample{'s' if have > 1 else ''} of each photo: --samples {have}")
        return dataclasses.replace(options, samples=have)
    return options


def choose_images(truth: Source, models: Sequence[Source], variants: Sequence[Variant], options: PlanFlags) -> Pool:
    """Chooses the images of test, practice and catch trials by hash of (seed, key). No image has two of these kinds.

    Practice takes colorized images that are left over. If there are too few, it takes other photos in wrong colors.

    Raises:
      UserError: there are fewer images than asked, or some colorizations have no truth.
    """
    have = {model.model: set(model.found) for model in models}
    keys = set.intersection(*(model.keys for model in models))
    complete = {key for key in keys if all((key, v.sample) in have[v.model] for v in variants)}
    absent = sorted(complete - truth.keys)
    if absent:
        raise UserError(
            f"{len(absent)} colorized images have no truth in {truth.path}, first '{absent[0]}'; "
            "give the folder that they were sampled from"
        )
    order = partition.shuffled(complete, options.seed)
    if options.images > len(order):
        have_samples = max((sample for model in models for _, sample in model.found), default=0) + 1
        fewer = f" (the folders have at most {have_samples}: --samples)" if have_samples < options.samples else ""
        raise UserError(
            f"--images {options.images}: only {len(order)} images have a truth and all {len(variants)} samples{fewer}; "
            "ask for fewer, or sample more images"
        )
    test, spare = order[: options.images], order[options.images :]
    others = partition.shuffled(truth.keys - complete, options.seed)
    practice: list[tuple[str, Variant]] = [
        (key, variants[place % len(variants)]) for place, key in enumerate(spare[: options.practice])
    ]
    rest = spare[len(practice) :] + others
    wanting = options.practice - len(practice)
    practice += [(key, Variant(model=WRONG_COLORS, sample=0)) for key in rest[:wanting]]
    catch = rest[wanting:]
    needed = sum(forms.catch_count(len(block), options.catch) for block in forms.blocks(test, options.block))
    if len(practice) < options.practice or len(catch) < needed:
        raise UserError(
            f"{truth.path}: {options.practice} practice and {needed} catch pairs need as many images that are not "
            f"rated, but only {len(spare) + len(others)} are left; lower --images, --practice or --catch"
        )
    return Pool(test=test, catch=catch[:needed], practice=practice)


def is_finished(out: pathlib.Path, design: StudyDesign) -> bool:
    """Returns whether a folder holds this same study, perhaps with forms that were added since.

    Raises:
      UserError: the folder holds something else.
    """
    if (out / COMPLETED).exists() and (out / layout.DESIGN).exists():
        found = layout.load_design(out)
        if (found.study, found.forms[: len(design.forms)]) != (design.study, design.forms):
            raise UserError(f"{out}: holds another finished study; give --out a new folder (raters may have seen it)")
        if found.title != design.title:
            print(f"the title stays '{found.title}'; `coltran-study export --title` and `serve --title` show another")
        return True
    return False


def write_parts(
    out: pathlib.Path, design: StudyDesign, new: Sequence[Form], truth: Source, models: Sequence[Source], options: Any
) -> bool:
    """Writes the images of the new forms, and then the answer key and the design of all forms.

    Args:
      out: the study folder.
      design: the design with all forms.
      new: the forms whose images are not there yet.
      truth, models: opened sources.
      options: Beam's options.

    Returns:
      False if the job was only handed over to an engine. Its last step then finishes the folder.
    """
    from human_eval.design import common_size, finishing, images as pair_images
    from pipelines.beam import options as beam_options

    common_size.log((truth, *models), out / CROPS)
    key = layout.load_names_key(out, design)
    place = finishing.prepare(out, design, expected=2 * sum(len(form.trials) for form in new))
    # For added forms we do not write a new mean, because it would only cover their images.
    workers_see = beam_options.is_local(options) or not design.sources["images"]  # else images go where `out` is not
    luma = os.path.abspath(out / LUMA) if workers_see and len(new) == len(design.forms) else ""
    if not finishing.has_images(place, new, key) and not pair_images.write_images(
        truth, models, new, key, place, luma, options
    ):
        return False
    finishing.complete(out)  # A worker without this disk could not do it. After any other worker this does nothing.
    return True
