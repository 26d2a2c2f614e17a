"""What a user can be told, with the exit code that goes with it."""

OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"
"""The word of XLA where memory does not suffice."""


class NnrunError(Exception):
    """An error whose text is one paragraph for the user: rule, value, key, next move."""

    exit_code = 1


class ConfigError(NnrunError):
    """Decidable from the command, the config or an input's schema: nothing has been written."""

    exit_code = 2


class RunError(NnrunError):
    """A failure while working: the folder and what was computed stay."""


class SweepError(RunError):
    """A failure that ends a whole sweep, not one of its trials."""


class UnknownSetting(ConfigError):
    """A key that the chosen member does not have."""
