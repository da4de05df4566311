"""Beam job behind `coltran-study export`: from two record folders to a study folder."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence

import apache_beam as beam

from coltran import record_folder, records
from coltran.errors import UserError
from coltran.record_folder import COMPLETED, RecordFolder
from human_eval import design, leak_audit, opaque_files, study_folder
from pipelines import beam_options, engine
from pipelines.reading import ReadRecords


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says; see `coltran-study export --help`."""

    truth: str
    colorized: str
    out: str
    seed: int
    images: int = 500
    samples: int = 3
    block: int = 50
    image: str = "hi"
    name: str = "Which image has fake colors?"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What was exported."""

    folder: str
    forms: int
    trials: int
    images: int


def run(options: Options, beam_arguments: Sequence[str] = ()) -> Result:
    """Exports a study; raises UserError for what the user can put right."""
    engine_options = beam_options.beam_options(beam_arguments)
    pixels = records.RGB_HI if options.image == "hi" else records.RGB_LO
    truth = record_folder.open_folder(options.truth, schema=records.TRUTH, needs=[pixels])
    colorized = record_folder.open_folder(options.colorized, schema=records.COLORIZED, needs=[pixels])
    side = _same_side(truth, colorized, options.image)
    keys = _keys_with_all_samples(truth, colorized, options.samples)
    forms = design.design(keys, images=options.images, samples=options.samples, block=options.block, seed=options.seed)
    described = study_folder.describe_export(dataclasses.asdict(options), truth.manifest, colorized.manifest)
    result = Result(
        folder=options.out, forms=len(forms), trials=sum(len(form.trials) for form in forms), images=options.images
    )
    if study_folder.is_finished(pathlib.Path(options.out), described):
        return result
    out = _fresh_folder(options.out)
    secret = study_folder.load_secret(out / "private" / "secret")
    images = out / "public" / "images"
    images.mkdir(parents=True, exist_ok=True)
    engine.run_pipeline(lambda p: _build(p, truth, colorized, pixels, forms, secret, str(images)), engine_options)
    _write_texts(out, options, forms, secret, side)
    leaks = list(leak_audit.find_leaks(out / "public", out / "private" / "key.csv"))
    if leaks:
        raise UserError(f"{out}: the leak audit found {len(leaks)} leaks, first: {leaks[0]}; do not use this folder")
    study_folder.private_file(out / study_folder.EXPORT, described)
    (out / COMPLETED).touch()
    return result


def _same_side(truth: RecordFolder, colorized: RecordFolder, image: str) -> int:
    sides = [getattr(folder.sizes, image) for folder in (truth, colorized)]
    if sides[0] != sides[1]:
        raise UserError(
            f"{truth.path} has {sides[0]} pixels a side and {colorized.path} {sides[1]}; a pair must be of one size"
        )
    return sides[0]


def _keys_with_all_samples(truth: RecordFolder, colorized: RecordFolder, samples: int) -> list[str]:
    in_truth = {values[records.KEY] for values in truth.read([records.KEY])}
    found = collections.defaultdict(set)
    for values in colorized.read([records.KEY, records.SAMPLE]):
        found[values[records.KEY]].add(values[records.SAMPLE])
    complete = [key for key, has in found.items() if has.issuperset(range(samples))]
    absent = [key for key in complete if key not in in_truth]
    if absent:
        raise UserError(
            f"{len(absent)} colorized images have no truth in {truth.path}, first '{absent[0]}'; "
            "give the folder that they were sampled from"
        )
    return complete


def _fresh_folder(path: str) -> pathlib.Path:
    out = pathlib.Path(path)
    if (out / COMPLETED).exists():
        raise UserError(f"{out}: holds a finished study; give --out a new folder (raters may have seen this one)")
    if out.is_dir() and {child.name for child in out.iterdir()} - {"public", "private"}:
        raise UserError(f"{out}: is not empty and is no study; give --out a new folder")
    shutil.rmtree(out / "public", ignore_errors=True)  # an interrupted export starts again, with the same secret
    return out


def _write_texts(out: pathlib.Path, options: Options, forms: Sequence, secret: bytes, side: int) -> None:
    public, private = out / "public", out / "private"
    page = study_folder.rater_page(secret, forms, name=options.name, width=side, height=side)
    (public / "index.html").write_bytes(page)
    (public / "batch.csv").write_bytes(study_folder.batch_csv(secret, forms))
    study_folder.private_file(private / "key.csv", study_folder.key_csv(secret, forms))
    study_folder.level_times(public)


def _build(pipeline, truth, colorized, pixels: str, forms: Sequence, secret: bytes, images: str) -> None:
    trials = collections.defaultdict(list)
    for form in forms:
        for trial in form.trials:
            trials[trial.key].append(trial)
    names = {"truth": [records.KEY, pixels], "colorized": [records.KEY, records.SAMPLE, pixels]}
    pairs = {
        role: pipeline
        | f"Read {role}" >> ReadRecords(folder, names[role])
        | f"Trials of {role}" >> beam.FlatMap(_by_trial, dict(trials), pixels)
        for role, folder in (("truth", truth), ("colorized", colorized))
    }
    _ = pairs | "Pair" >> beam.CoGroupByKey() | "Write" >> beam.Map(_write_pair, secret, images)


def _by_trial(values: Mapping[str, object], trials: Mapping[str, list], pixels: str) -> Iterator[tuple]:
    """(trial number, image) for every trial that shows this record; a truth has no sample and serves them all."""
    for trial in trials.get(values[records.KEY], ()):
        if values.get(records.SAMPLE, trial.sample) == trial.sample:
            yield trial.trial, values[pixels]


def _write_pair(grouped: tuple[int, Mapping[str, Iterable]], secret: bytes, images: str) -> None:
    trial, found = grouped
    pair = [list(found[role]) for role in opaque_files.ROLES]
    if [len(side) for side in pair] != [1, 1]:
        raise UserError(
            f"trial {trial}: expected one truth and one colorization, got {len(pair[0])} and {len(pair[1])}"
        )
    files = opaque_files.encode_pair(pair[0][0], pair[1][0])
    for role, data in zip(opaque_files.ROLES, files, strict=True):
        (pathlib.Path(images) / opaque_files.opaque_name(secret, trial, role)).write_bytes(data)
