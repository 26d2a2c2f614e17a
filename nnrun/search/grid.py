"""Grid search: every combination of the listed values."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from nnrun.errors import ConfigError
from nnrun.search.base import Listed, SearchConfig
from nnrun.search.points import product
from nnrun.search.space import Interval, Params, Space


@dataclass(frozen=True)
class GridConfig(SearchConfig):
    """Keys of `search=grid`."""


class Grid(Listed):
    """The full product, the last dimension varying fastest; without a space it is the one fixed config.

    Raises ConfigError for an interval, which has no end of values.
    """

    config: GridConfig

    def __init__(self, config: GridConfig, space: Space) -> None:
        # Before the product is made: an interval of whole numbers would be listed, however long.
        for key, dimension in space.dimensions.items():
            if isinstance(dimension, Interval):
                raise ConfigError(_unlisted(key, dimension))
        super().__init__(config, space)

    def points(self) -> Iterator[Params]:
        """The product."""
        return product(self.space)


def _unlisted(key: str, interval: Interval) -> str:
    written = f"interval({interval.low},{interval.high})"
    written = f"int({written})" if interval.integer else written
    written = f"tag(log,{written})" if interval.log else written
    return (
        f"search=grid tries values that can be listed, but {key} is {written}. Set for example "
        f"'{key}={_range(interval)}' or '{key}={_choice(interval)}', or draw from the interval with search=random."
    )


def _range(interval: Interval) -> str:
    low, high, width = interval.low, interval.high, interval.high - interval.low
    if interval.integer:
        return f"range({low},{high + 1},{max(1, round(width / 8))})"
    return f"range({low},{high},{float(f'{width / 8:.1g}')})"


def _choice(interval: Interval) -> str:
    low, high = interval.low, interval.high
    if interval.log:
        between = [math.exp(math.log(low) + part * math.log(high / low)) for part in (1 / 3, 2 / 3)]
    else:
        between = [low + part * (high - low) for part in (1 / 3, 2 / 3)]
    inner = [round(number) if interval.integer else float(f"{number:.2g}") for number in between]
    return f"choice({','.join(map(str, dict.fromkeys([low, *inner, high])))})"
