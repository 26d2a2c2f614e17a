"""Random search: seeded draws that fill the space by chance or evenly."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nnrun.errors import ConfigError
from nnrun.schema import setting, size
from nnrun.search.base import Listed, SearchConfig
from nnrun.search.points import decode, finite, identity, product
from nnrun.search.space import Params, Space

BLOCK = 64
"""Draws made at once; a Sobol sequence is balanced at powers of two."""
PATIENCE = 2048
"""So many draws in a row without a new point: chance has found what it can."""

Sequence = Literal["uniform", "sobol", "halton", "latin_hypercube"]


@dataclass(frozen=True)
class RandomConfig(SearchConfig):
    """Keys of `search=random`."""

    trials: int | None = size(16, "at most this many trials; null: all of a finite space")
    sequence: Sequence = setting("uniform", "how the draws fill the space")


class Random(Listed):
    """The points that a seeded sequence in the unit cube hits, each once.

    `uniform` draws are independent; `sobol` and `halton` (both scrambled) and `latin_hypercube` fill the space more
    evenly, the last for exactly `trials` points. Of a finite space, what chance leaves out comes in a grid's order.
    Raises ConfigError where the number of trials is missing. Source: Bergstra and Bengio, JMLR 13 (2012), 281-305;
    Owen, "Quasi-Monte Carlo sampling" (2003).
    """

    config: RandomConfig

    def __init__(self, config: RandomConfig, space: Space) -> None:
        super().__init__(config, space)
        check_trials(config, space, endless=config.sequence == "latin_hypercube")

    def points(self) -> Iterator[Params]:
        """The draws of the sequence, each once."""
        return distinct_draws(self.space, self.config.sequence, self.config.seed, self.config.trials)


def check_trials(config: SearchConfig, space: Space, endless: bool = False) -> None:
    """Raises ConfigError where only `search.trials` could end the search, or shape it, and is missing."""
    if config.trials is None and (endless or not finite(space)):
        reason = "a Latin hypercube is made for a number of trials" if endless else "an interval has no end of values"
        raise ConfigError(f"search.trials must be an integer here, since {reason}, but got null. Set search.trials=16.")


def distinct_draws(space: Space, sequence: Sequence, seed: int, trials: int | None = None) -> Iterator[Params]:
    """Different points of a space in the order of a sequence, a function of the arguments alone."""
    seen: set[str] = set()
    misses = 0
    for point in _draws(space, sequence, seed, trials):
        known = identity(point) in seen
        misses = misses + 1 if known else 0
        if misses > PATIENCE:
            break
        if not known:
            seen.add(identity(point))
            yield point
    # What chance left out, so that a finite space is tried to its end.
    if finite(space):
        yield from (point for point in product(space) if identity(point) not in seen)


def _draws(space: Space, sequence: Sequence, seed: int, trials: int | None) -> Iterator[Params]:
    generate = _generator(sequence, len(space.dimensions), seed)
    block = trials if sequence == "latin_hypercube" and trials else BLOCK
    while True:
        yield from decode(space, generate(block))


def _generator(sequence: Sequence, width: int, seed: int) -> Callable[[int], np.ndarray]:
    """A function that gives the next rows of a sequence in the unit cube."""
    random = np.random.default_rng(seed)
    if sequence == "uniform" or not width:
        return lambda count: random.random((count, width))
    from scipy.stats import qmc

    engines: dict[str, Any] = {"sobol": qmc.Sobol, "halton": qmc.Halton, "latin_hypercube": qmc.LatinHypercube}
    engine = engines[sequence](width, rng=random)
    return lambda count: engine.random(count)
