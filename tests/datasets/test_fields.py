"""What an example consists of, and which fields are refused."""

import dataclasses
import json

import msgspec
import numpy as np
import pytest

from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.datasets.fields import Field
from nnrun.errors import ConfigError
from nnrun.folders import preprocessing
from nnrun.folders.preprocessing import Preprocessing

TABLE = DataSpec(
    kind="table", inputs=(4,), targets=(), task="classification", classes=3, anomalies=True, categories=(5, 2)
)
PAIRS = (
    Field("inputs", (7,), "int32", time=0, lengths="lengths", below=(50,)),
    Field("targets", (9,), "int32", time=0, lengths="target_lengths", below=(40,), answer=True),
    Field("prefix", (9,), "int32", time=0, lengths="target_lengths", below=(40,), answer=True),
    Field("target_lengths", (), "int32", answer=True),
)
IMAGES = DataSpec("image", (6, 8, 3), (6, 8), "segmentation", classes=2)


def test_the_usual_fields_follow_from_the_arguments():
    assert list(TABLE.example.values()) == [
        Field("inputs", (4,), scaled=True),
        Field("targets", (), "int32", below=(3,), answer=True),
        Field("categories", (2,), "int32", below=(5, 2)),
        Field("anomaly", (), "int32", below=(2,), answer=True),
    ]
    steps = DataSpec("series", (7, 2), (1,), "regression", per_step=True, lengths=True).example
    assert list(steps.values()) == [
        Field("inputs", (7, 2), time=0, lengths="lengths", scaled=True),
        Field("targets", (7, 1), time=0, lengths="lengths", scaled=True, answer=True),
        Field("lengths", (), "int32"),
    ]
    assert DataSpec("tokens", (7,), None, "x").example == {"inputs": Field("inputs", (7,), "int32", time=0)}


def test_fields_of_its_own_stand_beside_the_usual_ones_or_in_their_place():
    spec = DataSpec("tokens", (7,), (9,), "translation", classes=40, lengths=True, fields=PAIRS)
    assert list(spec.example) == ["inputs", "targets", "lengths", "prefix", "target_lengths"]
    assert (spec.example["inputs"], spec.example["targets"]) == PAIRS[:2]
    part = {name: np.zeros((2, *field.shape), np.int32) for name, field in spec.example.items()}
    assert list(spec.shown(part)) == ["inputs", "lengths"]
    assert spec.valid_steps("targets", part) is part["target_lengths"]
    assert spec.valid_steps("inputs", part) is part["lengths"]
    assert TABLE.valid_steps("inputs", part) is None
    again = msgspec.convert(json.loads(msgspec.json.encode(spec)), DataSpec)
    assert (again, hash(again)) == (spec, hash(spec))
    assert hash(spec) != hash(dataclasses.replace(spec, fields=PAIRS[:2] + PAIRS[3:]))


def test_a_spec_written_before_there_were_fields_is_equal_to_todays():
    old = {name: value for name, value in msgspec.to_builtins(TABLE).items() if name != "fields"}
    assert msgspec.convert(old, DataSpec) == TABLE


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: Field("mask", (6, 8)),
            "A field of an example must not be called mask, which is an array that nnrun adds to every batch, but one "
            "of shape (6, 8) is. Give it another name.",
        ),
        (lambda: Field("index", ()), "A field of an example must not be called index,"),
        (
            lambda: Field("ids", (3,), "int64"),
            "Field ids: dtype must be one of float32, int32, uint8, bool, but got int64.",
        ),
        (
            lambda: Field("ids", (3,), "int32", scaled=True),
            "dtype must be float32, because it is scaled, but got int32.",
        ),
        (lambda: Field("ids", (3,), time=1), "time must be an axis of its shape (3,), from 0, but got 1."),
        (lambda: Field("ids", (3,), lengths="n"), "time must be the axis whose valid steps n counts, but got None."),
        (lambda: Field("ids", (3,), below=(2, 2)), "below must be one bound, or one for each column of its shape (3,)"),
        (
            lambda: dataclasses.replace(TABLE, fields=(Field("inputs", (5,), scaled=True),)),
            "Field inputs: shape must be (4,), as DataSpec has it, but got (5,). Correct it in the data set.",
        ),
        (
            lambda: dataclasses.replace(TABLE, fields=(Field("a", ()), Field("a", (2,)))),
            "Every field needs a name of its own, but got a, a. Rename one.",
        ),
        (
            lambda: dataclasses.replace(TABLE, fields=(Field("ids", (3,), time=0, lengths="inputs"),)),
            "Field ids: lengths must be the name of a field of single whole numbers, but got inputs.",
        ),
        (
            lambda: dataclasses.replace(IMAGES, fields=(Field("depth", (8, 6), moves_with="inputs"),)),
            "Field depth: moves_with must be the name of images (height, width, channels) with the sides of its own "
            "shape (8, 6), but got inputs.",
        ),
        (
            lambda: dataclasses.replace(TABLE, fields=(Field("depth", (4, 4), moves_with="inputs"),)),
            "with the sides of its own shape (4, 4), but got inputs.",
        ),
    ],
)
def test_a_field_that_cannot_be_is_refused_in_one_sentence(make, said):
    with pytest.raises(ConfigError) as caught:
        make()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def masked():
    mask = Field("targets", (6, 8), "int32", below=(2,), answer=True, moves_with="inputs", outside=255)
    return dataclasses.replace(IMAGES, fields=(mask, Field("depth", (6, 8), scaled=True)))


