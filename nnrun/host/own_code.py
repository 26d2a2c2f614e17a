"""Failures of a user's own code, told by its file and line instead of a traceback through everybody else's."""

import contextlib
import os
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from nnrun.errors import ConfigError, NnrunError
from nnrun.host.interruption import Interrupted

LONGEST = 200
"""Characters of a message; some of JAX's fill a screen."""
NEXT_MOVE = "Correct it there; NNRUN_TRACEBACK=1 shows how it was reached."
OTHERS = (str(Path(__file__).parents[1]), *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))
"""Folders of code that is not the user's: ours, Python's, and what was installed."""


def told(error: BaseException, next_move: str = NEXT_MOVE, anywhere: bool = False) -> str | None:
    """What went wrong and where, by the last line of the user's code that led to it.

    None where none of it did, unless `anywhere`: then by the last line of all.
    """
    every = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename and is_own(error.filename):
        where, said = f"{shown(error.filename)}, line {error.lineno}", error.msg
    elif frames := [frame for frame in every if is_own(frame.filename)] or every * anywhere:
        where, said = f"{shown(frames[-1].filename)}, line {frames[-1].lineno}, `{frames[-1].line}`", str(error)
    else:
        return None
    return f"{where}: {type(error).__name__}: {' '.join(said.split())[:LONGEST].rstrip('.?!')}. {next_move}"


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Turns failures of the user's code into a ConfigError; others pass."""
    try:
        yield
    except (NnrunError, Interrupted):
        raise
    except Exception as error:
        if found := told(error):
            raise ConfigError(found) from error
        raise


def is_own(filename: str) -> bool:
    """Whether a file is one of the user's."""
    return not filename.startswith(("<", *(folder + os.sep for folder in OTHERS)))


def shown(filename: str) -> str:
    """The path from the current folder, where it lies below that."""
    path = Path(filename)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
