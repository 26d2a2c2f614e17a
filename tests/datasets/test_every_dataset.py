"""What every data set must keep, found by walking conf/dataset."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from nnrun.datasets.base import DatasetConfig, DataSpec
from nnrun.datasets.parts.examples import Examples
from nnrun.datasets.parts.split import streams
from nnrun.errors import ConfigError
from nnrun.schema import build, config_class, locate

CONF = Path(__file__).parents[2] / "conf" / "dataset"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))
VARIANTS = [
    *((name, {}) for name in NAMES),
    ("digits", {"anomaly": 3}),
    ("sine", {"per_step": True, "horizon": 3, "stride": 5}),
    ("spirals", {"classes": 3}),
    ("shapes", {"classes": 6, "image_size": 9}),
    ("friedman1", {"features": 7}),
    ("adding", {"length": 7}),
    *((name, {"limit": 43, "scaling": "minmax"}) for name in NAMES),
]
WITHOUT_SEED = ("timeseries",)
"""Divided by time, from a file: nothing is drawn."""


def make(name, roots, **changes):
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    values |= roots.get(name, {})
    return locate(values["_target_"])(build("dataset", values | changes))


def digest(data):
    result = hashlib.sha256()
    for part in (data.train, data.val, data.test):
        for key in sorted(part):
            result.update(key.encode() + part[key].tobytes())
    return result.hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_yaml_shows_every_key_with_its_default(name):
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    schema = config_class(values["_target_"])
    assert build("dataset", values) == schema()
    keys = {key for key in values if not key.startswith("_")}
    assert keys == {field.name for field in dataclasses.fields(schema)}
    assert {field.name for field in dataclasses.fields(DatasetConfig)} <= keys
    assert all(field.metadata["help"] for field in dataclasses.fields(schema))


@pytest.mark.parametrize("name", NAMES)
def test_yaml_names_the_task_of_the_spec(name, roots):
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert values["_task_"] in ("auto", make(name, roots).task())


@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_parts_have_the_shapes_and_types_of_the_spec(name, changes, roots):
    dataset = make(name, roots, **changes)
    spec, data = dataset.spec(), dataset.load()
    assert isinstance(spec, DataSpec)
    assert data.spec == spec == dataset.spec()
    for part in (data.train, data.val, data.test):
        check_part(part, spec)
    assert len(data.train["inputs"]) >= len(data.val["inputs"]) >= 2
    assert len(data.input_names) == spec.inputs[-1]
    assert len(data.target_names) == (1 if spec.classes else spec.targets[-1])
    assert len(data.class_names) == (spec.classes or 0)


def check_part(part, spec):
    steps = spec.inputs[:1] if spec.per_step else ()
    n = len(part["inputs"])
    own = {"anomaly": spec.anomalies, "lengths": spec.lengths}
    assert set(part) == {"inputs", "targets", *(name for name, carried in own.items() if carried)}
    assert part["inputs"].shape == (n, *spec.inputs)
    assert part["targets"].shape == (n, *steps, *spec.targets)
    assert part["inputs"].dtype in (np.float32, np.uint8)
    assert part["targets"].dtype == (np.int32 if spec.classes else np.float32)
    assert np.isfinite(part["inputs"]).all()
    assert np.isfinite(part["targets"]).all()
    if spec.classes:
        assert 0 <= part["targets"].min() <= part["targets"].max() < spec.classes


@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_scaling_broadcasts_and_comes_from_the_training_part_alone(name, changes, roots):
    data = make(name, roots, **changes).load()
    kind = make(name, roots, **changes).config.scaling
    fitted = [(data.input_scaling, data.train["inputs"])]
    if data.spec.classes is None:
        fitted.append((data.target_scaling, data.train["targets"]))
    else:
        assert data.target_scaling is None
    for scaling, raw in fitted:
        assert scaling.offset.shape == scaling.scale.shape == raw.shape[-1:]
        assert scaling.offset.dtype == scaling.scale.dtype == np.float32
        assert (scaling.scale > 0).all()
        scaled = (raw.astype(np.float32) - scaling.offset) / scaling.scale
        flat = scaled.reshape(-1, scaled.shape[-1])
        if kind == "standard" and data.series is None:
            np.testing.assert_allclose(flat.mean(0), 0, atol=1e-4)
            np.testing.assert_allclose(flat.std(0), 1, atol=1e-4)
        if kind == "minmax":
            assert flat.min() >= -1e-6
            assert flat.max() <= 1 + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_limit_caps_all_parts_together(name, roots):
    for limit in (10, 37):
        data = make(name, roots, limit=limit).load()
        sizes = [len(part["inputs"]) for part in (data.train, data.val, data.test)]
        assert sum(sizes) == limit
        assert min(sizes) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_used_once(name, roots):
    dataset = make(name, roots)
    if not isinstance(dataset, Examples):
        pytest.skip("no independent examples")
    generation, division = streams(0)
    targets = dataset.examples(generation)["targets"]
    train, val, test = dataset.split(targets, division)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, val, test])), np.arange(len(targets)))
    assert abs(len(val) - 0.15 * len(targets)) <= 1
    assert abs(len(test) - 0.15 * len(targets)) <= 1
    if dataset.spec().classes:
        for part in (train, val, test):
            expected = np.bincount(targets) * len(part) / len(targets)
            assert (abs(np.bincount(targets[part]) - expected) <= 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_seeds_differ(name, roots):
    first, again, other = (digest(make(name, roots, seed=seed).load()) for seed in (0, 0, 1))
    assert first == again
    assert (first == other) == (name in WITHOUT_SEED)


def test_another_process_makes_the_same_bits_without_heavy_imports(roots):
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_every_dataset import NAMES, digest, make\n"
        "print(json.dumps({name: digest(make(name, json.loads(sys.argv[2])).load()) for name in NAMES}))\n"
        "assert not {'jax', 'sklearn', 'scipy'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), json.dumps(roots)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=CONF.parents[1])
    assert json.loads(found.stdout) == {name: digest(make(name, roots).load()) for name in NAMES}


def test_fractions_must_leave_something_for_training(roots):
    with pytest.raises(ConfigError) as caught:
        make("iris", roots, val_fraction=0.6, test_fraction=0.5)
    assert str(caught.value) == (
        "dataset.val_fraction + dataset.test_fraction must be < 1, but got 1.1. "
        "Set for example dataset.val_fraction=0.15 dataset.test_fraction=0.15."
    )


def test_official_test_part_has_no_fraction(roots):
    with pytest.raises(ConfigError, match=r"dataset\.test_fraction must be one of official, but got 0\.2\."):
        make("mnist", roots, test_fraction=0.2)
