"""The verbs of a finished run: predict, evaluate, show, sample."""

import contextlib
import math
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nnrun.commands import usage
from nnrun.commands.usage import Usage, Words
from nnrun.errors import ConfigError, RunError
from nnrun.folders import reading
from nnrun.host import own_code, terminal
from nnrun.host.interruption import Interrupted
from nnrun.host.terminal import Terminal

RUN = "outputs/runs/DATE/TIME_mlp_csv"
PREDICT = Usage(
    "predict",
    ("RUN", "INPUT"),
    None,
    ("latent", "importance", "overwrite", "trust"),
    {"output": "predictions.csv", "metric": "accuracy", "repeats": "5", "seed": "0"},
    f"nnrun predict {RUN} new.csv",
)
EVALUATE = Usage("evaluate", ("RUN",), "INPUT", ("trust",), {"output": "FOLDER"}, f"nnrun evaluate {RUN} labelled.csv")
SHOW = Usage("show", ("RUN",), None, (), {}, "nnrun show outputs/runs/DATE/TIME_lstm_sine")
SAMPLE = Usage(
    "sample",
    ("RUN",),
    None,
    ("trust",),
    {},
    "nnrun sample outputs/runs/DATE/TIME_vae_digits n=16",
    {"n": "16", "seed": "0"},
)
UNEXPECTED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What damage can end in that none of the checks knows."""
OF_IMPORTANCE = ("metric", "repeats", "seed")


def predict(words: list[str]) -> int:
    """`nnrun predict RUN INPUT [--output FILE] [--latent | --importance] [--overwrite] [--trust]`.

    Writes what the network says about the examples of INPUT (a file or folder, as the run's data set reads it) to FILE,
    a .csv, .parquet or .npz; by default <INPUT>_predictions.csv in the current folder, .npz for large answers.
    --latent writes the latent codes, --importance the permutation importance of each input on a labelled INPUT
    (--metric NAME, --repeats 5, --seed 0). --trust runs a member of your own, from ./conf and the code beside it.
    """
    given = usage.parse(PREDICT, words)
    folder, plain = trained(given)
    source = _source(given.arguments[1])
    if {"latent", "importance"} <= given.flags:
        raise ConfigError("--latent and --importance are two results. Ask for one at a time.")
    if lone := [name for name in OF_IMPORTANCE if name in given.values and "importance" not in given.flags]:
        raise ConfigError(f"--{lone[0]} belongs to --importance. Add --importance, or leave it out.")
    if "output" in given.values and Path(given.values["output"]).resolve() == source.resolve():
        raise ConfigError(f"--output {given.values['output']} is what is to be predicted. Name another file.")
    with _working():
        from nnrun.datasets.reader import UnseenNotes
        from nnrun.trained import prediction

        run, unseen = _loaded(folder, plain), UnseenNotes()
        if "importance" in given.flags:
            return _importance(run, source, given)
        what = "latent" if "latent" in given.flags else "predictions"
        output = Path(given.values.get("output") or prediction.default_name(run, source, what))
        blocks = unseen.over(prediction.blocks(run, source))
        found = (prediction.latents if what == "latent" else prediction.columns)(run, blocks)
        rows = prediction.write(found, output, run.preprocessing.input_names, "overwrite" in given.flags)
        _say_unknown(run, source)
        _say_unseen(unseen)
    terminal.say(f"{rows} {'latent codes' if what == 'latent' else 'predictions'} are in {output}")
    return 0


def _importance(run: Any, source: Path, given: Words) -> int:
    from nnrun.datasets.reader import UnseenNotes
    from nnrun.folders import columns_file, run_folder
    from nnrun.report import permutation_importance
    from nnrun.trained import prediction
    from nnrun.trained.permutation import importance

    output, overwrite = Path(given.values.get("output") or f"{source.resolve().stem}_importance.csv"), given.flags
    for path in (output, output.with_suffix(".png")):
        columns_file.check(path, "overwrite" in overwrite, (*columns_file.WRITERS, ".png"))
    repeats, seed = _natural(given, "repeats", 5, 1), _natural(given, "seed", 0, 0)
    unseen = UnseenNotes()
    blocks = unseen.over(prediction.blocks(run, source))
    found = importance(run, blocks, given.values.get("metric"), repeats, seed)
    _say_unseen(unseen)
    columns = found.columns()
    title = f"{source.name}: permutation importance, {found.examples} examples, {repeats} repeats"
    picture = permutation_importance.draw(found, title)
    prediction.write([columns], output, (), True)
    run_folder.save_figure(output.parent, output.stem, picture)
    rows = [[str(name), f"{mean:.4g}", f"{std:.2g}"] for name, mean, std in zip(*columns.values(), strict=True)]
    change = f"change of {found.metric} ({found.value:.4g})"
    Terminal().table(["input", change, "std"], rows)
    terminal.say(f"The table is in {output}, the picture in {output.with_suffix('.png')}")
    return 0


def evaluate(words: list[str]) -> int:
    """`nnrun evaluate RUN [INPUT] [--output FOLDER] [--trust]`.

    Metrics and figures on the test part of the run's own data, loaded again, with the naive baselines; or on another
    labelled file. They are written to RUN/evaluations/<test or name of INPUT>/, never over what is there. --trust runs
    a member of your own, from ./conf and the code beside it.
    """
    given = usage.parse(EVALUATE, words)
    folder, plain = trained(given)
    source = _source(given.arguments[1]) if given.arguments[1] else None
    output = Path(given.values["output"]) if "output" in given.values else None
    if output is not None and output.exists():
        raise ConfigError(f"--output {output} exists already. Name a folder that does not.")
    with _working():
        from nnrun.execution import devices
        from nnrun.trained import evaluation, evaluation_folder

        devices.prepare()
        if source is None:
            found = evaluation.own_test_part(folder, plain)
        else:
            found = evaluation.labelled_file(folder, plain, source)
            _say_unknown(found.run, source)
        for remark in found.remarks:
            terminal.say(remark)
        written = evaluation_folder.write(found, source, output, reading.summary(folder))
    Terminal().results(found.metrics, found.baseline)
    terminal.say(f"{found.examples} examples. Everything is in {written}")
    return 0


def show(words: list[str]) -> int:
    """`nnrun show RUN`: what it is, weights layer by layer, metrics beside the baselines, the command that made it.

    A sweep's best trial is a run too: `nnrun show SWEEP/best`.
    """
    folder = reading.folder(usage.parse(SHOW, words).arguments[0])
    summary = reading.summary(folder)
    terminal.say(f"{folder}: {summary['model']} on {summary['dataset']}, {summary['status']}\n  {summary['command']}")
    made = ", ".join(f"{name} {number}" for name, number in summary["versions"].items())
    terminal.say(f"  task {summary['task']}, {summary['epochs']} epochs; {made}")
    if best := summary["objective"]:
        value = "" if best["value"] is None else f" {best['value']:.5g} in epoch {best['epoch']}"
        terminal.say(f"  best {best['metric']}{value}")
    if error := summary.get("error"):
        terminal.say(f"  error: {str(error)[:500]}")
    if (folder / "model.safetensors").exists():
        from nnrun.folders import weights_file

        try:
            _show_layers(weights_file.headers(folder / weights_file.WEIGHTS))
        except ValueError as error:
            raise ConfigError(f"{error} Train again: nnrun repeat {folder}") from None
    Terminal().results(summary["metrics"], summary["baseline"])
    return 0


def _show_layers(layers: Mapping[str, Any]) -> None:
    """A row per array that is learnt, and their total; then running statistics."""
    for prefix, what in (("weights.params.", "parameters"), ("weights.statistics.", "running statistics")):
        found = {n.removeprefix(prefix): header.shape for n, header in layers.items() if n.startswith(prefix)}
        if not found:
            continue
        rows = [[name, " x ".join(map(str, shape)) or "1", f"{math.prod(shape):,}"] for name, shape in found.items()]
        total = f"{sum(map(math.prod, found.values())):,}"
        Terminal().table([what, "shape", "count"], [*rows, ["in all", "", total]])


def sample(words: list[str]) -> int:
    """`nnrun sample RUN [n=16] [seed=0] [--trust]`: draws from a generative network's prior.

    Writes samples.npz and figures/samples.png into the run's folder.
    """
    given = usage.parse(SAMPLE, words)
    folder, plain = trained(given)
    n, seed = _whole("n", given.values.get("n", "16"), 1), _whole("seed", given.values.get("seed", "0"), 0)
    with _working():
        from nnrun.trained import sampling

        sampling.sample(_loaded(folder, plain), n, seed, terminal.say)
    return 0


def trained(given: Words) -> tuple[Path, dict[str, Any]]:
    """The folder and its checked config; says what speaks against using its weights."""
    folder = reading.folder(given.arguments[0])
    plain, _ = reading.config(folder, "trust" in given.flags)
    if not (folder / "model.safetensors").exists():
        from nnrun.trained.trained_run import without_weights

        raise ConfigError(without_weights(folder, plain))
    status = reading.summary(folder)["status"]
    if status != "completed":
        terminal.say(f"Warning: {folder} is {status}, so these are the weights of the best epoch so far.")
    return folder, plain


def _loaded(folder: Path, plain: dict[str, Any]) -> Any:
    from nnrun.execution import devices
    from nnrun.trained.trained_run import load

    devices.prepare()
    return load(folder, plain)


def _source(word: str) -> Path:
    if not Path(word).exists():
        raise ConfigError(f"There is no {word}. Name a file or folder with the examples.")
    return Path(word)


def _say_unknown(run: Any, source: Path) -> None:
    if names := run.preprocessing.reader.unknown(source):
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        terminal.say(f"Columns that are not used: {', '.join(names[:8])}{more}")


def _say_unseen(unseen: Any) -> None:
    for sentence in unseen.sentences():
        terminal.say(f"Note: {sentence}")


def _natural(given: Words, name: str, default: int, least: int) -> int:
    return _whole(f"--{name}", given.values.get(name, str(default)), least)


def _whole(name: str, text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        example = f"{name} {max(least, 5)}" if name.startswith("--") else f"{name}=16"
        raise ConfigError(f"{name} must be an integer >= {least}, but got {text}. Set for example {example}.")
    return int(text)


@contextlib.contextmanager
def _working() -> Iterator[None]:
    """Turns failures of the machine into sentences, and SIGTERM into an end that leaves nothing half-written."""

    def stop(number: int, _: Any) -> None:
        raise Interrupted(number)

    listens = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, stop) if listens else None
    try:
        yield
    except OSError as error:
        raise RunError(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.") from error
    except MemoryError as error:
        raise RunError(f"There is not enough memory ({error}). Give fewer examples at a time.") from error
    except UNEXPECTED as error:
        if found := own_code.told(error):
            raise RunError(found) from error
        said = " ".join(str(error).split())[:300]
        raise RunError(
            f"The run's folder or the input is damaged where nnrun does not look ({type(error).__name__}: {said}). "
            "If nothing in them was changed, this is a fault of nnrun; NNRUN_TRACEBACK=1 shows where."
        ) from error
    finally:
        if listens:
            signal.signal(signal.SIGTERM, before)
