"""What a job costs beside its shards: the driver's part and the last step, at 50 ms a request to Cloud Storage.

    python benchmarks/driver.py --shards 2560 --delay 0.05

The requests go to an emulator of Cloud Storage on loopback that holds each of them back. The shards themselves are
written without the delay, because workers write them side by side. The emulator shares this machine's processors with
the job, so `--delay 0` shows how much of the time is not waiting.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import json
import logging
import multiprocessing
import os
import pathlib
import socket
import time
import urllib.request
from collections.abc import Iterator, Sequence
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from coltran import folder_lock as lock, storage
from coltran.records import schema
from pipelines.shards import earlier
from pipelines.shards.finish import finish
from pipelines.shards.job import ShardJob
from pipelines.shards.plan import Plan, begin_run, missing_shards, now, write_plan
from pipelines.shards.writer import write_shard

_BUCKET = "driver"
_INPUTS = 4  # in a shard


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def serve_late(port: int, delay: Synchronized[float]) -> None:
    """Runs the emulator with many threads, and holds each request back.

    The emulator writes the list of all its objects after every request, so that it can start again. We leave that out,
    because its cost grows with the square of the requests.
    """
    from gcp_storage_emulator.server import RequestHandler
    from gcp_storage_emulator.storage import Storage

    class Memory(Storage):
        def _write_config_to_file(self) -> None:
            pass

    class Late(RequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.rfile.peek(1)  # waits for the request
            time.sleep(delay.value)
            super().handle_one_request()

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 256

    logging.disable()
    memory = Memory(use_memory_fs=True)
    memory.create_bucket(_BUCKET, {"name": _BUCKET, "kind": "storage#bucket"})
    Server(("127.0.0.1", port), functools.partial(Late, memory)).serve_forever()


@contextlib.contextmanager
def slow_storage() -> Iterator[Synchronized[float]]:
    """Starts the emulator, and yields the seconds by which its answers are late."""
    delay, port = multiprocessing.Value("d", 0.0), free_port()
    server = multiprocessing.Process(target=serve_late, args=(port, delay), daemon=True)
    server.start()
    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/storage/v1/b/{_BUCKET}", timeout=5)
                break
            time.sleep(0.1)
        os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{port}"
        yield delay
    finally:
        server.terminate()


def a_job(num_shards: int) -> ShardJob:
    """A job of small truth records in a bucket."""
    return ShardJob(
        folder=f"gs://{_BUCKET}/records",
        schema=schema.TRUTH.name,
        split="train",
        sizes=schema.Sizes(lo=8, hi=None),
        features=(schema.KEY, schema.CROP, schema.LABEL, schema.GRAYSCALE),
        options={},
        fingerprint="benchmark",
        num_shards=num_shards,
    )


def plan_all(job: ShardJob, inputs: Sequence[Any]) -> None:
    """What the driver does before the engine starts."""
    earlier.look(job.folder)
    plan = Plan(job=job, request={}, origin={"planned": now()}, num_inputs=sum(map(len, inputs)))
    write_plan(plan, inputs)
    begin_run(job, missing_shards(plan))


def make_all(job: ShardJob, inputs: Sequence[Sequence[dict[str, str]]]) -> None:
    """What the workers do."""

    def make(index: int) -> None:
        with write_shard(job, index) as writer:
            for line in inputs[index]:
                values = {schema.KEY: line["key"], schema.CROP: 0, schema.LABEL: -1, schema.GRAYSCALE: 0}
                writer.write(schema.encode(schema.TRUTH, values, job.sizes))

    storage.map_parallel(make, range(job.num_shards))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=2560)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds by which every request is late")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    inputs = [[{"key": f"train/{shard}_{n}"} for n in range(_INPUTS)] for shard in range(options.shards)]
    with slow_storage() as delay:
        job = a_job(options.shards)

        def timed(name: str, seconds_late: float, work: Any) -> float:
            delay.value = seconds_late
            started = time.perf_counter()
            work()
            seconds = time.perf_counter() - started
            print(f"{name:44} {seconds:7.2f} s", flush=True)
            return seconds

        def plan() -> None:
            with lock.held(storage.join(job.folder, lock.LOCK)):
                plan_all(job, inputs)

        def last_step() -> None:
            finish(job, max_reject_fraction=0.0)

        total = timed("driver: plan", options.delay, plan)
        timed("workers: all shards, no delay (not counted)", 0.0, lambda: make_all(job, inputs))
        total += timed("last step of the pipeline: finish", options.delay, last_step)
        total += timed("driver: read what was finished", options.delay, last_step)
        rerun = timed("a rerun of the finished folder", options.delay, lambda: earlier.look(job.folder))
        print(f"{'all but the shards':44} {total:7.2f} s for {options.shards} shards at {options.delay * 1000:.0f} ms")
    if options.json:
        found = {"shards": options.shards, "delay": options.delay, "seconds": total, "rerun": rerun}
        options.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
