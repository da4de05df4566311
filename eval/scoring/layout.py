"""Names the files that a run of coltran-fid writes below --out."""

from __future__ import annotations

import dataclasses

from coltran import storage
from eval.scoring.arguments import Options

RESULT = "fid.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The folder of a run.

    Attributes:
      out: the folder, local or gs://.
      features: where features are kept and looked for. Several runs may share this folder.
    """

    out: str
    features: str

    @classmethod
    def of(cls, options: Options) -> Layout:
        """Returns the layout of the folder that the options name."""
        return cls(out=options.out, features=options.features or storage.join(options.out, "features"))

    def path(self, *names: str) -> str:
        """Returns the path of a file in the folder."""
        return storage.join(self.out, *names)

    @property
    def result(self) -> str:
        """The file with every number."""
        return self.path(RESULT)

    @property
    def work(self) -> str:
        """The folder that a killed run goes on from. It is removed at the end."""
        return self.path("_work")

    def saved_set(self, name: str) -> str:
        """Returns the path of a set's statistics file. A later run can take this file as --real."""
        return self.path("statistics", f"{name}.npz")
