"""The commands of the docs work: every one that neither the README nor a recipe's own test runs is run here, shrunk."""

import re
import subprocess
import sys

import pytest

from nnrun.config import choices
from tests import documented
from tests.documented import PAGES, README

RECIPES = [f"experiment={name}" for name in choices.choices("experiment")]
ELSEWHERE = {*documented.commands(README), *(documented.Command("nnrun", (word,)) for word in RECIPES)}
ELSEWHERE |= {documented.Command("nnrun", ("-m", word)) for word in RECIPES}
"""What test_readme.py and experiment/test_recipes.py run."""

COMMANDS = [
    command
    for command in dict.fromkeys(command for text in PAGES.values() for command in documented.commands(text))
    if command.program == "nnrun" and command not in ELSEWHERE
]


@pytest.fixture(scope="module")
def home(tmp_path_factory, command):
    """A folder with the files of all pages, and the data that their scripts make up."""
    folder = documented.make_home(tmp_path_factory.mktemp("docs"), list(PAGES.values()), command)
    own = "model=mlp dataset=csv dataset.path=houses.csv dataset.target=price hydra.run.dir=HOUSES debug=tiny"
    assert command(*own.split(), folder=folder).code == 0
    return folder


@pytest.mark.parametrize("typed", COMMANDS, ids=str)
def test_a_command_works(typed, home, command):
    documented.check(typed, home, command)


def test_the_network_of_the_table_predicts_from_python(home):
    text = documented.file("predict_houses.py")
    found = subprocess.run([sys.executable, "-c", text], cwd=home, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "price_predicted" in found.stdout


def test_recipes_that_are_named_exist():
    named = set(re.findall(r"experiment=(\w+)", README + "".join(PAGES.values()))) - {"NAME", "rings_wide"}
    assert named <= set(choices.choices("experiment"))


def test_a_file_has_one_content_on_all_pages():
    names = [name for text in (README, *PAGES.values()) for name in documented.files(text)]
    assert len(names) > 8
    for name in names:
        assert documented.file(name)
