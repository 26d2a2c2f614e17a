"""Every recipe says what it is and what comes out, and runs shrunk."""

import json

import pytest

from nnrun.config import choices
from tests.documented import PAGES

RECIPES = sorted(choices.choices("experiment"))
SWEEPS = [name for name in RECIPES if choices.load_choice("experiment", name).get("search")]

FILES = {
    "airline_passengers": "timeseries",
    "california_housing": "california_housing",
    "cifar10_images": "image_folder",
    "etth1": "timeseries",
    "fashion_mnist_cnn": "fashion_mnist",
    "nab_ambient_temperature": "timeseries",
    "pima_diabetes": "pima_diabetes",
    "pump_faults": "marked",
}
"""Recipes on files: whose made-up ones they run on."""


@pytest.mark.parametrize("name", RECIPES)
def test_the_header_states_command_wall_time_and_numbers(name):
    header = [line for line in choices.choices("experiment")[name].read_text().splitlines() if line.startswith("#")]
    text = "\n".join(header)
    assert f"experiment={name}" in text, "the command"
    assert "Wall time:" in text
    assert "Expect:" in text
    assert any(character.isdigit() for character in text.partition("Expect:")[2]), "numbers to expect"


@pytest.mark.parametrize("name", SWEEPS)
def test_the_sweep_runs_shrunk(name, nnrun, tmp_path):
    assert nnrun("-m", f"experiment={name}", "debug=tiny").code == 0
    (folder,) = tmp_path.glob("outputs/sweeps/*/*")
    assert json.loads((folder / "best" / "summary.json").read_text())["baseline"]
    assert len((folder / "trials.csv").read_text().splitlines()) == 1 + 4


@pytest.mark.parametrize("name", sorted(set(RECIPES) - set(SWEEPS)))
def test_the_recipe_runs_shrunk(name, roots, nnrun, tmp_path):
    keys = roots[FILES[name]] if name in FILES else {}
    overrides = [f"dataset.{key}={value}" for key, value in keys.items()]
    assert nnrun(f"experiment={name}", "debug=tiny", *overrides).code == 0
    (summary,) = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/runs/*/*/summary.json")]
    assert summary["status"] == "completed"
    assert summary["epochs"] == 2
    assert summary["baseline"]


def test_the_docs_have_a_row_for_every_recipe():
    table = PAGES["docs/recipes.md"].partition("<!-- recipes -->\n")[2].partition("<!-- end of recipes -->")[0]
    assert sorted(row.split("`")[1] for row in table.splitlines()[2:]) == RECIPES
