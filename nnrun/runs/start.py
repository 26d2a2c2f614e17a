"""How a run begins: the machine is made ready, and what fails there is told in a sentence."""

import re
import time
from pathlib import Path

from nnrun.compose.compose import Composed
from nnrun.config.run_config import RunConfig
from nnrun.errors import OUT_OF_MEMORY, ConfigError, NnrunError, RunError
from nnrun.host import own_code
from nnrun.host.interruption import Interrupted

# An iterator of one: `seconds.startup` of a process's first run counts the imports, that of a second one does not.
_process_start = iter([time.time()])


def begun() -> float:
    """The time at which the work began, in seconds of the system clock: for the first who asks, that of the process."""
    return next(_process_start, None) or time.time()


def start(config: RunConfig, composed: Composed, folder: Path, command: str, resume: bool = False) -> float:
    """Runs a checked config in `folder`; returns the objective. Raises RunError for a failure of the machine."""
    if config.training.members > 1:
        raise ConfigError(
            f"{folder} is of one network, but training.folds and training.repeats ask for several, which train in a "
            "sweep's folder. Continue the sweep, or set both to 1."
        )
    from nnrun.execution import devices
    from nnrun.runs.run import Run

    devices.prepare()
    kept = f"What was computed is in {folder}; its run.log has the details."
    try:
        return Run(config, composed.plain, composed.choices, folder, command, begun()).execute(resume)
    except (NnrunError, Interrupted):
        raise
    except (OSError, *devices.FAILURES) as error:
        if not folder.is_dir():
            raise RunError(gone(folder)) from error
        raise RunError(f"{_told(error, config.training.batch_size)} {kept}") from error
    except Exception as error:
        if found := own_code.told(error):
            raise RunError(f"{found} {kept}") from error
        raise
    finally:
        devices.trim_programs()


def gone(folder: Path) -> str:
    """A sentence for a folder that was there when training began."""
    return f"{folder} is gone: it was moved or deleted while nnrun trained in it. Start the command again."


def _told(error: Exception, batch_size: int) -> str:
    """A sentence for a failure of the machine; for memory that does not suffice, with what to do."""
    said = " ".join(str(error).split()).rstrip(".")
    if not isinstance(error, MemoryError) and OUT_OF_MEMORY not in said:
        return f"{said}."
    asked = re.search(r"(\d+) bytes", said)
    size = f" ({int(asked[1]) / 1e9:.3g} GB were asked for at once)" if asked else ""
    return (
        f"Training does not fit into memory{size}. Lower training.batch_size, which is {batch_size}, or the sizes of "
        "the model."
    )
