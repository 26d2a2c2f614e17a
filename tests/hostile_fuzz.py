"""Hostile copies of run and sweep folders: `python -m tests.hostile_fuzz [COUNT] [FIRST]` tries COUNT of them.

Each is a good folder with one thing changed; a verb must answer it with a result or one sentence. Code that is named,
or a write outside, would show in the folder around it.
"""

import contextlib
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

import yaml

EVIL = (
    *("evil.Model", "os.system", "${oc.env:HOME}", "${seed}", "${${seed}:x}", "x\x1b[2J", "\n; touch pwned\n", "=1+1"),
    *(
        "../../pwned",
        "/dev/zero",
        "",
        "x" * 10_000,
        None,
        True,
        -1,
        0,
        2**31,
        10**30,
        1e308,
        float("nan"),
        [],
        {},
        [[]],
    ),
    *({"_target_": "evil.Model"}, {"x": {"_target_": "os.system", "command": "touch pwned"}}, [1] * 1000),
)
RUN_VERBS = (["show"], ["predict", "new.npy"], ["evaluate"], ["repeat", "dry_run=true"], ["resume"], ["export"])
SWEEP_VERBS = (["report"], ["best"], ["resume"], ["resume", "search.trials=3"])


def hostile(good: Path, number: int) -> tuple[str, list[str]]:
    """Makes a copy of one of the good folders in the current one, changes it, and says how; and the verb to try."""
    rng = random.Random(number)
    kind = rng.choice(("run", "sweep", "sweep"))
    shutil.copytree(good / kind, kind)
    verb, *words = rng.choice(RUN_VERBS if kind == "run" else SWEEP_VERBS)
    files = sorted(path for path in Path(kind).rglob("*") if path.is_file() and path.suffix != ".png")
    inner = [path for path in files if path.parent == Path(kind)]
    path = rng.choice(inner if rng.random() < 0.8 else files)
    change = rng.choice((of_bytes, of_values, of_values, of_values, of_files))
    if path.suffix not in (".json", ".yaml", ".db") and change is of_values:
        change = of_bytes
    return f"{number}: {change.__name__} of {path}: {change(rng, path)}", [verb, kind, *words]


def of_bytes(rng: random.Random, path: Path) -> str:
    """Cuts a file, or replaces some of its bytes."""
    content = bytearray(path.read_bytes())
    place = rng.randrange(len(content) + 1)
    some = rng.choice((b"", b"\x00", b"\xff" * 9, b"[" * 100_000, b"${oc.env:HOME}", b"&a [*a]", b"\x1b[2J", b"-"))
    path.write_bytes(content[:place] + some + content[place + rng.choice((0, len(some), 10**9)) :])
    return f"{some[:20]!r} at {place}"


def of_values(rng: random.Random, path: Path) -> str:
    """Replaces, adds or removes a value of a YAML or JSON file, or of the ledger."""
    evil = rng.choice(EVIL)
    if path.suffix == ".db":
        column = rng.choice(("number", "state", "params", "objective", "metrics", "group_id", "seconds", "error"))
        if column in ("params", "metrics") and rng.random() < 0.7:
            evil = json.dumps({rng.choice(("model", "model._target_", "optimizer.learning_rate", "x")): evil})
        with contextlib.closing(sqlite3.connect(path)) as database, contextlib.suppress(sqlite3.Error, OverflowError):
            value = evil if isinstance(evil, str | int | float | None) else json.dumps(evil)
            database.execute(f"UPDATE trials SET {column} = ?, state = 'waiting' WHERE number = 1", (value,))
            database.commit()
        return f"{column} is {evil!r:.80}"
    content = yaml.safe_load(path.read_text())
    nodes = list(containers(content))
    node = rng.choice(nodes)
    key = rng.choice([*(node if isinstance(node, dict) else range(len(node)))] or ["x"])
    added = rng.choice((key, "_target_", "hydra", "x", "__class__")) if isinstance(node, dict) else key
    if isinstance(node, dict) and rng.random() < 0.2:
        node.pop(key, None)
    elif isinstance(node, dict) or node:
        node[added] = evil
    path.write_text(json.dumps(content) if path.suffix == ".json" else yaml.safe_dump(content))
    return f"{added} is {evil!r:.80}"


