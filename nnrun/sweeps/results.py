"""What a sweep leaves once its trials have ended: the table, the winner's folder, the report."""

import dataclasses
import importlib
import shlex
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nnrun.config import run_config
from nnrun.config.run_config import RunConfig
from nnrun.errors import RunError
from nnrun.execution.prepared import Prepared
from nnrun.execution.serial import Judged
from nnrun.folders import reading
from nnrun.folders import results as tables
from nnrun.folders.ledger import Ledger
from nnrun.folders.reading import read_trial
from nnrun.folders.sweep_folder import SweepFolder
from nnrun.host.terminal import Terminal
from nnrun.runs.run import Run
from nnrun.search.bayes import Bayes
from nnrun.search.space import written
from nnrun.search.trial import Trial
from nnrun.sweeps.drawing import Drawing, add_winner
from nnrun.sweeps.ranking import commonest, ranked, tabulated
from nnrun.sweeps.record import Record
from nnrun.sweeps.remarks import of_bounds
from nnrun.training.objective import Objective

SHOWN = 10
Trained = Callable[[Trial, RunConfig], tuple[Prepared, Judged]]
"""What a trial's config needs, and the network that takes over its weights."""


@dataclasses.dataclass(frozen=True)
class Results:
    """Writes and shows what the ledger holds."""

    record: Record
    folder: SweepFolder
    ledger: Ledger
    objective: Objective
    terminal: Terminal
    drawing: Drawing

    def finish(self, started: float, trained: Trained) -> float:
        """Writes trials.csv, best.yaml, best/ and report.html, and shows the best trials; returns the best objective.

        Raises RunError when no trial has a result.
        """
        trials = self._trials()
        best = ranked(trials, self.objective)
        self.tabulate()
        try:
            if best and self.folder.crowned() != best[0].number:
                self._crown(best[0], started, trained)
        finally:
            self.drawing.end()
        if not best:
            raise RunError(_nothing(trials, self.folder.path))
        self.folder.clear_groups()
        add_winner(self.folder.path)
        self._show(trials, best)
        assert best[0].objective is not None
        return best[0].objective

    def _crown(self, winner: Trial, started: float, trained: Trained) -> None:
        """Makes best/ of the winner: test metrics and figures from its kept weights, without training again."""
        own, best = self.folder.path / str(winner.number), self.folder.path / "best"
        command, composed = self.record.command_of(winner.params), self.record.plan.composed(winner.params)
        # The job of a launcher has written all files of a run itself.
        if (own / "model.safetensors").exists():
            self.folder.uncrown()
            shutil.copytree(own, best, dirs_exist_ok=True)
        else:
            config = run_config.build(composed.plain)
            # What fails here, because the data are gone, leaves an earlier best/ as it is.
            loaded, network = trained(winner, config)
            self.folder.uncrown()
            try:
                kept = self.folder.load_weights(winner.number, network.weights(), config.training.members)
            except ValueError as error:
                again = f"To train it again: nnrun repeat {shlex.quote(str(own))}"
                raise RunError(f"The weights of the best trial, {winner.number}, were lost: {error} {again}") from None
            run = Run(config, composed.plain, composed.choices, best, command, started)
            with ThreadPoolExecutor(1) as pool:
                # Half a second of Python, while compilers and networks need none.
                pool.submit(importlib.import_module, "nnrun.report.palette")
                network.compile()
                run.crown(loaded, network, kept, own, config.training.members > 1)
        content = {"number": winner.number, "metric": self.objective.metric, "direction": self.objective.direction}
        content |= {"value": winner.objective, "overrides": dict(winner.params), "command": command}
        content |= {"strategy": winner.part} if winner.part else {}
        self.folder.write_best(content)

    def tabulate(self) -> None:
        """Writes trials.csv, and begins report.html."""
        trials = self._trials()
        self.folder.write_trials(trials, list(self.record.plan.space))
        self.drawing.begin(self.folder.path, facts(self.record, trials, self.objective))

    def _trials(self) -> list[Trial]:
        return self.record.plan.strategy().labelled(self.ledger.trials())

    def _show(self, trials: list[Trial], best: list[Trial]) -> None:
        """The best trials, and how many failed."""
        self.terminal.table(*tabulated(best[:SHOWN], self.objective, self.record.plan.space))
        if len(best) > SHOWN:
            self.terminal.line(f"These are the best {SHOWN} of {len(best)}; all are in trials.csv.")
        self._show_parts(best)
        if failed := sum(trial.state == "failed" for trial in trials):
            self.terminal.line(f"{failed} of {len(trials)} trials failed. {commonest(trials)}")
        if early := sum(trial.state == "pruned" for trial in trials):
            self.terminal.line(f"{early} of {len(trials)} trials left before their last epoch{self._by_rule()}.")
        self._show_winner(best[0])
        self.terminal.line(f"Best: {self.record.command_of(best[0].params)}")
        self.terminal.line(f"Everything is in {self.folder.path}")

    def _members(self, trial: Trial) -> str:
        """How many networks the trial's metrics are means of: `5 folds of 2 seeds`."""
        training = self.record.plan.composed(trial.params).plain["training"]
        named = {"folds": "folds", "repeats": "seeds"}
        return " of ".join(f"{training[key]} {name}" for key, name in named.items() if training[key] > 1)

    def _by_rule(self) -> str:
        rule = self.record.plan.search().pruning
        return "" if rule == "none" else f", by search.pruning={rule} or because the time ran out"

    def _show_winner(self, winner: Trial) -> None:
        """The best trial on the test part, what it says of the space and of the epochs, and where the pictures are."""
        folder = self.folder.path / "best"
        summary = reading.summary(folder)
        if winner.spread:
            self.terminal.line(f"Trial {winner.number}, mean ± standard deviation of {self._members(winner)}:")
            rows = [[name, tables.with_spread(winner.metrics[name], value)] for name, value in winner.spread.items()]
            self.terminal.table(["", "mean"], rows, column=1)
        self.terminal.line(f"Trial {winner.number} on the test part, beside naive baselines:")
        tables.show(self.terminal, summary["metrics"], summary["baseline"], summary.get("spread", {}))
        # Summaries of earlier versions have none.
        for remark in [*summary.get("remarks", []), *of_bounds(self.record, winner)]:
            self.terminal.line(remark)
        if reading.is_best_at_last(summary):
            self.terminal.line(
                f"The best epoch of trial {winner.number} is its last: more of them may do better, for example "
                f"training.epochs={2 * summary['epochs']}."
            )
        self.terminal.line(f"Its figures are in {folder / 'figures'}, the report is {self.folder.path / 'report.html'}")

    def _show_parts(self, best: list[Trial]) -> None:
        """The best trial of every choice of config groups, or of every part that the strategy compares."""
        choosers = self.record.plan.space.choosers
        parts: dict[str, list[Trial]] = {}
        for trial in best:
            choice = ", ".join(str(trial.params[name]) for name in choosers)
            if name := trial.part or choice:
                parts.setdefault(name, []).append(trial)
        rows = []
        for name, (first, *others) in parts.items():
            history, summary = read_trial(self.folder.path / str(first.number))
            milliseconds = 1e3 * (first.seconds or 0) / max(row["step"] for row in history)
            rows.append([name, str(len(others) + 1), str(first.number), f"{first.objective:.5g}"])
            rows[-1] += [str(summary["parameters"]), f"{milliseconds:.3g}"]
        if len(rows) > 1:
            columns = ["best of", "trials", "trial", self.objective.metric, "parameters", "ms per step"]
            self.terminal.table(columns, rows)


