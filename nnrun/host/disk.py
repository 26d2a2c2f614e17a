"""What the disk is asked for beside plain files: one written whole, a folder held by one process, a place to cache."""

import errno
import fcntl
import os
import shlex
import stat
import tempfile
from functools import cache
from pathlib import Path
from typing import IO, Any

from nnrun.errors import ConfigError

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
MORE = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
READABLE = 0o666
"""The rights of a new file, before those that the user's mask takes away."""


def create(path: Path, mode: str = "wb") -> IO[Any]:
    """Opens a new file in the place of whatever has its name, to be written to; nothing is written through a link."""
    path.unlink(missing_ok=True)
    return _opened(path, NEW, mode)


def append(path: Path) -> IO[str]:
    """Opens a file to add text to its end, not through a link. Raises OSError where it is one."""
    return _opened(path, MORE, "a")


def _opened(path: Path, flags: int, mode: str) -> IO[Any]:
    descriptor = os.open(path, flags, READABLE)
    if "b" in mode:
        return os.fdopen(descriptor, mode)
    # The name of a file may hold bytes that are no text.
    return os.fdopen(descriptor, mode, encoding="utf-8", errors="backslashreplace", newline="")


def write(path: Path, content: bytes, durable: bool = True) -> None:
    """Writes to a temporary name, syncs if `durable`, renames: readers see the old file or the new one."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with create(temporary) as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Has the new name of a file outlast a power cut: it stands in the folder, not in the file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError:
        # Some file systems of networks know no sync of a folder.
        pass
    finally:
        os.close(descriptor)


def hold(folder: Path, name: str) -> IO[str]:
    """Locks a folder by one of its files until what is returned is closed, or the process ends, however it ends.

    Raises ConfigError when another process holds it, or the file is a link. File systems without locks give none.
    """
    # The kernel drops a flock with its process, so that no kill leaves a lock behind, as a lock file would be.
    try:
        file = append(folder / name)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        said = f"{folder / name} is a link, and nothing is written through it. Put the file itself there."
        raise ConfigError(said) from None
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

    $NNRUN_CACHE, or nnrun/ in the user's cache folder ($XDG_CACHE_HOME, ~/.cache); without a home, a temporary folder.
    """
    if given := os.environ.get("NNRUN_CACHE"):
        return Path(given)
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "nnrun"
    try:
        return Path.home() / ".cache" / "nnrun"
    except RuntimeError:
        return _temporary()


@cache
def _temporary() -> Path:
    """A folder among the temporary ones that is this user's alone: what is compiled is run, whoever wrote it."""
    folder = Path(tempfile.gettempdir()) / f"nnrun-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            return Path(tempfile.mkdtemp(prefix="nnrun-"))
    return folder
