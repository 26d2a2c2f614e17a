"""`nnrun predict`: what a trained network says about new examples, and which inputs it needs for that."""

from pathlib import Path
from typing import Any

from nnrun.commands import on_run, usage
from nnrun.commands.usage import Words
from nnrun.errors import ConfigError
from nnrun.host import terminal
from nnrun.host.terminal import Terminal

OF_IMPORTANCE = ("metric", "repeats", "seed")


def predict(words: list[str]) -> int:
    """`nnrun predict RUN INPUT [--output predictions.csv] [--latent] [--importance] [--metric accuracy] [--repeats 5]
    [--seed 0] [--overwrite] [--trust]`: what the network says about examples.

    Writes what it says about the examples of INPUT (a file or folder, as the run's data set reads it) to a .csv,
    .parquet or .npz; by default <INPUT>_predictions.csv in the current folder, .npz for large answers. --latent writes
    the latent codes, --importance the permutation importance of each input on a labelled INPUT, with --metric,
    --repeats and --seed. --trust runs a member of your own, from ./conf and the code beside it.
    Example: `nnrun predict outputs/runs/DATE/TIME_mlp_csv new.csv`
    """
    given = usage.parse(predict, words)
    folder, plain = on_run.folder(given)
    source = on_run.source(given.arguments[1])
    if {"latent", "importance"} <= given.flags:
        raise ConfigError("--latent and --importance are two results. Ask for one at a time.")
    if lone := [name for name in OF_IMPORTANCE if name in given.values and "importance" not in given.flags]:
        raise ConfigError(f"--{lone[0]} belongs to --importance. Add --importance, or leave it out.")
    if "output" in given.values and Path(given.values["output"]).resolve() == source.resolve():
        raise ConfigError(f"--output {given.values['output']} is what is to be predicted. Name another file.")
    with on_run.working():
        from nnrun.datasets.reader import UnseenNotes
        from nnrun.trained import prediction, trained_run

        run, unseen = trained_run.load(folder, plain), UnseenNotes()
        if "importance" in given.flags:
            return _importance(run, source, unseen, given)
        what = "latent" if "latent" in given.flags else "predictions"
        output = Path(given.values.get("output") or prediction.default_name(run, source, what))
        blocks = unseen.over(prediction.blocks(run, source))
        found = (prediction.latents if what == "latent" else prediction.columns)(run, blocks)
        rows = prediction.write(found, output, run.preprocessing.input_names, "overwrite" in given.flags)
        on_run.say_unknown(run, source)
        _say(unseen)
    terminal.say(f"{rows} {'latent codes' if what == 'latent' else 'predictions'} are in {output}")
    return 0


def _importance(run: Any, source: Path, unseen: Any, given: Words) -> int:
    from nnrun.folders import columns_file
    from nnrun.folders.training_rows import TrainedOn
    from nnrun.report import palette, permutation_importance
    from nnrun.trained import prediction
    from nnrun.trained.permutation import importance

    output = Path(given.values.get("output") or f"{source.resolve().stem}_importance.csv")
    for path in (output, output.with_suffix(".png")):
        columns_file.check(path, "overwrite" in given.flags, (*columns_file.WRITERS, ".png"))
    repeats = usage.whole("--repeats", given.values.get("repeats", "5"), 1)
    seed = usage.whole("--seed", given.values.get("seed", "0"), 0)
    trained_on = TrainedOn(run.folder, run.preprocessing.spec)
    blocks = trained_on.over(unseen.over(prediction.blocks(run, source)))
    found = importance(run, blocks, given.values.get("metric"), repeats, seed)
    _say(unseen)
    for sentence in trained_on.sentences(source):
        terminal.say(sentence)
    columns = found.columns()
    title = f"{source.name}: permutation importance, {found.examples} examples, {repeats} repeats"
    picture = permutation_importance.draw(found, title)
    prediction.write([columns], output, (), True)
    palette.save(picture, output.with_suffix(".png"))
    rows = [[str(name), f"{mean:.4g}", f"{std:.2g}"] for name, mean, std in zip(*columns.values(), strict=True)]
    change = f"change of {found.metric} ({found.value:.4g})"
    Terminal().table(["input", change, "std"], rows)
    terminal.say(f"The table is in {output}, the picture in {output.with_suffix('.png')}")
    return 0


def _say(unseen: Any) -> None:
    for sentence in unseen.sentences():
        terminal.say(f"Note: {sentence}")
