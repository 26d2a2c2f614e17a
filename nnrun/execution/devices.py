"""The device mesh: which devices share a batch, and where arrays lie."""

import contextlib
import os
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.errors import JaxRuntimeError
from jax.sharding import AxisType, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from nnrun.config.run_config import RunConfig, TrainingConfig
from nnrun.errors import ConfigError
from nnrun.host.disk import cache_folder

OPTIMIZATION = "xla_backend_optimization_level"
"""XLA's option for how hard LLVM tries, from 0 to 3."""
CONTAINER = Path("/sys/fs/cgroup/memory.max")
PROGRAMS_BYTES = 2 * 2**30
"""Most bytes of compiled programs that stay on the disk once a run or sweep is done."""
UNREADABLE = re.compile(r"Error reading persistent compilation cache entry for '(\w+)'")
"""What JAX warns of a compiled program that was cut off while it was written: by a kill, or a disk that was full."""
FAILURES = (MemoryError, JaxRuntimeError)
"""What is raised where a device or its memory fails."""


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count() -> int:
    """How many devices there are."""
    return jax.device_count()


def memory() -> int:
    """Bytes that a device has, or the machine where its processors are the devices."""
    if statistics := jax.devices()[0].memory_stats():
        return int(statistics["bytes_limit"])
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # What a container may take at most; a word where it has no limit.
    with contextlib.suppress(OSError, ValueError):
        found = min(found, int(CONTAINER.read_text(encoding="utf-8")))
    return found


def prepare() -> None:
    """One virtual CPU device per core, and compiled programs kept between processes. Call before JAX is used.

    Inside a program that has used JAX already there stay the devices that it has.
    """
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", cores())
    folder = _programs()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # A disk that is full: the program is compiled as if it were not to be kept, and that is all.
    warnings.filterwarnings("ignore", "Error writing persistent compilation cache entry")
    warnings.filterwarnings("always", UNREADABLE.pattern)
    if warnings.showwarning.__module__ != __name__:
        warnings.showwarning = _removing_damaged(warnings.showwarning)
    # By default what compiles within a second is not kept; our programs are small, and there are several in a run.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _programs() -> Path:
    """The folder of compiled programs."""
    return cache_folder() / "programs"


def _removing_damaged(show: Callable[..., None]) -> Callable[..., None]:
    """`show`, the way a warning is shown, but where JAX warns of an entry that it cannot read, the entry is removed.

    JAX itself would leave it there and compile anew in every process; so it writes a good one in its place.
    """

    def shown(message: Warning | str, *details: Any, **more: Any) -> None:
        found = UNREADABLE.match(str(message))
        if not found:
            show(message, *details, **more)
        # JAX says the program's name, which others have too.
        for path in _programs().glob(f"{found[1]}-*") if found else ():
            with contextlib.suppress(OSError):
                try:
                    zlib.decompress(path.read_bytes())
                except zlib.error:
                    path.unlink()

    return shown


def trim_programs(most: int = PROGRAMS_BYTES) -> None:
    """Where compiled programs on the disk take more than `most` bytes, removes those unused longest, to 3/4 of it."""
    with contextlib.suppress(OSError):
        found = [(entry.stat(), entry.path) for entry in os.scandir(_programs()) if entry.is_file()]
        total = sum(known.st_size for known, _ in found)
        if total <= most:
            return
        # The time of the last reading is not kept by every disk, that of writing is.
        for known, path in sorted(found, key=lambda one: max(one[0].st_atime, one[0].st_mtime)):
            # Another process that is about to read it compiles anew.
            Path(path).unlink(missing_ok=True)
            total -= known.st_size
            if total <= most * 3 // 4:
                return


def compiler_options() -> dict[str, str] | None:
    """Options of XLA for programs that train or predict; none where the variable XLA_FLAGS sets the level itself.

    On a CPU less than XLA's own level, 3: with that the steps of recurrent networks, of convolutional autoencoders and
    of ResNets take 3 to 25 % longer, and compiling takes longer. See Model.light_compilation for the exception.
    """
    chosen = OPTIMIZATION in os.environ.get("XLA_FLAGS", "")
    return None if chosen or jax.default_backend() != "cpu" else {OPTIMIZATION: "2"}


