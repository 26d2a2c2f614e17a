"""Which folder a run or a sweep fills: the one typed, where it may have it, else a free one named by the time."""

import contextlib
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nnrun.errors import ConfigError
from nnrun.folders import reading
from nnrun.host import disk

RUN, SWEEP = "hydra.run.dir", "hydra.sweep.dir"
"""The keys that name a folder."""


class Claim(NamedTuple):
    """A folder that a command fills; a new one that is still empty at the end is given back."""

    folder: Path
    is_new: bool

    def give_back(self) -> None:
        """Removes the folder where nothing was written into it."""
        if self.is_new:
            with contextlib.suppress(OSError):
                self.folder.rmdir()


def claim_run(folder: str, typed: list[str]) -> Claim:
    """Makes a run's folder: the one that the words `typed` name, which may hold no run, else a free one of that name.

    Raises ConfigError for one that is taken or cannot be written.
    """
    if not typed:
        return Claim(_free(Path(folder)), is_new=True)
    given(RUN, typed)
    found = Claim(Path(folder), not Path(folder).exists())
    check_run(found.folder)
    return found


@contextlib.contextmanager
def claimed(overrides: list[str], name: str) -> Iterator[list[str]]:
    """Makes a sweep's folder, and gives the override that names it where none is typed.

    Raises ConfigError for one that is taken or cannot be written.
    """
    typed = given(SWEEP, overrides)
    # A name with ${...} in it: Hydra works it out, and the sweep checks the folder once it is known.
    if typed is None and any(word.startswith(f"{SWEEP}=") for word in overrides):
        yield []
        return
    if typed:
        check_sweep(typed)
    base = Path("outputs") / "sweeps" / time.strftime("%Y-%m-%d")
    found = Claim(typed or _free(base / f"{time.strftime('%H-%M-%S')}_{name}"), typed is None or not typed.exists())
    try:
        if typed:
            _make(typed, exist_ok=True, key=SWEEP)
        yield [] if typed else [f"{SWEEP}='{found.folder}'"]
    finally:
        found.give_back()


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


def _free(wanted: Path) -> Path:
    """Makes a folder of a default name, or the next free one, so that two commands never share it."""
    folder, number = wanted, 1
    while not _make(folder):
        number += 1
        folder = wanted.with_name(f"{wanted.name}_{number}")
    return folder


def _make(folder: Path, exist_ok: bool = False, key: str = RUN) -> bool:
    """Makes a folder that can be written to; False when the name is taken."""
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
        # Permission bits do not tell it all: the disk may be read-only.
        disk.create(folder / ".writable").close()
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
