"""From a command to a space, and from a point of it to a trial's config and its command."""

import itertools
import shlex

import pytest
import yaml

from nnrun.compose import compose as composition
from nnrun.config import run_config
from nnrun.errors import ConfigError
from nnrun.search.space import Categorical, Interval, Steps
from nnrun.sweeps import plan
from nnrun.sweeps import record as sweep_record


@pytest.fixture(autouse=True)
def _hydra_finds_us():
    composition.prepare_imports()


def refused(*words):
    with pytest.raises(ConfigError) as error:
        plan.check(plan.of(list(words)))
    return str(error.value)


CONDITIONAL = ("dataset=shapes", "model=cnn,mlp", "model.kernel_size=3,5")


def test_a_key_applies_where_it_exists_and_equal_trials_are_one():
    found = plan.of([*CONDITIONAL])
    points = found.strategy().ask(99)
    assert points == [
        {"model": "cnn", "model.kernel_size": 3},
        {"model": "cnn", "model.kernel_size": 5},
        {"model": "mlp"},
    ]
    built = [run_config.build(found.composed(point).plain) for point in points]
    assert [one.model.target for one in built] == ["nnrun.models.cnn.CNN"] * 2 + ["nnrun.models.mlp.MLP"]
    assert [built[i].model.config.kernel_size for i in (0, 1)] == [3, 5]
    assert found.composed(points[2]).choices["model"] == "mlp"


def test_a_typed_value_of_a_swept_group_applies_where_it_exists():
    record = sweep_record.start(["dataset=shapes", "model=cnn,mlp", "model.kernel_size=5"], "")
    points = record.plan.strategy().ask(99)
    assert points == [{"model": "cnn"}, {"model": "mlp"}]
    assert run_config.build(record.plan.composed(points[0]).plain).model.config.kernel_size == 5
    assert record.command_of(points[0]) == "nnrun dataset=shapes model.kernel_size=5 model=cnn"


