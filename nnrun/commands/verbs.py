"""The verbs: what can be done besides training."""

import inspect

from nnrun.commands import evaluate, export, predict, repeat, resume, sample, show, sweep
from nnrun.commands.list import list_choices
from nnrun.errors import ConfigError
from nnrun.host import terminal
from nnrun.schema import nearest

VERBS = {
    "list": list_choices,
    "predict": predict.predict,
    "evaluate": evaluate.evaluate,
    "export": export.export,
    "show": show.show,
    "runs": show.runs,
    "resume": resume.resume,
    "repeat": repeat.repeat,
    "sample": sample.sample,
    "best": sweep.best,
    "report": sweep.report,
}


def run(verb: str, words: list[str]) -> int:
    """Runs a verb by name. Raises ConfigError for one that does not exist."""
    if verb not in VERBS:
        raise ConfigError(
            f"There is no verb {verb}. {nearest(verb, VERBS)} To train, write for example nnrun model=lstm."
        )
    if any(word in ("--help", "-h") for word in words):
        terminal.say(inspect.getdoc(VERBS[verb]) or "")
        return 0
    return VERBS[verb](words)
