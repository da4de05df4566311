"""How a table of ratings is scored, which are also flags of `score`."""

from __future__ import annotations

import dataclasses

from coltran import cli
from coltran.options import option

REPLICATES = 10_000  # of every bootstrap and permutation test


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreFlags:
    """How to score.

    Attributes:
      seed: of all bootstraps and permutations.
      replicates: of each.
      min_ratings: oracle and categories take only images with as many ratings of each sample.
    """

    min_ratings: int = option(
        3, parse=cli.positive, help="ratings of each sample that an image needs to enter the oracle"
    )
    replicates: int = option(REPLICATES, parse=cli.positive, help="replicates of every bootstrap")
    seed: int = option(0, parse=cli.whole, help="seed of the bootstraps")

    def as_dict(self) -> dict[str, int]:
        """The options by name, without what a command adds to them."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(ScoreFlags)}