def compositions(monkeypatch, *words):
    counted, compose = [], composition._hydra_compose

    def count(*args, **kwargs):
        counted.append(args)
        return compose(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(composition, "_hydra_compose", count)
        found = plan.of(list(words))
        for point in found.strategy().ask(500):
            found.composed(point)
    return len(counted)


def test_hydra_composes_once_per_choice_of_groups(monkeypatch):
    few = compositions(monkeypatch, "dataset=iris", "model=mlp,autoencoder", "seed=range(2)")
    many = compositions(monkeypatch, "dataset=iris", "model=mlp,autoencoder", "seed=range(200)")
    assert few == many <= 8


def test_interpolations_follow_the_trials_values():
    found = plan.of(["dataset=iris", "seed=1,2", "dataset.seed=${seed}"])
    assert [found.composed(point).plain["dataset"]["seed"] for point in found.strategy().ask(9)] == [1, 2]


RECIPE = """# @package _global_
defaults:
  - override /dataset: iris
  - override /search: random
  - _self_
search:
  trials: 3
  space:
    optimizer.learning_rate: tag(log,interval(1e-4,1e-1))
    model: {hidden_sizes: ["[8]", "[8,8]"]}
    seed: range(4)
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(RECIPE.replace('"', ""))


@pytest.mark.usefixtures("recipe")
def test_a_recipe_brings_its_space_and_the_command_line_takes_keys_from_it():
    found = plan.of(["experiment=mine", "seed=7", "optimizer.learning_rate=1e-3,1e-2"])
    assert found.space.dimensions == {
        "optimizer.learning_rate": Categorical((1e-3, 1e-2)),
        "model.hidden_sizes": Categorical(([8], [8, 8])),
    }
    assert found.search().trials == 3
    assert {found.composed(point).plain["seed"] for point in found.strategy().ask(3)} == {7}
    assert list(plan.of(["experiment=mine"]).space) == ["optimizer.learning_rate", "model.hidden_sizes", "seed"]


@pytest.mark.usefixtures("recipe")
def test_a_record_is_read_back_as_it_was_written(tmp_path):
    words = ["experiment=mine", "model.dropout=0,0.5", "seed=range(3)", "training.epochs=3", "+search.space.x=1"]
    record = sweep_record.start(words[:-1], "nnrun -m")
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(record.content("running"), sort_keys=False))
    again, status = sweep_record.read(tmp_path)
    assert status == "running"
    assert again == record
    kinds = [type(dimension) for dimension in again.plan.space.dimensions.values()]
    assert kinds == [Interval, Categorical, Steps, Categorical]
    point = again.plan.strategy().ask(1)[0]
    words = shlex.split(again.command_of(point))
    assert words[:3] == ["nnrun", "experiment=mine", "training.epochs=3"]
    typed = composition.compose_one(words[1:])
    assert run_config.build(typed.plain) == run_config.build(again.plan.composed(point).plain)


def test_every_listed_value_and_bound_is_checked_beside_every_choice():
    found = plan.of(["dataset=iris", "model=mlp,autoencoder", "seed=1,2,3", "training.epochs=1,2"])
    corners = list(plan._corners(found.space))
    assert len(corners) == 2 * (1 + 2 + 1)
    assert {(c["model"], c["seed"]) for c in corners} == set(itertools.product(("mlp", "autoencoder"), (1, 2, 3)))


WORDS = "Set for example"
MISTAKES = [
    (
        ["search=random", "dataset=iris"],
        "search=random has nothing to search: no key has several values. List some, for example "
        "optimizer.learning_rate=1e-3,1e-2, or leave -m out to train one run.",
    ),
    (["seed=1,2", "search.trials=0"], "search.trials must be >= 1, but got 0."),
    (
        ["optimizer.learning_rat=0.1,0.2"],
        "There is no key optimizer.learning_rat in optimizer=adam. Did you mean optimizer.learning_rate?",
    ),
    (
        ["model=mlp,autoencoder", "model.hidden_size=8,16", "dataset=iris"],
        "There is no key model.hidden_size in model=mlp. Did you mean model.hidden_sizes? No other choice in this "
        "sweep has it either.",
    ),
    (
        ["dataset=iris", "seed=1,2", "search.trial=5"],
        "There is no key search.trial in search=grid. Did you mean search.trials?",
    ),
    (
        ["dataset=iris", "+search.space.model.dropout=0.1,0.2"],
        "search.space.model.dropout belongs into a recipe. On the command line give the key itself its values: "
        "model.dropout=VALUE,VALUE.",
    ),
    (
        ["dataset=iris", "model.dropout=0.1..0.5"],
        "model.dropout must be a number, but got 0.1..0.5. Set for example model.dropout=0.0.",
    ),
    (
        ["search.trials=1,2"],
        "search.trials is one value for the whole sweep, but got several. Set for example search.trials=1.",
    ),
    (
        ["search=random,bayes"],
        "search is one value for the whole sweep, but got several. Set for example search=random.",
    ),
    (
        ["dataset=iris", "objective.metric=val/loss,val/accuracy"],
        "objective.metric is one value for the whole sweep, but got several. "
        "Set for example objective.metric=val/loss.",
    ),
    (
        ["hydra.sweep.dir=a,b"],
        "hydra.sweep.dir is one value for the whole sweep, but got several. Set for example hydra.sweep.dir=a.",
    ),
    (
        ["search=random", "dataset=sine", "model=lstm", "model.hidden_size=tag(log,interval(7.5,64))"],
        "model.hidden_size must be an integer, but got 7.5. Write 'model.hidden_size=tag(log,int(interval(8,64)))'.",
    ),
    (
        ["search=random", "dataset=iris", "optimizer.learning_rate=interval(-1,1)"],
        "optimizer.learning_rate must be > 0, but got -1.0. Set for example optimizer.learning_rate=0.001.",
    ),
    (
        ["search=random", "dataset=iris", "model.dropout=interval(0,1)"],
        "model.dropout must be < 1, but got 1.0. Set for example model.dropout=0.0.",
    ),
    (
        ["dataset=iris", "optimizer.learning_rate=0.1,high"],
        "optimizer.learning_rate must be a number, but got high. Set for example optimizer.learning_rate=0.001.",
    ),
    (
        ["dataset=iris", "seed=1,2", "objective.metric=val/acuracy"],
        "objective.metric must be a metric of this task, but got val/acuracy. Did you mean val/accuracy? "
        "The task has: val/loss, val/accuracy, val/macro_f1, val/auroc, val/log_loss.",
    ),
    (
        ["dataset=iris", "model=mlp,lstm"],
        "model=lstm takes series data, but dataset=iris is table data of shape (4,). "
        "For table data choose from: autoencoder, mlp, vae.",
    ),
    (["seed=1,2", "execution=seria"], "There is no execution=seria. Did you mean serial?"),
    (
        ["seed=1,2", "execution.batching=mapp"],
        "execution.batching must be one of auto, map, vmap, but got mapp. Did you mean map?",
    ),
    (
        ["search=random", "search.trials=null", "model.dropout=interval(0,0.5)"],
        "search.trials must be an integer here, since an interval has no end of values, but got null. "
        "Set search.trials=16.",
    ),
    (["seed=1,2", "seed=3"], "seed is given twice: seed=1,2 and seed=3. Keep one of them."),
]


@pytest.mark.parametrize(("words", "text"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_mistakes_in_a_space_are_named_with_the_next_move(words, text):
    found = refused(*words)
    assert found == text or found.startswith(text + f" {WORDS}")
