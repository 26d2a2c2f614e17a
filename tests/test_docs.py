"""The commands of README and docs work: each is run here, shrunk, but for recipes, which have tests of their own."""

import re

import pytest

from nnrun.config import choices
from tests import documented
from tests.documented import README, TEXTS, Command

RECIPES = [f"experiment={name}" for name in choices.choices("experiment")]
ELSEWHERE = {Command("nnrun", (*flag, recipe)) for recipe in RECIPES for flag in ((), ("-m",))}
"""What experiment/test_recipes.py runs."""

COMMANDS = [command for command in documented.everything() if command.program == "nnrun" and command not in ELSEWHERE]


@pytest.fixture(scope="module")
def home(tmp_path_factory, command):
    """A folder with the files of all pages, one finished run and one sweep."""
    return documented.make_home(tmp_path_factory.mktemp("docs"), command)


@pytest.mark.parametrize("typed", COMMANDS, ids=str)
def test_a_command_works(typed, home, command):
    documented.check(typed, home, command)


@pytest.mark.parametrize(
    ("name", "said"), [("five_lines.py", "setosa"), ("predict_houses.py", r"\[(\s*\d+\.\d*){20}\s*\]")]
)
def test_the_python_lines_work(home, name, said, monkeypatch, capsys):
    monkeypatch.chdir(home)
    exec(documented.file(name), {})
    assert re.search(said, capsys.readouterr().out)


@pytest.mark.parametrize("block", [block for text in TEXTS for block in documented.blocks(text, "python")])
def test_python_that_is_no_file_runs(block):
    exec(block, {})


def test_there_are_commands_and_they_name_what_exists():
    assert len(COMMANDS) > 40
    named = set(re.findall(r"experiment=(\w+)", "".join(TEXTS))) - {"NAME", "rings_wide"}
    assert named <= set(choices.choices("experiment"))


def test_the_readme_is_short():
    assert len(README.split()) <= 1200


def test_a_file_has_one_content_on_all_pages():
    names = [name for text in TEXTS for name in documented.files(text)]
    assert len(names) > 8
    for name in names:
        assert documented.file(name)