def part(count, **changes):
    found = {
        "inputs": np.zeros((count, 6, 8, 3), np.uint8),
        "targets": np.zeros((count, 6, 8), np.uint8),
        "depth": np.ones((count, 6, 8), np.float32),
    }
    return {name: values for name, values in (found | changes).items() if values is not None}


@pytest.mark.parametrize(
    ("changes", "scalings", "said"),
    [
        ({"depth": None}, {}, "Every part needs the field depth, but has inputs, targets. Add it."),
        (
            {"depth": np.ones((2, 6))},
            {},
            "The field depth must hold numbers (n, 6, 8), but got float64 of shape (2, 6).",
        ),
        (
            {"targets": np.ones((2, 6, 8))},
            {},
            "The field targets must hold whole numbers (n, 6, 8), but got float64",
        ),
        ({}, {}, "The field depth is scaled, but Data.scalings has no depth. Fit one."),
    ],
)
def test_parts_that_are_not_what_the_fields_say_are_refused(changes, scalings, said):
    scaling = Scaling(np.zeros(3, np.float32), np.ones(3, np.float32))
    with pytest.raises(ConfigError) as caught:
        Data(masked(), part(2), part(2, **changes), part(2), scaling, scalings=scalings)
    assert said in str(caught.value)


@pytest.fixture
def saved(tmp_path):
    """The folder of a saved preprocessing of masks, and a function that changes one value of it."""
    depth = Scaling(np.float32(3), np.float32(2))
    scaling = Scaling(np.zeros(3, np.float32), np.ones(3, np.float32))
    Preprocessing.of(Data(masked(), part(2), part(2), part(2), scaling, scalings={"depth": depth})).save(tmp_path)

    def change(*keys, to):
        path = tmp_path / "preprocessing.json"
        content = node = json.loads(path.read_text())
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = to
        path.write_text(json.dumps(content))

    return tmp_path, change


def test_fields_come_back_from_preprocessing_json(saved):
    folder, _ = saved
    found = preprocessing.read(folder)
    assert (found.spec, found.scalings["depth"].offset) == (masked(), 3)
    assert found.reader.fields == masked().fields[1:]
    assert found.data(part(3)).spec == masked()


def test_a_preprocessing_written_before_there_were_fields_is_read(saved):
    folder, _ = saved
    content = json.loads((folder / "preprocessing.json").read_text())
    del content["scalings"], content["spec"]["fields"], content["reader"]["fields"]
    (folder / "preprocessing.json").write_text(json.dumps(content))
    found = preprocessing.read(folder)
    assert (found.spec, found.scalings, found.reader.fields) == (IMAGES, {}, ())


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (
            ("spec", "fields", 1, "shape"),
            [2**40],
            "says that the field depth has the shape and range ((1099511627776,), ())",
        ),
        (("spec", "fields", 1, "shape"), [-1, 8], "says that the field depth has the shape and range ((-1, 8), ())"),
        (("spec", "fields", 0, "below"), [2**40], "says that a target has the shape and number of classes"),
        (
            ("spec", "fields", 1, "name"),
            "mask",
            "is damaged or of another version (A field of an example must not be called",
        ),
        (("spec", "fields", 1, "dtype"), "object", "is damaged or of another version (Invalid enum value 'object'"),
        (
            ("spec", "fields", 0, "moves_with"),
            "depth",
            "is damaged or of another version (Field targets: moves_with must be",
        ),
        (("spec", "fields"), {"depth": 1}, "is damaged or of another version (Expected `array`, got `object`"),
        (("scalings", "depth", "offset"), [[[0.0]]] * 3, "says that the scaling of depth has the shape (3, 1, 1)"),
        (
            ("scalings", "width"),
            {"offset": 0.0, "scale": 1.0},
            "says that these fields have scalings, not ['depth']: ['depth', 'width'], which no run writes",
        ),
        (("scalings",), {}, "says that these fields have scalings, not ['depth']: [], which no run writes"),
    ],
)
def test_fields_that_no_run_writes_are_refused(saved, keys, value, said):
    folder, change = saved
    change(*keys, to=value)
    with pytest.raises(ConfigError) as caught:
        preprocessing.read(folder)
    assert said in str(caught.value)
