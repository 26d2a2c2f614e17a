"""Adapter for Hydra's callbacks: a run is checked before Hydra makes its folder."""

import os
from typing import Any

from hydra.experimental.callback import Callback


class CheckFirst(Callback):
    """Checks the config of a single run, and names its folder where the command does not.

    Hydra swallows the exceptions of callbacks, all but those like SystemExit: an error leaves as the cause of one.
    """

    def __init__(self) -> None:
        self._accepted: Any = None

    def on_run_start(self, config: Any, **_: Any) -> None:
        """Checks, then claims the folder. Raises SystemExit with what speaks against either as its cause."""
        try:
            self._accept(config)
        except Exception as error:
            raise SystemExit(1) from error

    def on_job_start(self, config: Any, *, task_function: Any = None, **_: Any) -> None:
        """Hands on what was built, so that the job need not build it again."""
        if self._accepted:
            task_function.checked, task_function.give_back = self._accepted

    def _accept(self, config: Any) -> None:
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf, read_write

        from nnrun.commands.train import accept
        from nnrun.compose import compose
        from nnrun.folders.claim import RUN, claim_run

        before = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(config)
        try:
            # A value may name the folder; where the default name turns out to be taken, the job builds its config anew.
            folder = str(OmegaConf.select(config, RUN))
            with read_write(config.hydra):
                config.hydra.runtime.output_dir = os.path.abspath(folder)
            HydraConfig.instance().set_config(config)
            typed = list(config.hydra.overrides.hydra)
            composed = compose.of_hydra(config, [*config.hydra.overrides.task])
            built = accept(composed)
            claimed = claim_run(folder, [word for word in typed if word.startswith(f"{RUN}=")])
            with read_write(config.hydra):
                config.hydra.run.dir = str(claimed.folder)
        finally:
            HydraConfig.instance().cfg = before
        self._accepted = (composed, built), claimed.give_back
