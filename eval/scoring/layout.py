"""Names the files that a run of coltran-fid writes below --out."""

from __future__ import annotations

import dataclasses

from coltran import folder_lock, storage
from coltran.errors import UserError
from eval.scoring.arguments import Options
from pipelines.shards.job import WORK

RESULT = "fid.json"
SAMPLES = "table2_samples"  # what --protocol table2 samples before it scores
_OURS = {RESULT, SAMPLES, WORK, "features", folder_lock.LOCK}  # a run writes one of them before anything else


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
        return self.path(WORK)

    def refuse_other_files(self) -> None:
        """Raises UserError if the folder holds files and none of a run of coltran-fid, so that none is replaced."""
        present = set(storage.list_names(self.out))
        if present and not present & _OURS:
            raise UserError(f"{self.out}: is not empty and was not made by coltran-fid; give --out a new folder")

    def saved_set(self, name: str) -> str:
        """Returns the path of a set's statistics file. A later run can take this file as --real."""
        return self.path("statistics", f"{name}.npz")
