"""What a network is made of: its layers, what each gives, and what it costs."""

import contextlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.models.blocks import convolution
from nnrun.trained.trained_run import TrainedRun

SCOPE = "nnrun_layer_"
"""What the name of a layer's scope begins with, followed by its number."""
INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr", "body_jaxpr")
"""Parameters of an equation that hold what it computes."""


@dataclass
class Layer:
    """A module that is called, without those that are called inside it; all of one example.

    output: the shape of what it gives; multiply_adds: those of its matrix products and convolutions; order: of the
    layers when it is called first, -1 before; shapes: what it gave for one and for two examples.
    """

    name: str
    kind: str
    parameters: int = 0
    multiply_adds: int = 0
    order: int = -1
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def output(self) -> tuple[int, ...]:
        """Without the axis of the examples, which differs from call to call, wherever it lies."""
        return tuple(a for a, b in zip(self.shapes[0], self.shapes[-1], strict=True) if a == b)


def layers(run: TrainedRun) -> list[Layer]:
    """The layers of a network that learn or multiply, in the order in which they are called.

    Counted are the products of the formulas, whatever faster form a device computes them in.
    """
    model = run.model
    modules = [(path, module) for path, module in nnx.iter_modules(model) if callable(type(module))]
    found = [Layer(".".join(map(str, path)), type(module).__name__) for path, module in modules]
    numbers = {id(module): number for number, (_, module) in enumerate(modules)}
    spec, streams = run.preprocessing.spec, run.program.streams
    shown = {name: one for name, one in spec.example.items() if not one.answer}

    def traced(count: int) -> Any:
        batch = {name: jax.ShapeDtypeStruct((count, *one.shape), one.dtype) for name, one in shown.items()}
        batch["mask"] = jax.ShapeDtypeStruct((count,), jnp.float32)
        carry = model.initial_carry(count) if streams else None
        return jax.make_jaxpr(lambda given: model(given, None, carry)[0].prediction)(batch).jaxpr

    with _scoped(found, numbers, {type(module) for _, module in modules}):
        traced(2)
        _count(traced(1), found, next(n for n, layer in enumerate(found) if not layer.name), 1)
    for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        _owner(found, ".".join(map(str, path))).parameters += math.prod(leaf.shape)
    kept = [layer for layer in found if layer.parameters or layer.multiply_adds]
    return sorted(kept, key=lambda layer: layer.order)


@contextlib.contextmanager
def _scoped(found: list[Layer], numbers: dict[int, int], kinds: set[type]) -> Iterator[None]:
    """Inside, every module that is called names what it computes, and keeps the shape of what it gives."""

    order = itertools.count()

    def wrapped(original: Any) -> Any:
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            number = numbers.get(id(self))
            if number is None:
                return original(self, *args, **kwargs)
            if found[number].order < 0:
                found[number].order = next(order)
            with jax.named_scope(f"{SCOPE}{number}"):
                given = original(self, *args, **kwargs)
            found[number].shapes.append(jax.tree.leaves(given)[0].shape)
            return given

        return called

    originals = {kind: kind.__call__ for kind in kinds if "__call__" in vars(kind)}
    products = convolution.product_convolution
    try:
        for kind, original in originals.items():
            kind.__call__ = wrapped(original)  # type: ignore[method-assign]
        # A fast form on a CPU has fewer products than the convolution.
        convolution.product_convolution = convolution.framework_convolution
        yield
    finally:
        convolution.product_convolution = products
        for kind, original in originals.items():
            kind.__call__ = original  # type: ignore[method-assign]


def _count(jaxpr: Any, found: list[Layer], outer: int, times: int) -> None:
    """Adds the products of a program, run `times` times, to the layers whose scopes they are in; else to `outer`."""
    for equation in jaxpr.eqns:
        scopes = str(equation.source_info.name_stack).split("/")
        own = [int(scope.removeprefix(SCOPE)) for scope in scopes if scope.startswith(SCOPE)]
        layer = own[-1] if own else outer
        found[layer].multiply_adds += times * _products(equation)
        again = times * equation.params.get("length", 1) if equation.primitive.name == "scan" else times
        for inner in _inner(equation):
            _count(inner, found, layer, again)


def _inner(equation: Any) -> Iterator[Any]:
    """The programs that an equation runs; of several branches the first."""
    held = [equation.params[name] for name in INNER if name in equation.params]
    held += equation.params.get("branches", ())[:1]
    for program in held:
        yield getattr(program, "jaxpr", program)


def _products(equation: Any) -> int:
    """Multiplications of one matrix product or convolution."""
    if equation.primitive.name == "dot_general":
        left, ((contracted, _), _) = equation.invars[0].aval, equation.params["dimension_numbers"]
        return equation.outvars[0].aval.size * math.prod(left.shape[axis] for axis in contracted)
    if equation.primitive.name == "conv_general_dilated":
        left, kernel = (variable.aval for variable in equation.invars[:2])
        numbers = equation.params["dimension_numbers"]
        if any(step > 1 for step in equation.params["lhs_dilation"]):
            # A transposed convolution multiplies every input by the kernel; the zeros between them cost nothing.
            return left.size // left.shape[numbers.lhs_spec[1]] * kernel.size
        return equation.outvars[0].aval.size * kernel.size // kernel.shape[numbers.rhs_spec[0]]
    return 0


def _owner(found: list[Layer], weight: str) -> Layer:
    """The innermost layer that is called and holds a weight."""
    holders = [layer for layer in found if layer.order >= 0 and weight.startswith(layer.name and f"{layer.name}.")]
    return max(holders, key=lambda layer: len(layer.name))
