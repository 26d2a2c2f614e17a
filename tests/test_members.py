"""Every file of conf/: it loads, agrees with the code beside it, and composes."""

import dataclasses
import re
import typing
from pathlib import Path

import pytest
import yaml

from nnrun import schema
from nnrun.compose import compose
from nnrun.config import choices, run_config
from nnrun.config.run_config import MEMBERS, AugmentationConfig, EarlyStoppingConfig, ObjectiveConfig, TrainingConfig
from nnrun.errors import ConfigError

CONF = choices.conf_folder()
FILES = sorted(CONF.rglob("*.yaml"))
GROUPS = (*MEMBERS, "search")
CHOICES = [(group, name) for group in GROUPS for name in choices.choices(group) if (group, name) != ("task", "auto")]
OUR_CLASSES = [("training", TrainingConfig), ("early_stopping", EarlyStoppingConfig), ("objective", ObjectiveConfig)]
OUR_CLASSES += [("augmentation", AugmentationConfig)]
SIGNED = {"amplitudes", "target", "stratify", "group", "time", "anomaly", "normal"}
"""Numbers that may be anything."""


def content(group, name):
    return choices.load_choice(group, name)


def config_classes():
    found = {schema.config_class(content(*choice)["_target_"]): ".".join(choice) for choice in CHOICES}
    return [(name, cls) for cls, name in found.items()] + OUR_CLASSES


def numeric(hint):
    return any(kind in (int, float) for kind in (hint, *typing.get_args(hint)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_every_file_loads(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_the_yaml_shows_the_keys_and_defaults_of_the_dataclass(group, name):
    values = content(group, name)
    config_class = schema.config_class(values["_target_"])
    keys = {key for key in values if not key.startswith("_")}
    assert keys == {schema.key_of(field) for field in dataclasses.fields(config_class)}
    assert schema.build(group, values) == config_class()


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_the_target_lives_in_the_file_of_the_same_name_and_the_task_exists(group, name):
    values = content(group, name)
    folder = "search" if group == "search" else f"{group}s"
    assert values["_target_"].startswith(f"nnrun.{folder}.{name}.")
    assert schema.locate(values["_target_"]).__doc__
    if task := values.get("_task_"):
        assert task in choices.choices("task")


def test_the_training_and_objective_of_the_primary_config_are_the_defaults():
    primary = yaml.safe_load((CONF / "config.yaml").read_text())
    assert schema.build("training", content("training", "default"), TrainingConfig) == TrainingConfig()
    assert schema.build("objective", primary["objective"], ObjectiveConfig) == ObjectiveConfig()
    assert content("training", "default").keys() == {field.name for field in dataclasses.fields(TrainingConfig)}
    assert schema.build("augmentation", content("augmentation", "none"), AugmentationConfig) == AugmentationConfig()
    keys = {field.name for field in dataclasses.fields(AugmentationConfig)}
    assert all(content("augmentation", name).keys() == keys for name in choices.choices("augmentation"))


@pytest.mark.parametrize(("name", "config_class"), config_classes())
def test_every_number_has_bounds_and_they_are_checked(name, config_class):
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        bounds = {bound: field.metadata[bound] for bound in schema.BOUNDS if bound in field.metadata}
        if field.name in SIGNED or not numeric(hints[field.name]):
            continue
        assert bounds, f"{name}: {field.name} takes any number"
        assert field.metadata["help"], field.name
        for bound, value in bounds.items():
            outside = {"above": value, "least": value - 1, "most": value + 1, "below": value}[bound]
            with pytest.raises(ConfigError, match=re.escape(f"g.{field.name} must be ")):
                schema.build("g", {field.name: [outside] if _is_list(hints[field.name]) else outside}, config_class)


def _is_list(hint):
    return typing.get_origin(hint) is tuple or any(typing.get_origin(a) is tuple for a in typing.get_args(hint))


def test_every_member_composes_with_others():
    """As many configs as the largest group has choices, every choice of every group in one of them."""
    compose.prepare_imports()
    names = {group: [name for choice, name in CHOICES if choice == group] for group in MEMBERS}
    for i in range(max(map(len, names.values()))):
        chosen = {group: found[i % len(found)] for group, found in names.items()}
        (composed,) = compose.compose_all([f"{group}={name}" for group, name in chosen.items()], False)
        assert chosen.items() <= composed.choices.items()
        assert all(composed.plain[group] == content(group, name) for group, name in chosen.items())


@pytest.mark.parametrize("group", ["training", "augmentation", "debug", "experiment"])
def test_every_other_choice_makes_a_config_that_is_accepted(group):
    compose.prepare_imports()
    for name in choices.choices(group):
        (composed,) = compose.compose_all([f"{group}={name}"], False)
        assert composed.choices[group] == name
        run_config.build(composed.plain)


def test_a_users_choice_is_found_beside_ours_and_may_not_hide_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("conf/model")
    folder.mkdir(parents=True)
    (folder / "my.yaml").write_text("_target_: my_model.My\n")
    assert {"my", "mlp"} <= set(choices.choices("model"))
    (folder / "mlp.yaml").write_text("_target_: my_model.My\n")
    with pytest.raises(ConfigError) as caught:
        choices.choices("model")
    assert str(caught.value) == (
        f"{tmp_path}/conf/model/mlp.yaml defines model=mlp, which nnrun has already ({CONF}/model/mlp.yaml). "
        "Rename the file, for example my_mlp.yaml."
    )
