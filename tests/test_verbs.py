"""What can be done besides training."""

import json
import re
import shutil

import numpy as np
import pytest
import yaml

from nnrun import api
from nnrun.commands import repeat
from nnrun.compose.grammar import parse_override
from nnrun.config import choices


@pytest.fixture
def here(finished_run, tmp_path):
    """A copy of the finished run in the test's folder."""
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path / "run"


def change(path, **values):
    content = yaml.safe_load(path.read_text())
    path.write_text(json.dumps(content | values))


def test_list_names_every_choice_of_a_group(nnrun):
    done = nnrun("list", "models")
    assert (done.code, done.err) == (0, "")
    head, *lines = done.out.splitlines()
    assert head == "model"
    assert [line.split()[0] for line in lines] == [*choices.choices("model")]
    assert "  mlp          Feed-forward network" in lines
    assert nnrun("list", "model").out == done.out


@pytest.mark.parametrize("group", choices.groups())
def test_every_choice_of_ours_says_what_it_is(nnrun, group):
    _, *lines = nnrun("list", group).out.splitlines()
    assert all(len(line.split()) > 2 for line in lines), lines


def test_a_choice_of_ones_own_is_described_and_not_run(nnrun, tmp_path):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "own.yaml").write_text("_target_: own_of_mine.Own\n")
    text = "open('pwned', 'w')\nclass Own:\n    'A network of mine. It is good.'\n"
    (tmp_path / "own_of_mine.py").write_text(text)
    assert "  own          A network of mine\n" in nnrun("list", "models").out
    (tmp_path / "own_of_mine.py").write_text("class Own(:")
    assert "  own\n" in nnrun("list", "models").out
    assert not (tmp_path / "pwned").exists()


def test_a_folder_that_is_not_there(nnrun):
    said = "There is no folder nothere here. nnrun runs lists the runs under ./outputs, where nnrun writes them."
    for words in (["show", "nothere"], ["best", "nothere"], ["predict", "nothere", "new.csv"]):
        assert nnrun(*words) == (2, "", f"nnrun: {said}\n")


def test_list_alone_names_every_group(nnrun):
    lines = nnrun("list").out.splitlines()
    assert {"model", "dataset", "task", "optimizer", "schedule", "experiment"} <= {line.split()[0] for line in lines}


def test_show_prints_command_layers_and_metrics(nnrun, here):
    done = nnrun("show", "run")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[:2] == ["run: mlp on iris, completed", "  nnrun debug=tiny dataset=iris hydra.run.dir=run"]
    assert re.search(r"^hidden.dense.0.kernel +4 x 64 +256$", done.out, re.MULTILINE)
    assert re.search(r"^in all +4,675$", done.out, re.MULTILINE)
    assert re.search(r"^hidden.dense.1 +Linear +64 +4,160 +4,096$", done.out, re.MULTILINE)
    assert re.search(r"^in all +4,675 +4,544$", done.out, re.MULTILINE)
    assert re.search(r"^test/accuracy +0\.\d+ +0\.\d+$", done.out, re.MULTILINE)


def test_runs_is_a_line_per_run_with_status_and_objective(nnrun, here, tmp_path):
    assert nnrun("runs") == (0, "", "")
    shutil.copytree(here, tmp_path / "outputs/runs/today/now_mlp_iris")
    shutil.copytree(here, tmp_path / "outputs/sweeps/today/now_grid/best")
    (tmp_path / "outputs/sweeps/today/now_grid/sweep.yaml").write_text("status: interrupted\ncommand: x\n")
    for number in range(3):
        shutil.copytree(here, tmp_path / f"outputs/sweeps/today/now_grid/{number}")
    shutil.copytree(here, tmp_path / "outputs/runs/a_day_before")
    (tmp_path / "outputs/runs/today/broken").mkdir()
    (tmp_path / "outputs/runs/today/broken/summary.json").write_text("{")
    values = (
        r"val/loss \d\.\d+  test/accuracy \d\.\d+  test/macro_f1 \d\.\d+  test/auroc \d\.\d+  test/log_loss \d\.\d+\n"
    )
    wanted = rf"outputs/runs/a_day_before  completed  {values}outputs/runs/today/broken  damaged\n"
    wanted += rf"outputs/runs/today/now_mlp_iris  completed  {values}"
    wanted += rf"outputs/sweeps/today/now_grid  interrupted  3 trials  {values}"
    assert re.fullmatch(wanted, nnrun("runs").out)


