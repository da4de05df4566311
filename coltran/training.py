"""The training loop: steps, evaluation, logs and checkpoints in one work folder.

    <workdir>/checkpoints/step_*   see coltran/checkpoint.py
    <workdir>/metrics.jsonl        one JSON object a line: step, and training or validation bits
    <workdir>/tensorboard/         the same scalars

A run that finds checkpoints in its work folder goes on from the newest; its steps are exactly those of a run that was
never interrupted, because the state holds all that changes and batches depend on the step number alone.
"""

import contextlib
import dataclasses
import json
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from coltran import checkpoint, cli, inputs, parameters, storage, train_step
from coltran.config import NetworkConfig, first_difference
from coltran.errors import UserError
from coltran.evaluate import evaluate, make_evaluator
from coltran.event_file import EventFile
from coltran.train_options import TrainOptions

LOG_EVERY = 10
KEEP_CHECKPOINTS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What does not change the weights: how often to save and evaluate, in steps, and on how many examples at once."""

    checkpoint_every: int
    evaluate_every: int
    evaluation_batch_size: int


class Trainer:
    """Trains one network in one work folder."""

    def __init__(
        self,
        *,
        stage: str,
        config: NetworkConfig,
        options: TrainOptions,
        run: RunOptions,
        workdir: str,
        training: inputs.Examples,
        validation: inputs.Examples | None,
    ):
        self.stage, self.config, self.options, self.run = stage, config, options, run
        self.last_bits: dict[str, float] = {}
        self.workdir, self.training, self.validation = Path(workdir), training, validation
        self._checkpoints = self.workdir / "checkpoints"
        self._identity = {**dataclasses.asdict(options), "data_fingerprint": training.fingerprint}
        self.state = self._resume() or train_step.initial_state(config, options)
        self._evaluator = make_evaluator(config)
        self._saved = int(self.state.step) if checkpoint.finished_steps(self._checkpoints) else -1

    @property
    def step(self) -> int:
        return int(self.state.step)

    def train(self) -> bool:
        """Runs up to options.steps. False where SIGTERM ended it early; a checkpoint was saved either way."""
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._forget_later_metrics()
        step_function = train_step.make_train_step(self.config, self.options)
        first, steps = self.step, self.options.steps
        batches = inputs.training_batches(self.training, self.options.batch_size, self.options.seed, first, steps)
        with _Stop() as stop, contextlib.closing(EventFile(str(self.workdir / "tensorboard"))) as events:
            bar = cli.progress_bar(steps, f"training {self.stage}", "steps", initial=first)
            with bar, contextlib.closing(batches):
                started, logged = time.monotonic(), first
                for step, batch in enumerate(batches, start=first + 1):
                    self.state, metrics = step_function(self.state, batch)
                    if step % LOG_EVERY == 0 or step == steps:
                        values = self._finite(step, metrics)
                        rate = (step - logged) / (time.monotonic() - started)
                        values["images_per_second"] = rate * self.options.batch_size
                        started, logged = time.monotonic(), step
                        self._log(events, step, {f"train/{name}": value for name, value in values.items()})
                        bar.set_postfix_str(f"{values['loss']:.3f} bits", refresh=False)
                    bar.update()
                    if stop.requested:
                        self.save()
                        return False
                    if step % self.run.checkpoint_every == 0:
                        self.save()
                    if step % self.run.evaluate_every == 0 and step < steps:
                        self.evaluate(events)
            self.save()
            self.evaluate(events)
        return True

    def evaluate(self, events: EventFile | None = None) -> dict[str, float]:
        """Bits of the validation folder with the moving average; empty without such a folder."""
        if self.validation is None:
            return {}
        bits = evaluate(self._evaluator, self.state.ema, self.validation, self.run.evaluation_batch_size)
        if events is not None:
            self._log(events, self.step, {f"validation/{name}": value for name, value in bits.items()})
        self.last_bits = bits
        return bits

    def save(self) -> None:
        """Writes a checkpoint of the state, unless this step has one."""
        if self._saved == self.step:
            return
        checkpoint.save(
            self._checkpoints,
            stage=self.stage,
            config=self.config,
            step=self.step,
            ema=train_step.as_numpy(self.state.ema),
            weights=train_step.as_numpy(self.state.weights),
            optimizer=train_step.as_numpy(train_step.flatten_optimizer(self.state.optimizer)),
            training=self._identity,
            keep=KEEP_CHECKPOINTS,
        )
        self._saved = self.step

    def _resume(self) -> train_step.TrainState | None:
        if not checkpoint.finished_steps(self._checkpoints):
            return None
        saved = checkpoint.load(self._checkpoints, stage=self.stage)
        difference = first_difference(saved.config, self.config)
        for name, value in self._identity.items():
            old = saved.training.get(name)
            if difference is None and name != "steps" and old != value:
                difference = f"{name} is {old!r}, asked for {value!r}"
        if difference:
            raise UserError(
                f"{self.workdir} was trained with other options: {difference}. "
                "Give the old ones to go on, or another --workdir to start anew."
            )
        if saved.step > self.options.steps:
            raise UserError(f"{self.workdir} is at step {saved.step} already; --steps {self.options.steps} is behind.")
        return train_step.restore_state(saved, self.options)

    def _finite(self, step: int, metrics: dict[str, jax.Array]) -> dict[str, float]:
        values = {name: float(value) for name, value in metrics.items()}
        if not all(math.isfinite(value) for value in values.values()):
            good = checkpoint.finished_steps(self._checkpoints)
            where = f"the last checkpoint is of step {good[-1]}" if good else "there is no checkpoint yet"
            raise UserError(f"training diverged before step {step} ({values}); {where}. Try a lower --learning_rate.")
        return values

    def _log(self, events: EventFile, step: int, scalars: dict[str, float]) -> None:
        events.write(step, scalars)
        with open(self.workdir / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **scalars}) + "\n")

    def _forget_later_metrics(self) -> None:
        """Drops lines of steps after the checkpoint: they are about to be run, and logged, again."""
        path = self.workdir / "metrics.jsonl"
        if path.exists():
            kept = [line for line in _complete_lines(path) if line["step"] <= self.step]
            storage.write_bytes(str(path), "".join(json.dumps(line) + "\n" for line in kept).encode())


def _complete_lines(path: Path) -> Iterator[dict[str, Any]]:
    for text in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):  # the last line of a killed run may be cut
            yield json.loads(text)


class _Stop:
    """Notes SIGTERM while it is active, so that the loop can save before it ends."""

    requested = False

    def __enter__(self) -> "_Stop":
        self._previous = None
        with contextlib.suppress(ValueError):  # not in the main thread: then nobody sends us signals
            self._previous = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def _note(self, *_: object) -> None:
        self.requested = True


def describe(config: NetworkConfig) -> str:
    """One line for people: the network's size."""
    return f"{parameters.count(config):,} parameters, {config.height}x{config.width} pixels"
