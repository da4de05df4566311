"""Manages processes and devices, so that one program runs on a CPU, several GPUs and a pod.

A mesh has two axes. The examples of a batch are split over both. Along `fsdp`, weights, moving average and optimizer
state are split too (fully sharded parameters). Along `data`, every device holds a copy of them. The code of a step is
written once, for the whole batch, and XLA adds the sums over devices.

Every process runs the same command. Process 0 alone writes the work folder, prints and draws.
"""

import contextlib
import dataclasses
import json
import os
import socket
import sys
import time
import traceback
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from coltran.errors import UserError

DATA, FSDP = "data", "fsdp"
_CACHED_PIXELS = 2048  # of one part on a CPU: 1024 to 2048 were fastest for hidden sizes 64 and 128 (docs/training.md)
CONNECT_SECONDS = 300  # process 0 must listen within this time; JAX waits for the other processes equally long


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hosts:
    """How processes find each other: with all of the first three fields, from the environment, or not at all.

    Attributes:
      coordinator: HOST:PORT on which process 0 listens.
      processes, process: the number of processes, and the index of this one, from 0.
      detect: lets jax.distributed find all that in the environment (Slurm, Open MPI, Cloud TPU, Kubernetes).
    """

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None
    detect: bool = False

    def __post_init__(self) -> None:
        given = (self.coordinator, self.processes, self.process)
        if self.detect and given != (None,) * 3:
            raise UserError("--distributed finds coordinator and processes itself: give it alone, or the other three")
        if None in given and given != (None,) * 3:
            raise UserError("--coordinator, --processes and --process go together: give all three")
        if self.coordinator is None or self.processes is None or self.process is None:
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdecimal():
            raise UserError(f"--coordinator must be HOST:PORT, got {self.coordinator!r}")
        if not 0 <= self.process < self.processes:
            raise UserError(f"--process must be from 0 to {self.processes - 1}, got {self.process}")

    def join(self) -> None:
        """Waits until all processes are there. Call it before any other use of JAX. Raises UserError if it fails."""
        if not self.detect and self.coordinator is None:
            return
        if self.process and self.coordinator:
            _wait_for(self.coordinator)
        try:
            jax.distributed.initialize(self.coordinator, self.processes, self.process)
        except (ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            hint = "give --coordinator, --processes and --process instead" if self.detect else "are all processes up?"
            raise UserError(f"the processes did not find each other ({reason}); {hint}") from error


def _wait_for(coordinator: str) -> None:
    """Waits until a process listens there. If none did, JAX would end the program with a stack trace."""
    host, _, port = coordinator.rpartition(":")
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"nobody listens at --coordinator {coordinator} after {CONNECT_SECONDS} seconds "
                    f"({error}): is process 0 running there, and is the port open between the machines?"
                ) from None
            time.sleep(0.5)


def is_primary() -> bool:
    """Tells whether this is process 0, which alone writes and prints."""
    return jax.process_index() == 0


@contextlib.contextmanager
def leaving_together(prog: str) -> Iterator[None]:
    """Ends this process at once on an error if there are several processes, so that the others notice it.

    Python's normal exit would wait for processes that wait for this one.
    """
    try:
        yield
    except Exception as error:
        if jax.process_count() == 1:
            raise
        if isinstance(error, jax.errors.JaxRuntimeError):
            reason = str(error).splitlines()[0]
            error = UserError(f"a step failed, most likely because another process ended ({reason}); start all again")
        if not isinstance(error, UserError):
            traceback.print_exc()
        print(f"{prog}: process {jax.process_index()}: {error}", file=sys.stderr, flush=True)
        os._exit(2 if isinstance(error, UserError) else 1)


