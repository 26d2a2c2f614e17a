"""The device mesh: which devices share a batch, and where arrays lie."""

import os
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from nnrun.cache import cache_folder
from nnrun.config import RunConfig
from nnrun.errors import ConfigError


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare() -> None:
    """One virtual CPU device per core, and compiled programs kept between processes. Call before JAX is used."""
    jax.config.update("jax_num_cpu_devices", cores())
    folder = cache_folder() / "programs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def batch_devices(config: RunConfig) -> int:
    """Over how many devices the config splits a batch.

    `auto` splits recurrent networks over all CPU cores where the batch divides, and nothing else: a small network
    loses more in the exchange of gradients than it gains.
    """
    wanted, batch, available = config.training.devices, config.training.batch_size, jax.device_count()
    if wanted == "auto":
        on_cpu = jax.default_backend() == "cpu"
        return available if on_cpu and config.model.locate().split_over_devices and batch % available == 0 else 1
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


class Placement:
    """Puts arrays on the first `count` devices: replicated, with the batch axis shared inside programs."""

    def __init__(self, count: int) -> None:
        self.devices = jax.devices()[:count]
        mesh = jax.make_mesh((1, count), ("trial", "batch"), axis_types=(AxisType.Auto,) * 2, devices=self.devices)
        self._everywhere = NamedSharding(mesh, PartitionSpec())
        self._split = NamedSharding(mesh, PartitionSpec("batch"))

    def put(self, tree: Any) -> Any:
        """A tree of arrays on the devices."""
        return jax.device_put(tree, self._everywhere if len(self.devices) > 1 else self.devices[0])

    @property
    def shard(self) -> Callable[[jax.Array], jax.Array]:
        """Pins the leading (batch) axis of an array to the devices, inside a trace."""
        if len(self.devices) == 1:
            return lambda x: x
        return lambda x: jax.lax.with_sharding_constraint(x, self._split)
