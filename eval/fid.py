"""coltran-fid: Frechet Inception distance by the paper's protocol. `coltran-fid --help` says how it is used.

plan -> features and statistics of each set (job) -> scores (score) -> fid.json, report.html: all in eval/scoring/
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from coltran import cli, storage
from coltran.errors import UserError
from coltran.records.folder import COMPLETED, RUN
from eval.scoring.arguments import PROG, Options, parse, parser

if TYPE_CHECKING:
    from eval.features.extractors import Extractor
    from eval.images.sets import ImageSet
    from eval.scoring.plan import Pair, Row
    from eval.scoring.result import FidResult, RowResult
    from eval.scoring.score import SetFeatures

RESULT = "fid.json"
FEATURES, STATISTICS, WORK = "features", "statistics", "_work"
_KEPT_SETS = 3  # real, fake and floor of one pair: with the covariances of ten groups each, 370 MB a set


def run(options: Options, beam_arguments: Sequence[str] = ()) -> FidResult:
    """Runs the job to its end and returns what it wrote to fid.json in `options.out`.

    Args:
      options: of the command.
      beam_arguments: Beam's own flags.
    Raises:
      UserError: for what the user can put right, most of it before any image is read.
    """
    from eval.scoring import job as fid_job, plan
    from eval.scoring.result import FidResult
    from pipelines.beam import options as beam_options
    from pipelines.shards import lock as run_lock

    engine_options = beam_options.beam_options(beam_arguments, parser()._option_string_actions)
    rows = plan.plan(options)
    extractor = fid_job.shared_extractor(options)
    fingerprint = _fingerprint(rows, extractor, options)
    path = storage.join(options.out, RESULT)
    if storage.exists(path):
        found = FidResult.from_json(storage.read_bytes(path))
        if found.fingerprint != fingerprint:
            raise UserError(
                f"{path} is of other images or options; name another --out (with --features "
                f"{storage.join(options.out, FEATURES)}, features that are the same are not computed again)"
            )
        if storage.exists(storage.join(options.out, COMPLETED)):
            return found
    with run_lock.held(storage.join(options.out, run_lock.LOCK)):
        return _compute(rows, extractor, fingerprint, options, engine_options)


def _compute(rows: Sequence[Row], extractor: Extractor, fingerprint: str, options: Options, engine_options):
    from eval.scoring import job as fid_job, report as fid_report, score
    from pipelines.beam import engine

    started = time.monotonic()
    pairs = [pair for row in rows for pair in row.pairs]
    sets = _distinct(pairs)
    _check_saved(sets.values(), extractor, options)
    store = options.features or storage.join(options.out, FEATURES)
    work = storage.join(options.out, WORK)
    parts = fid_job.parts_of(sets.values(), extractor, store)
    total = sum(len(part.memberships) for part in parts)
    if parts:
        with _progress(total, engine_options):
            engine.run_pipeline(lambda pipeline: fid_job.build(pipeline, parts, options, work), engine_options)
    features_seconds = time.monotonic() - started
    kept = functools.lru_cache(_KEPT_SETS)(lambda identity: score.load_set(sets[identity], extractor, store, work))

    def load(images: ImageSet) -> SetFeatures:
        return kept(images.identity)  # rows share sets without sharing the objects

    result = _score(rows, load, extractor, fingerprint, options)
    _write_statistics(rows, load, extractor, options)
    fid_report.write(options.out, result, rows, [score.extremes(row.pairs[0], load) for row in rows])
    storage.write_bytes(storage.join(options.out, RESULT), result.to_json())
    seconds = time.monotonic() - started
    figures = {"images": total, "seconds_of_features": features_seconds, "seconds": seconds}
    storage.write_bytes(storage.join(options.out, RUN), json.dumps(figures, indent=1).encode() + b"\n")
    storage.write_bytes(storage.join(options.out, COMPLETED), b"")
    storage.remove_folder(work)
    return result


def _distinct(pairs: Sequence[Pair]) -> dict[str, ImageSet]:
    found = [images for pair in pairs for images in (pair.real, pair.fake, pair.floor) if images is not None]
    return {images.identity: images for images in found}


def _fingerprint(rows: Sequence[Row], extractor: Extractor, options: Options) -> str:
    from pipelines.shards import job as shard_job

    sets = [[row.name, row.step, [[pair.seed, *_identities(pair)] for pair in row.pairs]] for row in rows]
    made_by = [extractor.name, extractor.weights_sha256, extractor.resize, options.image, options.batch_size]
    return shard_job.fingerprint("fid", sets, made_by, options.bits)


def _identities(pair: Pair) -> list[str | None]:
    return [images.identity if images else None for images in (pair.real, pair.fake, pair.floor)]


def _about(extractor: Extractor, images: ImageSet, image: str) -> dict[str, object]:
    made_by = {"extractor": extractor.name, "weights_sha256": extractor.weights_sha256, "resize": extractor.resize}
    return {**made_by, "image": image, "image_size": images.size}


def _check_saved(sets, extractor: Extractor, options: Options) -> None:
    """Refuses a statistics file of another extractor, resize or resolution."""
    for images in sets:
        if not images.saved or images.saved.about is None:
            continue
        for name, expected in _about(extractor, images, options.image).items():
            found = images.saved.about.get(name)
            if name != "image_size" and found != expected:
                raise UserError(
                    f"{images.saved.path}: its {name} is {found}, this run's {expected}: their distance means nothing"
                )


def _score(
    rows: Sequence[Row],
    load: Callable[[ImageSet], SetFeatures],
    extractor: Extractor,
    fingerprint: str,
    options: Options,
) -> FidResult:
    from eval.scoring import result as fid_result, score

    results = []
    with cli.progress_bar(sum(len(row.pairs) for row in rows), "scoring", "pairs", delay=2) as bar:
        for row in rows:
            scores = []
            for pair in row.pairs:
                scores.append(score.score(pair, load, extractor, options.image))
                bar.update()
            bits = dict(options.bits).get(row.name)
            results.append(fid_result.row_result(row.name, scores, step=row.step, bits=bits))
    return fid_result.FidResult(
        fingerprint=fingerprint,
        extractor=fid_result.ScoredBy(
            name=extractor.name, weights_sha256=extractor.weights_sha256, resize=extractor.resize
        ),
        image=options.image,
        image_size=next((pair.fake.size for row in rows for pair in row.pairs if pair.fake.size), None),
        correlation=fid_result.correlation(results),
        rows=tuple(results),
        versions=fid_result.versions(),
    )


def _write_statistics(
    rows: Sequence[Row], load: Callable[[ImageSet], SetFeatures], extractor: Extractor, options: Options
) -> None:
    """statistics/<row>-<seed>.npz of each set, to be given to later runs."""
    from eval.distances import saved_statistics

    written: dict[str, str] = {}
    for row in rows:
        for number, pair in enumerate(row.pairs, 1):
            named = {f"real-seed{pair.seed}": pair.real, f"{_slug(row.name)}-{number}": pair.fake}
            for name, images in named.items():
                if images.saved or images.identity in written.values():
                    continue
                name = f"{name}-{images.identity[:6]}" if name in written else name
                written[name] = images.identity
                summed = load(images)
                kept = summed.features
                saved_statistics.write(
                    storage.join(options.out, STATISTICS, f"{name}.npz"),
                    summed.merged,
                    about=_about(extractor, images, options.image),
                    features=None if kept is None else kept.features,
                    keys=kept.names if kept is not None and images.keys is not None else None,
                )


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("_") or "row"


def _progress(total: int, engine_options):
    from eval.scoring import job as fid_job
    from pipelines.beam import engine, options as beam_options

    if not beam_options.is_local(engine_options):
        return contextlib.nullcontext()
    before = fid_job.images_done()
    return engine.watched(lambda: (fid_job.images_done() - before, ""), total, "features", "images")


def report(result: FidResult, out: str) -> Iterator[str]:
    """The lines that the command ends with: one a row, then what holds for all of them."""
    width = max(len(row.name) for row in result.rows)
    for row in result.rows:
        yield f"{row.name:<{width}}  {_number(row)}"
    first = result.rows[0].scores[0]
    extractor = result.extractor
    facts = [
        ("real", f"{first.real.count} images, {first.real.kind}, {' '.join(first.real.paths)}"),
        *(("fake", line) for line in dict.fromkeys(map(_fakes, result.rows))),
        ("extractor", f"{extractor.name}, weights {extractor.weights_sha256[:8]}, resize {extractor.resize}"),
    ]
    said = dict.fromkeys(note for row in result.rows for score in row.scores for note in score.notes)
    facts += [("note", note) for note in said]
    if result.correlation is not None:
        facts.append(("correlation", f"{result.correlation:.2f} of FID and held-out bits"))
    facts.append(("folder", f"{out} (look at report.html)"))
    yield cli.table(facts)


def _fakes(row: RowResult) -> str:
    paths = " ".join(dict.fromkeys(path for score in row.scores for path in score.fake.paths))
    return f"{row.scores[0].fake.count} images, {row.scores[0].fake.kind}, {paths}"


def _number(row: RowResult) -> str:
    """`FID 19.3700 +- 0.0900 (3 samplings)  floor 14.68  paper 19.37`."""
    score = row.scores[0]
    parts = [f"FID {row.fid:.4f}"]
    if row.fid_std is not None:
        parts[0] += f" +- {row.fid_std:.4f} ({len(row.scores)} samplings)"
    elif score.standard_error is not None:
        parts[0] += f" (standard error {score.standard_error:.4f})"
    if score.fid_corrected is not None:
        parts.append(f"bias-corrected {statistics.fmean(s.fid_corrected for s in row.scores):.4f}")
    if score.floor is not None:
        parts.append(f"floor {statistics.fmean(s.floor for s in row.scores):.4f}")
    if score.kid is not None:
        parts.append(f"KID {statistics.fmean(s.kid for s in row.scores):.6f}")
    if row.paper is not None and score.comparable:
        parts.append(f"paper {row.paper}")
    return ", ".join(parts)


def _command(argv: Sequence[str] | None) -> None:
    options, beam_arguments = parse(argv)
    finished = storage.exists(storage.join(options.out, COMPLETED))
    result = run(options, beam_arguments)
    if finished:
        print(f"{options.out}: already finished, nothing to do")
    for line in report(result, options.out):
        print(line)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of coltran-fid; returns the exit status."""
    # The other commands turn oneDNN off for results that repeat to the bit; here it is worth 40% of the speed, and
    # features move by 1e-5.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    return cli.run_command(PROG, lambda: _command(argv))


if __name__ == "__main__":
    raise SystemExit(main())
