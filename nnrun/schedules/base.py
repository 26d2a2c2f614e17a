"""What a schedule is: a factor on the learning rate as a function of progress."""

from typing import Any, ClassVar

import jax


class Schedule:
    """Base of every schedule, built as `Schedule(config)`, inside traces too.

    `progress` runs from 0 (first step) to 1 (end of the run). A schedule that reacts to the objective keeps a `memory`
    (a pytree of arrays) in the training state.
    """

    follows_progress: ClassVar[bool] = True
    """Whether the factor depends on progress, so that training longer changes it at every step."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def initial(self) -> Any:
        """Memory before the first epoch."""
        return ()

    def observe(self, memory: Any, value: jax.Array) -> Any:
        """Memory after an epoch whose objective was `value` (smaller is better)."""
        return memory

    def factor(self, progress: jax.Array, memory: Any) -> jax.Array | float:
        """What the learning rate is multiplied by, a scalar."""
        raise TypeError(f"{type(self).__name__} gives no factor")