def test_repeat_gives_the_same_run_and_takes_changes(nnrun, here, tmp_path):
    assert nnrun("repeat", "run", "training.epochs=1", "hydra.run.dir=again").code == 0
    recorded, changed = (yaml.safe_load((tmp_path / name / "config.yaml").read_text()) for name in ("run", "again"))
    assert changed["training"] == recorded["training"] | {"epochs": 1}
    recorded["choices"].pop("debug")
    assert changed | {"training": 0} == recorded | {"training": 0}
    first, second = ((tmp_path / name / "metrics.csv").read_text().splitlines()[1] for name in ("run", "again"))
    assert first.split(",")[4:] == second.split(",")[4:]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["list", "modles"], "There is no list of modles. Did you mean models?"),
        (["show"], "nnrun show needs RUN|SWEEP, for example nnrun show outputs/runs/DATE/TIME_lstm_sine"),
        (["show", "run", "x"], "nnrun show takes nothing more, but got x. Write: nnrun show RUN|SWEEP [--trust]"),
        (
            ["predict", "run"],
            "nnrun predict needs INPUT, for example nnrun predict outputs/runs/DATE/TIME_mlp_csv new.csv",
        ),
        (["predict", "run", "new.csv"], "There is no new.csv. Name a file or folder with the examples."),
        (["predict", "run", "run", "--latnt"], "nnrun predict has no option --latnt. Did you mean --latent?"),
        (["predict", "run", "run", "--latent=1"], "--latent takes no value. Write --latent alone."),
        (["predict", "run", "run", "--output"], "--output needs a value. Write for example --output predictions.csv."),
        (
            ["predict", "run", "run", "--latent", "--importance"],
            "--latent and --importance are two results. Ask for one at a time.",
        ),
        (
            ["predict", "run", "run", "--seed=1"],
            "--seed belongs to --importance. Add --importance, or leave it out.",
        ),
        (["evaluate", "run", "none.csv"], "There is no none.csv. Name a file or folder with the examples."),
        (["evaluate", "run", "--ouput=x"], "nnrun evaluate has no option --ouput. Did you mean --output?"),
        (["evaluate", "run", "--output=run"], "--output run exists already. Name a folder that does not."),
        (["runs", "foo"], "nnrun runs takes nothing more, but got foo. Write: nnrun runs"),
        (["runs", "--all"], "nnrun runs takes no options, but got --all. Write: nnrun runs"),
        (["--trust", "show", "run"], "nnrun show is written first, but got --trust. Options come after it."),
        (
            ["show", "nowhere"],
            "There is no folder nowhere here. nnrun runs lists the runs under ./outputs, where nnrun writes them.",
        ),
        (["repeat", "run", "modl=1"], "There is no key modl. Did you mean model?"),
        (
            ["repeat", "run", "seed=x"],
            "seed must be an integer >= 0 and < 4294967296, but got x. Set for example seed=0.",
        ),
        (["sample", "run", "m=3"], "There is no m= for nnrun sample. Choose from: n, seed."),
        (
            ["sample", "run", "16"],
            "nnrun sample takes nothing more, but got 16. Write: nnrun sample RUN [n=16] [seed=0] [--trust]",
        ),
        (
            ["sample", "run", "--n", "16"],
            "nnrun sample has no option --n. Write: nnrun sample RUN [n=16] [seed=0] [--trust]",
        ),
        (["sample", "n=4"], "nnrun sample needs RUN, for example nnrun sample outputs/runs/DATE/TIME_vae_digits n=16"),
        (["sample", "run", "n=0"], "n must be an integer >= 1, but got 0. Set for example n=16."),
    ],
)
def test_what_a_verb_refuses(nnrun, here, words, text):
    done = nnrun(*words)
    assert (done.code, done.out, done.err) == (2, "", f"nnrun: {text}\n")


def test_a_damaged_summary_is_named(nnrun, here):
    (here / "summary.json").write_text('{"status": ')
    assert nnrun("show", "run").err == "nnrun: run/summary.json is damaged: it is no JSON. Move the folder away.\n"


@pytest.mark.parametrize("verb", ["resume", "repeat"])
def test_a_folder_from_somebody_else_runs_no_code(nnrun, here, verb):
    change(here / "summary.json", status="interrupted")
    change(here / "config.yaml", model={"_target_": "os.system", "config": "touch pwned"})
    done = nnrun(verb, "run")
    assert done.code == 2
    assert done.err == (
        "nnrun: run names model._target_=os.system, code outside nnrun, which is not run from a folder. "
        "If the folder is your own, run again with --trust where ./conf and the code lie.\n"
    )


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        (
            "+hydra.callbacks.x._target_",
            "os.system",
            "run/config.yaml has a key that no run writes: +hydra.callbacks.x.",
        ),
        ("choices", {"hydra/launcher": "evil"}, "run/config.yaml has a key that no run writes: hydra/launcher."),
        (
            "choices",
            {"model": "{_target_: os.system}"},
            "run was made with model={_target_: os.system}, which does not ",
        ),
    ],
)
def test_a_folder_smuggles_nothing_into_hydra(nnrun, here, key, value, text):
    change(here / "config.yaml", **{key: value})
    done = nnrun("repeat", "run")
    assert done.code == 2
    assert done.err.startswith(f"nnrun: {text}")


@pytest.mark.parametrize("word", ["\\N", "a\tb", 'say "no"', "back\\\\slash", "null", "1.5", "ä, ö"])
def test_repeat_and_train_give_every_text_back(word):
    plain = {"dataset": {"missing": [word], "target": word}}
    texts = [text for _, text in repeat._overrides(plain, {"dataset": {}})]
    texts += [api._typed(word), api._typed(np.array([word]))]
    values = [parse_override(f"key={text}").value() for text in texts]
    assert values == [[word], word, word, [word]]


@pytest.fixture(scope="module")
def generative_run(command, tmp_path_factory):
    """The folder of a small variational autoencoder."""
    folder = tmp_path_factory.mktemp("generative")
    words = ("debug=tiny", "dataset=iris", "model=vae", "model.latent_size=2", "hydra.run.dir=run")
    assert command(*words, folder=folder).code == 0
    return folder


def test_many_samples_are_drawn_block_by_block(command, generative_run, monkeypatch):
    def drawn(n):
        assert command("sample", "run", f"n={n}", folder=generative_run).code == 0
        return np.load(generative_run / "run" / "samples.npz")["samples"]

    few = drawn(4)
    monkeypatch.setattr("nnrun.trained.sampling.block_size", lambda run: 4)
    many = drawn(10)
    assert many.shape == (10, 4)
    assert len(np.unique(many, axis=0)) == 10
    np.testing.assert_array_equal(many[:4], few)


def test_more_samples_than_can_be_written_are_refused(command, generative_run):
    done = command("sample", "run", "n=100000000000", folder=generative_run)
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(
        r"nnrun: n must be <= \d+, whose [\d.]+ GB are the most that is written here, but got 100000000000. "
        r"Set for example n=16.\n",
        done.err,
    )
