"""What the disk is asked for beside plain files: one written whole, a folder held by one process, a place to cache."""

import fcntl
import os
import shlex
from pathlib import Path
from typing import IO

from nnrun.errors import ConfigError


def write(path: Path, content: bytes, durable: bool = True) -> None:
    """Writes to a temporary name, syncs if `durable`, renames: readers see the old file or the new one."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def hold(folder: Path, name: str) -> IO[str]:
    """Locks a folder by one of its files until what is returned is closed, or the process ends, however it ends.

    Raises ConfigError when another process holds it. File systems without locks give none.
    """
    # The kernel drops a flock with its process, so that no kill leaves a lock behind, as a lock file would be.
    file = (folder / name).open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConfigError(
            f"Another process works on {folder}. Wait for it or stop it, then: nnrun resume {shlex.quote(str(folder))}"
        ) from None
    except OSError:
        pass
    return file


def cache_folder() -> Path:
    """The folder in which compiled programs and downloads stay between runs.

    $NNRUN_CACHE, or nnrun/ in the user's cache folder ($XDG_CACHE_HOME, ~/.cache).
    """
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nnrun"
    return Path(os.environ.get("NNRUN_CACHE") or default)