class Placement:
    """Where arrays lie on the mesh, which contains all devices of all processes.

    Attributes:
      mesh: the mesh with the axes `data` and `fsdp`.
      replicated: the sharding of arrays that every device holds whole.
    """

    def __init__(self, *, shard_parameters: int = 1):
        """Splits parameters over `shard_parameters` devices, which must divide the number of devices."""
        devices = jax.device_count()
        if devices % shard_parameters:
            raise UserError(f"--shard_parameters must divide the number of devices, {devices}; got {shard_parameters}")
        shape = (devices // shard_parameters, shard_parameters)
        self.mesh = jax.make_mesh(shape, (DATA, FSDP), axis_types=(AxisType.Auto, AxisType.Auto))
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self._batch = NamedSharding(self.mesh, PartitionSpec((DATA, FSDP)))
        self._gather = jax.jit(lambda tree: tree, out_shardings=self.replicated)

    @property
    def sharded(self) -> bool:
        """Tells whether parameters are split."""
        return self.mesh.shape[FSDP] > 1

    def describe(self) -> str:
        """Describes the mesh for people, as `8 devices (TPU v4) in 2 processes, parameters over 4`."""
        count, processes = self.mesh.size, jax.process_count()
        text = f"{count} device{'s' * (count > 1)} ({jax.devices()[0].device_kind})"
        text += f" in {processes} processes" if processes > 1 else ""
        return text + (f", parameters over {self.mesh.shape[FSDP]}" if self.sharded else "")

    def check_batch(self, batch_size: int, accumulate: int) -> None:
        """Raises UserError unless a batch splits evenly into `accumulate` parts, and each part over all devices."""
        if batch_size % (accumulate * self.mesh.size):
            parts = f"{accumulate} parts for " if accumulate > 1 else ""
            raise UserError(
                f"batch_size {batch_size} cannot be split evenly over {parts}{self.mesh.size} devices: "
                f"the nearest that can is {self.round_up(batch_size, accumulate)}"
            )

    def round_up(self, batch_size: int, accumulate: int = 1) -> int:
        """Returns the smallest batch size, at least `batch_size`, that splits evenly."""
        parts = accumulate * self.mesh.size
        return -(-batch_size // parts) * parts

    def of(self, shape: tuple[int, ...]) -> NamedSharding:
        """Chooses how to split one parameter. It splits along the largest axis that splits evenly.

        A parameter without such an axis is not split, so every device has a copy.
        """
        size = self.mesh.shape[FSDP]
        axes = [axis for axis, length in enumerate(shape) if length % size == 0]
        if size == 1 or not axes:
            return self.replicated
        largest = max(axes, key=lambda axis: shape[axis])
        return NamedSharding(
            self.mesh, PartitionSpec(*(FSDP if axis == largest else None for axis in range(len(shape))))
        )

    def put(self, tree: Any) -> Any:
        """Places arrays that every process has on the devices, each as `of` says."""

        def one(array: Any) -> jax.Array:
            array = np.asarray(array)
            return jax.make_array_from_callback(array.shape, self.of(array.shape), lambda index: array[index])

        return jax.tree.map(one, tree)

    def constrain(self, tree: Any) -> Any:
        """Gives the arrays that a compiled function returns the layout from `of`."""
        return jax.tree.map(lambda array: jax.lax.with_sharding_constraint(array, self.of(array.shape)), tree)

    def whole(self, tree: Any) -> Any:
        """Gathers parameters in a compiled function. Without this, XLA might split activations instead."""
        return jax.lax.with_sharding_constraint(tree, self.replicated) if self.sharded else tree

    def best_parts(self, batch_size: int, pixels: int) -> int:
        """Chooses in how many parts to compute a batch of images of `pixels` pixels, if memory does not decide.

        A CPU is faster with parts whose activations stay in its caches, other devices with the whole batch at once.
        """
        if self.mesh.devices.flat[0].platform != "cpu":
            return 1
        images = batch_size // self.mesh.size
        even = [parts for parts in range(1, images + 1) if images % parts == 0]
        return next((parts for parts in even if images // parts * pixels <= _CACHED_PIXELS), images)

    def split_parts(self, tree: Any, parts: int) -> Any:
        """Splits batches [B,...] into [parts,B/parts,...] in a compiled function. Every part lies on all devices.

        Part i has the examples i, i + parts, ..., so no example moves to another device.
        """
        sharding = NamedSharding(self.mesh, PartitionSpec(None, (DATA, FSDP)))

        def one(array: jax.Array) -> jax.Array:
            split = array.reshape(array.shape[0] // parts, parts, *array.shape[1:]).swapaxes(0, 1)
            return jax.lax.with_sharding_constraint(split, sharding)

        return jax.tree.map(one, tree)

    def rows(self, batch_size: int) -> np.ndarray:
        """Returns the rows of a global batch that this process holds, in rising order, int64 [rows]."""
        indices = self._batch.addressable_devices_indices_map((batch_size,)).values()
        parts = {index[0].indices(batch_size)[:2] for index in indices if index is not None}
        return np.concatenate([np.arange(start, stop) for start, stop in sorted(parts)])

    def put_batch(self, batch: Mapping[str, np.ndarray], batch_size: int) -> dict[str, jax.Array]:
        """Makes a global batch [batch_size, ...] from the rows [rows, ...] of it that this process has."""
        rows = self.rows(batch_size)

        def one(local: np.ndarray) -> jax.Array:
            def part(index: tuple[slice, ...] | None) -> np.ndarray:
                start, stop, _ = (index or (slice(None),))[0].indices(batch_size)
                first = int(np.searchsorted(rows, start))
                return local[first : first + stop - start]

            return jax.make_array_from_callback((batch_size, *local.shape[1:]), self._batch, part)

        return {name: one(local) for name, local in batch.items()}

    def fetch(self, tree: Any) -> Any:
        """Copies arrays to this host's memory. All processes must call it together."""
        if not all(array.is_fully_addressable or array.is_fully_replicated for array in jax.tree.leaves(tree)):
            tree = self._gather(tree)
        return jax.tree.map(lambda array: np.array(array, copy=True), tree)


def broadcast(tree: Any) -> Any:
    """Gives process 0's arrays to all processes. All must call it with arrays of the same shapes."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    return jax.tree.map(np.asarray, multihost_utils.broadcast_one_to_all(tree))


def agree(what: Mapping[str, Any]) -> None:
    """Raises UserError in all processes unless all of them have the same `what` (JSON values)."""
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    sums = [zlib.crc32(json.dumps(value, sort_keys=True, default=str).encode()) for value in what.values()]
    table = np.asarray(multihost_utils.process_allgather(np.array(sums, np.uint32)))
    different = [name for name, column in zip(what, table.T, strict=True) if len(set(column.tolist())) > 1]
    if different:
        raise UserError(f"the processes were started with different options: {', '.join(different)}; give all the same")
