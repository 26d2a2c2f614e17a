"""What can be tried: the dimensions of a search space, and which of them apply to a point."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Params = dict[str, Any]


@dataclass(frozen=True)
class Categorical:
    """Values without an order, in the order they were written; plain Python values."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Steps:
    """`count` numbers from `start`, `step` apart: range(start,stop,step)."""

    start: float
    step: float
    count: int

    @property
    def values(self) -> tuple[Any, ...]:
        """All of them, integers where start and step are; in decimal arithmetic, so that 0.1 steps stay 0.1 steps."""
        start, step, number = Decimal(repr(self.start)), Decimal(repr(self.step)), type(self.start)
        return tuple(number(start + i * step) for i in range(self.count))


@dataclass(frozen=True)
class Interval:
    """Every number from `low` to `high`, both included; `integer`: whole ones; `log`: equal ratios weigh equal."""

    low: float
    high: float
    log: bool = False
    integer: bool = False


Dimension = Categorical | Steps | Interval
KINDS: dict[str, type[Dimension]] = {"values": Categorical, "range": Steps, "interval": Interval}


@dataclass(frozen=True)
class Space:
    """Dimensions by dotted key, in the order they were written.

    Some dimensions choose members of config groups, and other keys exist for some choices only: `lacking` maps the
    values of the dimensions `choosers` (a tuple, in their order) to the keys that do not apply then.
    """

    dimensions: dict[str, Dimension]
    choosers: tuple[str, ...] = ()
    lacking: Mapping[tuple[Any, ...], frozenset[str]] = field(default_factory=dict)

    def active(self, point: Params) -> Params:
        """The point without the keys that do not apply to its choices."""
        absent = self.absent(point)
        return {name: value for name, value in point.items() if name not in absent}

    def absent(self, point: Params) -> frozenset[str]:
        """The keys that do not apply to the choices of a point."""
        return self.lacking.get(tuple(point[name] for name in self.choosers), frozenset())

    def __iter__(self) -> Iterator[str]:
        return iter(self.dimensions)


def written(dimension: Dimension) -> dict[str, Any]:
    """A dimension as JSON and YAML know it: `{"interval": {"low": 0.0, ...}}`."""
    kind = next(name for name, known in KINDS.items() if isinstance(dimension, known))
    values = dataclasses.asdict(dimension)
    return {kind: list(values["values"]) if kind == "values" else values}


def dimension(written: dict[str, Any]) -> Dimension:
    """The dimension that was written. Raises TypeError, KeyError or ValueError where none was."""
    ((kind, values),) = written.items()
    return Categorical(tuple(values)) if kind == "values" else KINDS[kind](**values)
