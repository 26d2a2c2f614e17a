"""The docs' tables of keys have every choice and every key, each with a meaning."""

import dataclasses
import importlib.util

import pytest

from nnrun import schema
from nnrun.config import choices
from tests.documented import PAGES, ROOT

spec = importlib.util.spec_from_file_location("key_tables", ROOT / "docs" / "key_tables.py")
key_tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(key_tables)

MEMBERS = ("model", "dataset", "task", "optimizer", "schedule", "search")


@pytest.mark.parametrize("group", MEMBERS)
def test_every_choice_has_its_keys(group):
    sections = dict(part.split("\n", 1) for part in key_tables.group_section(group).split("## ")[1:])
    names = {name: choices.load_choice(group, name)["_target_"] for name in choices.choices(group)}
    assert list(sections) == [f"{group}={name}" for name, target in names.items() if target]
    for name, target in names.items():
        for field in dataclasses.fields(schema.config_class(target)) if target else ():
            assert f"| `{group}.{schema.key_of(field)}` | " in sections[f"{group}={name}"]


@pytest.mark.parametrize("group", key_tables.GROUPS_OF_ONE_CLASS)
def test_every_key_of_a_class_has_a_row_with_a_meaning(group):
    config = key_tables.GROUPS_OF_ONE_CLASS[group]
    rows = {key.strip("`"): (takes, meaning) for key, _, takes, meaning in key_tables.rows(group, config)}
    fields = [field.name for field in dataclasses.fields(config) if f"{group}.{field.name}" not in GROUPS]
    assert list(rows) == [f"{group}.{name}" for name in fields]
    assert all(takes and meaning for takes, meaning in rows.values())


GROUPS = key_tables.GROUPS_OF_ONE_CLASS


def test_every_group_is_on_a_page():
    shown = "".join(PAGES.values())
    assert not [group for group in (*MEMBERS, *GROUPS) if f"<!-- keys: {group} -->" not in shown]


def test_a_page_gets_its_tables():
    page = key_tables.inserted("# Schedules\n\n<!-- keys: schedule -->\n")
    assert "| `schedule.final` | `0.0` | a number, \\>= 0, \\<= 1 | factor at the end of the run |" in page
    assert "<!--" not in page


def test_what_means_something_to_markdown_is_escaped():
    assert key_tables.escaped("a_b |x| `c_d` <e>\n[f] *g*") == "a\\_b \\|x\\| `c_d` \\<e\\> \\[f\\] \\*g\\*"
