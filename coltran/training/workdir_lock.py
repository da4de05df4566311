"""Keeps a second training run out of a work folder, local or gs://."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from coltran import folder_lock, storage
from coltran.errors import UserError
from coltran.training import mesh


@contextlib.contextmanager
def held(workdir: str) -> Iterator[None]:
    """Holds the lock of a work folder while the block runs. All processes of a run call it, and process 0 holds it.

    Raises:
      UserError: another run writes the folder, or the folder cannot be reached.
    """
    refusal = None
    with contextlib.ExitStack() as stack:
        if mesh.is_primary():
            try:
                storage.check_access(workdir)
                path = storage.join(workdir, folder_lock.LOCK)
                stack.enter_context(folder_lock.held(path, patient=True))
            except UserError as error:
                refusal = error
        (free,) = mesh.broadcast((np.int32(refusal is None),))
        if refusal is not None:
            raise refusal
        if not free:
            raise UserError("process 0 cannot write its --workdir; its own message says why")
        yield