def containers(content: object):
    """Every mapping and list in a content."""
    if isinstance(content, dict | list):
        yield content
        for item in content.values() if isinstance(content, dict) else content:
            yield from containers(item)


def of_files(rng: random.Random, path: Path) -> str:
    """Puts a link, a pipe or a folder in the place of a file, or beside it."""
    names = (path.name, f".{path.name}.partial", ".report.html.partial", "figures", "x", ".lock", "run.log", "groups")
    place = path.parent / rng.choice(names)
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    what = rng.choice(("link", "broken link", "link to a folder", "pipe", "folder", "second name"))
    match what:
        case "link":
            place.symlink_to(Path("mine/file").resolve())
        case "broken link":
            place.symlink_to(Path("mine/new").resolve())
        case "link to a folder":
            place.symlink_to(Path("mine").resolve())
        case "pipe":
            os.mkfifo(place)
        case "folder":
            place.mkdir()
        case "second name":
            os.link("mine/file", place)
    return f"{place} is a {what}"


def surroundings(folder: Path) -> dict[Path, bytes]:
    """What lies around the hostile folder; a command may add its results, and nothing else."""
    inside = ("run", "sweep", "outputs", "new_predictions.csv", "__pycache__")
    found = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] not in inside)
    return {path: path.read_bytes() for path in found if path.is_file()}


def tried(good: Path, number: int, command) -> str:
    """What is wrong with the answer to a hostile folder; nothing where it is right. `command(*words, folder=)` runs."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        here = Path(name)
        Path("mine").mkdir()
        Path("mine/file").write_text("of the user's")
        Path("conf").mkdir()
        Path("evil.py").write_text(f"open({str(here / 'pwned')!r}, 'w')\n")
        shutil.copy(good / "new.npy", "new.npy")
        what, words = hostile(good, number)
        before = surroundings(here)
        try:
            done = command(*words, folder=here)
        except BaseException as error:
            return f"{what} [{' '.join(words)}]: {type(error).__name__}: {error}"
        faults = ["a traceback"] * ("Traceback" in done.err) + ["a write outside"] * (surroundings(here) != before)
        faults += ["an escape"] * ("\x1b" in done.out + done.err) + [f"exit {done.code}"] * (done.code not in (0, 1, 2))
        faults += ["no sentence"] * (done.code != 0 and done.err.count("\n") != 1)
        return f"{what} [{' '.join(words)}]: {', '.join(faults)}: {done.err[-600:]}" if faults else ""


def make_good(folder: Path, command) -> Path:
    """A good run and sweep, and examples for them."""
    import numpy as np

    small = ("model.hidden_sizes=[4]", "dataset=iris", "training.epochs=1", "report.slow_baselines=false")
    assert command(*small, "hydra.run.dir=run", folder=folder).code == 0
    swept = ("-m", "search=random", "search.trials=2", "optimizer.learning_rate=interval(1e-3,1e-2)")
    assert command(*swept, *small, "hydra.sweep.dir=sweep", folder=folder).code == 0
    np.save(folder / "new.npy", np.ones((3, 4)))
    return folder


def main(count: int = 10_000, first: int = 0) -> int:
    """Tries folders and prints what is wrong; 1 where anything is."""
    import plotly.offline  # noqa: F401  (else a process of its own would draw)
    import pytest

    from tests import conftest, sweep_folders

    command = conftest.in_process()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        sweep_folders.draw_nothing(patch)
        good = make_good(Path(name), command)
        patch.setattr("nnrun.sweeps.drawing.write_report", lambda *_: None)
        print("The good folders are made.", flush=True)
        wrong = 0
        for number in range(first, first + count):
            if said := tried(good, number, command):
                wrong += 1
                print(said, flush=True)
    print(f"{count} hostile folders, {wrong} answered wrongly")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
