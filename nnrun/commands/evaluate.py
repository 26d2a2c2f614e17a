"""`nnrun evaluate`: metrics and figures of a finished run, on its test part or on another file."""

from pathlib import Path

from nnrun.commands import on_run, usage
from nnrun.errors import ConfigError
from nnrun.folders import reading, results
from nnrun.host import terminal
from nnrun.host.terminal import Terminal


def evaluate(words: list[str]) -> int:
    """`nnrun evaluate RUN [INPUT] [--output FOLDER] [--trust]`: metrics and figures, with the naive baselines.

    They are of the test part of the run's own data, loaded again, or of another labelled file, and are written to
    RUN/evaluations/<test or name of INPUT>/, never over what is there. --trust runs a member of your own, from ./conf
    and the code beside it. Example: `nnrun evaluate outputs/runs/DATE/TIME_mlp_csv labelled.csv`
    """
    given = usage.parse(evaluate, words)
    folder, plain = on_run.folder(given)
    source = on_run.source(given.arguments[1]) if given.arguments[1] else None
    output = Path(given.values["output"]) if "output" in given.values else None
    if output is not None and output.exists():
        raise ConfigError(f"--output {output} exists already. Name a folder that does not.")
    with on_run.working():
        from nnrun.trained import evaluation, evaluation_folder

        if source is None:
            found = evaluation.own_test_part(folder, plain)
        else:
            found = evaluation.labelled_file(folder, plain, source)
            on_run.say_unknown(found.run, source)
        for remark in found.remarks:
            terminal.say(remark)
        written = evaluation_folder.write(found, source, output, reading.summary(folder))
    results.show(Terminal(), found.metrics, found.baseline)
    objective = found.run.config.objective.metric
    for remark in results.remarks(found.run.task, objective, found.metrics, found.baseline, found.data):
        terminal.say(remark)
    terminal.say(f"{found.examples} examples. Everything is in {written}")
    return 0
