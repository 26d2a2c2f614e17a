"""What an exported network takes: arrays as they are, or the columns of a table with their gaps."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from nnrun.datasets.base import DataSpec, Scaling
from nnrun.datasets.fields import Field
from nnrun.datasets.tables.columns import DAY, YEAR, Category, Date
from nnrun.datasets.tables.reader import TableReader
from nnrun.models.base import Batch

NO_DAY = np.iinfo(np.int32).min
YEAR_OF_DAYS = 3_652_425
"""Ten-thousandths of a day in a mean year: whole, since single precision cannot tell the moments since 1970 apart."""
GAPS = 0.1
"""Share of made-up values that are missing."""


@dataclass(frozen=True)
class Argument:
    """An array that the function takes: `shape` of one example, without the leading axis of examples.

    columns: names along the first axis of `shape`. about: how values are written that are not plain numbers.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    columns: tuple[str, ...] = ()
    about: str = ""

    def of(self, batch: Any) -> jax.ShapeDtypeStruct:
        """Shape and type for a batch of a size, which may be symbolic."""
        return jax.ShapeDtypeStruct((batch, *self.shape), self.dtype)

    def described(self) -> dict[str, Any]:
        """For a program that has the file alone."""
        found = {"dtype": self.dtype.name, "shape": ["batch", *self.shape]}
        return found | {name: value for name in ("columns", "about") if (value := getattr(self, name))}


class RawInputs(Protocol):
    """Arrays that become a batch of raw examples inside the exported function."""

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """In the order in which they are given."""

    def batch(self, arrays: dict[str, jax.Array]) -> Batch:
        """The fields as the network takes them, not yet scaled."""

    def made_up(self, random: np.random.Generator, count: int, scaling: Scaling) -> dict[str, np.ndarray]:
        """Some examples in the range of the training data."""


@dataclass(frozen=True)
class ArrayInputs:
    """The fields of an example that the network is shown, `inputs` first."""

    spec: DataSpec

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Raw values of scaled fields as float32, the others as they are."""
        return tuple(Argument(field.name, np.dtype(field.dtype), field.shape) for field in self._shown)

    def batch(self, arrays: dict[str, jax.Array]) -> Batch:
        """The arrays themselves."""
        return dict(arrays)

    def made_up(self, random: np.random.Generator, count: int, scaling: Scaling) -> dict[str, np.ndarray]:
        """Normal numbers, those of `inputs` in the unit of the data, any whole number in its range and any length."""
        longest = {one.lengths: one.shape[one.time] for one in self._shown if one.lengths and one.time is not None}
        made: dict[str, np.ndarray] = {}
        for field in self._shown:
            shape, name = (count, *field.shape), field.name
            if name in longest:
                made[name] = random.integers(1, longest[name] + 1, count)
            elif field.whole:
                made[name] = random.integers(0, field.below or 2, shape)
            else:
                numbers = random.normal(size=shape)
                made[name] = scaling.invert(numbers) if field.scaled and name == "inputs" else numbers
        return made

    @property
    def _shown(self) -> list[Field]:
        return [field for field in self.spec.example.values() if not field.answer]


@dataclass(frozen=True)
class TableInputs:
    """The columns of a table by kind; gaps are filled, marked and made inputs as in training."""

    reader: TableReader

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """`numbers`, `moments` and `codes`, those that the table has."""
        reader, names = self.reader, lambda columns: tuple(column.name for column in columns)
        found = (
            Argument("numbers", np.dtype("float32"), (), names(reader.numeric), "NaN where missing"),
            Argument(
                "moments",
                np.dtype("int32"),
                (2,),
                names(reader.dates),
                f"days since 1970-01-01, {NO_DAY} where missing, and seconds of the day",
            ),
            Argument(
                "codes",
                np.dtype("int32"),
                (),
                names(reader.categories),
                "the place in the column's categories, from 1; -1 where missing, 0 for any other",
            ),
        )
        return tuple(dataclasses.replace(one, shape=(len(one.columns), *one.shape)) for one in found if one.columns)

    def batch(self, arrays: dict[str, jax.Array]) -> Batch:
        """`inputs`, and `categories` where some are embedded."""
        columns: list[jax.Array] = []
        for i, number in enumerate(self.reader.numeric):
            values = arrays["numbers"][:, i]
            gap = jnp.isnan(values)
            columns += [jnp.where(gap, number.fill, values), *[gap] * number.indicator]
        for i, date in enumerate(self.reader.dates):
            columns += _calendar(date, arrays["moments"][:, i, 0], arrays["moments"][:, i, 1])
        codes = [_codes(column, arrays["codes"][:, i]) for i, column in enumerate(self.reader.categories)]
        both = list(zip(self.reader.categories, codes, strict=True))
        columns += [found == code for one, found in both if not one.embedded for code in range(1, one.cardinality)]
        (size, *_), *_ = (array.shape for array in arrays.values())
        inputs = [column.astype(jnp.float32) for column in columns]
        batch = {"inputs": jnp.stack(inputs, -1) if inputs else jnp.zeros((size, 0), jnp.float32)}
        embedded = [found for one, found in both if one.embedded]
        return batch | ({"categories": jnp.stack(embedded, -1)} if embedded else {})

    def made_up(self, random: np.random.Generator, count: int, scaling: Scaling) -> dict[str, np.ndarray]:
        """Numbers about the training mean, moments within a year of it and any code; some are missing."""
        reader, origins = self.reader, self.reader.origins()
        inputs = scaling.invert(random.normal(size=(count, len(reader.input_names))))
        numbers = inputs[:, [origins[one.name]["inputs"][0] for one in reader.numeric]]
        means = np.array([one.fill // DAY for one in reader.dates], int)
        days = means + random.integers(-365, 365, (count, len(means)))
        seconds = random.integers(0, int(DAY), days.shape)
        moments = np.stack([_with_gaps(random, days, NO_DAY), seconds], -1)
        codes = [random.integers(-1, len(one.categories) + 1, count) for one in reader.categories]
        made = {"numbers": _with_gaps(random, numbers, np.nan), "moments": moments, "codes": np.array(codes, int).T}
        return {argument.name: made[argument.name] for argument in self.arguments}


def _with_gaps(random: np.random.Generator, values: np.ndarray, gap: float) -> np.ndarray:
    return np.where(random.random(values.shape) < GAPS, gap, values)


def _calendar(date: Date, days: jax.Array, seconds: jax.Array) -> list[jax.Array]:
    """What `Date.encode` makes of a moment."""
    gap = days == NO_DAY
    mean_day, mean_seconds = divmod(date.fill, DAY)
    days = jnp.where(gap, int(mean_day), days)
    clock = jnp.where(gap, mean_seconds, seconds.astype(jnp.float32))
    season = (days * 10_000 % YEAR_OF_DAYS) / YEAR_OF_DAYS + clock / YEAR
    turns = {"season": 2 * jnp.pi * season, "hour": 2 * jnp.pi * clock / DAY}
    features = {
        "years": [(days - int(mean_day)) * (DAY / YEAR) + (clock - mean_seconds) / YEAR],
        "weekday": [(days + 3) % 7 == day for day in range(7)],
        **{name: [jnp.sin(angle), jnp.cos(angle)] for name, angle in turns.items()},
    }
    return [*(array for part in date.parts for array in features[part]), *[gap] * date.indicator]


def _codes(column: Category, codes: jax.Array) -> jax.Array:
    """What `Category.codes` gives."""
    known = jnp.where((codes > 0) & (codes <= len(column.categories)), codes, 0)
    return jnp.where((codes == -1) & column.indicator, column.cardinality - 1, known)
