"""Adapter for Hydra's sweepers: `-m` asks our strategies."""

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.plugins.sweeper import Sweeper

if TYPE_CHECKING:
    from nnrun.search.base import Strategy


class NnrunSweeper(Sweeper):
    """Hands our task function its sweep; searches over the jobs of another app through its launcher.

    There, the strategy is that of the config's `search`, else a grid; a number that a job returns is minimised, and a
    job that fails ends the sweep. `max_batch_size`: jobs launched at once, null for all.
    """

    hydra_context: Any
    config: Any
    launcher: Any

    def __init__(self, max_batch_size: int | None = None) -> None:
        self.max_batch_size = max_batch_size

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Keeps what Hydra gives, and the launcher that the config names."""
        from hydra.core.plugins import Plugins

        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Runs the sweep. Raises ConfigError, and what a job of another app raised."""
        from hydra_plugins.nnrun.launcher import NnrunLauncher

        from nnrun.compose.hydra_app import SweepJob
        from nnrun.errors import ConfigError

        if not isinstance(self.task_function, SweepJob):
            return self._sweep_jobs(arguments)
        if self.max_batch_size is not None:
            raise ConfigError(
                f"hydra.sweeper.max_batch_size is for other apps, but got {self.max_batch_size}. "
                f"Set search.parallel_trials={self.max_batch_size}."
            )
        launch = None if isinstance(self.launcher, NnrunLauncher) else self.launcher.launch
        return self.task_function.sweep(Path(self.config.hydra.sweep.dir), launch)

    def _sweep_jobs(self, arguments: list[str]) -> list[Any]:
        """A list of job returns per batch, as Hydra's own sweeper gives."""
        from omegaconf import OmegaConf

        from nnrun.compose.grammar import dimensions, parse_override

        parsed = [parse_override(argument, self.hydra_context.config_loader) for argument in arguments]
        strategy = self._strategy(dimensions(parsed), {o.key_or_group for o in parsed})
        # As Hydra's own sweeper does.
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        end = time.monotonic() + (strategy.config.timeout_seconds or math.inf)
        returns: list[Any] = []
        while time.monotonic() < end and (points := strategy.ask(self._batch_size(strategy))):
            first = len(strategy.asked) - len(points)
            batch = [_job(parsed, point) for point in points]
            self.validate_batch_is_legal(batch)
            returns.append(self.launcher.launch(batch, initial_job_idx=first))
            for number, result in enumerate(returns[-1], first):
                value = result.return_value
                strategy.tell(number, value if isinstance(value, int | float) else None)
        return returns

    def _strategy(self, swept: dict[str, Any], typed: set[str]) -> "Strategy":
        """The strategy of the config over the swept keys, and over those of `search.space` that are not typed."""
        from omegaconf import OmegaConf

        from nnrun.compose.grammar import from_space
        from nnrun.schema import build_chosen, locate
        from nnrun.search.base import Strategy
        from nnrun.search.space import Space

        node = OmegaConf.select(self.config, "search")
        values: Any = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_dict(node) else {}
        # Another app may well have a `search` of its own that is none of ours.
        member = locate(values["_target_"]) if values.get("_target_") else None
        if not (isinstance(member, type) and issubclass(member, Strategy)):
            values = {"_target_": "nnrun.search.grid.Grid"}
        strategy, config = build_chosen("search", values)
        further = {key: found for key, found in from_space(config.space).items() if key not in typed}
        return strategy(config, Space(swept | further))

    def _batch_size(self, strategy: "Strategy") -> int:
        left = (strategy.config.trials or sys.maxsize) - len(strategy.asked)
        return min(left, self.max_batch_size or strategy.config.parallel_trials or left)


def _job(parsed: list[Any], point: dict[str, Any]) -> list[str]:
    """Overrides of a job, the typed keys in the order in which they were typed."""
    from nnrun.compose.grammar import value_text

    values = {o.get_key_element(): o.input_line for o in parsed}
    values |= {key: f"{key}={value_text(value)}" for key, value in point.items()}
    return list(values.values())
