"""Libraries that only some choices need, and that a plain install lacks."""

import importlib.util
from collections.abc import Iterable

from nnrun.errors import ConfigError


def check_installed(what: str, libraries: Iterable[str], extra: str, others: str) -> None:
    """Raises ConfigError where `what` needs a library that is missing: it names the extra, and `others` that do not."""
    for name in libraries:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"{what} needs {name}, which is not installed: pip install '.[{extra}]'. {others}")
