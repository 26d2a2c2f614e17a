"""Sweep syntax: what becomes a dimension, what is refused in which words, and values back in Hydra's grammar."""

import math

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from nnrun.compose.grammar import RESERVED, dimension, from_space, parse, parse_override, value_text
from nnrun.config import choices
from nnrun.errors import ConfigError
from nnrun.search.space import Categorical, Interval, Steps


def swept(values, key="k"):
    return dimension(parse_override(f"{key}={values}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b,c", Categorical(("a", "b", "c"))),
        ("1e-3,1e-2", Categorical((0.001, 0.01))),
        ("true,null,'x y',1", Categorical((True, None, "x y", 1))),
        ("[8,8],[16]", Categorical(([8, 8], [16]))),
        ("{a:1},{a:'b c'}", Categorical(({"a": 1}, {"a": "b c"}))),
        ("choice(a)", Categorical(("a",))),
        ("choice(1,2.5)", Categorical((1, 2.5))),
        ("int(choice(1.0,2.0))", Categorical((1, 2))),
        ("sort(3,1,2)", Categorical((1, 2, 3))),
        ("sort(choice(3,1,2),reverse=true)", Categorical((3, 2, 1))),
        ("range(4)", Steps(0, 1, 4)),
        ("range(1,10,3)", Steps(1, 3, 3)),
        ("range(5,1,-2)", Steps(5, -2, 2)),
        ("range(0,0.9,0.3)", Steps(0.0, 0.3, 3)),
        ("range(0,2.5)", Steps(0.0, 1.0, 3)),
        ("float(range(1,3))", Steps(1.0, 1.0, 2)),
        ("interval(1,2)", Interval(1.0, 2.0)),
        ("interval(-1e-3,0)", Interval(-0.001, 0.0)),
        ("int(interval(8,512))", Interval(8, 512, integer=True)),
        ("tag(log,interval(1e-4,1e-1))", Interval(1e-4, 1e-1, log=True)),
        ("tag(log,int(interval(8,512)))", Interval(8, 512, log=True, integer=True)),
        ("int(tag(log,interval(8,512)))", Interval(8, 512, log=True, integer=True)),
        ("5", None),
        ("[1,2]", None),
        ("", None),
    ],
)
def test_what_is_swept(text, expected):
    assert repr(swept(text)) == repr(expected)


def test_a_glob_matches_choices_of_a_group():
    assert swept("glob(*)", "model") == Categorical(tuple(sorted(choices.choices("model"))))
    assert swept("glob([l*,gru],exclude=g*)", "model") == Categorical(("lstm",))


@pytest.mark.parametrize("text", ["shuffle(1,2,3,4,5)", "shuffle(range(1,6))", "shuffle(choice(1,2,3,4,5))"])
def test_a_shuffle_is_the_same_every_time(text):
    assert swept(text) == swept(text)
    assert sorted(swept(text).values) == [1, 2, 3, 4, 5] != list(swept(text).values)


def test_a_command_is_split_into_fixed_and_swept():
    fixed, space = parse(["model=mlp,cnn", "seed=3", "+x.y=range(2)", "~task", "name='a,b'"])
    assert fixed == ["seed=3", "~task", "name='a,b'"]
    assert space == {"model": Categorical(("mlp", "cnn")), "+x.y": Steps(0, 1, 2)}


def test_a_recipes_space_reads_like_the_command_line():
    space = {
        "optimizer.learning_rate": "tag(log,interval(1e-4,1e-1))",
        "model": "rnn,lstm",
        "training": {"batch_size": [16, 32], "precision": "float32"},
        "seed": 3,
    }
    assert from_space(space) == {
        "optimizer.learning_rate": Interval(1e-4, 1e-1, log=True),
        "model": Categorical(("rnn", "lstm")),
        "training.batch_size": Categorical((16, 32)),
        "training.precision": Categorical(("float32",)),
        "seed": Categorical((3,)),
    }
    assert from_space({}) == {}


