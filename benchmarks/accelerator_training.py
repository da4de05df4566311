"""Trains the networks of a task file on one accelerator, with this project's own trainer and records held in memory.

    python benchmarks/accelerator_training.py --tasks tasks.json --task colorizer --records records --out out

A task names its stage, its record folder, the config's fields and the training options; see accelerator_tasks.json.
Prints one JSON line: bits of the moving average and of the raw weights on the validation records, seconds, images/s.
Writes <out>/<task>.npz (moving average as float16) and <out>/<task>.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import tempfile
import time

import numpy as np
from alone import alone

from coltran.networks import presets
from coltran.networks.config import replace_fields, to_json
from coltran.training import inputs
from coltran.training.log import METRICS, read_metrics
from coltran.training.options import RunOptions, TrainOptions
from coltran.training.trainer import Trainer
from coltran.weights import parameters

_TRIAL = 60  # steps


class HeldExamples(inputs.Examples):
    """Examples that were all read once: an accelerator must not wait for files."""

    def __init__(self, path: str, stage: str, config, limit: int | None = None):
        super().__init__(path, stage, config)
        if limit is not None:
            self._where = self._where[:limit]
        self._held = super().batch(np.arange(len(self)))

    def batch(self, indices: np.ndarray) -> inputs.Batch:
        return {name: array[indices] for name, array in self._held.items()}


def run(name: str, task: dict, records: pathlib.Path, out: pathlib.Path, checkpoints: pathlib.Path) -> dict:
    """One task to its end, or to SIGTERM."""
    import jax

    stage = task["stage"]
    started = time.monotonic()
    side = inputs.network_side(str(records / task["train"]), stage)
    base = presets.network_config(stage, task.get("preset", "coltran"), height=side, width=side)
    config = replace_fields(base, task["config"])
    training = HeldExamples(str(records / task["train"]), stage, config, task.get("limit"))
    validation = HeldExamples(str(records / task["validation"]), stage, config, task.get("validation_limit"))

    def make(workdir: str, steps: int, validation: inputs.Examples | None, **changes) -> Trainer:
        return Trainer(
            stage=stage,
            config=config,
            options=TrainOptions(**{**task["options"], **changes}, steps=steps),
            run=RunOptions(
                checkpoint_every=task.get("checkpoint_every", 10**9),
                evaluate_every=task.get("evaluate_every", 10**9),
                keep=1,
                samples=task.get("samples", 0),
            ),
            workdir=str(checkpoints / workdir),
            training=training,
            validation=validation,
        )

    read = time.monotonic() - started
    steps = task.get("steps")
    if steps is None:
        steps = _steps(make(f"{name}_trial", _TRIAL, None, warmup_steps=0), task["seconds"])
    trainer = make(name, steps, validation)
    trainer.prepare()
    prepared = time.monotonic() - started - read
    with alone():
        began = time.monotonic()
        finished = trainer.train()
        seconds = time.monotonic() - began
    raw = trainer.evaluate("raw")
    done = {
        "task": name,
        "finished": finished,
        "step": trainer.step,
        "bits": trainer.last_bits or trainer.evaluate(),
        "raw_bits": raw,
        "read_seconds": round(read, 1),
        "prepare_seconds": round(prepared, 1),
        "seconds": round(seconds, 1),
        "images_per_second": round(_rate(trainer.workdir), 1),
        "parameters": parameters.count(config),
        "config": to_json(stage, config),
        "options": dataclasses.asdict(trainer.options),
        "training_fingerprint": training.fingerprint,
        "validation_fingerprint": validation.fingerprint,
        "validation_examples": len(validation),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
    }
    if task.get("keep", True):
        ema = trainer.placement.fetch(trainer.state.ema)
        np.savez(out / f"{name}.npz", **{key: np.asarray(value, np.float16) for key, value in ema.items()})
    (out / f"{name}.json").write_text(json.dumps(done, indent=1) + "\n")
    return done


def _rate(workdir: pathlib.Path) -> float:
    """Median images/s of the log."""
    found = [line.get("train/images_per_second") for line in read_metrics(str(workdir / METRICS))]
    return float(np.median([rate for rate in found if rate is not None]))


def _steps(trainer: Trainer, seconds: float) -> int:
    """How many steps fit into `seconds`, from a trial of some."""
    trainer.prepare()
    with alone():
        began = time.monotonic()
        trainer.train()
        took = time.monotonic() - began
    rate = _rate(trainer.workdir) / trainer.options.batch_size
    print(f"trial: {rate:.1f} steps/s, {took:.1f} s in all", flush=True)
    return int(seconds * rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=pathlib.Path, required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--records", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--checkpoints", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "runs")
    options = parser.parse_args()
    tasks = json.loads(options.tasks.read_text())
    options.out.mkdir(parents=True, exist_ok=True)
    done = run(options.task, tasks[options.task], options.records, options.out, options.checkpoints)
    print(json.dumps({key: done[key] for key in list(done)[:9]}), flush=True)


if __name__ == "__main__":
    main()
