"""The command line: help, exit codes, and messages without a traceback and without a trace on the disk."""

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest
from hydra.core.global_hydra import GlobalHydra


def test_importing_the_command_line_imports_nothing_heavy():
    heavy = ["jax", "numpy", "hydra", "omegaconf", "flax", "yaml", "sklearn", "matplotlib"]
    code = f"import sys, nnrun.commands.cli; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_wrong_name_is_found_without_jax():
    code = (
        "import sys; from nnrun.commands import cli; code = cli.run(['model=mpl', 'dataset=digits']); "
        "print(code, [name for name in ('jax', 'flax', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("2 []\n", "nnrun: There is no model=mpl. Did you mean mlp?\n")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help(nnrun, words):
    done = nnrun(*words)
    assert done.code == 0
    assert done.out.startswith("nnrun trains and tunes neural networks from the command line.\n")
    assert "nnrun resume RUN" in done.out


def test_version(nnrun):
    assert nnrun("--version") == (0, f"nnrun {importlib.metadata.version('nnrun')}\n", "")


def test_the_installed_command_says_the_same():
    done = subprocess.run([sys.executable, "-m", "nnrun", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"nnrun {importlib.metadata.version('nnrun')}\n"


def test_ctrl_c_while_nnrun_itself_is_imported_ends_with_130_and_one_line():
    code = """
import sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "nnrun.host.terminal":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from nnrun.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "nnrun: Interrupted before anything was trained.\n")


def test_the_entry_imports_next_to_nothing_before_it_listens():
    code = "import sys; before = set(sys.modules); import nnrun.__main__; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['nnrun', 'nnrun.__main__']\n"


def test_a_reader_that_has_seen_enough_ends_neither_training_nor_a_table(tmp_path):
    for words in (["debug=tiny", "dataset=iris", "hydra.run.dir=run"], ["show", "run"]):
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-m", "nnrun", *words]
        done = subprocess.run(command, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True)
        os.close(writer)
        assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "completed"
    assert "Everything is in" in (tmp_path / "run" / "run.log").read_text()


def test_the_help_of_a_choice_has_its_formula_defaults_bounds_and_meaning(nnrun):
    done = nnrun("model=mlp", "optimizer=adam", "--help")
    assert done.code == 0
    assert "model=mlp\n\nFeed-forward network: h_0 = x" in done.out
    assert "  model.hidden_sizes=[64,64]\n      units of each hidden layer; [] is a linear model (a list" in done.out
    assert "  model.dropout=0.0\n      after every activation (a number, >= 0, < 1)" in done.out
    assert "  optimizer.learning_rate=0.001\n      step size (a number, > 0)" in done.out


EPOCHS = (
    "passes over the training part; auto: 20 of generated data and digits, else 3000 steps in 20 to 1000 epochs "
    "(an integer or one of auto, >= 1)"
)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            ["training"],
            ["training", "training=default", "  training.epochs=auto", "  training.early_stopping.patience=null"],
        ),
        (["training.epochs=3"], ["      " + EPOCHS]),
        (
            ["augmentation=standard"],
            ["augmentation=standard", "  augmentation.flip=0.5", "  augmentation.rotation=0.0"],
        ),
        (["execution=serial"], ["  execution.mode=serial", "  execution.chunk=null"]),
        (["objective"], ["objective", "  objective.metric=val/loss", "      a metric of the validation part (text)"]),
        (["task"], ["task", "  regression      Predicts numbers"]),
        (
            ["debug=tiny"],
            ["  limit: 96", "  training.epochs=2", "      " + EPOCHS],
        ),
    ],
)
def test_the_help_of_a_group_has_its_keys(nnrun, words, lines):
    done = nnrun(*words, "--help")
    assert (done.code, done.err) == (0, "")
    assert set(lines) <= set(done.out.splitlines())


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("learning_rate=0.1", "learning_rate. Did you mean optimizer.learning_rate?"),
        ("lr=0.1", "lr. Did you mean optimizer.learning_rate?"),
        ("epoch=3", "epoch. Did you mean training.epochs?"),
        ("model.learning_rate=1", "model.learning_rate in model=mlp. Did you mean optimizer.learning_rate?"),
        ("model.hidden_sizs=[3]", "model.hidden_sizs in model=mlp. Did you mean model.hidden_sizes?"),
        ("modl=mlp", "modl. Did you mean model?"),
    ],
)
def test_a_key_without_its_group_is_named_with_it(nnrun, word, said):
    assert nnrun(word) == (2, "", f"nnrun: There is no key {said}\n")


def test_the_shell_completes_verbs_where_a_command_begins(nnrun, monkeypatch, capfd):
    monkeypatch.setenv("COMP_LINE", "nnrun re")
    assert nnrun("-sc", "query=bash").out.split() == ["resume", "repeat", "report", "report."]
    monkeypatch.setenv("COMP_LINE", "nnrun model=mlp re")
    assert nnrun("-sc", "query=bash").out.split() == ["report."]


def test_help_for_a_choice_that_is_none(nnrun):
    assert nnrun("model=mpl", "--help") == (2, "", "nnrun: There is no model=mpl. Did you mean mlp?\n")


WRONG = [
    (["trian"], "There is no verb trian."),
    (["shwo", "x"], "There is no verb shwo. Did you mean show?"),
    (["--verson"], "There is no flag --verson. Did you mean --version?"),
    (["model=mlp", "--fast"], "There is no flag --fast. Choose from: --help, --multirun, --version, -m."),
    (["list", "--fast"], "nnrun list takes no options, but got --fast. Write: nnrun list [GROUP]"),
    (["model=lstm", "predict"], "nnrun predict is written first, but got model=lstm before it."),
    (["model={a:1}"], "model is given a choice's name. Write model=NAME, or model.KEY=VALUE."),
    (["model..dropout=3"], "model..dropout has an empty part. Write the key with single dots: model.dropout=3."),
    (["training.epochs="], "training.epochs must be an integer or one of auto, but got ''. Set for"),
    (["list", "models", "foo"], "nnrun list takes nothing more, but got foo. Write: nnrun list [GROUP]"),
    (["model=mpl"], "There is no model=mpl. Did you mean mlp?"),
    (["+foo=3"], "There is no key foo."),
    (
        ["model.hidden_sizes=abc"],
        "model.hidden_sizes must be a list (each an integer), but got abc. Set for example model.hidden_sizes=[64,64].",
    ),
    (
        ["optimizer.learning_rate=-0.1"],
        "optimizer.learning_rate must be > 0, but got -0.1. Set for example optimizer.learning_rate=0.001.",
    ),
    (
        ["-m", "optimizer.learning_rate=1e-3,-1"],
        "optimizer.learning_rate must be > 0, but got -1.0. Set for example optimizer.learning_rate=0.001.",
    ),
    (["-m", "model=mlp,mpl"], "There is no model=mpl. Did you mean mlp?"),
    (["hydra.run.dir="], "hydra.run.dir must be a folder, but got nothing. Write for example hydra.run.dir=my_run."),
    (
        ["experiment=long_memory", "model=cnn"],
        "model.hidden_size is not a setting of model=cnn. Did you mean dense_sizes? If it was not typed: "
        "experiment=long_memory sets it for other choices. Leave the recipe out, or what was chosen instead.",
    ),
    (
        ["optimizer.learning_rate=1e99"],
        "optimizer.learning_rate does not fit single precision (at least 1.2e-38, at most 3.4e+38), but got 1e+99. "
        "Set for example optimizer.learning_rate=0.001.",
    ),
    (
        ["training.early_stopping=5"],
        "training.early_stopping has keys of its own, but got 5. Set for example training.early_stopping.patience=5.",
    ),
    (
        ["objective=val/accuracy"],
        "objective has keys of its own, but got val/accuracy. Set for example objective.metric=val/accuracy.",
    ),
    (["search=random", "model=mlp"], "search=random is for sweeps: put -m before it, and leave hydra/sweeper out."),
    (["search.trials=9"], "search.trials=9 is for sweeps: put -m before it, and leave hydra/sweeper out."),
    (["execution=serial"], "execution=serial is for sweeps: put -m before it, and leave hydra/sweeper out."),
    (["training.epochs=2.5"], "training.epochs must be an integer or one of auto, but got 2.5. Set for"),
    (
        ["objective.metric=test/loss"],
        "objective.metric must be a metric of this task, but got test/loss. "
        "Did you mean val/loss? The task has: val/loss, val/accuracy, val/macro_f1, val/auroc, val/log_loss.",
    ),
    (
        ["training.devices=3"],
        "training.devices must be <= 2, the number of devices here, but got 3. Set training.devices=2.",
    ),
    (
        ["training.devices=2", "training.batch_size=33"],
        "training.batch_size must be a multiple of training.devices=2, "
        "but got 33. Set for example training.batch_size=34.",
    ),
    (["training.trainable=[nope]"], "training.trainable has nope, which matches no weight. Choose from: head.bias,"),
    (["model=cnn", "dataset=iris"], "model=cnn takes image"),
    (["hydra.run.dir=file"], "The output folder file is a file. Set hydra.run.dir= to a folder."),
    (
        ["hydra.run.dir=file/run"],
        "The output folder file/run cannot be written (Not a directory). Set hydra.run.dir= to one that can.",
    ),
    (
        ["hydra.run.dir=taken"],
        "hydra.run.dir=taken already holds a run. Choose another folder, or continue it: nnrun resume taken",
    ),
    (["-m", "seed=0,1", "hydra.sweep.dir=."], "hydra.sweep.dir=. already holds runs. Choose another folder."),
]


@pytest.mark.parametrize(("words", "text"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_a_wrong_command_ends_with_2_and_one_line_and_writes_nothing(nnrun, tmp_path, words, text):
    (tmp_path / "file").touch()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "summary.json").write_text(json.dumps({"status": "completed"}))
    before = sorted(tmp_path.rglob("*"))
    done = nnrun(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"nnrun: {text}")
    assert done.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert not GlobalHydra.instance().is_initialized()


def test_an_output_folder_that_cannot_be_written(nnrun, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    done = nnrun("dataset=iris", "hydra.run.dir=closed/run")
    assert done.code == 2
    assert done.err == (
        "nnrun: The output folder closed/run cannot be written (Permission denied). "
        "Set hydra.run.dir= to one that can.\n"
    )


def test_hydras_own_flags_still_work(nnrun, tmp_path):
    done = nnrun("dataset=iris", "--cfg", "job")
    assert done.code == 0
    assert "_target_: nnrun.datasets.iris.Iris" in done.out
    assert not list(tmp_path.iterdir())


def test_the_traceback_of_an_error_is_shown_on_request(nnrun, monkeypatch):
    assert "Traceback" not in nnrun("show", "nowhere").err
    monkeypatch.setenv("NNRUN_TRACEBACK", "1")
    assert "in folder\n" in nnrun("show", "nowhere").err
