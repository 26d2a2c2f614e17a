"""Which rows of a series train, validate and test."""

from itertools import pairwise
from typing import Any

from nnrun.datasets.parts.split import part_sizes
from nnrun.errors import ConfigError

SPLIT = ("train_rows", "val_rows", "test_rows")


def check_rows(config: Any) -> None:
    """Raises ConfigError for ranges that are none, lie out of order, or are not given for every part."""
    ranges = {name: getattr(config, name) for name in SPLIT}
    given = {name: rows for name, rows in ranges.items() if rows is not None}
    for name, rows in given.items():
        if len(rows) != 2 or rows[0] >= rows[1]:
            raise ConfigError(
                f"dataset.{name} must be two rows, the first one and the end, but got {list(rows)}. Set for "
                f"example dataset.{name}=[0,1000]."
            )
    if given and len(given) != 3:
        raise ConfigError(f"dataset.{', dataset.'.join(SPLIT)} must all be given, or none. Set all three.")
    for (name, before), (later, after) in pairwise(given.items()):
        if after[0] < before[1]:
            raise ConfigError(f"dataset.{later} must start at row {before[1]} or later, where dataset.{name} ends.")


def part_rows(config: Any, count: int) -> list[tuple[int, int]]:
    """[first, end) of training, validation and test: as given, or by fractions. Raises ConfigError for too many."""
    if config.train_rows is None:
        train, val, _ = part_sizes(count, config.val_fraction, config.test_fraction)
        return [(0, train), (train, train + val), (train + val, count)]
    rows = [getattr(config, name) for name in SPLIT]
    if rows[2][1] > count:
        raise ConfigError(f"dataset.test_rows ends at row {rows[2][1]}, but {config.path} has {count} rows.")
    return rows


def seen_rows(config: Any, rows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The rows that the windows of each part may touch. Raises ConfigError when one has no window."""
    c = config
    # Without a horizon it is the last row of a window that must lie in the part, so one step less is looked back.
    back = c.window - (c.horizon == 0) if c.look_back else 0
    seen = [(max(0, start - (back if part else 0)), stop) for part, (start, stop) in enumerate(rows)]
    season = c.period or 1
    if any(stop - start < c.window + c.horizon for start, stop in seen) or rows[0][1] - rows[0][0] <= season:
        raise ConfigError(
            f"{config.path} gives parts of {', '.join(str(b - a) for a, b in rows)} rows (train, val, test), but "
            f"each must hold a window of {c.window} and its {c.horizon} steps to forecast, and the training part "
            f"more than a period of {season}. Set a smaller dataset.window or dataset.horizon, or another split."
        )
    return seen
