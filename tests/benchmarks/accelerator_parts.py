"""Parts of the accelerator benchmark that need the device: `python -m tests.benchmarks.accelerator_parts PART [quick]`.

Every part is a process of its own, so that each has the whole memory of the device and compiles everything anew. Its
lines are JSON: the head of the table, or one row each.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from nnrun.execution import devices
from nnrun.execution.devices import TrialPlacement
from nnrun.execution.vectorized import CompiledGroup, GroupRun
from nnrun.models.blocks.convolution import framework_convolution, product_convolution
from tests.benchmarks.accelerator_rows import Row, Way, Work, measure
from tests.benchmarks.cases import CASES, Case
from tests.benchmarks.sweep_cases import SWEEPS
from tests.benchmarks.training import machine
from tests.benchmarks.with_nnrun import config, data, single

ROUNDS, QUICK_ROUNDS = 15, 3
QUICK_SHARE = 8
"""Of the examples."""
PACKAGES = ("nnrun", "jax", "jaxlib", "flax")
WIDE = Case("MLP 2048-2048, batch 1024", "mlp", (512,), 10, (2048, 2048), 16384, 1024, 1.0)
"""Large enough to keep the matrix units of an accelerator busy."""
SINGLE, QUICK_SINGLE = tuple(CASES), ("mlp", "lstm64", "cnn")
GROUPS = {"mlp": (16, 128, 512), "lstm64": (8, 64), "cnn": (8, 32)}
QUICK_GROUPS = {"mlp": (4, 16), "lstm64": (4,)}
CONVOLUTIONS = [
    ((64, 28, 28, 1), (3, 3), 32),
    ((64, 14, 14, 32), (3, 3), 64),
    ((64, 56, 56, 64), (3, 3), 128),
    ((64, 128, 16), (5,), 32),
]
"""Inputs (batch, *space, channels), window, and channels that come out."""
QUICK_CONVOLUTIONS = [((16, 28, 28, 1), (3, 3), 32), ((16, 14, 14, 32), (3, 3), 64)]
STEPS = 16
"""Of a compiled loop over a convolution, because that is where training has it."""


def head(quick: bool) -> dict[str, Any]:
    """What is measured on: the device, how many, the processor beside it, versions and date."""
    devices.prepare()
    found = jax.devices()
    memory = ((found[0].memory_stats() if found[0].platform != "cpu" else None) or {}).get("bytes_limit")
    described = f"{found[0].platform.upper()} ({found[0].device_kind})" + (
        f" with {memory / 2**30:.0f} GiB for JAX" if memory else ""
    )
    runtime = "" if found[0].platform == "cpu" else f", {' '.join(found[0].client.platform_version.split())}"
    return {
        "device": described,
        "devices": len(found),
        "machine": machine(PACKAGES) + runtime,
        "date": time.strftime("%-d %B %Y"),
    }


def single_runs(quick: bool) -> Iterator[Row]:
    """Seconds per epoch of training steps, with the programs of a run."""
    ways = []
    for name in QUICK_SINGLE if quick else SINGLE:
        case = sized(CASES[name], quick)
        ways.append(trained(f"an epoch of {title(case)}", "single run", case))
    yield from measure(ways, rounds(quick))


def precisions(quick: bool) -> Iterator[Row]:
    """The same in both precisions of the arithmetic."""
    cases = [CASES[name] for name in (QUICK_SINGLE if quick else ("mlp", "lstm64", "lstm256", "cnn"))]
    for case in [sized(case, quick) for case in cases] + ([] if quick else [WIDE]):
        words = [f"training.precision={precision}" for precision in ("float32", "bfloat16")]
        what = f"precision: an epoch of {title(case)}"
        yield from measure([trained(what, f"`{word}`", case, word) for word in words], rounds(quick))


def batchings(quick: bool) -> Iterator[Row]:
    """Seconds per epoch of a group of trials, batched in both ways."""
    for name, sizes in (QUICK_GROUPS if quick else GROUPS).items():
        case = sized(SWEEPS["mlp"].case if name == "mlp" else CASES[name], quick)
        for members in sizes:
            what = f"group of {members}: an epoch of {title(case)}"
            examples = members * case.examples
            ways = [
                Way(what, f"`execution.batching={kind}`", partial(group, case, members, kind), examples, "examples")
                for kind in ("vmap", "map")
            ]
            yield from measure(ways, rounds(quick))


def convolutions(quick: bool) -> Iterator[Row]:
    """Seconds per convolution and both its gradients, by the framework and by matrix products."""
    forms = {"framework's `lax.conv_general_dilated`": framework_convolution, "ours": product_convolution}
    for shape, window, outputs in QUICK_CONVOLUTIONS if quick else CONVOLUTIONS:
        batch, *space, channels = shape
        kernel, image = ("x".join(map(str, extents)) for extents in (window, space))
        what = (
            f"{STEPS} convolutions {kernel} of {image}, {channels} to {outputs} channels, batch {batch}, with gradients"
        )
        # Forward and both gradients take a product and a sum each for every weight at every place.
        operations = STEPS * 3 * 2 * batch * math.prod((*space, *window, channels, outputs))
        ways = [
            Way(what, name, partial(convolved, form, shape, window, outputs), operations / 1e9, "GFLOP")
            for name, form in forms.items()
        ]
        yield from measure(ways, rounds(quick))


def rounds(quick: bool) -> int:
    """How many turns each way gets."""
    return QUICK_ROUNDS if quick else ROUNDS


def sized(case: Case, quick: bool) -> Case:
    """The case with fewer examples where it is to be quick."""
    return replace(case, examples=case.examples // QUICK_SHARE) if quick else case


def title(case: Case) -> str:
    """The name of a case with its number of examples."""
    return f"{case.title}, {case.examples:,} examples"


def trained(what: str, name: str, case: Case, *words: str) -> Way:
    """A single run of a case."""

    def build() -> tuple[float, Work]:
        run = single(case, *words)
        return run.compile(), epoch(run)

    return Way(what, name, build, case.examples, "examples")


def group(case: Case, members: int, batching: str) -> tuple[float, Work]:
    """A group of equal trials but for their seeds, on all devices."""
    built = config(case)
    configs = [replace(built, seed=seed) for seed in range(members)]
    placement = TrialPlacement(devices.count(), batching)
    run = GroupRun(configs, CompiledGroup(built.split()[0], data(case), placement))
    return run.compile(), epoch(run)


def epoch(run: Any) -> Work:
    """Trains an epoch, and waits for all that it changes."""

    def work() -> float:
        run.steps(run.train_steps)
        jax.block_until_ready(run.state)
        return 0.0

    return work


def convolved(
    form: Callable[..., jax.Array], shape: tuple[int, ...], window: tuple[int, ...], outputs: int
) -> tuple[float, Work]:
    """A loop in which inputs and kernel follow the gradient of Σ y², so that nothing of it can be left out."""
    ones = (1,) * len(window)
    around = [((extent - 1) // 2, extent // 2) for extent in window]

    def step(_: Any, pair: Any) -> Any:
        slopes = jax.grad(lambda x, kernel: jnp.square(form(x, kernel, ones, around)).sum(), (0, 1))(*pair)
        return jax.tree.map(lambda value, slope: value - 1e-9 * slope, pair, slopes)

    x_key, kernel_key = jax.random.split(jax.random.key(0))
    pair = jax.random.normal(x_key, shape), jax.random.normal(kernel_key, (*window, shape[-1], outputs))
    started = time.perf_counter()
    program = jax.jit(lambda pair: jax.lax.fori_loop(0, STEPS, step, pair)).lower(pair).compile()
    compiling = time.perf_counter() - started

    def work() -> float:
        jax.block_until_ready(program(pair))
        return 0.0

    return compiling, work


PARTS: dict[str, Callable[[bool], Iterator[Row]]] = {
    "single": single_runs,
    "batching": batchings,
    "convolution": convolutions,
    "precision": precisions,
}


def main() -> None:
    """Prints the head, or the rows of a part as they come."""
    part, *quick = sys.argv[1:]
    if part == "head":
        print(json.dumps(head(bool(quick))), flush=True)
        return
    devices.prepare()
    for row in PARTS[part](bool(quick)):
        print(json.dumps(row._asdict()), flush=True)


if __name__ == "__main__":
    main()
