"""Which folder a run or a sweep fills: the one typed, where it may have it, else a free one named by the time."""

import contextlib
import itertools
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from nnrun.errors import ConfigError
from nnrun.folders import reading

RUN, SWEEP = "hydra.run.dir", "hydra.sweep.dir"
"""The keys that name a folder."""
KINDS = {RUN: "runs", SWEEP: "sweeps"}


@contextlib.contextmanager
def claimed(key: str, overrides: list[str], name: str) -> Iterator[list[str]]:
    """Makes the folder, and gives the override that names it where none is typed.

    A new folder that is still empty at the end is taken back. Raises ConfigError for one that is taken or cannot be
    written.
    """
    typed = given(key, overrides)
    if typed is None and any(word.startswith(f"{key}=") for word in overrides):
        yield []
        return
    is_new = typed is None or not typed.exists()
    folder = typed or _free(key, name)
    try:
        if typed:
            (check_run if key == RUN else check_sweep)(typed)
            _make(typed, exist_ok=True, key=key)
        yield [] if typed else [f"{key}='{folder}'"]
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()


def check_run(folder: Path) -> None:
    """Makes the folder asked for. Raises ConfigError when it holds a run or cannot be written.

    A run that failed before its first epoch leaves nothing to lose: the corrected command may have its folder.
    """
    if (folder / "summary.json").exists() and not _is_vain(folder):
        raise ConfigError(
            f"hydra.run.dir={folder} already holds a run. Choose another folder, or continue it: "
            f"nnrun resume {shlex.quote(str(folder))}"
        )
    _make(folder, exist_ok=True)


def _is_vain(folder: Path) -> bool:
    try:
        summary = reading.summary(folder)
    except ConfigError:
        return False
    saved = (folder / "checkpoints").exists()
    return summary["status"] == "failed" and not summary["epochs"] and not saved


def check_sweep(folder: Path) -> None:
    """Raises ConfigError when it holds a sweep or runs."""
    if reading.is_sweep(folder):
        raise ConfigError(
            f"hydra.sweep.dir={folder} already holds a sweep. To continue it: nnrun resume {shlex.quote(str(folder))}"
        )
    if any(folder.glob("*/summary.json")):
        raise ConfigError(f"hydra.sweep.dir={folder} already holds runs. Choose another folder.")


def given(key: str, overrides: list[str]) -> Path | None:
    """The folder that is typed; None also where Hydra is to work its name out. Raises ConfigError for an empty one."""
    typed = [word.partition("=")[2].strip("'\"") for word in overrides if word.startswith(f"{key}=")]
    if typed and not typed[-1]:
        raise ConfigError(f"{key} must be a folder, but got nothing. Write for example {key}=my_run.")
    return Path(typed[-1]) if typed and "${" not in typed[-1] else None


def _free(key: str, name: str) -> Path:
    """A free default name, made here so that two never share it."""
    base = Path("outputs") / KINDS[key] / time.strftime("%Y-%m-%d")
    stem = f"{time.strftime('%H-%M-%S')}_{name}"
    names = itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(2)))
    return next(base / found for found in names if _make(base / found))


def _make(folder: Path, exist_ok: bool = False, key: str = RUN) -> bool:
    """Makes a folder that can be written to; False when the name is taken."""
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except FileExistsError:
        if folder.is_dir():
            return False
        raise ConfigError(f"The output folder {folder} is a file. Set {key}= to a folder.") from None
    except OSError as error:
        raise ConfigError(
            f"The output folder {folder} cannot be written ({error.strerror}). Set {key}= to one that can."
        ) from None
    return True
