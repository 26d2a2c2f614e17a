"""Predictions of any number of examples into a csv, parquet or npz file, a block at a time."""

import contextlib
import queue
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from nnrun.datasets.part import Columns
from nnrun.errors import ConfigError

MOST_COLUMNS = 10_000
"""Of a table; arrays that would need more are for an npz."""


class Writer(Protocol):
    """Takes blocks of equal names, each an array (n, ...), for tables (n,)."""

    def write(self, columns: Columns) -> None:
        """Adds the rows of a block."""

    def finish(self) -> None:
        """After the last block."""

    def close(self) -> None:
        """Whether it was finished or not."""


@contextlib.contextmanager
def writing(path: Path, overwrite: bool = False) -> Iterator[Writer]:
    """A writer of `path` by its extension; the file appears whole when the block ends well, else nothing is left.

    Raises ConfigError for another extension, or a file that is there unless `overwrite`.
    """
    check(path, overwrite)
    temporary = path.with_name(f".{path.name}.partial")
    writer = WRITERS[path.suffix](temporary)
    try:
        yield writer
        writer.finish()
        writer.close()
        temporary.replace(path)
    finally:
        writer.close()
        temporary.unlink(missing_ok=True)


def check(path: Path, overwrite: bool, suffixes: tuple[str, ...] = (".csv", ".parquet", ".npz")) -> None:
    """Raises ConfigError for a file that cannot be written, or not without replacing another."""
    if path.suffix not in suffixes:
        ends = f"one of {', '.join(suffixes)}" if len(suffixes) > 1 else suffixes[0]
        raise ConfigError(f"--output {path} must end in {ends}. Write for example {path.stem}{suffixes[0]}.")
    if not path.parent.is_dir():
        raise ConfigError(f"--output {path}: there is no folder {path.parent}. Make it, or name another one.")
    if path.is_dir() or (path.exists() and not overwrite):
        what = "is a folder" if path.is_dir() else "exists already"
        raise ConfigError(f"{path} {what}. Name another file with --output FILE, or replace it with --overwrite.")


def flattened(columns: Columns, names: tuple[str, ...] = ()) -> Columns:
    """Arrays of higher rank as one column per element: `name_0`, or by `names` where there are as many.

    Raises ConfigError when a table would get too many columns.
    """
    found: Columns = {}
    width = sum(int(np.prod(values.shape[1:])) for values in columns.values())
    if width > MOST_COLUMNS:
        raise ConfigError(f"A table would need {width} columns. Write the arrays as they are: --output FILE.npz")
    for name, values in columns.items():
        if values.ndim == 1:
            found[name] = values
            continue
        rows = values.reshape(len(values), -1)
        endings = names if len(names) == rows.shape[1] else tuple(map(str, range(rows.shape[1])))
        found |= {f"{name}_{ending}": rows[:, i] for i, ending in enumerate(endings)}
    return found


class _Csv:
    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("wb")
        self._header = True

    def write(self, columns: Columns) -> None:
        _frame(columns).write_csv(self._file, include_header=self._header)
        self._header = False

    def finish(self) -> None:
        pass

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """Polars takes rows from a generator: a thread of its own pulls them out of a queue of one block."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blocks: queue.Queue[Any] = queue.Queue(1)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._schema: Any = None

    def write(self, columns: Columns) -> None:
        frame = _frame(columns)
        if self._thread is None:
            self._schema = frame.schema
            self._thread = threading.Thread(target=self._sink, daemon=True)
            self._thread.start()
        self._put(frame.cast(self._schema))

    def finish(self) -> None:
        self.close()
        if self._error:
            raise OSError(str(self._error)) from self._error

    def close(self) -> None:
        if self._thread:
            self._put(None)
            self._thread.join()
            self._thread = None

    def _put(self, frame: Any) -> None:
        waiting = True
        while waiting and self._thread and self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._blocks.put(frame, timeout=0.2)
                waiting = False

    def _sink(self) -> None:
        from polars.io.plugins import register_io_source

        def source(*_: Any) -> Iterator[Any]:
            while (frame := self._blocks.get()) is not None:
                yield frame

        try:
            register_io_source(source, schema=self._schema).sink_parquet(self._path)
        except BaseException as error:
            self._error = error


class _Npz:
    """Blocks go to a file per array first, because an array's header tells how many rows follow."""

    def __init__(self, path: Path) -> None:
        self._path, self._folder = path, Path(tempfile.mkdtemp(prefix=".predictions", dir=path.parent))
        self._files: dict[str, IO[bytes]] = {}
        self._seen: dict[str, list[tuple[tuple[int, ...], np.dtype]]] = {}

    def write(self, columns: Columns) -> None:
        for i, (name, values) in enumerate(columns.items()):
            if name not in self._files:
                self._files[name] = (self._folder / str(i)).open("w+b")
            np.save(self._files[name], values, allow_pickle=False)
            self._seen.setdefault(name, []).append((values.shape, values.dtype))

    def finish(self) -> None:
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, file in self._files.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    self._join(name, file, member)

    def _join(self, name: str, file: IO[bytes], member: IO[bytes]) -> None:
        shapes, dtypes = zip(*self._seen[name], strict=True)
        dtype, rows = np.result_type(*dtypes), sum(shape[0] for shape in shapes)
        layout = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(member, {**layout, "shape": (rows, *shapes[0][1:])})
        file.seek(0)
        for _ in shapes:
            member.write(np.load(file, allow_pickle=False).astype(dtype).tobytes())

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)


WRITERS: dict[str, Any] = {".csv": _Csv, ".parquet": _Parquet, ".npz": _Npz}


def _frame(columns: Columns) -> Any:
    import polars

    return polars.DataFrame(columns)
