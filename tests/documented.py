"""What README and docs tell a reader to type and to write into files, and a folder where all of it works."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from nnrun.config import choices
from tests import made_up_files

ROOT = choices.conf_folder().parent
README = (ROOT / "README.md").read_text()
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "docs").rglob("*.md"))}
TEXTS = (README, *PAGES.values())
BARE = "bare"
"""Of a home, the folder where mistakes are made."""


class Command(NamedTuple):
    """A command as a reader types it: the program and its words; `refusal` is what it says where it is a mistake."""

    program: str
    words: tuple[str, ...]
    refusal: str = ""

    def __str__(self) -> str:
        return " ".join((self.program, *self.words))


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks but for those behind a comment: they are files, or run word for word by CI."""
    return re.findall(rf"(?<!-->\n)```{language}\n(.*?)```", text, re.DOTALL)


def commands(text: str) -> dict[Command, None]:
    """Lines of a page's shell and console blocks that start nnrun or Python, each once, in their order."""
    lines = [(line, "") for block in blocks(text, "bash") for line in block.splitlines()]
    for block in blocks(text, "console"):
        lines += [(line, said.strip()) for line, said in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE)]
    found = {}
    for line, said in lines:
        program, *words = shlex.split(line, comments=True) or [""]
        if program in ("nnrun", "python"):
            found[Command(program, tuple(words), said if said.startswith("nnrun: ") else "")] = None
    return found


def everything() -> list[Command]:
    """The commands of all pages, each once."""
    return list(dict.fromkeys(command for text in TEXTS for command in commands(text)))


def files(text: str) -> dict[str, str]:
    """Files that a page spells out, by name: `<!-- file: NAME -->` and a fenced block."""
    return dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL))


def file(name: str) -> str:
    """The one file of that name on all pages."""
    (content,) = {files(text)[name] for text in TEXTS if name in files(text)}
    return content


def shrunk(words: tuple[str, ...]) -> list[str]:
    """The same command in seconds: a few examples, epochs and trials where it trains."""
    if "--help" in words or not ("=" in words[0] or words[0] == "-m"):
        return list(words)
    fewer = [re.sub(r"^search\.trials=.*", "search.trials=4", word) for word in words]
    return fewer if "debug=tiny" in words else [*fewer, "debug=tiny"]


def make_home(folder: Path, run) -> Path:
    """Fills a folder with the files of all pages, what their scripts make, other data, a finished run and a sweep."""
    for name, content in (item for text in TEXTS for item in files(text).items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    scripts = [command for command in everything() if command.program == "python"]
    for script in scripts:
        subprocess.run([sys.executable, *script.words], cwd=folder, check=True)
    # Without the members of the pages, which nnrun would name among the choices that fit.
    (folder / BARE).mkdir()
    shutil.copy(folder / "houses.csv", folder / BARE)
    made_up_files.write_sequences(folder / "waves.tsv")
    made_up_files.write_npz(folder / "arrays.npz")
    assert run("debug=tiny", "model=vae", "dataset=digits", "hydra.run.dir=RUN", folder=folder).code == 0
    sweep = ["-m", "search=random", "search.trials=2", "seed=0,1,2", "dataset=iris", "hydra.sweep.dir=SWEEP"]
    assert run(*sweep, "debug=tiny", folder=folder).code == 0
    return folder


def check(command: Command, home: Path, run) -> None:
    """Runs a command shrunk, or a mistake as it stands, which must say what the page has it say."""
    if command.refusal:
        done = run(*command.words, folder=home / BARE)
        assert (done.code, done.err.strip()) == (2, command.refusal)
        return
    if command.words[:2] == ("resume", "RUN"):
        stop_early(home / "RUN")
    done = run(*shrunk(command.words), folder=home)
    assert done.code == 0, done.err


def stop_early(folder: Path) -> None:
    """Makes a finished run look like one that was interrupted after its last checkpoint."""
    path = folder / "summary.json"
    path.write_text(path.read_text().replace('"status": "completed"', '"status": "interrupted"'))
