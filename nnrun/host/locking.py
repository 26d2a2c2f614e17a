"""One process works on a folder at a time."""

import fcntl
import shlex
from pathlib import Path
from typing import IO

from nnrun.errors import ConfigError


def hold(folder: Path, name: str) -> IO[str]:
    """Locks a folder by one of its files until what is returned is closed, or the process ends, however it ends.

    Raises ConfigError when another process holds it. File systems without locks give none.
    """
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
