"""Data sets of independent examples: a member says what they are, this module splits and scales them."""

import abc

import numpy as np

from nnrun.datasets.base import LEFT_OUT, UNSCALED, Data
from nnrun.datasets.part import Part
from nnrun.datasets.parts.scaling import fit
from nnrun.datasets.parts.split import Divided, cut, stratified_order, streams

Indices = tuple[np.ndarray, np.ndarray, np.ndarray]


class Examples(Divided):
    """Base of data sets whose examples have no order: split at random, classes in equal proportions in every part.

    `dataset.limit` keeps a random (for classes: stratified) choice before the split.
    """

    input_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ("class",)
    class_names: tuple[str, ...] = ()

    @abc.abstractmethod
    def examples(self, rng: np.random.Generator) -> Part:
        """All examples: every field of `spec.example`, (n, *shape), before any scaling."""

    def split(self, targets: np.ndarray, rng: np.random.Generator) -> Indices:
        """Indices of the training, validation and test part."""
        labelled = self.spec().classes is not None
        order = stratified_order(targets, rng) if labelled else rng.permutation(len(targets))
        return cut(order[: self.config.limit], self.config.val_fraction, self.config.test_fraction)

    def load(self) -> Data:
        """Makes the examples, splits them by `dataset.seed` and fits the scaling on the training part."""
        spec, (generation, division) = self.spec(), streams(self.config.seed)
        everything = self.examples(generation)
        indices = self.split(everything["targets"], division)
        train, val, test = ({name: array[i] for name, array in everything.items()} for i in indices)
        scaled = [name for name, field in spec.example.items() if field.scaled]
        scalings = {
            name: fit(train[name], self.config.scaling, LEFT_OUT if name == "inputs" else 1.0) for name in scaled
        }
        # Inputs and targets have places of their own in Data.
        usual = scalings.pop("inputs", UNSCALED), scalings.pop("targets", None)
        names = self.input_names, self.target_names, self.class_names
        return Data(spec, train, val, test, *usual, *names, scalings=scalings)
