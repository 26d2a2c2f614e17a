"""The README's commands work: every `nnrun` line of its shell blocks is run here, shrunk where it trains."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nnrun.config import choices
from tests import made_up_files

TEXT = (choices.conf_folder().parent / "README.md").read_text()
BLOCKS = re.findall(r"(?<!-->\n)```bash\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)[1:] for block in BLOCKS for line in block.splitlines() if line.startswith("nnrun ")
]


def shrunk(words):
    trains = ("=" in words[0] or words[0] == "-m") and "--help" not in words
    if not trains:
        return words
    fewer = [re.sub(r"^search\.trials=.*", "search.trials=4", word) for word in words]
    return fewer if "debug=tiny" in words else [*fewer, "debug=tiny"]


@pytest.fixture(scope="module")
def home(tmp_path_factory, command):
    """A folder with the README's own files and one finished run."""
    folder = tmp_path_factory.mktemp("readme")
    for name, content in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", TEXT, re.DOTALL):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert command("debug=tiny", "model=vae", "dataset=digits", "hydra.run.dir=RUN", folder=folder).code == 0
    write_own_data(folder)
    sweep = ["-m", "search=random", "search.trials=2", "seed=0,1,2", "dataset=iris", "hydra.sweep.dir=SWEEP"]
    assert command(*sweep, "debug=tiny", folder=folder).code == 0
    return folder


def write_own_data(folder: Path) -> None:
    """The files of "Your own data"."""
    made_up_files.write_housing(folder / "houses.csv")
    houses = (folder / "houses.csv").read_text().replace("median_house_value", "price", 1)
    (folder / "houses.csv").write_text(houses)
    (folder / "new_houses.csv").write_text("\n".join(houses.splitlines()[:9]) + "\n")
    made_up_files.write_series(folder / "load.csv", 400)
    load = (folder / "load.csv").read_text().replace("OT", "load", 1)
    (folder / "load.csv").write_text(load)
    made_up_files.write_sequences(folder / "waves.tsv")
    made_up_files.write_images(folder / "photos", 10, (16, 16))
    made_up_files.write_npz(folder / "arrays.npz")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_works(words, home, command):
    if words[:2] == ["resume", "RUN"]:
        stop_early(home / "RUN")
    assert command(*shrunk(words), folder=home).code == 0


def stop_early(folder: Path) -> None:
    """Makes a finished run look like one that was interrupted after its last checkpoint."""
    path = folder / "summary.json"
    path.write_text(path.read_text().replace('"status": "completed"', '"status": "interrupted"'))


def test_the_python_lines_work(home):
    text = (home / "five_lines.py").read_text()
    found = subprocess.run([sys.executable, "-c", text], cwd=home, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "setosa" in found.stdout


def test_there_are_commands_and_they_name_what_exists():
    assert len(COMMANDS) > 8
    named = set(re.findall(r"experiment=(\w+)", TEXT)) - {"NAME"}
    assert named <= set(choices.choices("experiment"))
