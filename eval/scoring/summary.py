"""Makes the lines that coltran-fid prints at the end."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from coltran import cli
from eval.scoring.result import FidResult, RowResult
from eval.scoring.tables import notes_of


def summary(result: FidResult, out: str) -> Iterator[str]:
    """Yields one line for each row, and then the facts that hold for all rows."""
    width = max(len(row.name) for row in result.rows)
    for row in result.rows:
        yield f"{row.name:<{width}}  {_numbers(row)}"
    first = result.rows[0].scores[0]
    extractor = result.extractor
    facts = [
        ("real", f"{first.real.count} images, {first.real.kind}, {' '.join(first.real.paths)}"),
        *(("fake", line) for line in dict.fromkeys(map(_fakes, result.rows))),
        ("extractor", f"{extractor.name}, weights {extractor.weights_sha256[:8]}, resize {extractor.resize}"),
    ]
    facts += [("note", note) for note in notes_of(result.rows)]
    if result.correlation is not None:
        facts.append(("correlation", f"{result.correlation:.2f} of FID and held-out bits"))
    facts.append(("folder", f"{out} (look at report.html)"))
    yield cli.table(facts)


def _fakes(row: RowResult) -> str:
    paths = " ".join(dict.fromkeys(path for score in row.scores for path in score.fake.paths))
    return f"{row.scores[0].fake.count} images, {row.scores[0].fake.kind}, {paths}"


def _numbers(row: RowResult) -> str:
    """Returns a row's numbers, such as `FID 19.3700 +- 0.0900 (3 samplings), floor 14.6800, paper 19.37`."""
    score = row.scores[0]
    fid = f"FID {row.fid:.4f}"
    if row.fid_std is not None:
        fid += f" +- {row.fid_std:.4f} ({len(row.scores)} samplings)"
    elif score.standard_error is not None:
        fid += f" (standard error {score.standard_error:.4f})"
    shown = [fid]
    for word, name, digits in (("bias-corrected", "fid_corrected", 4), ("floor", "floor", 4), ("KID", "kid", 6)):
        if getattr(score, name) is not None:
            shown.append(f"{word} {statistics.fmean(getattr(s, name) for s in row.scores):.{digits}f}")
    if row.paper is not None and score.comparable:
        shown.append(f"paper {row.paper}")
    return ", ".join(shown)
