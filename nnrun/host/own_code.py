"""A user's own code: which of it is imported, and its failures, told by file and line instead of a long traceback."""

import contextlib
import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from nnrun.errors import ConfigError, NnrunError
from nnrun.host.interruption import Interrupted

LONGEST = 200
"""Characters of a message; some of JAX's fill a screen."""
NEXT_MOVE = "Correct it there; NNRUN_TRACEBACK=1 shows how it was reached."
OTHERS = (str(Path(__file__).parents[1]), *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))
"""Folders of code that is not the user's: ours, Python's, and what was installed."""


class Beside(MetaPathFinder):
    """Finds the modules beside `./conf` that were asked for by name, and what those import from there.

    The folder itself is not on sys.path: the `hydra_plugins` or `jax_plugins` of a stranger's folder would be imported
    by the libraries that look for such, whatever is trained.
    """

    def __init__(self) -> None:
        self.folder = ""
        self.asked: set[str] = set()
        self.own: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Looks for a module of the user's own in the folder, where nobody else has one of its name."""
        if path is not None or not (fullname in self.asked or _importer() in self.own):
            return None
        found = PathFinder.find_spec(fullname, [self.folder])
        if found:
            self.own.add(fullname)
        return found


_beside = Beside()


def imported(name: str) -> ModuleType:
    """The module of a name that was asked for, installed or of the current folder where that has a `./conf`."""
    expect(name)
    return importlib.import_module(name)


def expect(name: str) -> None:
    """Lets a module of the current folder be imported, by whoever does so: its name was asked for."""
    if name.startswith("nnrun.") or not Path("conf").is_dir():
        return
    if _beside not in sys.meta_path:
        # The last to be asked: what is installed, or part of Python, comes first.
        sys.meta_path.append(_beside)
    _beside.folder = str(Path.cwd())
    _beside.asked.add(name.partition(".")[0])


def _importer() -> str:
    """The package whose code imports, behind the frames of Python's own import."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("importlib", "_frozen_importlib"):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


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
