"""What an exported network takes: arrays as they are, or the columns of a table with their gaps."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nnrun.datasets.base import DataSpec, Scaling
from nnrun.datasets.fields import Field
from nnrun.datasets.tables.reader import Input, TableReader
from nnrun.models.base import Batch


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
        """The shape and type for a batch of a size, which may be symbolic."""
        return jax.ShapeDtypeStruct((batch, *self.shape), self.dtype)

    def described(self) -> dict[str, Any]:
        """The argument in words for a program that has the file alone."""
        found = {"dtype": self.dtype.name, "shape": ["batch", *self.shape]}
        return found | {name: value for name in ("columns", "about") if (value := getattr(self, name))}


@dataclass(frozen=True)
class ArrayInputs:
    """The fields of an example that the network is shown, `inputs` first."""

    spec: DataSpec

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Raw values of scaled fields as float32, the others as they are."""
        return tuple(Argument(field.name, np.dtype(field.dtype), field.shape) for field in self._shown)

    def batch(self, arrays: dict[str, jax.Array]) -> Batch:
        """The arrays as they are given."""
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
    """The columns of a table, an array for each kind; gaps are filled, marked and made inputs as in training."""

    reader: TableReader

    @property
    def _groups(self) -> list[tuple[Input, ...]]:
        """The columns of each kind that the table has, in the order of the reader's inputs."""
        return [group for group in (self.reader.numeric, self.reader.dates, self.reader.categories) if group]

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The arrays `numbers`, `moments` and `codes`, those that the table has."""
        return tuple(
            Argument(
                group[0].given.name,
                np.dtype(group[0].given.dtype),
                (len(group), *group[0].given.shape),
                tuple(column.name for column in group),
                group[0].given.about,
            )
            for group in self._groups
        )

    def batch(self, arrays: dict[str, jax.Array]) -> Batch:
        """The `inputs`, and `categories` where some are embedded."""
        made = [
            column.traced(jnp, arrays[column.given.name][:, i])
            for group in self._groups
            for i, column in enumerate(group)
        ]
        return self.reader.assembled(jnp, made)

    def made_up(self, random: np.random.Generator, count: int, scaling: Scaling) -> dict[str, np.ndarray]:
        """Numbers about the training mean, moments within a year of it and any code; some are missing."""
        inputs = scaling.invert(random.normal(size=(count, len(self.reader.input_names))))
        origins = self.reader.origins()
        return {
            group[0].given.name: np.stack(
                [column.made_up(random, inputs[:, origins[column.name].get("inputs", ())]) for column in group], 1
            )
            for group in self._groups
        }
