"""A task of one's own: the quantile of a number, by the pinball loss."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nnrun.models.base import OutputSpec
from nnrun.schema import number
from nnrun.tasks.base import Statistics, Task


@dataclass(frozen=True)
class QuantileConfig:
    quantile: float = number(0.5, "share of the targets that lies below", above=0, below=1)


class Quantile(Task):
    """Predicts a quantile of every target."""

    config: QuantileConfig
    figures = ("learning_curves", "shortfall")

    def output_spec(self):
        return OutputSpec(self.data.targets)

    def metric_names(self):
        return ("pinball", "below", "median_error")

    def loss(self, outputs, batch):
        return self._pinball(batch["targets"] - outputs.prediction).mean(-1)

    def statistics(self, outputs, batch, targets):
        missed = targets.invert(batch["targets"]) - targets.invert(outputs.prediction)
        mask = batch["mask"][:, None]
        sums = {
            "pinball": (self._pinball(missed) * mask).sum(),
            "below": ((missed <= 0) * mask).sum(),
            "count": (jnp.ones_like(missed) * mask).sum(),
        }
        return Statistics(sums, {"missed": missed})

    def finish(self, sums, rows, data):
        shares = {name: float(sums[name] / sums["count"]) for name in ("pinball", "below")}
        return {**shares, "median_error": float(np.median(np.abs(rows["missed"])))}

    def decode(self, outputs, data):
        true = {"distance": data.test["targets"][:, 0]} if "targets" in data.test else {}
        return {**true, "quantile": data.target_scaling.invert(np.asarray(outputs.prediction))[:, 0]}

    def answer(self, outputs, batch, inputs, targets):
        return {"quantile": targets.invert(outputs.prediction)}

    def baselines(self, outputs, data):
        constant = np.quantile(data.train["targets"], self.config.quantile)
        missed = data.test["targets"] - constant
        return {"constant": {"pinball": float(self._pinball(missed).mean())}}

    def tables(self, model, data):
        grid = np.linspace(-2, 2, 9, dtype=np.float32)
        points = data.input_scaling.apply(np.stack([grid, np.zeros_like(grid)], 1))
        outputs, _ = model({"inputs": jnp.asarray(points)})
        return {"along_x": {"x": grid, "quantile": data.target_scaling.invert(np.asarray(outputs.prediction))[:, 0]}}

    def _pinball(self, missed: jax.Array):
        return jnp.maximum(self.config.quantile * missed, (self.config.quantile - 1) * missed)
