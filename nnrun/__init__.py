"""nnrun: train and tune neural networks from the command line.

From Python: `nnrun.load(folder)` gives a finished run's network, `nnrun.train(overrides)` trains one.
"""

TYPE_CHECKING = False
"""What type checkers take for true; importing it takes longer than all else before Ctrl-C is listened to."""

if TYPE_CHECKING:
    from nnrun.api import load, train

__all__ = ["load", "train"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from nnrun import api

        return getattr(api, name)
    raise AttributeError(f"module 'nnrun' has no attribute '{name}'")
