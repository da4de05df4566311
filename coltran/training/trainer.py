"""Runs the training loop: steps, evaluation, logs and checkpoints in one work folder.

    <workdir>/checkpoints/step_*   see coltran/weights/checkpoint.py
    <workdir>/metrics.jsonl, tensorboard/, samples/   see coltran/training/log.py

A run that finds checkpoints in its work folder goes on from the newest. It makes exactly the same steps as a run that
was never interrupted, because the state holds everything that changes, and batches depend only on the step number. With
several processes, all run this loop together, and only process 0 has a work folder.
"""

import contextlib
import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

import jax

from coltran import cli, storage
from coltran.errors import UserError
from coltran.networks import flops
from coltran.networks.config import NetworkConfig, to_json
from coltran.training import checkpoint_writer, inputs, mesh, resume, step as train_step
from coltran.training.checkpoint_writer import CheckpointWriter
from coltran.training.evaluation import make_evaluator
from coltran.training.log import TrainingLog
from coltran.training.mesh import Placement
from coltran.training.meter import Meter, matmul_rate
from coltran.training.options import RunOptions, StepOptions, TrainOptions
from coltran.training.preemption import Preemption
from coltran.training.sample_grid import SampleGrid
from coltran.training.validation import EMA, IMAGES, RAW, Means, Measured, Validation
from coltran.weights.maturity import FINGERPRINT


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
        placement: Placement | None = None,
        how: StepOptions | None = None,
        facts: Mapping[str, Any] | None = None,
    ):
        """Finds where the run stands. `facts` of the data go into the description of each checkpoint."""
        self.stage, self.config, self.options, self.run = stage, config, options, run
        self.placement, self.how = placement or Placement(), how or StepOptions()
        self.workdir, self.training = workdir, training
        self._facts = dict(facts or {})
        self.validation: Validation | None = None
        if validation is not None:
            evaluator = make_evaluator(config, self.placement)
            # The training batch size is a multiple of the number of devices, so it splits evenly here too.
            self.validation = Validation(validation, run.evaluate_images, evaluator, options.batch_size, self.placement)
            self._facts[IMAGES] = len(self.validation.chosen)
        self.placement.check_batch(options.batch_size, self.how.accumulate or 1)
        self._identity = {**dataclasses.asdict(options), FINGERPRINT: training.fingerprint}
        self._agree()
        start = resume.start(
            self.workdir,
            stage=stage,
            config=config,
            options=options,
            data_fingerprint=training.fingerprint,
            is_comparable=self._is_comparable,
        )
        self.state = self.placement.put(start.state)
        self.last_bits: Means = {}
        self._first: Measured | None = None
        self._best, self._saved = start.best, self.step if start.resumed else -1
        # This is a function that compiles itself, or the result of `prepare`.
        self._step_function: Any = train_step.make_train_step(config, options, self.placement, self.how)
        self._limit: float | None = None
        self._grid: SampleGrid | None = None
        if validation is not None and run.samples > 0 and mesh.is_primary():
            self._grid = SampleGrid(stage, config, validation, run.samples, options.seed)

    @property
    def step(self) -> int:
        """Returns how many steps are done."""
        return int(self.state.step)

    def prepare(self) -> None:
        """Compiles what `train` will run and measures the device's rate, so that `train` begins at once."""
        size = self.options.batch_size
        batch = self.placement.put_batch(self.training.batch(self.placement.rows(size) * 0), size)
        self._step_function = self._step_function.lower(self.state, batch).compile()
        self._limit = self._matmul_limit()
        self.evaluate(everything=False)

    def _matmul_limit(self) -> float:
        return matmul_rate(self.config.compute_dtype) * self.placement.mesh.size

    def train(self) -> bool:
        """Trains up to options.steps. Returns False if SIGTERM ended it early. It saves a checkpoint in both cases.

        Raises:
          UserError: a checkpoint cannot be written, a record is damaged, or training diverged.
        """
        with contextlib.ExitStack() as stack:
            preemption = stack.enter_context(Preemption())  # until the last checkpoint is written
            log = writer = None
            if mesh.is_primary():
                log = stack.enter_context(contextlib.closing(TrainingLog(self.workdir, self.step)))
                folder = storage.join(self.workdir, resume.CHECKPOINTS)
                writer = CheckpointWriter(
                    folder, keep=self.run.keep, before=log.flush, is_comparable=self._is_comparable
                )
                stack.enter_context(writer)
                if self.step == 0 and self._first is not None:
                    self._log_bits(log, self._first)
            finished = self._loop(log, writer, preemption)
            self.save(writer, self._evaluate_and_log(log, everything=True) if finished else {})
        return finished

    def _loop(self, log: TrainingLog | None, writer: CheckpointWriter | None, preemption: Preemption) -> bool:
        """Runs all steps, but not the evaluation and the checkpoint after the last one. Returns False after SIGTERM."""
        first, steps, size = self.step, self.options.steps, self.options.batch_size
        rows = self.placement.rows(size)
        batches = inputs.training_batches(
            self.training, size, self.options.seed, first, steps, rows=rows, flip=self.options.flip
        )
        limit = (self._limit or self._matmul_limit()) if log else 0
        meter = Meter(size, flops.training_example(self.config), limit)
        with contextlib.closing(batches), self._bar(first) as bar:
            for step, batch in enumerate(meter.batches(batches), start=first + 1):
                self.state, metrics = self._step_function(self.state, self.placement.put_batch(batch, size))
                meter.dispatched(metrics["loss"])
                if step % self.run.log_every == 0 or step == steps:
                    self._report(step, metrics, meter, log, writer, bar)
                bar.update()
                if preemption.requested(step):
                    return False
                # We evaluate first, so that a checkpoint knows its bits. The last step is evaluated after the loop.
                evaluated = step % self.run.evaluate_every == 0 and step < steps
                bits = self._evaluate_and_log(log) if evaluated else {}
                improved = checkpoint_writer.score(bits) < self._best
                if step < steps and (improved or step % self.run.checkpoint_every == 0):
                    self.save(writer, bits)
                if evaluated:
                    meter.pause()
        return True

    def evaluate(self, weights: str = "ema", *, everything: bool = True) -> Means:
        """Measures the bits of the validation folder with the moving average or the `raw` weights.

        Without `everything`, it measures the images of every evaluation. The result is empty without a folder.
        """
        if self.validation is None:
            return {}
        name, flat = (EMA, self.state.ema) if weights == "ema" else (RAW, self.state.weights)
        measured = self.validation.measure({name: flat}, everything=everything)
        if self.step == 0:
            # The moving average begins as the weights.
            self._first = Measured(subset=dict.fromkeys((EMA, RAW), measured.subset[name]), everything=None)
        return (measured.everything or measured.subset)[name]

    def _evaluate_and_log(self, log: TrainingLog | None, *, everything: bool = False) -> Means:
        """Returns the moving average's bits, logs them and the raw weights' bits, and draws the samples.

        What it returns is of the images of every evaluation. `last_bits` are of all images, with `everything`.
        """
        if self.validation is None:
            return {}
        weights = {EMA: self.state.ema, RAW: self.state.weights}
        measured = self.validation.measure(weights, everything=everything)
        self.last_bits = (measured.everything or measured.subset)[EMA]
        # Either all processes gather sharded weights, or none does.
        ema = self.placement.fetch(self.state.ema) if self.run.samples else None
        if log is not None:
            self._log_bits(log, measured)
            if self._grid is not None and ema is not None:
                log.picture(self.step, self._grid.draw(ema))
        return measured.subset[EMA]

    def _log_bits(self, log: TrainingLog, measured: Measured) -> None:
        if self.validation is not None:
            log.scalars(self.step, self.validation.scalars(measured))

    def _is_comparable(self, training: Mapping[str, Any]) -> bool:
        return self.validation is None or self.validation.is_comparable(training)

    def save(self, writer: CheckpointWriter | None, bits: dict[str, float], **changes: Any) -> None:
        """Begins to write a checkpoint of the state, unless this step has one. All processes must call it.

        `bits` are the bits of the moving average. `changes` go to the checkpoint's description.
        """
        if self._saved == self.step:
            return
        state, step = self.state, self.step
        optimizer = self.placement.fetch(train_step.flatten_optimizer(state.optimizer))
        ema, weights = self.placement.fetch(state.ema), self.placement.fetch(state.weights)
        counts = {"skipped": int(state.skipped), "skipped_in_a_row": int(state.skipped_in_a_row)}
        self._saved, self._best = step, min(self._best, checkpoint_writer.score(bits))
        if writer is not None:
            writer.save(
                stage=self.stage,
                config=self.config,
                step=step,
                ema=ema,
                weights=weights,
                optimizer=optimizer,
                training={**self._identity, **self._facts, **counts, **changes},
                validation=bits,
            )

    def _report(
        self,
        step: int,
        metrics: train_step.Metrics,
        meter: Meter,
        log: TrainingLog | None,
        writer: CheckpointWriter | None,
        bar: Any,
    ) -> None:
        """Logs a step's numbers. Ends the run if too many steps were skipped."""
        values = {name: float(value) for name, value in metrics.items()}
        in_a_row = int(values.pop("skipped_in_a_row"))
        rates = meter.rates()
        if log is not None:
            named = {f"train/{name}": value for name, value in {**values, **rates}.items()}
            log.scalars(step, named)
        skipped = f", {values['skipped_steps']:.0f} skipped" if values["skipped_steps"] else ""
        bar.set_postfix_str(f"{values['loss']:.3f} bits{skipped}", refresh=False)
        if in_a_row and mesh.is_primary():
            print(f"step {step}: the last {in_a_row} steps had no finite loss or gradient: skipped", file=sys.stderr)
        if in_a_row <= self.how.max_skipped:
            return
        self.save(writer, {}, skipped_in_a_row=0)  # 0, so that the next run may try again
        if writer is not None:
            writer.wait()
        raise UserError(
            f"the loss or gradient of the {in_a_row} steps before step {step} was not finite. The weights from before "
            f"them are saved in {self.workdir}; try a lower --learning_rate, --warmup_steps or --clip_norm"
        )

    def _bar(self, first: int) -> Any:
        if mesh.is_primary():
            return cli.progress_bar(self.options.steps, f"training {self.stage}", "steps", initial=first)
        from tqdm import tqdm

        return tqdm(disable=True)

    def _agree(self) -> None:
        """Checks that all processes were started with the same options and data."""
        validation = self.validation.examples.fingerprint if self.validation else None
        shared = {**self._identity, "config": to_json(self.stage, self.config), "validation": validation}
        how = {**dataclasses.asdict(self.how), **dataclasses.asdict(self.run), "mesh": str(self.placement.mesh.shape)}
        mesh.agree({**shared, **how, "jax": jax.__version__})
