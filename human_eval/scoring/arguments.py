"""Defines how a table of ratings is scored. These are also flags of `score`."""

from __future__ import annotations

import dataclasses

from coltran import cli
from coltran.options import option

REPLICATES = 10_000  # Every bootstrap and permutation test has this many.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreFlags:
    """The flags that decide how to score.

    Attributes:
      seed: seed of all bootstraps and permutations.
      replicates: number of replicates of each.
      min_ratings: oracle and categories only take images with at least this many ratings of each sample.
    """

    min_ratings: int = option(
        3, parse=cli.positive, help="ratings of each sample that an image needs to enter the oracle"
    )
    replicates: int = option(REPLICATES, parse=cli.positive, help="replicates of every bootstrap")
    seed: int = option(0, parse=cli.whole, help="seed of the bootstraps")

    def as_dict(self) -> dict[str, int]:
        """Returns the options by name, without those that a command adds."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(ScoreFlags)}
