"""docs/architecture.md tells of files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "architecture.md").read_text()


def test_every_file_that_is_named_exists():
    named = set(re.findall(r"`((?:\w+/)+\w*\.?\w*)`", TEXT))
    assert len(named) > 30
    lacking = {name for name in named if not any((base / name).exists() for base in (ROOT, ROOT / "nnrun"))}
    assert not lacking


def test_the_picture_has_every_room():
    picture = TEXT.partition("```text\n")[2].partition("```")[0]
    rooms = {path.name for path in (ROOT / "nnrun").iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert {room for room in rooms if not re.search(rf"\b{room}\b", picture)} == set()


def test_no_way_has_more_than_twelve_stations():
    for way in TEXT.split("\n## ")[1:]:
        assert len(re.findall(r"^\d+\. ", way, re.MULTILINE)) <= 12
