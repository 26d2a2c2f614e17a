"""Every recipe says what it is and what comes out, and runs shrunk."""

import json

import pytest

from nnrun import members

RECIPES = sorted(members.choices("experiment"))


@pytest.mark.parametrize("name", RECIPES)
def test_the_header_states_command_wall_time_and_numbers(name):
    header = [line for line in members.choices("experiment")[name].read_text().splitlines() if line.startswith("#")]
    text = "\n".join(header)
    assert f"experiment={name}" in text, "the command"
    assert "Wall time:" in text
    assert "Expect:" in text
    assert any(character.isdigit() for character in text.partition("Expect:")[2]), "numbers to expect"


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_runs_shrunk(name, roots, nnrun, tmp_path):
    overrides = [f"dataset.root={roots['fashion_mnist']}"] if "fashion_mnist" in name else []
    assert nnrun(f"experiment={name}", "debug=tiny", *overrides).code == 0
    (summary,) = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/runs/*/*/summary.json")]
    assert summary["status"] == "completed"
    assert summary["epochs"] == 2
    assert summary["baseline"]


def test_the_readme_has_a_row_for_every_recipe():
    readme = (members.conf_folder().parent / "README.md").read_text()
    assert not [name for name in RECIPES if f"`{name}`" not in readme]
