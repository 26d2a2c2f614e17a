"""What the best trial says of the space it was found in, beside its value."""

from nnrun.compose.grammar import value_text
from nnrun.config import run_config
from nnrun.errors import ConfigError
from nnrun.search.points import Axis
from nnrun.search.space import Interval
from nnrun.search.trial import Trial
from nnrun.sweeps.record import Record

NEAR = 0.02
"""How close to an end of its interval a value lies on the bound, as a share of the interval."""
BEYOND = 0.01
"""How far behind a bound, as a share, a value is tried for whether the interval can be widened at all."""


def of_bounds(record: Record, best: Trial) -> list[str]:
    """A sentence for every interval on whose bound the best trial lies, unless its key allows no value behind that."""
    found = []
    for key, interval in record.plan.space.dimensions.items():
        if not isinstance(interval, Interval) or key not in best.params or not interval.low < interval.high:
            continue
        value = best.params[key]
        place = Axis(interval).encode(value)
        at_end = value in (interval.low, interval.high) if interval.integer else min(place, 1 - place) < NEAR
        if at_end and _can_be_widened(record, best, key, interval, up=place > 0.5):
            name, bound = ("upper", interval.high) if place > 0.5 else ("lower", interval.low)
            shown = f"{value:.4g}" if isinstance(value, float) else value_text(value)
            found.append(f"The best {key}, {shown}, lies at the {name} bound {bound:g} of its interval: widen it.")
    return found


def _can_be_widened(record: Record, best: Trial, key: str, interval: Interval, up: bool) -> bool:
    value: float
    if interval.integer:
        value = int(interval.high) + 1 if up else int(interval.low) - 1
    elif interval.log:
        value = interval.high * (1 + BEYOND) if up else interval.low / (1 + BEYOND)
    else:
        step = BEYOND * (interval.high - interval.low)
        value = interval.high + step if up else interval.low - step
    try:
        run_config.build(record.plan.composed(best.params | {key: value}).plain)
    except ConfigError:
        return False
    return True
