"""Whether the choices of a run fit each other, found before any data is loaded: a network's shapes alone are built."""

import dataclasses
import fnmatch
import inspect
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun import report, schema
from nnrun.config import choices
from nnrun.config.run_config import Choice, RunConfig, as_arrays
from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.execution import devices
from nnrun.host import own_code
from nnrun.models.base import Outputs, OutputSpec
from nnrun.models.kernels.randomness import Streams
from nnrun.training import initial
from nnrun.training.network import Network, split, weight_names
from nnrun.training.objective import check_objective
from nnrun.training.state import Weights

COPIES = 3
"""Of its weights that training holds at least: theirs, the best epoch's, and the gradient."""
BATCH = 2
"""Examples of the batch that a user's network is tried with."""


@own_code.refused()
def check_fit(config: RunConfig) -> None:
    """Whether the model can take the data and the task knows the objective, before anything is loaded."""
    spec = config.dataset.create().spec()
    model = config.model.cls
    if spec.kind not in model.kinds:
        ours = {name: choices.load_choice("model", name)["_target_"] for name in choices.choices("model")}
        fitting = [name for name, target in ours.items() if spec.kind in getattr(schema.locate(target), "kinds", ())]
        raise ConfigError(
            f"model={_name(config.model)} takes {' or '.join(model.kinds)} data, but dataset={_name(config.dataset)} "
            f"is {spec.kind} data of shape {spec.inputs}. For {spec.kind} data choose from: {', '.join(fitting)}."
        )
    if config.augmentation.active and spec.kind != "image":
        raise ConfigError(
            f"augmentation changes images, but dataset={_name(config.dataset)} is {spec.kind} data. "
            "Set augmentation=none."
        )
    if config.augmentation.saturation and spec.inputs[-1] != 3:
        raise ConfigError(
            f"augmentation.saturation needs red, green and blue, but dataset={_name(config.dataset)} has "
            f"{spec.inputs[-1]} channel(s). Set augmentation.saturation=0."
        )
    if spec.anchor and not model.anchored:
        raise ConfigError(
            f"model={_name(config.model)} does not forecast changes. Set dataset.relative_to=none, or for example "
            "model=lstm."
        )
    if spec.categories and not model.embeds:
        raise ConfigError(
            f"model={_name(config.model)} learns no embeddings, but dataset={_name(config.dataset)} has columns of "
            "categories to be embedded. Set dataset.categorical=one_hot and no type embedding, or model=mlp."
        )
    task = config.task.create(spec)
    output = task.output_spec()
    task.check_model(config.model.config)
    check_objective(config.objective, task, model.terms)
    report.check(config.task.cls, model)
    check_network(config, spec, output)


def check_network(config: RunConfig, spec: DataSpec, output: OutputSpec) -> None:
    """Raises ConfigError where the network cannot be built, or one that is not ours cannot be called."""
    model = config.model.cls
    shapes = nnx.eval_shape(lambda: model(config.model.config, spec, output, rngs=nnx.Rngs(0)))
    _, params, _, statistics = split(shapes)
    _check_memory(config.model, jax.tree.leaves(params))
    names = weight_names(params)
    for glob in config.training.trainable:
        if not any(fnmatch.fnmatch(name, glob) for name in names):
            raise ConfigError(f"training.trainable has {glob}, which matches no weight. {schema.nearest(glob, names)}")
    if config.training.initial is not None:
        initial.check(config.training.initial, Weights(params, statistics))
    if not config.model.target.startswith("nnrun."):
        try_network(config, spec)


def _check_memory(model: Choice, weights: list[Any]) -> None:
    """Raises ConfigError for weights that training cannot hold; XLA would take minutes to find out, or abort."""
    # In Python's integers, because those of arrays overflow.
    count, size = sum(math.prod(leaf.shape) for leaf in weights), devices.memory()
    taken = COPIES * sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in weights)
    if taken <= size:
        return
    sizes = (one.name for one in dataclasses.fields(model.config) if {"least", "traced"} & {*one.metadata} == {"least"})
    shown = ", ".join(f"model.{name}={schema.show(getattr(model.config, name))}" for name in sizes)
    raise ConfigError(
        f"model={_name(model)} has {count:,} weights. Training holds them, their gradients and the best so far, "
        f"{taken / 1e9:.3g} GB, but there are {size / 1e9:.3g} GB here. Lower its sizes: {shown}."
    )


def try_network(config: RunConfig, spec: DataSpec) -> None:
    """Calls the network as training and as evaluation would, for the shapes of what it answers."""
    static, numbers = config.split()
    network = Network(static, spec)

    def called(traced: Any, batch: Any) -> tuple[()]:
        model = network.model(traced, nnx.Rngs(0))
        # Streams draw dropout and noise, as in training; None is evaluation.
        for streams in (Streams(jax.random.key(0), jnp.int32(0)), None):
            _check_answer(model, model(batch, streams), network.output, spec)
        return ()

    batch = {name: jax.ShapeDtypeStruct((BATCH, *field.shape), field.dtype) for name, field in spec.example.items()}
    batch["mask"] = jax.ShapeDtypeStruct((BATCH,), jnp.float32)
    jax.eval_shape(called, as_arrays(numbers), batch)


def _check_answer(model: Any, answer: Any, output: OutputSpec, spec: DataSpec) -> None:
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Outputs)):
        raise ConfigError(
            f"{_place(model)} must return (Outputs, carry), but returned {_described(answer)}. "
            "End it with: return Outputs(prediction), carry"
        )
    wanted = (BATCH, *(spec.inputs[:1] if output.per_step else ()), *output.shape)
    found = getattr(answer[0].prediction, "shape", None)
    if found != wanted:
        raise ConfigError(
            f"{_place(model)} must predict an array {_sizes(wanted)}, but got {_described(answer[0].prediction)}. "
            "The shape that the task needs after the batch is in output.shape."
        )


def _place(model: Any) -> str:
    kind = type(model)
    # Below decorators such as nnx.jit, whose own line is one of flax.
    line = inspect.unwrap(kind.__call__).__code__.co_firstlineno
    return f"{own_code.shown(inspect.getfile(kind))}, line {line}: {kind.__name__}.__call__"


def _described(value: Any) -> str:
    return f"an array {_sizes(value.shape)}" if isinstance(value, jax.Array) else type(value).__name__


def _sizes(shape: tuple[int, ...]) -> str:
    """A shape whose first axis is the batch."""
    return f"({', '.join(['batch', *map(str, shape[1:])])})"


def _name(choice: Choice) -> str:
    return choice.target.split(".")[-2]
