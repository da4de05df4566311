"""The last step of coltran-fid's job: it scores the sets, and writes everything that people read, and COMPLETED last.

An engine may run this step twice. The second time finds COMPLETED and changes nothing.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from coltran import storage
from coltran.records.folder import COMPLETED, RUN
from eval.features.extractors import Extractor
from eval.scoring import extremes, report, saved_sets, score, set_features
from eval.scoring.accounting import count_folders
from eval.scoring.arguments import Options
from eval.scoring.layout import Layout
from eval.scoring.plan import Row, distinct_sets
from pipelines.shards.job import clear


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scoring:
    """What to score, and where. It can be pickled, because it holds no network.

    Attributes:
      rows: the planned rows.
      extractor: says what made the features.
      fingerprint: fingerprint of the run.
      options: the command's options.
      layout: where to write.
      started: when the run began, as a Unix time in seconds.
    """

    rows: Sequence[Row]
    extractor: Extractor
    fingerprint: str
    options: Options
    layout: Layout
    started: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "extractor", dataclasses.replace(self.extractor, engine=_no_engine))


def _no_engine(_: np.ndarray) -> np.ndarray:
    raise RuntimeError("the scoring computes no features")


def finish(scoring: Scoring, computed: int) -> None:
    """Computes the scores of all rows from the statistics on disk, and finishes the folder.

    Args:
      scoring: what to score, and where.
      computed: number of images whose features this run computed. An earlier run kept those of the others.
    """
    layout, rows, extractor = scoring.layout, scoring.rows, scoring.extractor
    if storage.exists(layout.path(COMPLETED)):
        return clear(layout.out)
    features_seconds = time.time() - scoring.started
    load = set_features.loader(distinct_sets(rows), extractor, layout)
    result = score.score_rows(rows, load, extractor, scoring.fingerprint, scoring.options)
    saved_sets.write(rows, load, extractor, scoring.options.image, layout)
    report.write(layout, result, [extremes.sheet(row.pairs[0], load) for row in rows])
    storage.write_bytes(layout.result, result.to_json())
    figures = _figures(scoring, computed, features_seconds)
    storage.write_bytes(layout.path(RUN), json.dumps(figures, indent=1).encode() + b"\n")
    storage.write_bytes(layout.path(COMPLETED), b"")
    clear(layout.out)


def _figures(scoring: Scoring, computed: int, features_seconds: float) -> dict[str, Any]:
    """Makes the content of run.json: what became of every image, and the times of this run."""
    folders = [dataclasses.asdict(one) for one in count_folders(distinct_sets(scoring.rows).values())]
    total = {name: sum(one[name] for one in folders) for name in ("found", "scored", "not_chosen", "passed_over")}
    return {
        **total,
        "folders": folders,
        "features_computed": computed,
        "features_kept": total["scored"] - computed,
        "seconds_of_features": features_seconds,
        "seconds": time.time() - scoring.started,
    }
