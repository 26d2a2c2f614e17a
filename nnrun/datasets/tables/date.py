"""A column of dates: what is fitted on the training rows, and the calendar features that it gives to a network."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from nnrun.datasets.tables import gaps
from nnrun.datasets.tables.range import Range
from nnrun.datasets.tables.values import Cells, Given

DAY, YEAR = 86_400.0, 365.2425 * 86_400.0
"""How many seconds a day and a mean year have."""
YEAR_OF_DAYS = 3_652_425
"""How many ten-thousandths of a day a mean year has."""
NO_DAY = np.iinfo(np.int32).min
"""What an exported network takes for a missing date."""
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DatePart = Literal["years", "season", "weekday", "hour"]
ENDINGS: dict[DatePart, tuple[str, ...]] = {
    "years": ("years",),
    "season": ("season_sin", "season_cos"),
    "weekday": WEEKDAYS,
    "hour": ("hour_sin", "hour_cos"),
}


@dataclass(frozen=True)
class Date:
    """Moments as calendar features.

    years since the training mean `fill`; season: sine and cosine of the position in the year; weekday: seven inputs;
    hour: sine and cosine of the position in the day. A missing date becomes `fill`.
    """

    given: ClassVar = Given(
        "moments", "int32", (2,), f"days since 1970-01-01, {NO_DAY} where missing, and seconds of the day"
    )
    name: str
    missing: tuple[str, ...]
    pattern: str
    fill: float
    indicator: bool
    parts: tuple[DatePart, ...]

    def inputs(self) -> dict[str, bool]:
        """The names of the inputs, and whether each is measured in a unit: the years; others lie between -1 and 1."""
        own = {f"{self.name}_{ending}": part == "years" for part in self.parts for ending in ENDINGS[part]}
        return own | gaps.inputs(self.name, self.indicator)

    def encode(self, cells: Cells) -> list[np.ndarray]:
        """An array (n,) for every input. Raises RunError for a text that is no date."""
        seconds = cells.checked_moments(self.pattern).to_numpy()
        gap = np.isnan(seconds)
        seconds = np.where(gap, self.fill, seconds)
        angle = 2 * np.pi * seconds
        return self._inputs(np, gap, (seconds - self.fill) / YEAR, angle / YEAR, weekday(seconds), angle / DAY)

    def traced(self, xp: Any, moments: Any) -> list[Any]:
        """The inputs of moments (n, 2): days since 1970, NO_DAY where missing, and seconds of the day, both int32.

        `xp` is the module of their arrays, numpy or jax.numpy.
        """
        gap = moments[:, 0] == NO_DAY
        mean_day, mean_seconds = divmod(self.fill, DAY)
        days = xp.where(gap, int(mean_day), moments[:, 0])
        clock = xp.where(gap, mean_seconds, moments[:, 1].astype(xp.float32))
        # The position in the year out of whole numbers: single precision cannot tell the moments since 1970 apart.
        # Up to the year 2557 the product is an int32.
        season = (days * 10_000 % YEAR_OF_DAYS) / YEAR_OF_DAYS + clock / YEAR
        years = (days - int(mean_day)) * (DAY / YEAR) + (clock - mean_seconds) / YEAR
        return self._inputs(xp, gap, years, 2 * xp.pi * season, (days + 3) % 7, 2 * xp.pi * clock / DAY)

    def _inputs(self, xp: Any, gap: Any, years: Any, season: Any, day: Any, hour: Any) -> list[Any]:
        """The chosen ones of all features (n,), the season and the hour as angles, and the mark of a gap."""
        found: list[Any] = []
        for part in self.parts:
            if part == "years":
                found.append(years)
            elif part == "weekday":
                found += [day == one for one in range(7)]
            else:
                angle = season if part == "season" else hour
                found += [xp.sin(angle), xp.cos(angle)]
        return [*found, *[gap] * self.indicator]

    def made_up(self, random: np.random.Generator, inputs: np.ndarray) -> np.ndarray:
        """Moments (n, 2) within a year of the training mean, one for each row of `inputs`; some are missing."""
        days = int(self.fill // DAY) + random.integers(-365, 365, len(inputs))
        return np.stack([gaps.with_some(random, days, NO_DAY), random.integers(0, int(DAY), len(inputs))], -1)


@dataclass
class DateFit:
    """Fits a Date: the parts of the calendar that vary."""

    name: str
    missing: tuple[str, ...]
    pattern: str
    range: Range = field(default_factory=Range)
    day: Range = field(default_factory=Range)
    weekday: Range = field(default_factory=Range)
    hour: Range = field(default_factory=Range)

    def update(self, cells: Cells) -> None:
        """Adds training rows. Raises RunError for a text that is no date."""
        import polars

        moments = cells.checked_moments(self.pattern)
        seconds = moments.to_numpy()
        self.range.update(seconds)
        self.day.update((moments * 1e6).cast(polars.Int64).cast(polars.Datetime("us")).dt.day().to_numpy())
        self.weekday.update(weekday(seconds))
        self.hour.update(seconds % DAY)

    def finish(self) -> Date | None:
        """The fitted column, or None where the training part tells nothing by it."""
        if not self.range.tells:
            return None
        varying: dict[DatePart, bool] = {
            "years": True,
            "season": self.range.high - self.range.low > 2 * DAY,
            # Where a row stands for a month, its day never changes, and the weekday is an accident of the calendar.
            "weekday": self.day.varies and self.weekday.varies,
            "hour": self.hour.varies,
        }
        parts = tuple(part for part, varies in varying.items() if varies)
        return Date(self.name, self.missing, self.pattern, self.range.mean, self.range.gaps > 0, parts)


def weekday(seconds: np.ndarray) -> np.ndarray:
    """The day of the week of seconds since 1970, 0 for Monday; 1 January 1970 was a Thursday."""
    return (np.floor(seconds / DAY) + 3) % 7
