"""Predictions of any number of examples into a csv, parquet or npz file, a block at a time."""

import contextlib
import queue
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import numpy as np

from nnrun.datasets.part import Columns
from nnrun.errors import ConfigError
from nnrun.host import disk

MOST_COLUMNS = 10_000
"""A table has no more columns; arrays that would need more are for an npz."""
FORMULA, NUMBER = r"^[=+@\t\r-].", r"^[+-](inf|nan|(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)$"
"""What spreadsheets take for the beginning of a formula, and what begins like one."""

Write = Callable[[Columns], None]
"""Adds a block of rows: blocks of equal names, each an array (n, ...), for tables (n,)."""


@contextlib.contextmanager
def writing(path: Path, overwrite: bool = False) -> Iterator[Write]:
    """Gives what writes blocks to `path`, by its extension.

    The file appears whole when the block of code ends well, else nothing is left. Raises ConfigError for another
    extension, or a file that is there unless `overwrite`.
    """
    check(path, overwrite)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with WRITERS[path.suffix](temporary) as write:
            yield write
        temporary.replace(path)
    finally:
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


def harmless(text: str) -> str:
    """A name as a CSV has it: with a quote in front where a spreadsheet would take it for a formula, and run that."""
    return f"'{text}" if re.search(FORMULA, text) and not re.search(NUMBER, text) else text


def _harmless(frame: Any) -> Any:
    """The same of every name and text of a table."""
    import polars

    for name in (name for name, kind in frame.schema.items() if kind == polars.String):
        text = polars.col(name)
        is_formula = text.str.contains(FORMULA) & ~text.str.contains(NUMBER)
        frame = frame.with_columns(polars.when(is_formula).then("'" + text).otherwise(text).alias(name))
    return frame.rename({name: harmless(name) for name in frame.columns})


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


@contextlib.contextmanager
def _csv(path: Path) -> Iterator[Write]:
    # The first block alone is written with names.
    has_header = iter([True])
    with disk.create(path) as file:
        yield lambda columns: _harmless(_frame(columns)).write_csv(file, include_header=next(has_header, False))


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    """Polars takes rows from a generator: a thread of its own pulls them out of a queue of one block."""
    from polars.exceptions import PolarsError
    from polars.io.plugins import register_io_source

    # One block waits at most: the network must not run ahead of the disk.
    blocks: queue.Queue[Any] = queue.Queue(1)
    schema: dict[str, Any] = {}
    disk.create(path).close()

    def source(*_: Any) -> Iterator[Any]:
        while (frame := blocks.get()) is not None:
            yield frame

    with ThreadPoolExecutor(1) as pool:
        sinks: list[Future[None]] = []

        def write(columns: Columns) -> None:
            frame = _frame(columns)
            if not sinks:
                schema.update(frame.schema)
                sinks.append(pool.submit(lambda: register_io_source(source, schema=frame.schema).sink_parquet(path)))
            put(frame.cast(schema))

        def put(block: Any) -> None:
            waits = True
            # A sink that failed takes nothing more out of the queue.
            while waits and sinks and not sinks[0].done():
                with contextlib.suppress(queue.Full):
                    blocks.put(block, timeout=0.2)
                    waits = False

        try:
            yield write
        finally:
            put(None)
        try:
            for sink in sinks:
                sink.result()
        except PolarsError as error:
            # As polars calls a disk that is full.
            raise OSError(str(error)) from error


@contextlib.contextmanager
def _npz(path: Path) -> Iterator[Write]:
    """Blocks go to a file per array first, because an array's header tells how many rows follow."""
    with contextlib.ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix=".predictions", dir=path.parent))
        files: dict[str, IO[bytes]] = {}
        seen: dict[str, list[tuple[tuple[int, ...], np.dtype]]] = {}

        def write(columns: Columns) -> None:
            for name, values in columns.items():
                if name not in files:
                    files[name] = opened.enter_context(Path(folder, str(len(files))).open("w+b"))
                # Appended one after the other, each with a header of its own; texts of blocks differ in length.
                np.save(files[name], values, allow_pickle=False)
                seen.setdefault(name, []).append((values.shape, values.dtype))

        yield write
        with disk.create(path) as whole, zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, file in files.items():
                shapes, dtypes = zip(*seen[name], strict=True)
                dtype, rows = np.result_type(*dtypes), sum(shape[0] for shape in shapes)
                layout = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array_header_1_0(member, {**layout, "shape": (rows, *shapes[0][1:])})
                    file.seek(0)
                    for _ in shapes:
                        member.write(np.load(file, allow_pickle=False).astype(dtype).tobytes())


WRITERS: dict[str, Any] = {".csv": _csv, ".parquet": _parquet, ".npz": _npz}


def _frame(columns: Columns) -> Any:
    import polars

    return polars.DataFrame(columns)
