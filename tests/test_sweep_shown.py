"""What the verbs say of a sweep's folder: what it is, and which trials are best."""

import re
import shlex
import subprocess
import sys

import pytest

from nnrun.compose.grammar import dimension, dimension_text, parse_override
from nnrun.folders.ledger import Ledger
from nnrun.search.space import Categorical, Interval, Steps
from nnrun.search.trial import Trial
from tests import sweep_folders
from tests.sweep_folders import SMALL, change_yaml, ledger

WORDS = ("training.batch_size=128", "optimizer=sgd", "optimizer.learning_rate=0.1,1e-3,1e30", "model.dropout=0.1,0.2")


@pytest.fixture(scope="module")
def home(command, tmp_path_factory):
    """The folder of a small sweep, for reading only; a third of its trials has failed."""
    folder = tmp_path_factory.mktemp("shown")
    with pytest.MonkeyPatch.context() as patch:
        sweep_folders.draw_nothing(patch)
        done = command(*SMALL, *WORDS, folder=folder)
    assert done.code == 0, done
    return folder


def test_show_tells_what_was_asked_for_and_what_came_of_it(command, home):
    done = command("show", "sweep", folder=home)
    assert (done.code, done.err) == (0, "")
    head, typed, states, reason, times, *table = done.out.splitlines()
    assert head == "sweep: grid search: mlp on iris, completed"
    assert typed == f"  nnrun {shlex.join([*SMALL, *WORDS])}"
    assert states == "  6 trials: 4 completed, 2 failed"
    assert reason.startswith("  The commonest reason (2 of 2): The training loss became NaN or infinite in epoch 2.")
    day = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(rf"  [\d.e-]+ s of training, between {day} and {day}", times)
    best = command("best", "sweep", folder=home).out.splitlines()
    number = re.match(r"# trial (\d)", best[0])[1]
    assert table[0].split() == ["searched", "values", "trial", f"{number},", "the", "best"]
    assert table[1].split() == ["optimizer.learning_rate", "0.1,0.001,1e+30", "0.1"]
    assert table[2].split()[:2] == ["model.dropout", "0.1,0.2"]
    assert table[3:] == best


def test_the_best_trials_stand_in_order_with_what_differs_and_a_command_each(command, home):
    head, *lines = command("best", "sweep", "3", folder=home).out.splitlines()
    assert head.split() == ["trial", "val/loss", "optimizer.learning_rate", "model.dropout"]
    values = sorted(objective for _, _, _, objective, *_ in ledger(home / "sweep")[0] if objective is not None)
    assert [line.split()[1] for line in lines[:3]] == [f"{value:.5g}" for value in values[:3]]
    titles, commands = lines[3::2], lines[4::2]
    assert [title.split()[2].rstrip(":") for title in titles] == [line.split()[0] for line in lines[:3]]
    for line, typed in zip(lines[:3], commands, strict=True):
        assert f"optimizer.learning_rate={line.split()[2]}" in typed
        assert f"model.dropout={line.split()[3]}" in typed
    assert "\n".join([titles[0], commands[0], ""]) == command("best", "sweep", folder=home).out


def test_keys_that_the_best_trials_share_are_left_out_and_fewer_trials_than_asked_for_are_all(command, home):
    lines = command("best", "sweep", "2", folder=home).out.splitlines()
    assert lines[0].split() == ["trial", "val/loss", "model.dropout"]
    assert len(command("best", "sweep", "99", folder=home).out.splitlines()) == 1 + 3 * 4


@pytest.mark.parametrize("word", ["0", "many"])
def test_a_number_of_trials_that_is_none(command, home, word):
    said = f"nnrun: The number of trials must be an integer >= 1, but got {word}. Set for example nnrun best sweep 5.\n"
    assert command("best", "sweep", word, folder=home) == (2, "", said)


def test_a_sweep_is_shown_without_importing_jax(home):
    code = """
import sys
from nnrun.commands import cli
for words in (["show", "sweep"], ["best", "sweep", "2"]):
    assert cli.run(words) == 0
assert "jax" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout.count("# trial")) == (0, "", 3)


def test_a_sweep_that_has_just_begun_is_shown_and_has_no_best_trial(nnrun, tmp_path, home):
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "sweep.yaml").write_bytes((home / "sweep" / "sweep.yaml").read_bytes())
    change_yaml(folder / "sweep.yaml", "status", value="running")
    begun = Ledger(folder)
    begun.close()
    assert "  No trial was asked for yet.\n" in nnrun("show", "sweep").out
    begun = Ledger(folder)
    begun.ask([{"optimizer.learning_rate": rate, "model.dropout": 0.1} for rate in (0.1, 1e-3)])
    begun.start([0])
    begun.close()
    said = nnrun("show", "sweep").out
    assert "sweep: grid search: mlp on iris, running\n" in said
    assert "  2 trials: 1 running, 1 waiting\n" in said
    assert nnrun("best", "sweep", "2").err.startswith("nnrun: sweep has no best trial: none has completed so far.")
    begun = Ledger(folder)
    begun.record({}, [Trial(0, "pruned", {}, 0.5, {"val/loss": 0.5}, None, 1.0, "2nd of 2 after epoch 1")])
    begun.close()
    assert "# trial 0: val/loss 0.5 (pruned)\n" in nnrun("best", "sweep", "2").out


@pytest.mark.parametrize(
    "found",
    [
        Categorical((0.1, "relu", None, True, [8, 8], {"a": 1})),
        Steps(1, 2, 5),
        Steps(0.1, 0.1, 3),
        Interval(1e-4, 0.1, log=True),
        Interval(8, 64, integer=True),
        Interval(8, 64, log=True, integer=True),
        Interval(0.0, 0.5),
    ],
)
def test_a_dimension_is_written_as_it_is_typed(found):
    assert dimension(parse_override(f"key={dimension_text(found)}")) == found