WRONG = {
    "k=interval(a,b)": "k: interval(LOW,HIGH) takes two numbers, but got interval(a,b). "
    "Write for example k=interval(0.1,0.5).",
    "k=tag(log,interval(1))": "k: interval(LOW,HIGH) takes two numbers, but got interval(1). "
    "Write for example k=interval(0.1,0.5).",
    "k=choice()": "k: choice(A,B,...) takes one or more values, no null and no function, but got choice(). "
    "Write for example k=choice(1,2).",
    "k=range(a)": "k: range(START,STOP,STEP) takes numbers, but got range(a). Write for example k=range(1,5).",
    "k=tag(log,3)": "k: tag(log,...) takes an interval, but got tag(log,3). "
    "Write for example k=tag(log,interval(1e-4,1e-1)).",
    "k=int(interval(1,inf))": "k: int(...) takes finite numbers, an interval or a range, but got int(interval(1,inf)). "
    "Write for example k=int(interval(8,64)).",
    "k=intervall(1,2)": "k: there is no function intervall. Did you mean interval? "
    "Text with brackets needs quotes: 'k=\"intervall(1,2)\"'.",
    "k=interval(1,2": "k lacks ) at its end: interval(1,2. Write 'k=interval(1,2)'.",
    "k=interval(1,1)": "k needs an interval with different bounds, but got interval(1,1). A single value is k=1.0.",
    "k=interval(1,0.1)": "k needs an interval from a lower to a higher number, but got interval(1,0.1). "
    "Turn it round: interval(0.1,1.0).",
    "k=interval(0,inf)": "k needs an interval with finite bounds, but got interval(0,inf). "
    "Write for example interval(0,1).",
    "k=interval(nan,1)": "k needs an interval with finite bounds, but got interval(nan,1). "
    "Write for example interval(0,1).",
    "k=int(interval(0.2,0.8))": "k needs an interval with two whole numbers or more, but got int(interval(0.2,0.8)). "
    "A single value is k=0.",
    "k=tag(log,interval(0,1))": "k needs bounds > 0 on a log scale, but got tag(log,interval(0,1)). "
    "Write for example tag(log,interval(0.001,1.0)).",
    "k=tag(log,int(interval(-8,-2)))": "k needs bounds > 0 on a log scale, but got tag(log,int(interval(-8,-2))). "
    "Leave out the tag log.",
    "k=tag(ln,interval(1,2))": "k can have the tag log only, but got tag(ln,interval(1,2)). "
    "Write for example tag(log,interval(1e-4,1e-1)).",
    "k=tag(log,choice(1,2))": "k can have the tag log on an interval only, but got tag(log,choice(1,2)). "
    "Leave it out where values are listed.",
    "k=range(1,5,0)": "k needs a range with a step other than 0, but got range(1,5,0). Write for example range(1,5,1).",
    "k=range(5,1)": "k needs a range that reaches a number, but got range(5,1). "
    "STOP is excluded: range(1,5) is 1,2,3,4.",
    "k=range(0,inf)": "k needs a range with finite bounds, but got range(0,inf). Write for example range(1,5).",
    "k=1,interval(1,2)": "k can be swept as a whole only, but got 1,interval(1,2). "
    "Write for example choice([32,32],[64,64]).",
    "k=[8,range(3)]": "k can be swept as a whole only, but got [8,range(3)]. "
    "Write for example choice([32,32],[64,64]).",
    "model=interval(0,1)": "model is chosen by name, but got interval(0,1). List some: model=autoencoder,cnn,fcn.",
    "model=glob(x*)": "model needs a pattern that matches a choice, but got glob(x*). "
    f"Choose from: {', '.join(sorted(choices.choices('model')))}.",
    "k=glob(*)": "k is no config group, whose choices glob could match, but got glob(*). "
    "List the values, for example 1e-3,1e-2.",
}


@pytest.mark.parametrize(("override", "text"), WRONG.items(), ids=WRONG)
def test_what_is_refused(override, text):
    with pytest.raises(ConfigError) as error:
        parse([override])
    assert str(error.value) == text


@pytest.mark.parametrize("second", ["k=3", "k=3,4", "+k=interval(0,1)"])
def test_a_swept_key_comes_once(second):
    for pair in (["k=1,2", second], [second, "k=1,2"]):
        with pytest.raises(ConfigError) as error:
            parse(pair)
        assert str(error.value) == f"k is given twice: {pair[0]} and {pair[1]}. Keep one of them."


def test_the_last_of_fixed_values_is_hydras_to_choose():
    assert parse(["k=1", "k=2"]) == (["k=1", "k=2"], {})


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (
            {"k": "interval(1,0)"},
            "search.space: k needs an interval from a lower to a higher number, but got interval(1,0). "
            "Turn it round: interval(0.0,1.0).",
        ),
        (
            {"a": {"b": []}},
            "search.space: a.b needs one or more values, but got none. Write for example a.b: [1e-3, 1e-2].",
        ),
        ({"a.b": 1, "a": {"b": 2}}, "search.space: a.b is given twice. Keep one of them."),
        (
            {"k": "choice()"},
            "search.space: k: choice(A,B,...) takes one or more values, no null and no function, but got choice(). "
            "Write for example k=choice(1,2).",
        ),
    ],
)
def test_a_wrong_space_is_named(space, text):
    with pytest.raises(ConfigError) as error:
        from_space(space)
    assert str(error.value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-5, "1e-05"),
        (64, "64"),
        (True, "true"),
        (None, "null"),
        ("lstm", "lstm"),
        ("data/a-b.csv", "data/a-b.csv"),
        ("Null", '"Null"'),
        ("1e-3", '"1e-3"'),
        ("", '""'),
        ('a "b", c\\', '"a \\"b\\", c\\\\"'),
        ((64, "a b"), '[64,"a b"]'),
        ({"a": [1.0], "b": None}, "{a:[1.0],b:null}"),
    ],
)
def test_values_as_text(value, text):
    assert value_text(value) == text


KEYS = st.from_regex(r"[a-z_]+", fullmatch=True).filter(lambda key: key not in RESERVED)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_values_survive_hydras_parser(value):
    back = OverridesParser.create().parse_override(f"key={value_text(value)}").value()
    assert repr(back) == repr(value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers() | st.text(max_size=5), min_size=2, max_size=4))
def test_listed_values_survive(values):
    assert swept(",".join(map(value_text, values))) == Categorical(tuple(values))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_intervals_keep_their_bounds(low, high):
    if low < high:
        assert swept(f"interval({low},{high})") == Interval(low, high)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 9))
def test_ranges_are_pythons(start, stop, step):
    expected = range(start, stop, step)
    if expected:
        found = swept(f"range({start},{stop},{step})")
        assert found.values == tuple(expected)
        assert all(isinstance(value, int) and math.isfinite(value) for value in found.values)
