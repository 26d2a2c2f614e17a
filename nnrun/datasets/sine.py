"""A sum of sines with noise."""

from dataclasses import dataclass

import numpy as np

from nnrun.datasets.series.windowed import SeriesConfig, Windowed
from nnrun.errors import ConfigError
from nnrun.schema import setting


@dataclass(frozen=True)
class SineConfig(SeriesConfig):
    """Keys of dataset=sine."""

    periods: tuple[float, ...] = setting(
        (60.0, 20.0), "steps of one cycle, one for each sine", above=0, changes="question"
    )
    amplitudes: tuple[float, ...] = setting((1.0, 0.5), "one for each sine", changes="question")
    noise: float = setting(0.1, "standard deviation of Gaussian noise on every value", least=0.0)


class Sine(Windowed):
    """x_t = Σ_i a_i sin(2π t / p_i + φ_i) + noise · ε_t, with random phases φ_i and ε_t ~ N(0, 1).

    The season that baselines use is the longest period, rounded; the others repeat in it where they divide it.
    """

    config: SineConfig

    def __init__(self, config: SineConfig) -> None:
        periods, amplitudes = len(config.periods), len(config.amplitudes)
        if not 0 < periods == amplitudes:
            raise ConfigError(
                f"dataset.periods and dataset.amplitudes must be equally long and not empty, but got {periods} and "
                f"{amplitudes} values. Set for example dataset.periods=[60,20] dataset.amplitudes=[1,0.5]."
            )
        super().__init__(config)

    def period(self) -> int:
        """The longest period in whole steps."""
        return max(1, round(max(self.config.periods)))

    def values(self, rng: np.random.Generator) -> np.ndarray:
        """(length, 1) the sum of the sines."""
        periods, amplitudes = np.array(self.config.periods), np.array(self.config.amplitudes)
        phases = rng.uniform(0, 2 * np.pi, len(periods))
        angles = 2 * np.pi * np.arange(self.config.length)[:, None] / periods + phases
        return (amplitudes * np.sin(angles)).sum(axis=1, keepdims=True)
