"""One run from its config to its finished folder."""

import contextlib
import dataclasses
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data
from nnrun.datasets.part import count
from nnrun.errors import ConfigError, RunError
from nnrun.execution.prepared import Prepared, prepare
from nnrun.execution.serial import SerialRun
from nnrun.folders import reading, results, strangers, training_rows
from nnrun.folders.reading import read_trial
from nnrun.folders.run_folder import RunFolder, with_epochs
from nnrun.folders.summary import by_metric, new_summary, spread, undefined
from nnrun.host.disk import hold
from nnrun.host.interruption import Interrupted, Watch
from nnrun.host.terminal import Terminal
from nnrun.runs import checkpointed
from nnrun.tasks.base import Task
from nnrun.training.fit import Epoch, Failure, Outcome, details, fit, metrics
from nnrun.training.objective import Objective
from nnrun.training.refit import joined, refit

STAGES = 6
LARGEST_STAGE = 200_000
"""Weights of a network of which several are kept."""
KEPT = "The weights of the best epoch before it, if there was one, are kept."


class Run:
    """Trains what a config describes and leaves the folder of the output contract.

    `choices` are the names picked from each config group, `command` what the user typed, `started` when (seconds of the
    system clock).
    """

    def __init__(
        self,
        config: RunConfig,
        plain: dict[str, Any],
        choices: dict[str, str],
        path: Path,
        command: str,
        started: float,
    ):
        self.config, self.plain, self.choices, self.started = config, plain, choices, started
        self.folder = RunFolder(path)
        self.terminal = Terminal(self.folder.log)
        self.history: list[dict[str, float]] = []
        self.trainer: SerialRun | None = None
        self._begun = False
        self._notes: dict[str, Any] = {}
        # Weights at some epochs, for pictures of how they came about.
        self._stages: dict[int, Any] = {}
        self.seconds = {"startup": 0.0, "compile": 0.0, "train": 0.0, "baselines": 0.0, "total": 0.0}
        self.summary = new_summary(config, choices, command) | {"seconds": self.seconds}

    def execute(self, resume: bool = False) -> float:
        """Trains to the end and returns the objective's best value; `resume`: from the folder's newest checkpoint.

        Raises ConfigError when another process works on the folder, Interrupted after a signal, with the state saved,
        and whatever went wrong, noted in the folder. A run that cannot be resumed leaves the folder as it was.
        """
        try:
            with hold(self.folder.path, "run.log"), Watch(self._interrupted) as watch:
                return self._recorded(watch, resume)
        finally:
            self.terminal.close()

    def _recorded(self, watch: Watch, resume: bool) -> float:
        """The work, with its outcome in the folder."""
        try:
            if not resume:
                self._begin()
            self.terminal.line(f"{self.summary['devices']} · {self.folder.path}")
            return self._work(watch, resume)
        except Interrupted as interrupted:
            self._save_weights()
            self._interrupted(interrupted)
            raise
        except ConfigError as error:
            # What cannot be trained leaves no folder; one that is gone on with, or has epochs, is not ours to remove.
            if resume or self.history:
                self._end("failed", error)
            else:
                self.folder.discard()
            raise
        except Exception as error:
            self._end("failed", error)
            with contextlib.suppress(OSError, RuntimeError):
                # A step that failed may have taken the memory of the state it was given.
                self._save_weights()
            raise

    def _begin(self) -> None:
        """Writes the first files: from here on the folder tells of this run."""
        self.folder.write_config(self.plain, self.choices)
        self._write_summary()
        self._begun = True

    def _work(self, watch: Watch, resume: bool) -> float:
        prepared = prepare(self.config)
        self.config, data, task, objective = prepared.config, prepared.data, prepared.task, prepared.objective
        self.plain = with_epochs(self.plain, self.config.training.passes)
        self.seconds["startup"] = time.time() - self.started
        building = time.perf_counter()
        self.trainer = trainer = SerialRun(self.config, data)
        with self.terminal.doing("compiling"):
            trainer.compile()
        self.seconds["compile"] = time.perf_counter() - building
        self._notes = checkpointed.notes_of(self.config, data, self.summary)
        if resume:
            self._restore(trainer)
        # Of a state that was restored, where there is one: to draw another would ask for the file of initial weights.
        self.summary["parameters"] = trainer.parameters
        # Begun only once it is known that the run can go on: else the folder stays as it was.
        if resume:
            self._begin()
        else:
            self.folder.write_config(self.plain, self.choices)
        self.folder.write_preprocessing(data)
        for note in (*prepared.remarks(), *trainer.compiled.initial.remarks):
            self.terminal.line(f"Note: {note}")
        self.folder.start_metrics(self.history)
        self._train(trainer, task, data, objective, watch)
        watch.check()
        self._report(trainer, task, data, self._refitted(trainer, data, objective, watch.check))
        best = self.summary["objective"]
        self.terminal.line(f"Best epoch {best['epoch']} of {len(self.history)}: {best['metric']} {best['value']:.5g}")
        results.show(self.terminal, self.summary["metrics"], self.summary["baseline"])
        for remark in self.summary["remarks"]:
            self.terminal.line(remark)
        self.terminal.line(f"Everything is in {self.folder.path}")
        if reading.is_best_at_last(self.summary):
            command = f"{strangers.continuing(self.folder.path, self.plain)} training.epochs={2 * len(self.history)}"
            self.terminal.line(f"The best epoch is the last one: more of them may do better. To go on: {command}")
        return best["value"]

    def crown(
        self, prepared: Prepared, trainer: SerialRun, kept: dict[str, Any], trial: Path, several: bool = False
    ) -> None:
        """Makes the folder of a sweep's winner from its kept weights and its trial's folder, without training.

        several: the weights have a leading axis of folds and repeats. The folder has the first repeat, and how much
        the others differ on the test part; of folds it has a network that learns from all of them.
        """
        self.config, self.trainer = prepared.config, trainer
        self.history, notes = read_trial(trial)
        self.plain = with_epochs(self.plain, self.config.training.passes)
        self.folder.write_config(self.plain, self.choices)
        self.folder.write_preprocessing(prepared.data)
        self.folder.start_metrics(self.history)
        self.seconds |= notes.pop("seconds")
        taken = ("parameters", "epochs", "objective", "stopped_early", "metrics", "spread")
        self.summary |= {name: notes[name] for name in taken if name in notes}
        if several and prepared.data.folds is None:
            self.summary["spread"] |= self._repeated(prepared, trainer, kept)
        trainer.adopt(jax.tree.map(lambda leaf: leaf[0], kept) if several else kept)
        final = self._refitted(trainer, prepared.data, prepared.objective)
        self._report(trainer, prepared.task, prepared.data, final)
        self.terminal.close()

    def _repeated(self, prepared: Prepared, trainer: SerialRun, kept: dict[str, Any]) -> dict[str, Any]:
        """How the repeats of the winner do on the test part."""
        data, found = prepared.data, []
        for member in range(self.config.training.members):
            trainer.adopt(jax.tree.map(lambda leaf, member=member: leaf[member], kept))
            found.append(metrics(trainer.evaluate(data.test, best=True)[0], prepared.task, data, "test"))
        return spread(found)

    def _restore(self, trainer: SerialRun) -> None:
        restored = checkpointed.newest(self.folder.path / "checkpoints", trainer.like, self.terminal.line)
        if restored is None:
            self.terminal.line("No usable checkpoint: starting over.")
            return
        checkpointed.check_data(self.folder.path, restored, trainer.like, self._notes)
        trainer.restore(restored.state)
        self.history = restored.history
        self.summary |= {"epochs": len(self.history), **restored.summary}
        for remark in checkpointed.remarks(restored, self._notes, self.config, trainer.position, trainer.train_steps):
            self.terminal.line(remark)
        self.terminal.line(f"Continuing from step {trainer.position}, epoch {len(self.history) + 1}.")

    def _train(self, trainer: SerialRun, task: Task, data: Data, objective: Objective, watch: Watch) -> None:
        training, begun = self.config.training, time.perf_counter()
        self.terminal.start(training.passes, trainer.train_steps)
        saved = time.perf_counter()
        self._keep_stage(trainer)
        watch.training = True
        try:
            for event in fit(trainer, task, data, training, objective, [self.history]):
                if isinstance(event, Failure):
                    raise RunError(f"{event.error} {KEPT}")
                if isinstance(event, Epoch):
                    self._epoch(event.outcomes[0], objective)
                    self._keep_stage(trainer)
                else:
                    self.terminal.stretch(event.epoch, event.done, event.loss)
                # After the last step of an epoch its evaluation is to come: a checkpoint there would go on without.
                whole = isinstance(event, Epoch) or event.done < trainer.train_steps
                if whole and (watch.heard() or time.perf_counter() - saved > training.checkpoint_seconds):
                    self._save(trainer)
                    saved = time.perf_counter()
                    watch.check()
        finally:
            watch.training = False
            self.seconds["train"] = time.perf_counter() - begun
            self.terminal.stop()
        self.summary["stopped_early"] = len(self.history) < training.passes
        self._save(trainer)

    def _epoch(self, event: Outcome, objective: Objective) -> None:
        self.history.append(event.row)
        self.folder.append_metrics(event.row)
        self.terminal.epoch(event.row, objective.metric, event.improved, event.stop)
        self.summary["epochs"] = len(self.history)
        if event.improved:
            value = event.row[objective.metric]
            self.summary["objective"] = {"metric": objective.metric, "direction": objective.direction}
            self.summary["objective"] |= {"value": value, "epoch": int(event.row["epoch"])}

    def _keep_stage(self, trainer: SerialRun) -> None:
        """Keeps the weights of a small network at half a dozen epochs, if it is drawn through its training."""
        from nnrun import report

        total, epoch = self.config.training.passes, len(self.history)
        wanted = {0, *(round(total ** (part / STAGES)) for part in range(STAGES))}
        figures = {*self.config.model.cls.figures, *self.config.task.cls.figures}
        if epoch in wanted and figures & report.THROUGH_TRAINING and trainer.parameters <= LARGEST_STAGE:
            self._stages[epoch] = jax.device_get(trainer.state.weights)

    def _save(self, trainer: SerialRun) -> None:
        so_far = {"history": self.history, "summary": {"objective": self.summary["objective"]}, "notes": self._notes}
        self.folder.save_checkpoint(trainer.position, trainer.state, so_far)

    def _refitted(
        self, trainer: SerialRun, data: Data, objective: Objective, check: Callable[[], None] = lambda: None
    ) -> SerialRun:
        """With training.refit a network that was trained on training and validation part, else the trainer itself."""
        best = self.summary["objective"]
        if not (self.config.training.refit or data.folds) or best is None:
            return trainer
        whole = dataclasses.replace(joined(data), folds=None)
        final, epochs, examples = SerialRun(self.config, whole), int(best["epoch"]), count(whole.train)
        final.compile()
        self.terminal.line(f"Training anew on training and validation part: {examples} examples, {epochs} epochs.")
        for _ in refit(final, [objective.cost(row) for row in self.history[:epochs]]):
            check()
        self.summary["refit"] = {"examples": examples, "epochs": epochs}
        return final

    def _report(self, trainer: SerialRun, task: Task, data: Data, final: SerialRun) -> None:
        """Metrics, baselines, predictions and figures of the best weights, which complete the run.

        Those of `final`, but for the validation part, which it may have been trained on.
        """
        if self.summary["objective"] is None:
            raise RunError(undefined(self.config.objective.metric))
        # Metrics are of every example; the rest is of no more than memory holds.
        whole, data = data, data.excerpt()
        # The network of the first fold has not seen what that holds out.
        held_out = data.folds.divisions[0].val if data.folds else data.val
        data = task.calibrate(lambda: trainer.outputs(held_out), data)
        self.folder.write_preprocessing(data)
        parts = [("train", final), ("val", trainer), ("test", final)]
        for part, judged in parts if data.folds is None else parts[::2]:
            # Of folds the validation metrics are known: means over all that were held out.
            measured = judged.evaluate(getattr(whole, part), best=True)[0]
            self.summary["metrics"] |= metrics(measured, task, data, part)
        self.summary["metrics"] |= details(measured, task, data, "test")
        # As metrics.csv has it: the mean over the steps of the best epoch, with dropout and noise.
        self.summary["metrics"]["train/loss"] = self.history[self.summary["objective"]["epoch"] - 1]["train/loss"]
        self.trainer = final
        outputs = final.outputs(data.test)
        begun = time.perf_counter()
        self.summary["baseline"] = by_metric(task.compared(outputs, data, self.config.report.slow_baselines))
        self.seconds["baselines"] = time.perf_counter() - begun
        values = (self.summary["metrics"], self.summary["baseline"])
        self.summary["remarks"] = list(results.remarks(task, self.config.objective.metric, *values, data))
        self._save_weights()
        training_rows.write(self.folder.path, whole)
        self.folder.write_columns("predictions", {**data.labels, **task.decode(outputs, data)})
        self._draw(final, task, data, outputs)
        self.summary["status"] = "completed"
        self._write_summary()

    def _save_weights(self) -> None:
        """The best epoch's network, where there was an epoch."""
        if self.trainer is not None and self.summary["objective"] is not None:
            self.folder.save_weights(self.trainer.weights())

    def _draw(self, trainer: SerialRun, task: Task, data: Data, outputs: Any) -> None:
        from nnrun import report
        from nnrun.report.base import FinishedRun

        title, kind = self.config.title(self.choices), self.config.report.format
        stages = {epoch: trainer.model(weights) for epoch, weights in self._stages.items()}
        more = {"history": self.history, "augmentation": self.config.augmentation, "stages": stages}
        finished = FinishedRun.of(title, task, trainer.model(), data, outputs, self.summary, **more)
        for name, columns in finished.tables.items():
            self.folder.write_columns(name, columns)
        for name, picture in report.drawn(finished, self.terminal.line, self.folder.log, kind).items():
            self.folder.save_figure(name, picture, kind)

    def _end(self, status: str, error: BaseException) -> None:
        self.summary["status"] = status
        self.summary["error"] = " ".join(str(error).split()) or type(error).__name__
        if self._begun:
            self._write_summary()
        if status == "failed":
            self.folder.log(traceback.format_exc())

    def _interrupted(self, interrupted: Interrupted) -> None:
        """Says and notes that a signal came; also the last words of a process that ends where nothing reads signals."""
        self._end("interrupted", interrupted)
        command = strangers.continuing(self.folder.path, self.plain)
        epoch = len(self.history) + 1
        if self.config.training.epochs != "auto":
            epoch = min(epoch, self.config.training.epochs)
        if self._begun:
            self.terminal.line(f"Interrupted in epoch {epoch}. To continue: {command}")
        else:
            self.terminal.line(f"Interrupted before training went on. {self.folder.path} is as it was.")

    def _write_summary(self) -> None:
        self.seconds["total"] = time.time() - self.started
        self.folder.write_summary(self.summary)
