"""What the verbs of a finished run share: its folder, its network, and sentences for what goes wrong."""

import contextlib
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnrun.commands.usage import Words
from nnrun.errors import ConfigError, RunError
from nnrun.folders import reading
from nnrun.host import own_code, terminal
from nnrun.host.interruption import Interrupted

UNEXPECTED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, sqlite3.Error)
"""What damage can end in that none of the checks knows."""


def folder(given: Words) -> tuple[Path, dict[str, Any]]:
    """The folder and its checked config; says what speaks against using its weights."""
    path = reading.folder(given.arguments[0])
    plain, _ = reading.config(path, "trust" in given.flags)
    if not (path / "model.safetensors").exists():
        from nnrun.trained.trained_run import without_weights

        raise ConfigError(without_weights(path, plain))
    status = reading.summary(path)["status"]
    if status != "completed":
        terminal.say(f"Warning: {path} is {status}, so these are the weights of the best epoch so far.")
    return path, plain


def source(word: str) -> Path:
    """A file or folder that was typed. Raises ConfigError when there is none."""
    if not Path(word).exists():
        raise ConfigError(f"There is no {word}. Name a file or folder with the examples.")
    return Path(word)


def say_unknown(run: Any, source: Path) -> None:
    """Names the columns of a file that the network does not use."""
    if names := run.preprocessing.reader.unknown(source):
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        terminal.say(terminal.inline(f"Columns that are not used: {', '.join(names[:8])}{more}"))


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Turns failures of the machine into sentences, and SIGTERM into an end that leaves nothing half-written."""

    def stop(number: int, _: Any) -> None:
        raise Interrupted(number)

    # Python lets the main thread alone set signal handlers; SIGTERM's own ends a process without any `finally`.
    listens = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, stop) if listens else None
    try:
        yield
    except OSError as error:
        raise RunError(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.") from error
    except MemoryError as error:
        raise RunError(f"There is not enough memory ({error}). Give fewer examples at a time.") from error
    except UNEXPECTED as error:
        if found := own_code.told(error):
            raise RunError(found) from error
        said = " ".join(str(error).split())[:300]
        raise RunError(
            f"The run's folder or the input is damaged where nnrun does not look ({type(error).__name__}: {said}). "
            "If nothing in them was changed, this is a fault of nnrun; NNRUN_TRACEBACK=1 shows where."
        ) from error
    finally:
        if listens:
            signal.signal(signal.SIGTERM, before)
