"""The rows of a data set's files in blocks; a file that is not streamed is walked, and its values read, only once."""

from collections.abc import Iterator
from pathlib import Path

from nnrun.datasets.tables import source
from nnrun.datasets.tables.roles import Roles
from nnrun.datasets.tables.values import Cells, Rows


class Files:
    """The files of a data set by part. What was read of a file that is not streamed is kept until `forget`."""

    def __init__(self, paths: dict[int, Path], format: source.TableFormat, roles: Roles) -> None:
        self.paths, self.format, self._roles = paths, format, roles
        self._kept: dict[int, list[Rows]] = {}

    def blocks(self, part: int) -> Iterator[Rows]:
        """The rows of a part's file in its order.

        Raises ConfigError for a file that is no table, RunError for a damaged row and a file that changes.
        """
        path = self.paths[part]
        if part in self._kept:
            yield from self._kept[part]
            return
        # What is read of a block of a streamed file goes with it: such a file need not fit into memory.
        kept: list[Rows] | None = None if source.is_large(path) else []
        for frame, place in source.blocks(path, self.format):
            missing, decimal = self._roles.missing, self.format.decimal
            cells = {name: Cells(frame[name], place, missing[name], decimal) for name in self._roles.all}
            rows = Rows(cells, place)
            yield rows
            if kept is not None:
                kept.append(rows)
                for column in cells.values():
                    column.settle()
        # Only here the walk has come to its end: half a file must not pass for the whole.
        if kept is not None:
            self._kept[part] = kept

    def forget(self) -> None:
        """Frees what is kept: later rows are read again."""
        self._kept = {}
