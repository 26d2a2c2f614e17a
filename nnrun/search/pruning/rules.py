"""The rules of pruning by name."""

from typing import Literal

from nnrun.search.pruning.asha import Asha
from nnrun.search.pruning.base import Rule
from nnrun.search.pruning.hyperband import Hyperband
from nnrun.search.pruning.median import Median
from nnrun.search.pruning.successive_halving import SuccessiveHalving

Name = Literal["none", "median", "successive_halving", "asha", "hyperband"]
RULES: dict[str, type[Rule]] = {
    "median": Median,
    "successive_halving": SuccessiveHalving,
    "asha": Asha,
    "hyperband": Hyperband,
}