def batch_devices(config: RunConfig) -> int:
    """Over how many devices the config splits a batch.

    `auto` splits recurrent networks over all CPU cores where the batch divides, and nothing else: a small network
    loses more in the exchange of gradients than it gains.
    """
    wanted, batch, available = config.training.devices, config.training.batch_size, jax.device_count()
    if wanted == "auto":
        on_cpu = jax.default_backend() == "cpu"
        return available if on_cpu and config.model.cls.split_over_devices and batch % available == 0 else 1
    if wanted > available:
        raise ConfigError(
            f"training.devices must be <= {available}, the number of devices here, but got {wanted}. "
            f"Set training.devices={available}."
        )
    if batch % wanted:
        raise ConfigError(
            f"training.batch_size must be a multiple of training.devices={wanted}, but got {batch}. "
            f"Set for example training.batch_size={-(-batch // wanted) * wanted}."
        )
    return wanted


def useful_batch(training: TrainingConfig, examples: int) -> int:
    """The batch size, but no more than twice the training part, which is one batch then.

    What is beyond that is padding, and takes the memory of examples. Smaller excesses stay, and with them what dropout
    draws.
    """
    count = jax.device_count() if training.devices == "auto" else training.devices
    return min(training.batch_size, -(-2 * max(examples, 1) // count) * count)


class Placement:
    """One run on the first `count` devices: everything replicated, with the batch axis shared inside programs."""

    batching = "serial"

    def __init__(self, count: int) -> None:
        self.devices = jax.devices()[:count]
        mesh = _mesh((1, count), self.devices)
        self._split = NamedSharding(mesh, PartitionSpec("batch"))
        self._own = self._shared = _sharding(mesh, PartitionSpec())

    def put(self, tree: Any) -> Any:
        """A tree of a member's own arrays on the devices; those of several members have a leading axis of them."""
        return jax.device_put(tree, self._own)

    def like(self, tree: Any) -> Any:
        """What `put` would give, as shapes alone."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._own), tree)

    def share(self, tree: Any) -> Any:
        """What every member reads, on every device."""
        return jax.device_put(tree, self._shared)

    def shard(self, array: jax.Array) -> jax.Array:
        """Pins the leading (batch) axis of an array to the devices, inside a trace."""
        return array if len(self.devices) == 1 else jax.lax.with_sharding_constraint(array, self._split)

    def gather(self, array: jax.Array) -> jax.Array:
        """Pins an array as a whole to every device, inside a trace, as `put` lays out what a program takes."""
        return array if len(self.devices) == 1 else jax.lax.with_sharding_constraint(array, self._shared)


class TrialPlacement(Placement):
    """A group of trials: their leading axis shared by `count` devices, and batched inside each by `map` or `vmap`."""

    def __init__(self, count: int, batching: str) -> None:
        self.devices, self.batching = jax.devices()[:count], batching
        self._mesh = _mesh((count, 1), self.devices)
        self._own, self._shared = (_sharding(self._mesh, spec) for spec in (PartitionSpec("trial"), PartitionSpec()))

    def shard(self, array: jax.Array) -> jax.Array:
        """A batch is not split."""
        return array

    gather = shard

    def slots(self, members: int) -> int:
        """Room for so many members: a power of two on each device, so that few sizes are ever compiled."""
        count = len(self.devices)
        return count * 2 ** max(0, -(-members // count) - 1).bit_length()

    def on_each_device(self, function: Callable[..., Any], own: int) -> Callable[..., Any]:
        """`function` on every device for itself, with its slots of the first `own` arguments, and all of the others."""

        def grouped(*args: Any) -> Any:
            specs = (PartitionSpec("trial"),) * own + (PartitionSpec(),) * (len(args) - own)
            return jax.shard_map(
                function, mesh=self._mesh, in_specs=specs, out_specs=PartitionSpec("trial"), check_vma=False
            )(*args)

        return grouped if len(self.devices) > 1 else function


def _sharding(mesh: Any, spec: PartitionSpec) -> Sharding:
    # On one device a program's outputs lose their axes, and would as inputs compile it again.
    return NamedSharding(mesh, spec) if mesh.size > 1 else SingleDeviceSharding(mesh.devices.flat[0])


def _mesh(shape: tuple[int, int], devices: list[Any]) -> Any:
    return jax.make_mesh(shape, ("trial", "batch"), axis_types=(AxisType.Auto,) * 2, devices=devices)
