"""One run from its config to its finished folder."""

import contextlib
import time
import traceback
from pathlib import Path
from typing import Any

from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data
from nnrun.errors import ConfigError, RunError
from nnrun.execution.prepared import Prepared, prepare
from nnrun.execution.serial import SerialRun
from nnrun.folders import strangers
from nnrun.folders.reading import read_trial
from nnrun.folders.run_folder import RunFolder
from nnrun.folders.summary import by_metric, new_summary, undefined
from nnrun.host.disk import hold
from nnrun.host.interruption import Interrupted, Watch
from nnrun.host.terminal import Terminal
from nnrun.runs import checkpointed
from nnrun.tasks.base import Task
from nnrun.training.fit import Epoch, Failure, Outcome, fit, metrics
from nnrun.training.objective import Objective

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
        self.seconds = {"startup": 0.0, "compile": 0.0, "train": 0.0, "total": 0.0}
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
        self.seconds["startup"] = time.time() - self.started
        building = time.perf_counter()
        self.trainer = trainer = SerialRun(self.config, data)
        with self.terminal.doing("compiling"):
            trainer.compile()
        self.seconds["compile"] = time.perf_counter() - building
        self._notes = checkpointed.notes_of(self.config, data, self.summary)
        self.summary["parameters"] = trainer.parameters
        # Begun only once it is known that the run can go on: else the folder stays as it was.
        if resume:
            self._restore(trainer)
            self._begin()
        self.folder.write_preprocessing(data)
        for note in (*data.notes, *trainer.compiled.initial.remarks):
            self.terminal.line(f"Note: {note}")
        self.folder.start_metrics(self.history)
        self._train(trainer, task, data, objective, watch)
        watch.check()
        self._report(trainer, task, data)
        best = self.summary["objective"]
        self.terminal.line(f"Best epoch {best['epoch']} of {len(self.history)}: {best['metric']} {best['value']:.5g}")
        self.terminal.results(self.summary["metrics"], self.summary["baseline"])
        self.terminal.line(f"Everything is in {self.folder.path}")
        return best["value"]

    def crown(self, prepared: Prepared, trainer: SerialRun, kept: dict[str, Any], trial: Path) -> None:
        """Makes the folder of a sweep's winner from its kept weights and its trial's folder, without training."""
        self.config, self.trainer = prepared.config, trainer
        self.history, notes = read_trial(trial)
        self.folder.write_config(self.plain, self.choices)
        self.folder.write_preprocessing(prepared.data)
        self.folder.start_metrics(self.history)
        self.seconds |= notes.pop("seconds")
        self.summary |= {
            name: notes[name] for name in ("parameters", "epochs", "objective", "stopped_early", "metrics")
        }
        trainer.adopt(kept)
        self._report(trainer, prepared.task, prepared.data)
        self.terminal.close()

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
        self.terminal.start(training.epochs, trainer.train_steps)
        saved = time.perf_counter()
        watch.training = True
        try:
            for event in fit(trainer, task, data, training, objective, [self.history]):
                if isinstance(event, Failure):
                    raise RunError(f"{event.error} {KEPT}")
                if isinstance(event, Epoch):
                    self._epoch(event.outcomes[0], objective)
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
        self.summary["stopped_early"] = len(self.history) < training.epochs
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

    def _save(self, trainer: SerialRun) -> None:
        so_far = {"history": self.history, "summary": {"objective": self.summary["objective"]}, "notes": self._notes}
        self.folder.save_checkpoint(trainer.position, trainer.state, so_far)

    def _report(self, trainer: SerialRun, task: Task, data: Data) -> None:
        """Metrics, baselines, predictions and figures of the best weights, which complete the run."""
        if self.summary["objective"] is None:
            raise RunError(undefined(self.config.objective.metric))
        # Metrics are of every example; the rest is of no more than memory holds.
        whole, data = data, data.excerpt()
        data = task.calibrate(lambda: trainer.outputs(data.val), data)
        self.folder.write_preprocessing(data)
        for part in ("train", "val", "test"):
            self.summary["metrics"] |= metrics(trainer.evaluate(getattr(whole, part), best=True)[0], task, data, part)
        # As metrics.csv has it: the mean over the steps of the best epoch, with dropout and noise.
        self.summary["metrics"]["train/loss"] = self.history[self.summary["objective"]["epoch"] - 1]["train/loss"]
        outputs = trainer.outputs(data.test)
        self.summary["baseline"] = by_metric(task.baselines(outputs, data))
        self._save_weights()
        self.folder.write_columns("predictions", {**data.labels, **task.decode(outputs, data)})
        self._draw(trainer, task, data, outputs)
        self.summary["status"] = "completed"
        self._write_summary()

    def _save_weights(self) -> None:
        """The best epoch's network, where there was an epoch."""
        if self.trainer is not None and self.summary["objective"] is not None:
            self.folder.save_weights(self.trainer.weights())

    def _draw(self, trainer: SerialRun, task: Task, data: Data, outputs: Any) -> None:
        from nnrun import report
        from nnrun.report.base import FinishedRun

        title = f"{self.choices['model']} on {self.choices['dataset']}"
        more = {"history": self.history, "augmentation": self.config.augmentation}
        finished = FinishedRun.of(title, task, trainer.model(), data, outputs, self.summary, **more)
        for name, columns in finished.tables.items():
            self.folder.write_columns(name, columns)
        for name, picture in report.drawn(finished, self.terminal.line, self.folder.log).items():
            self.folder.save_figure(name, picture)

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
        epoch = min(len(self.history) + 1, self.config.training.epochs)
        if self._begun:
            self.terminal.line(f"Interrupted in epoch {epoch}. To continue: {command}")
        else:
            self.terminal.line(f"Interrupted before training went on. {self.folder.path} is as it was.")

    def _write_summary(self) -> None:
        self.seconds["total"] = time.time() - self.started
        self.folder.write_summary(self.summary)
