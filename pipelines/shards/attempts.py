"""Finds the input on which workers die, so that one poisoned file does not stop a job.

An attempt at a shard leaves a file in `_work` until the shard is made. So the next attempt knows that its forerunner
died. It is careful then: before each input, it writes down which one comes next. If two careful attempts die on the
same input, the next attempt rejects that input with the reason `worker_died`. So the fourth attempt succeeds, and four
is how often Dataflow tries. An engine that does not retry needs the same command four times.

The threads of a process die together. So of all its careful attempts, only one works on an input at a time. Otherwise
the inputs of the other threads would be under suspicion too.
"""

from __future__ import annotations

import dataclasses
import json
import threading

from coltran import storage
from coltran.errors import UserError
from pipelines.shards.job import ShardJob

REASON = "worker_died"
_one_at_a_time = threading.Lock()
_DEATHS = 2  # A worker may be stopped for other reasons, and once may be chance.


@dataclasses.dataclass
class Attempt:
    """One attempt at a shard.

    Attributes:
      path: the attempt's file.
      deaths: how many attempts have died before.
      died_on: how many careful attempts have died on an input, by its name.
      current: the input that this attempt works on; empty if it is not careful, or has not begun.
    """

    path: str
    deaths: int = 0
    died_on: dict[str, int] = dataclasses.field(default_factory=dict)
    current: str = ""
    _has_turn: bool = False

    @property
    def careful(self) -> bool:
        """Whether this attempt writes down each input before it works on it."""
        return self.deaths > 0

    def is_poisoned(self, name: str) -> bool:
        """Tells whether workers died on an input. If it is not so, the careful attempt now works on that input."""
        if self.died_on.get(name, 0) >= _DEATHS:
            return True
        if self.careful:
            if self.current:
                self.current = ""  # While it waits for its turn, its last input is above suspicion.
                self._write()
            self.give_way()
            _one_at_a_time.acquire()
            self._has_turn = True
            self.current = name
            self._write()
        return False

    def give_way(self) -> None:
        """Lets the careful attempts of other threads work on their inputs. What this one noted stays."""
        if self._has_turn:
            self._has_turn = False
            _one_at_a_time.release()

    def end(self) -> None:
        """Forgets the attempt: the shard is made, or something other than an input stopped it."""
        try:
            storage.remove(self.path)  # first: an input that is still noted would be blamed for what the next one does
        finally:
            self.give_way()

    def _write(self) -> None:
        fields = {"deaths": self.deaths, "died_on": self.died_on, "current": self.current}
        storage.write_bytes(self.path, json.dumps(fields).encode(), durable=False)


def begin(job: ShardJob, index: int) -> Attempt:
    """Begins an attempt at a shard, and learns from the attempts before it."""
    attempt = Attempt(path=job.work(f"attempt-{index:05d}.json"))
    try:
        earlier = json.loads(storage.read_bytes(attempt.path))
    except (UserError, ValueError):
        pass
    else:
        attempt.deaths = earlier["deaths"] + 1
        attempt.died_on = earlier["died_on"]
        if earlier["current"]:
            attempt.died_on[earlier["current"]] = attempt.died_on.get(earlier["current"], 0) + 1
    attempt._write()
    return attempt
