"""A series from your own file."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from nnrun.datasets.base import Anchor, Data, DataSpec, Scaling, Series
from nnrun.datasets.part import take
from nnrun.datasets.parts.scaling import fit, fit_inputs
from nnrun.datasets.parts.split import FEWEST, Divided, share
from nnrun.datasets.reader import Block
from nnrun.datasets.series import remarks, stretches
from nnrun.datasets.series.reader import TimeseriesReader
from nnrun.datasets.series.split import check_rows, part_rows, seen_rows
from nnrun.datasets.series.table import Missing, SeriesTable, pointed, series_numbers
from nnrun.datasets.series.times import check_pattern, is_time, time_pattern
from nnrun.datasets.series.windowed import WindowConfig, naive_error
from nnrun.datasets.series.windows import places, season_before
from nnrun.datasets.tables import single_precision
from nnrun.datasets.tables.dialect import Header, Separator
from nnrun.datasets.tables.file import Table, check_columns, read_table
from nnrun.datasets.tables.values import Place
from nnrun.errors import ConfigError, RunError
from nnrun.schema import setting, show, size

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True)
class TimeseriesConfig(WindowConfig):
    """Keys of dataset=timeseries."""

    path: str | None = setting(None, "a csv, tsv or parquet file, one row for each step of time", changes="examples")
    time: str | None = setting(
        "auto", "column of times, in UTC where they have offsets; auto: the first one that holds dates; null: none"
    )
    time_format: str | None = setting(
        None, "how times are written, for example %d/%m/%Y %H:%M; null: told from all rows"
    )
    target: str | tuple[str, ...] | None = setting(
        None, "columns to forecast; null: every column of numbers", changes="question"
    )
    features: tuple[str, ...] | None = setting(
        None, "columns seen beside the target's past; null: all others; []: none"
    )
    drop: tuple[str, ...] = setting((), "columns left out")
    horizon: int = size(1, "steps to forecast; 0: none, to rebuild the windows with an autoencoder", least=0)
    period: int | None = size(None, "steps of a season, for baselines and relative_to=season; null: none")
    transform: Literal["none", "log"] = setting(
        "none", "of every column, before scaling; forecasts are turned back", changes="units"
    )
    relative_to: Literal["none", "last", "season"] = setting(
        "none",
        "the network forecasts the change from: the newest value, or the value whole seasons before",
        changes="units",
    )
    missing: Missing = setting("refuse", "previous: a missing value is the one before it")
    train_rows: tuple[int, ...] | None = size(
        None, "[first, end): rows of the part, counted from 0", least=0, changes="examples"
    )
    val_rows: tuple[int, ...] | None = size(
        None, "[first, end): rows of the part, counted from 0", least=0, changes="examples"
    )
    test_rows: tuple[int, ...] | None = size(
        None, "[first, end): rows of the part, counted from 0", least=0, changes="examples"
    )
    look_back: bool = setting(True, "windows of validation and test see values of the part before, never its targets")
    anomalies: tuple[str, ...] = setting(
        (), "labelled stretches START/END, both ends included, for the evaluation of an autoencoder"
    )
    train_anomalies: Literal["keep", "drop"] = setting(
        "keep",
        "drop: windows of training and validation that see or forecast a row of anomalies are left out, as are these "
        "rows from the scaling",
        changes="examples",
    )
    separator: Separator = setting("auto", "between the fields of a row")
    decimal: Literal[".", ","] = setting(".", "mark before the decimals")
    encoding: str = setting("utf-8", "of the text")
    header: Header = setting("auto", "whether the first line names the columns; auto: unless it holds numbers alone")


class Timeseries(Divided):
    """Windows over the rows of a table, and the values that follow each, split by time: training, validation, test.

    A part is a range of rows, by fractions or as given. What a window forecasts lies in its part's rows; with look_back
    the first windows of validation and test see the rows before their part, as published protocols do, so every row of
    these parts is forecast; training windows never see later rows. With horizon 0 a window belongs to the part of its
    last row. Scaling and the naive error come from the training rows alone. `dataset.limit` keeps each part's first
    windows. Inputs (window, variables), targets (horizon, targets), with per_step (window, horizon, targets).
    """

    config: TimeseriesConfig

    def __init__(self, config: TimeseriesConfig) -> None:
        super().__init__(config)
        c = config
        check_rows(c)
        if c.train_anomalies == "drop" and not c.anomalies:
            raise ConfigError("dataset.train_anomalies=drop needs dataset.anomalies, the stretches that are left out.")
        if c.relative_to == "season" and (c.period is None or c.period > c.window or c.per_step):
            raise ConfigError(
                "dataset.relative_to=season needs a dataset.period of at most dataset.window and "
                f"dataset.per_step=false, but got dataset.period={show(c.period)}, dataset.window={c.window} and "
                f"dataset.per_step={c.per_step}. Set for example dataset.relative_to=last."
            )

    def spec(self) -> DataSpec:
        """Shapes from the config and the columns of the file."""
        c, reader = self.config, self.reader
        targets = (c.horizon, len(reader.targets)) if c.horizon else None
        return DataSpec(
            "series",
            (c.window, len(reader.columns)),
            targets,
            "forecasting",
            per_step=c.per_step,
            anomalies=bool(c.anomalies),
            log=c.transform == "log",
            anchor=self._anchor(),
        )

    def load(self) -> Data:
        """Reads the series, cuts it into parts and windows, and fits the scaling on the training rows."""
        c, reader, spec = self.config, self.reader, self.spec()
        table = reader.table(self._table, self._path)
        rows = part_rows(c, len(table.values))
        marked = self._marked(table)
        blocks, starts = self._windows(table, rows, marked)
        counts = share(tuple(map(len, starts)), c.limit)
        train_part, val, test = (take(block.part, slice(n)) for block, n in zip(blocks, counts, strict=True))
        newest = [first[:n] + c.window - 1 for first, n in zip(starts, counts, strict=True)]
        marks, val_marks = (marked[slice(*part)] for part in rows[:2])
        past = table.values[slice(*rows[0])]
        train = past[marks == 0] if c.train_anomalies == "drop" else past
        season = None if c.horizon or c.period is None else places(table.times, len(table.values), c.period)
        log = c.transform == "log"
        known = (np.log(train) if log else train).astype(np.float32)
        fitted, seen = fit(known, c.scaling), fit_inputs({"inputs": known}, c.scaling)
        chosen = list(reader.targets)
        return Data(
            spec,
            train_part,
            val,
            test,
            input_scaling=Scaling(seen.offset, seen.scale, log),
            target_scaling=Scaling(fitted.offset[chosen], fitted.scale[chosen], log) if c.horizon else None,
            input_names=reader.columns,
            target_names=tuple(reader.columns[i] for i in chosen),
            series=Series(c.period, naive_error(past[:, chosen], c.period), reader.targets),
            reader=reader,
            labels=take(blocks[2].labels, slice(counts[2])),
            # Windows as long as a season hold these values themselves.
            season_before=season_before(table.values[:, chosen], newest[2], c.horizon, c.period)
            if c.horizon and (c.period or 1) > c.window
            else None,
            places=None if season is None else (season[newest[0]], season[newest[2]]),
            notes=(*self._notes(table, train), *stretches.notes(marks, val_marks, c.train_anomalies)),
        )

    def _marked(self, table: SeriesTable) -> np.ndarray:
        """(rows,) 1 in labelled stretches. Raises ConfigError for one that no row lies in."""
        if not self.config.anomalies or table.times is None:
            return np.zeros(len(table.values), np.int32)
        stretches.check(table.times, self.config.anomalies, self._path)
        return stretches.inside(table.times, self.config.anomalies)

    def _windows(
        self, table: SeriesTable, rows: list[tuple[int, int]], marked: np.ndarray
    ) -> tuple[list[Block], list[np.ndarray]]:
        """The windows of every part, and the rows that they start at (n,)."""
        c = self.config
        spans = seen_rows(c, rows)
        blocks = [self.reader.windows(table, first, stop) for first, stop in spans]
        starts = [
            first + c.stride * np.arange(len(block.part["inputs"]))
            for block, (first, _) in zip(blocks, spans, strict=True)
        ]
        for i, name in enumerate(("training", "validation") if c.train_anomalies == "drop" else ()):
            clear = stretches.clear(marked, starts[i], c.window + c.horizon)
            if clear.sum() < FEWEST:
                raise ConfigError(
                    f"dataset.train_anomalies=drop leaves {clear.sum()} of {len(clear)} {name} windows, but at least "
                    f"{FEWEST} are needed. Set a smaller dataset.window, or other parts of the series."
                )
            blocks[i], starts[i] = Block(take(blocks[i].part, clear), {}), starts[i][clear]
        return blocks, starts

    @cached_property
    def reader(self) -> TimeseriesReader:
        """Reads newer series like this one. Raises ConfigError when the columns of the file do not fit the config."""
        c, frame = self.config, self._table.frame
        targets = self._named
        check_columns(frame, targets, self._path, "dataset.target")
        check_columns(frame, c.features or (), self._path, "dataset.features")
        check_columns(frame, c.drop, self._path, "dataset.drop")
        time = self._time(frame)
        left = [name for name in frame.columns if name not in (*c.drop, time)]
        inputs = left if c.features is None else [name for name in left if name in (*targets, *c.features)]
        self._check_columns(frame, inputs, targets)
        return TimeseriesReader(
            tuple(inputs),
            tuple(inputs.index(name) for name in targets or inputs),
            time,
            c.window,
            c.horizon,
            c.stride,
            c.per_step,
            c.missing,
            c.transform == "log",
            c.anomalies,
            c.separator,
            c.encoding,
            c.header,
            c.decimal,
            tuple(name for name in frame.columns if name not in (*inputs, time)),
            self._time_format(time),
        )

    @property
    def _path(self) -> str:
        if self.config.path is None:
            raise ConfigError("dataset=timeseries needs a file. Set dataset.path, for example dataset.path=series.csv.")
        return self.config.path

    @property
    def _named(self) -> tuple[str, ...]:
        """The columns that dataset.target names."""
        target = self.config.target
        return (target,) if isinstance(target, str) else target or ()

    @property
    def _table(self) -> Table:
        return read_table(self._path, self.config.separator, self.config.encoding, self.config.header)

    def _time(self, frame: "polars.DataFrame") -> str | None:
        chosen = self.config.time
        if chosen == "auto":
            chosen = next((name for name in frame.columns if is_time(frame[name], self.config.time_format)), None)
        elif chosen is not None:
            check_columns(frame, (chosen,), self._path, "dataset.time")
        if chosen is None and self.config.time_format is not None:
            raise ConfigError(
                f"dataset.time_format is {self.config.time_format}, but no column of {self._path} begins with a time "
                "written so. Correct it, or set dataset.time."
            )
        if chosen is None and self.config.anomalies:
            raise ConfigError(
                f"dataset.anomalies needs times, but {self._path} has no column of dates. Set dataset.time."
            )
        return chosen

    def _time_format(self, time: str | None) -> str | None:
        """The pattern of the times, as stated, or as told from all rows."""
        c, place = self.config, Place(self._path, self._table.rows)
        if time is None:
            return None
        column = pointed(self._table.frame[time], c.decimal)
        if c.time_format is not None:
            check_pattern(column, place, c.time_format)
        return time_pattern(column, place, c.time_format)

    def _check_columns(self, frame: "polars.DataFrame", inputs: list[str], targets: tuple[str, ...]) -> None:
        if not inputs or (lost := [name for name in targets if name not in inputs]):
            what = f"dataset.target={lost[0]} is left out" if inputs else "no column is left to forecast"
            raise ConfigError(
                f"{self._path}: {what}. Check dataset.target, dataset.features, dataset.drop and dataset.time."
            )
        for name in inputs:
            try:
                # The first row tells numbers from texts before a run starts; loading looks at all.
                series_numbers(frame[name][:1], self.config.decimal, Place(self._path, self._table.rows))
            except RunError as error:
                raise ConfigError(f"{error} For example dataset.drop=[{name}].") from None

    def _anchor(self) -> Anchor | None:
        c = self.config
        if c.relative_to == "none" or not c.horizon:
            return None
        season = c.period if c.relative_to == "season" and c.period else 1
        # Step h of the forecast starts from the newest value that lies whole seasons before it.
        steps = (0,) if c.per_step else tuple(-season + h % season for h in range(c.horizon))
        return Anchor(steps, self.reader.targets)

    def _notes(self, table: SeriesTable, train: np.ndarray) -> tuple[str, ...]:
        """Raises ConfigError where the targets are constant in the training rows, or in single precision."""
        c, columns = self.config, self.reader.columns
        same, targets = remarks.constant(train, columns), [columns[i] for i in self.reader.targets]
        coarse = single_precision.remarks(train, columns, self._path)
        if c.horizon:
            constant = "is the same in every training row, so there is nothing to learn"
            move = "Name another column: dataset.target=NAME."
            lost = {name: f"{self._path}: the target {name} {constant}. {move}" for name in same}
            remarks.check_targets(lost, targets, bool(self._named))
            remarks.check_targets(coarse, targets, bool(self._named))
        # Unless nothing is scaled they are left out, which is told of every data set.
        unscaled = same if c.scaling == "none" else ()
        found = (*remarks.notes(table, unscaled, self._path), *coarse.values())
        if c.time != "auto" or self.reader.time is not None or columns[0] in self._named:
            return found
        return (*found, *remarks.rising(table, columns, self._table.frame.columns[0], self._path))
