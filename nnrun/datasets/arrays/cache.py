"""Arrays on disk that are mapped, not loaded: what makes sets larger than memory trainable after one conversion."""

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy

from nnrun.errors import RunError
from nnrun.host.disk import cache_folder

Caching = Literal["auto", "always", "never"]
AUTO_BYTES = 2**30
"""Arrays of more bytes are cached by `dataset.cache=auto`."""
ABANDONED_SECONDS = 86_400.0
"""Age after which a conversion that was not finished is no longer another process's work."""


def is_wanted(caching: Caching, size: int) -> bool:
    """Whether arrays of `size` bytes go through the cache."""
    return caching == "always" or (caching == "auto" and size > AUTO_BYTES)


def key(files: Iterable[Path], options: Any) -> str:
    """A name for what is made of files: another one once a path, size or time of change differs, or an option.

    options: anything that JSON can say. Raises RunError when a file is gone.
    """
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for path in files:
        try:
            found = path.stat()
        except OSError as error:
            raise RunError(f"{path} cannot be read any more: {error.strerror}. Run the command again.") from None
        # A path may hold bytes that are no UTF-8.
        digest.update(f"\n{path.absolute()}\0{found.st_size}\0{found.st_mtime_ns}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


class ArrayCache:
    """Arrays of equal length in `$NNRUN_CACHE/arrays/<key>/<name>.npy`: under the key there are whole ones or none."""

    def __init__(self, key: str, folder: Path | None = None) -> None:
        self._all = folder or cache_folder() / "arrays"
        self._folder = self._all / key

    def open(self) -> dict[str, np.ndarray] | None:
        """The arrays by name, mapped read-only (np.memmap); None when they were never filled or are damaged."""
        if not self._folder.is_dir():
            return None
        try:
            paths = sorted(self._folder.iterdir())
            found = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in paths}
            whole = all(isinstance(values, np.memmap) for values in found.values())
            if whole and len({len(values) for values in found.values()}) == 1:
                return found
        except (OSError, ValueError):
            pass
        shutil.rmtree(self._folder, ignore_errors=True)
        return None

    def fill(self, blocks: Iterable[dict[str, np.ndarray]], size: int | None = None) -> dict[str, np.ndarray]:
        """Writes blocks of rows one after the other, and gives all rows mapped.

        blocks: the same names, types and shapes (n, ...) each time; the number of rows need not be known.
        size: bytes in all, so that a disk that is too small is found first.
        Raises RunError when the folder cannot be written; a failure or an interruption leaves nothing behind.
        """
        with self._partial(size) as partial:
            _write(partial, blocks)
            # A temporary folder is its owner's alone, the cache is everybody's.
            partial.chmod(0o755)
            try:
                partial.rename(self._folder)
            except OSError as error:
                # Another process was quicker; what it wrote is the same.
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
        found = self.open()
        if found is None:
            raise RunError(f"{self._folder} was damaged right after it was written. Check the disk.")
        return found

    @contextlib.contextmanager
    def _partial(self, size: int | None) -> Iterator[Path]:
        """A folder to fill, removed unless it was renamed. Raises RunError for whatever the disk refuses meanwhile."""
        try:
            self._all.mkdir(parents=True, exist_ok=True)
            for old in self._all.glob("*.part"):
                with contextlib.suppress(OSError):
                    if time.time() - max(path.stat().st_mtime for path in (old, *old.iterdir())) > ABANDONED_SECONDS:
                        shutil.rmtree(old, ignore_errors=True)
            free = shutil.disk_usage(self._all).free
            if size is not None and size > free:
                raise OSError(f"they take {size / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free")
            logging.getLogger("nnrun").info("Converting once to %s", self._folder)
            # After it was renamed there is nothing left to be removed.
            with tempfile.TemporaryDirectory(
                prefix=f"{self._folder.name}.", suffix=".part", dir=self._all, ignore_cleanup_errors=True
            ) as partial:
                yield Path(partial)
        except OSError as error:
            raise RunError(
                f"{self._all} cannot hold the converted arrays: {error}. Remove old ones there, set NNRUN_CACHE to a "
                "folder on a larger disk, or set dataset.cache=never if they fit into memory."
            ) from None


def _write(folder: Path, blocks: Iterable[dict[str, np.ndarray]]) -> None:
    rows = 0
    with contextlib.ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        like: dict[str, np.ndarray] = {}
        for block in blocks:
            for name, values in block.items():
                if name not in files:
                    files[name] = stack.enter_context((folder / f"{name}.npy").open("wb"))
                    # No row: what later blocks must be like is the type and the shape.
                    like[name] = values[:0]
                    _write_header(files[name], 0, values)
                if (values.dtype, values.shape[1:]) != (like[name].dtype, like[name].shape[1:]):
                    raise ValueError(f"{name} changed from {like[name].dtype} to {values.dtype} of {values.shape}")
                files[name].write(np.ascontiguousarray(values).data)
            rows += len(next(iter(block.values())))
        for name, file in files.items():
            file.seek(0)
            _write_header(file, rows, like[name])
            # Only what has reached the disk gets its name: a crash must not leave a cache that looks whole.
            file.flush()
            os.fsync(file.fileno())


def _write_header(file: IO[bytes], rows: int, like: np.ndarray) -> None:
    """NumPy leaves room for the first axis to grow, so that the final header takes the place of the first."""
    described = {"descr": npy.dtype_to_descr(like.dtype), "fortran_order": False, "shape": (rows, *like.shape[1:])}
    npy.write_array_header_1_0(file, described)
