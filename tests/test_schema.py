"""Typed configs: what is accepted, and the texts of what is refused."""

from dataclasses import dataclass, replace
from typing import Literal

import pytest

from nnrun import schema
from nnrun.errors import ConfigError
from nnrun.schema import TRACED, number, setting, size


@dataclass(frozen=True)
class Inner:
    patience: int | None = size(None)


@dataclass(frozen=True)
class Example:
    rate: float = number(0.1, "step", above=0)
    share: float = number(0.0, "share", off=0.0, least=0, below=1)
    clip: float | None = number(None, "norm", above=0)
    count: int = size(3, "units", least=1, most=9)
    sizes: tuple[int, ...] = size((4, 5), "units of each layer")
    kind: Literal["same", "valid"] | int = setting("same")
    name: Literal["relu", "gelu"] = setting("relu")
    flag: bool = setting(False)
    text: str = setting("a")
    inner: Inner = setting(Inner())


class Target:
    def __init__(self, config: Example) -> None:
        self.config = config


def by_argument(config: Example) -> None:
    """A target that is a function."""


def untyped(config) -> None:
    """A target that says nothing about its keys."""


def refused(**values):
    with pytest.raises(ConfigError) as caught:
        schema.build("group", values, Example)
    return str(caught.value)


def test_plain_values_become_a_frozen_dataclass_with_tuples():
    values = {"_target_": "skipped", "rate": 1, "sizes": [7], "kind": 2, "clip": 1.5, "inner": {"patience": 3}}
    built = schema.build("group", values, Example)
    assert built == Example(rate=1.0, sizes=(7,), kind=2, clip=1.5, inner=Inner(3))
    assert isinstance(built.rate, float)
    assert hash(built) == hash(replace(built))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"rte": 1.0}, "group.rte is not a setting of group. Did you mean rate?"),
        ({"rate": "fast"}, "group.rate must be a number, but got fast. Set for example group.rate=0.1."),
        ({"rate": True}, "group.rate must be a number, but got True. Set for example group.rate=0.1."),
        ({"rate": float("nan")}, "group.rate must be a number, but got nan. Set for example group.rate=0.1."),
        ({"rate": None}, "group.rate must be a number, but got null. Set for example group.rate=0.1."),
        ({"rate": 0}, "group.rate must be > 0, but got 0.0. Set for example group.rate=0.1."),
        ({"share": 1}, "group.share must be < 1, but got 1.0. Set for example group.share=0.0."),
        ({"share": -0.5}, "group.share must be >= 0, but got -0.5. Set for example group.share=0.0."),
        ({"count": 2.0}, "group.count must be an integer, but got 2.0. Set for example group.count=3."),
        ({"count": 10}, "group.count must be <= 9, but got 10. Set for example group.count=3."),
        ({"sizes": [4, 0]}, "group.sizes must be >= 1, but got 0. Set for example group.sizes=[4,5]."),
        ({"sizes": [4, "x"]}, "group.sizes[1] must be an integer, but got x. Set for example group.sizes=[4,5]."),
        ({"sizes": 4}, "group.sizes must be a list (each an integer), but got 4. Set for example group.sizes=[4,5]."),
        ({"name": "rely"}, "group.name must be one of relu, gelu, but got rely. Did you mean relu?"),
        ({"name": "x"}, "group.name must be one of relu, gelu, but got x. Choose from: gelu, relu."),
        ({"flag": 1}, "group.flag must be true or false, but got 1. Set for example group.flag=False."),
        ({"text": 1}, "group.text must be text, but got 1. Set for example group.text=a."),
        ({"clip": "x"}, "group.clip must be a number or null, but got x. Set for example group.clip=null."),
        ({"inner": {"patiense": 1}}, "group.inner.patiense is not a setting of group.inner. Did you mean patience?"),
        (
            {"inner": {"patience": 0}},
            "group.inner.patience must be >= 1, but got 0. Set for example group.inner.patience=null.",
        ),
    ],
)
def test_what_is_refused_says_rule_value_key_and_next_move(values, text):
    assert refused(**values) == text


def test_a_union_of_choices_and_a_type_names_both():
    assert refused(kind="sme") == "group.kind must be one of same, valid or an integer, but got sme." + (
        " Set for example group.kind=same."
    )


@pytest.mark.parametrize("target", ["Target", "by_argument"])
def test_the_config_of_a_target_annotates_its_argument(target):
    assert schema.config_class(f"{__name__}.{target}") is Example


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            "nnrun.nowhere.X",
            "_target_ nnrun.nowhere.X: there is no module nnrun.nowhere. Start nnrun in the folder where it lies "
            "beside ./conf.",
        ),
        ("nnrun.schema.biuld", "_target_ nnrun.schema.biuld: nnrun.schema has no biuld. Did you mean build?"),
        (
            f"{__name__}.untyped",
            f"_target_ {__name__}.untyped must take an argument `config` annotated with a dataclass.",
        ),
    ],
)
def test_a_target_that_cannot_be_used_says_why(target, text):
    with pytest.raises(ConfigError) as caught:
        schema.config_class(target)
    assert str(caught.value) == text


def test_numbers_are_split_off_but_for_what_is_switched_off():
    static, traced = schema.split_traced(Example(rate=0.3))
    assert traced == {"rate": 0.3}
    assert (static.rate, static.share, static.clip) == (TRACED, 0.0, None)
    assert schema.split_traced(Example(rate=0.3, share=0.5, clip=2.0))[1] == {"rate": 0.3, "share": 0.5, "clip": 2.0}


def test_configs_that_differ_in_traced_numbers_alone_share_their_static_part():
    static = {schema.split_traced(Example(rate=rate, share=0.1))[0] for rate in (0.1, 0.2, 3.0)}
    assert len(static) == 1
    assert schema.split_traced(Example(share=0.0))[0] not in static
    assert schema.split_traced(Example(share=0.1, count=4))[0] not in static


@pytest.mark.parametrize(
    ("value", "text"), [((1, 2), "[1,2]"), ((), "[]"), (None, "null"), (0.5, "0.5"), ("relu", "relu")]
)
def test_values_are_shown_as_they_are_typed(value, text):
    assert schema.show(value) == text


def test_the_nearest_choice_or_all_of_them():
    assert schema.nearest("lstn", ["gru", "lstm"]) == "Did you mean lstm?"
    assert schema.nearest("zzz", ["gru", "lstm"]) == "Choose from: gru, lstm."
