"""The command line: the first word decides between verbs and training."""

import gc
import os
import sys
import traceback

from nnrun.errors import ConfigError, NnrunError
from nnrun.host import interruption, terminal
from nnrun.host.interruption import Interrupted
from nnrun.schema import nearest

HELP = """\
nnrun trains and tunes neural networks from the command line.

  nnrun model=lstm dataset=sine              train; the folder with everything is printed at the end
  nnrun experiment=digits_cnn                a recipe with numbers to expect
  nnrun -m model=rnn,lstm,gru dataset=sine   every combination; search=random and search=bayes draw from intervals
  nnrun model=lstm --help                    the keys of a choice: defaults, bounds, meaning
  nnrun list [models|datasets|experiments]   what there is to choose from
  nnrun predict RUN INPUT [--output FILE]    new rows, a newer series, images; also --latent, --importance
  nnrun evaluate RUN [INPUT]                 metrics and figures on the test part, or on another labelled file
  nnrun show RUN|SWEEP                       what it is: layers and metrics, or space and trials; its command
  nnrun runs                                 the runs under ./outputs
  nnrun resume RUN|SWEEP                     continue what was interrupted; training.epochs=N trains a run longer,
                                             search.trials=N adds trials to a sweep
  nnrun best SWEEP [5]                       the best trial of a sweep as a command, or so many of them
  nnrun report SWEEP                         draw a sweep's report.html again
  nnrun export RUN [--format FORMAT]         for programs without nnrun: stablehlo, onnx or safetensors
  nnrun repeat RUN [KEY=VALUE ...]           the same run again, with changes
  nnrun sample RUN [n=16]                    new data from a variational autoencoder
  nnrun VERB --help                          what a verb takes; nnrun training --help: the keys of a group
  eval "$(nnrun -sc install=bash)"           completes keys, choices and verbs on Tab (also zsh, fish)
  nnrun --version

Keys: model dataset task optimizer schedule training augmentation objective report seed experiment debug;
of sweeps: search execution dry_run.
Runs are written to outputs/runs/<date>/<time>_<model>_<dataset>, sweeps to outputs/sweeps/<date>/."""

HYDRAS_OWN = ("--cfg", "-c", "--info", "-i", "--hydra-help", "--shell-completion", "-sc", "--resolve")
HELP_FLAGS = ("--help", "-h")
MULTIRUN = ("-m", "--multirun")


COLLECTED_AFTER = 100_000
"""New objects. Python's own few hundred slow down imports and tracing, which make many and drop few, by a tenth."""


def main() -> None:
    """Entry of the `nnrun` command."""
    gc.set_threshold(COLLECTED_AFTER)
    terminal.open_streams()
    interruption.ends_process = True
    code = run(sys.argv[1:])
    # Python looks through every object for garbage once more before it ends: half a second with JAX in memory.
    gc.freeze()
    sys.exit(code)


def run(argv: list[str]) -> int:
    """Runs a command: 0 done, 1 failed while working, 2 the command is wrong, 130 and 143 interrupted."""
    try:
        return _dispatch(argv)
    except NnrunError as error:
        terminal.complain(str(error))
        if os.environ.get("NNRUN_TRACEBACK"):
            traceback.print_exc()
        return error.exit_code
    except Interrupted as interrupted:
        return interrupted.exit_code
    except KeyboardInterrupt:
        terminal.complain("Interrupted before anything was trained.")
        return 130


def _dispatch(argv: list[str]) -> int:
    flags = [word for word in argv if word.startswith("-")]
    words = [word for word in argv if word not in flags]
    if argv in ([], ["help"]) or (not words and any(flag in HELP_FLAGS for flag in flags)):
        terminal.say(HELP)
        return 0
    if argv == ["--version"]:
        from importlib.metadata import version

        terminal.say(f"nnrun {version('nnrun')}")
        return 0
    # Only now: these import most of nnrun, of which the help above needs nothing.
    from nnrun.commands import train, verbs
    from nnrun.commands.list import explain_choices, is_group

    if any(flag.partition("=")[0] in HYDRAS_OWN for flag in flags):
        # The shell asks on Tab. Hydra knows the keys; where a command begins it may go on with a verb, too.
        begun = os.environ.get("COMP_LINE", "").split(" ")[1:]
        if any(word.startswith("query=") for word in words) and len(begun) == 1:
            terminal.say(" ".join(verb for verb in verbs.VERBS if verb.startswith(begun[0])))
        return train.ask_hydra(argv)
    asks = any(flag in HELP_FLAGS for flag in flags)
    # `report` is a verb as well as a group of keys.
    of_keys = asks and words and words[0] not in verbs.VERBS and is_group(words[0])
    if words and "=" not in words[0] and not words[0].startswith("~") and not of_keys:
        if argv[0] != words[0]:
            raise ConfigError(f"nnrun {words[0]} is written first, but got {argv[0]}. Options come after it.")
        return verbs.run(argv[0], argv[1:])
    if late := [word for word in words if word in verbs.VERBS]:
        raise ConfigError(f"nnrun {late[0]} is written first, but got {words[0]} before it.")
    if asks:
        return explain_choices(words)
    if unknown := [flag for flag in flags if flag not in MULTIRUN]:
        raise ConfigError(f"There is no flag {unknown[0]}. {nearest(unknown[0], (*MULTIRUN, '--help', '--version'))}")
    return train.launch(flags, words)
