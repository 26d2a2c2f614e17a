"""Weights that do not learn: `training.trainable` names those that do, by globs of their dotted names."""

import fnmatch
from typing import Any

import jax
from flax import nnx

EVERY = ("*",)
"""All weights learn, and nothing here changes anything."""


def learns(name: str, trainable: tuple[str, ...]) -> bool:
    """Whether the weight of this name learns."""
    return any(fnmatch.fnmatch(name, glob) for glob in trainable)


def learning(tree: Any, names: list[str], trainable: tuple[str, ...]) -> Any:
    """A tree of weights or of their gradients, leaf by leaf `names`, with None in place of those that do not learn."""
    if trainable == EVERY:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    kept = [leaf if learns(name, trainable) else None for name, leaf in zip(names, leaves, strict=True)]
    return jax.tree.unflatten(structure, kept)


def completed(part: Any, whole: Any) -> Any:
    """What `learning` left of a tree, with the leaves of `whole` where it left none."""
    return jax.tree.map(lambda own, other: other if own is None else own, part, whole, is_leaf=lambda x: x is None)


class Frozen:
    """Which modules are frozen: those of whose weights, called `names`, none learns.

    A module without weights is as frozen as the one that it is part of.
    """

    def __init__(self, names: list[str], trainable: tuple[str, ...]) -> None:
        self._learns = {name: learns(name, trainable) for name in names}

    def __call__(self, path: str) -> bool:
        """Whether the module of a dotted path is frozen; the whole network has the empty path."""
        own = [on for name, on in self._learns.items() if not path or name.startswith(f"{path}.")]
        return not any(own) if own or not path else self(path.rpartition(".")[0])

    def normalize_as_in_evaluation(self, model: nnx.Module) -> None:
        """Lets frozen batch normalizations use and keep their running statistics in training, too."""
        for path, module in nnx.iter_modules(model):
            if isinstance(module, nnx.BatchNorm) and self(".".join(map(str, path))):
                module.use_running_average = True

    def keep(self, before: Any, after: Any, names: list[str]) -> Any:
        """Running statistics after a step, but from before it in frozen modules; `names` are those of the leaves."""
        leaves, structure = jax.tree.flatten(after)
        frozen = [self(name.rpartition(".")[0]) for name in names]
        kept = zip(jax.tree.leaves(before), leaves, frozen, strict=True)
        return jax.tree.unflatten(structure, [old if stays else new for old, new, stays in kept])