def facts(record: Record, trials: list[Trial], objective: Objective) -> dict[str, Any]:
    """What the report is about, beside the ledger, as JSON knows it."""
    best, strategy = ranked(trials, objective), record.plan.strategy()
    return {
        "title": record.title,
        "command": record.command,
        "metric": objective.metric,
        "direction": objective.direction,
        "space": {key: written(found) for key, found in record.plan.space.dimensions.items()},
        "notes": record.notes + (of_bounds(record, best[0]) if best else []),
        "parts": {str(trial.number): trial.part for trial in trials if trial.part},
        "best_command": record.command_of(best[0].params) if best else "",
        # A strategy of the user's may extend ours: its surrogate is its own.
        "bayes": dataclasses.asdict(strategy.config) | {"space": {}} if type(strategy) is Bayes else None,
    }


def _nothing(trials: list[Trial], folder: Path) -> str:
    """Why there is no best trial."""
    failed = sum(trial.state == "failed" for trial in trials)
    if not failed:
        return (
            "search.timeout_seconds ran out before any trial had trained an epoch. To give them more time: nnrun "
            f"resume {shlex.quote(str(folder))} search.timeout_seconds=N"
        )
    which = f"All {failed}" if failed == len(trials) else f"No trial has a result: {failed} of {len(trials)}"
    return f"{which} trials failed. {commonest(trials)} The folders of the trials are in {folder}."
