"""Groups of trials and single runs, trained epoch by epoch and compared."""

import jax
import numpy as np

from nnrun.execution.compiled import Compiled
from nnrun.execution.devices import Placement, TrialPlacement
from nnrun.execution.prepared import prepare
from nnrun.execution.serial import SerialRun
from nnrun.execution.vectorized import CompiledGroup, GroupRun

ONE_STEP, LONG_LOOP = 1e-5, 1e-4
"""How far losses, metrics and predictions may differ between devices and ways of batching."""


class Trials:
    """Configs with equal static parts, and how to train them."""

    def __init__(self, configs):
        self.loaded = [prepare(config) for config in configs]
        self.configs, self.data = [one.config for one in self.loaded], self.loaded[0].data
        self.static = self.configs[0].split()[0]
        assert all(config.split()[0] == self.static for config in self.configs)

    def compiled(self, batching="map", devices=1):
        return CompiledGroup(self.static, self.data, TrialPlacement(devices, batching))

    def group(self, compiled):
        return GroupRun(self.configs, compiled)

    def alone(self):
        compiled = Compiled(self.static, self.data, Placement(1))
        return [SerialRun(config, self.data, compiled) for config in self.configs]

    def epoch(self, trainer):
        """What an epoch brings of every member: sums of training, statistics of validation; the best is the last."""
        sums, found = trainer.steps(trainer.train_steps), trainer.evaluate(self.data.val)
        trainer.end_epoch([np.nan if one is None else one.loss for one in found], [one is not None for one in found])
        return [None if two is None else (one, two.sums, two.rows) for one, two in zip(sums, found, strict=True)]

    def epochs(self, trainer, count):
        return [self.epoch(trainer) for _ in range(count)]


def assert_close(first, second, tolerance=0.0):
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
