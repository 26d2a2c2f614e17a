"""A config as dataclasses: its static part, its numbers, and whether it fits together."""

import pytest

from nnrun.compose import compatible
from nnrun.config import choices as members
from nnrun.config import run_config
from nnrun.config.run_config import ObjectiveConfig
from nnrun.errors import ConfigError
from nnrun.schema import TRACED
from nnrun.tasks.base import Task
from nnrun.training.objective import check_objective


def refused(function, *arguments):
    with pytest.raises(ConfigError) as caught:
        function(*arguments)
    return str(caught.value)


def test_split_gives_the_numbers_by_dotted_name_and_they_fill_in_again(make_config):
    built = make_config({"model.dropout": 0.25, "training.gradient_clip": 2.0, "seed": 7})
    static, traced = built.split()
    assert traced["model.dropout"] == 0.25
    assert traced["training.gradient_clip"] == 2.0
    assert traced["seed"] == 7
    assert static.model.config.dropout is TRACED
    for group in (*run_config.MEMBERS, "training"):
        original = getattr(built, group)
        assert static.with_numbers(group, traced) == getattr(original, "config", original)


def test_runs_that_differ_in_numbers_alone_have_one_static_part(make_config):
    values = [{"optimizer.learning_rate": rate, "seed": seed} for seed, rate in enumerate((1e-3, 1e-2, 0.5))]
    assert len({make_config(v).split()[0] for v in values}) == 1


@pytest.mark.parametrize(
    "change",
    [{"model.hidden_sizes": [8]}, {"training.batch_size": 8}, {"model.dropout": 0.1}, {"optimizer.weight_decay": 0.1}],
)
def test_what_shapes_the_program_is_static(make_config, change):
    assert make_config(change).split()[0] != make_config().split()[0]


def test_a_feature_switched_off_is_no_number(make_config):
    assert not {"model.dropout", "optimizer.weight_decay", "training.gradient_clip"} & make_config().split()[1].keys()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"seed": -1}, "seed must be an integer >= 0 and < 4294967296, but got -1. Set for example seed=0."),
        ({"seed": 2**32}, "seed must be an integer >= 0 and < 4294967296, but got 4294967296. Set for example seed=0."),
        ({"seed": "x"}, "seed must be an integer >= 0 and < 4294967296, but got x. Set for example seed=0."),
        (
            {"training.precision": "float16"},
            "training.precision must be one of float32, bfloat16, but got float16. Did you mean bfloat16?",
        ),
        (
            {"training.devices": 0},
            "training.devices must be >= 1, but got 0. Set for example training.devices=auto.",
        ),
        (
            {"objective.direction": "min"},
            "objective.direction must be one of auto, minimize, maximize, but got min. "
            "Choose from: auto, maximize, minimize.",
        ),
    ],
)
def test_wrong_values_of_our_own_keys(make_config, values, text):
    assert refused(make_config, values) == text


def test_a_key_that_no_run_has_is_refused():
    assert refused(run_config.build, {"sede": 1}) == "There is no key sede. Did you mean seed?"


def test_an_image_network_on_a_table_lists_what_fits(make_config):
    text = refused(compatible.check_fit, make_config(model="cnn", dataset="iris"))
    assert text.startswith("model=cnn takes image")
    assert "but dataset=iris is table data of shape (4,). For table data choose from: " in text
    fitting = text.rpartition(": ")[2].rstrip(".").split(", ")
    assert "mlp" in fitting
    assert "cnn" not in fitting
    assert set(fitting) < set(members.choices("model"))


def test_a_task_that_the_targets_do_not_fit(make_config):
    assert refused(compatible.check_fit, make_config(task="regression", dataset="iris")).startswith(
        "task=regression needs targets that are numbers, but the data set has labels of 3 classes."
    )


def test_a_cross_entropy_of_linear_predictions_is_found_before_the_data_is_loaded(make_config):
    values, choices = {"task.loss": "binary_cross_entropy"}, {"dataset": "digits", "task": "reconstruction"}
    for model in ("autoencoder", "vae"):
        refusal = refused(compatible.check_fit, make_config(values, model=model, **choices))
        assert refusal.startswith("task.loss=binary_cross_entropy needs predictions between 0 and 1, but the model's")
        compatible.check_fit(make_config(values | {"model.output_activation": "sigmoid"}, model=model, **choices))


def test_an_unknown_objective_names_the_nearest_and_lists_all(make_config):
    assert refused(compatible.check_fit, make_config({"objective.metric": "val/acuracy"})) == (
        "objective.metric must be a metric of this task, but got val/acuracy. Did you mean val/accuracy? "
        "The task has: val/loss, val/accuracy, val/macro_f1, val/auroc, val/log_loss."
    )


def test_weights_to_train_must_exist(make_config):
    assert refused(compatible.check_fit, make_config({"training.trainable": ["head.*", "hiden.*"]})) == (
        "training.trainable has hiden.*, which matches no weight. Choose from: head.bias, head.kernel, "
        "hidden.dense.0.bias, hidden.dense.0.kernel, hidden.dense.1.bias, hidden.dense.1.kernel."
    )


def test_terms_of_the_model_are_metrics_too():
    assert check_objective(ObjectiveConfig("val/kl", "auto"), _Task(), ("kl",)) == "minimize"
    with pytest.raises(ConfigError, match="must be a metric of this task, but got val/kl"):
        check_objective(ObjectiveConfig("val/kl", "auto"), _Task())


class _Task:
    direction = Task.direction

    def metric_names(self):
        return ("accuracy", "rmse")


@pytest.mark.parametrize(
    ("metric", "direction", "expected"),
    [
        ("val/loss", "auto", "minimize"),
        ("train/loss", "auto", "minimize"),
        ("val/accuracy", "auto", "maximize"),
        ("val/rmse", "auto", "minimize"),
        ("val/rmse", "maximize", "maximize"),
    ],
)
def test_the_direction_of_a_known_metric_is_known(metric, direction, expected):
    assert check_objective(ObjectiveConfig(metric, direction), _Task()) == expected
