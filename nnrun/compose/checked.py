"""The one place where composed configs are checked: types and bounds first, then whether their choices fit."""

from collections.abc import Iterable

from nnrun.compose.compose import Composed
from nnrun.config import run_config
from nnrun.config.run_config import RunConfig
from nnrun.errors import ConfigError, UnknownSetting


def build(composed: Composed) -> RunConfig:
    """The typed config of a run. Raises ConfigError, with the recipe that set a key where it may have been that."""
    try:
        return run_config.build(composed.plain)
    except UnknownSetting as error:
        if recipe := composed.choices.get("experiment"):
            raise ConfigError(
                f"{error} If it was not typed: experiment={recipe} sets it for other choices. Leave the recipe out, or "
                "what was chosen instead."
            ) from None
        raise


def check(configs: Iterable[RunConfig]) -> None:
    """Raises ConfigError where choices do not fit each other; equal structures are looked at once."""
    configs = list(configs)
    # Wrong types and bounds were found by building all of them, before JAX is imported.
    from nnrun.compose import compatible
    from nnrun.execution import devices

    devices.prepare()
    seen: set[RunConfig] = set()
    for config in configs:
        static = config.split()[0]
        if static not in seen:
            compatible.check_fit(config)
            devices.batch_devices(config)
            seen.add(static)
