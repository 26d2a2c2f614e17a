"""One ruler for all trials: a metric in units of the data where a swept key changes what the loss measures."""

from dataclasses import replace
from functools import reduce

from nnrun import schema
from nnrun.compose import compose
from nnrun.config import run_config
from nnrun.config.run_config import MEMBERS, RunConfig
from nnrun.errors import ConfigError
from nnrun.schema import Change
from nnrun.sweeps.record import Record

METRIC, DEFAULT = "objective.metric", "val/loss"
CHANGES: dict[Change, str] = {
    "loss": "what the loss measures",
    "units": "the units of the loss",
    "question": "what is predicted",
    "examples": "the examples that are measured, or how hard they are",
}


def settled(record: Record) -> Record:
    """The record of a checked plan with a metric that its trials can be compared by, and with notes on what cannot.

    Raises ConfigError where no metric compares them, unless one was asked for.
    """
    configs = [run_config.build(compose.resolved(base.plain)) for base in record.plan.bases.values()]
    changing = _changing(record, configs)
    notes = [_of_examples(keys)] if (keys := changing.pop("examples", [])) else []
    if not changing:
        return replace(record, notes=notes)
    asked = configs[0].objective.metric
    # With a direction of one's own the metric is one's own choice, too.
    typed = any(word.lstrip("+").startswith("objective.") for word in record.typed)
    names = _comparable(configs, list(changing))
    what = _what([key for keys in changing.values() for key in keys], list(changing))
    if asked != DEFAULT or typed:
        if asked.partition("/")[2] not in names:
            way = f"Set {METRIC}=val/{names[0]}" if names else "Sweep its values apart"
            notes.append(f"{what}, so {asked} does not compare trials that differ in it. {way}.")
        elif "question" in changing:
            notes.append(f"{what}, so the best {asked} may be that of the easiest question.")
        return replace(record, notes=notes)
    if "loss" in names:
        return replace(record, notes=notes)
    if "question" in changing or not names:
        way = f"Set {METRIC}=val/{names[0]}, or sweep its values apart." if names else "Sweep its values apart."
        raise ConfigError(
            f"{what}, so val/loss does not compare trials that differ in it. {way} {METRIC}={DEFAULT} has them ranked "
            "by it nonetheless."
        )
    metric = f"val/{names[0]}"
    unit = ", in whose unit training.early_stopping.minimum_change is now" if _has_least_change(configs) else ""
    notes.append(
        f"{what}, so trials are not compared by val/loss but by {metric}, which also picks each trial's best epoch"
        f"{unit}. For another metric set {METRIC}=."
    )
    bases = {
        choice: replace(base, plain=base.plain | {"objective": base.plain["objective"] | {"metric": metric}})
        for choice, base in record.plan.bases.items()
    }
    typed_now = [*record.typed, f"{METRIC}={metric}"]
    return replace(record, plan=replace(record.plan, bases=bases), typed=typed_now, notes=notes)


def _has_least_change(configs: list[RunConfig]) -> bool:
    return any(config.training.early_stopping.minimum_change for config in configs)


def _changing(record: Record, configs: list[RunConfig]) -> dict[Change, list[str]]:
    """The swept keys that change how trials are measured, by what they change."""
    found: dict[Change, list[str]] = {}
    for key in record.plan.space:
        group, _, name = key.partition(".")
        if group in MEMBERS and name:
            settings = [getattr(config, group).config for config in configs]
            changes = {schema.change(config, name) for config in settings if hasattr(config, name)} - {None}
        else:
            changes = _of_choice(key, configs)
        for change in changes:
            assert change is not None
            found.setdefault(change, []).append(key)
    return {change: found[change] for change in CHANGES if change in found}


def _of_choice(group: str, configs: list[RunConfig]) -> set[Change | None]:
    """What other choices of a whole group change."""
    if len({config.task.target for config in configs}) > 1 and group in ("dataset", "model", "task"):
        return {"question"}
    if group == "dataset":
        return {"question"}
    has_terms = group == "model" and len({config.model.cls.terms for config in configs}) > 1
    return {"loss"} if has_terms or group == "task" else set()


def _comparable(configs: list[RunConfig], changes: list[Change]) -> list[str]:
    """Names of the metrics that compare all configs whatever of these differs, the best first."""
    listed = []
    for config in configs:
        task = config.task.create(config.dataset.create().spec())
        listed += [task.comparable(change) for change in changes]
    return reduce(lambda names, others: [name for name in names if name in others], listed[1:], [*listed[0]])


def _of_examples(keys: list[str]) -> str:
    return (
        f"{_what(keys, ['examples'])}, so the best trial may be the one with the easiest examples and no better "
        "setting. Compare trials of equal examples, or the mean over them."
    )


def _what(keys: list[str], changes: list[Change]) -> str:
    verb = "changes" if len(keys) == 1 else "change"
    return f"{', '.join(keys)} {verb} {' and '.join(CHANGES[change] for change in changes)}"
