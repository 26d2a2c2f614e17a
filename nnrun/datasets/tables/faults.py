"""What is wrong with a column of a table, in sentences that name the file and the row, and what to do."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from nnrun.datasets.tables.notation import Notation
from nnrun.datasets.tables.roles import hint
from nnrun.datasets.tables.values import Cells

MOST_SHOWN = 8
"""How many columns a sentence lists."""


class Found(NamedTuple):
    """A value of a column, with the file and the row, from 1, that have it.

    typed: how the column's name is written in a command.
    """

    column: str
    typed: str
    source: str | Path
    row: int
    word: str

    @classmethod
    def at(cls, cells: Cells, position: int, typed: str) -> "Found":
        """The value at a position of some rows."""
        row = int(cells.place.rows[position]) + 1
        return cls(cells.name, typed, cells.place.source, row, cells.known[position])


def written(found: Found, notation: Notation) -> str:
    """Says that numbers are written in another way."""
    names = f"Where they are names of categories: {hint('types', found.typed, 'categorical')}."
    return (
        f"{found.source}: column {found.column} holds numbers with {notation.what}, in row {found.row} "
        f"{found.word!r}, which are read as texts. {notation.move} {names}"
    )


def odd(found: Found, others: str) -> str:
    """Says which value of a column is not what the others are."""
    means = json.dumps(found.word, ensure_ascii=False)
    return (
        f"{found.source}: column {found.column} {others} row {found.row} is {found.word!r}. Correct it; or say that it "
        f"means a missing value, {hint('missing', found.typed, f'[{means}]')}; or take all values as texts, "
        f"{hint('types', found.typed, 'categorical')}; or leave it out, dataset.drop=[{found.typed}]."
    )


def no_pattern(found: Found) -> str:
    """Says that dates are written in several ways."""
    return (
        f"{found.source}: the dates of column {found.column} are not written alike, or in a way that is not known. "
        f"State how, for example {hint('types', found.typed, '%d.%m.%Y')}."
    )


def day_or_month(found: Found, pattern: str) -> str:
    """Says that dates may be read in two ways, the `pattern` of one of which is shown."""
    return (
        f"{found.source}: the dates of column {found.column} may begin with the day or with the month. State it, for "
        f"example {hint('types', found.typed, pattern)}."
    )


def no_times(found: Found) -> str:
    """Says that a column cannot order the rows."""
    return (
        f"{found.source}: dataset.time names column {found.column}, which holds neither dates nor numbers: row "
        f"{found.row} is {found.word!r}. State how its dates are written, for example "
        f"{hint('types', found.typed, '%d.%m.%y')}."
    )


def lacking(found: Found, missing: int, rows: int) -> str:
    """Says which is the first row without a target, of `missing` among the `rows` of its file."""
    word, move = str(found.word or "").strip(), "Write in what it was"
    if word:
        move = f"{word!r} is read as missing: where it is a class, set {_kept(found.typed)}. Else write in what it was"
    return (
        f"{found.source}: the target {found.column} is missing in {missing} of {rows} rows, first in row {found.row}. "
        f"{move}, or leave these rows out: dataset.without_target=drop."
    )


def gaps(marks: Mapping[str, int]) -> str:
    """Which texts of a column were read as missing, and how often."""
    counts = [f"{mark!r} in {_rows(count)}" for mark, count in sorted(marks.items()) if mark]
    return ", ".join(counts + ([f"empty in {_rows(marks[''])}"] if marks.get("") else []))


def filled(columns: Mapping[str, str]) -> str:
    """Says what becomes of the missing values of columns of numbers or dates, each with its `gaps`."""
    ends = "they are filled with the training mean, and an extra input marks them where training has some."
    if len(columns) == 1:
        ((name, gap),) = columns.items()
        return f"Column {name} has missing values ({gap}); {ends}"
    few = "; ".join(f"{name}: {gap}" for name, gap in list(columns.items())[:MOST_SHOWN])
    more = f"; and {len(columns) - MOST_SHOWN} more" if len(columns) > MOST_SHOWN else ""
    return f"{len(columns)} columns have missing values ({few}{more}); {ends}"


def missing_category(column: str, typed: str, marks: Mapping[str, int]) -> str:
    """Says which texts of a category are read as missing, and how they are kept."""
    instead = f" Where a text is a value of its own, set {_kept(typed)}." if any(marks) else ""
    return f"Column {column} has missing values ({gaps(marks)}); they count as a category of their own.{instead}"


def codes(found: Found, rows: int) -> str:
    """Says that numbers are written as codes are, with zeros in front."""
    return (
        f"Column {found.column} has zeros in front in {_rows(rows)} ({found.word} in row {found.row}), but is taken "
        f"for numbers. Where these are codes: {hint('types', found.typed, 'categorical')}, or embedding where they are "
        "many."
    )


def counter(column: str, typed: str, rows: int) -> str:
    """Says that a column has a whole number of its own in every row."""
    return (
        f"Column {column} has another whole number in each of {rows} rows, as identifiers have. Where it is one, "
        f"nothing is learned from it that holds for new rows: leave it out, dataset.drop=[{typed}]. Where it is a "
        f"quantity, keep it; {hint('types', typed, 'numeric')} says so."
    )


def identifier(column: str, typed: str, different: int, most: int, example: str) -> str:
    """Says that a column looks like the names of what was measured."""
    many = f"more than {most}" if different > most else str(different)
    such = f" such as {example!r}" if example else ""
    return (
        f"Column {column} has {many} repeated values{such}, as identifiers have, and rows of one are in several parts: "
        "a network may learn whom it knows. Where it is one, keep the rows of each in one part, which leaves it out of "
        f"the inputs: dataset.group={typed}."
    )


def _kept(typed: str) -> str:
    """The key by which every text of a column is a value."""
    return hint("missing", typed, "[]")


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count != 1)}"


def text(found: Found, different: str, rows: int) -> str:
    """Says that texts are no categories; `different` is how many there are in `rows`."""
    return (
        f"{found.source}: column {found.column} holds text, {different} different values in {rows} rows "
        f"(row {found.row}: {found.word[:40]!r}), too many for a category. Leave it out, dataset.drop=[{found.typed}], "
        f"or state that it is one, {hint('types', found.typed, 'embedding')}."
    )


def no_classes(found: Found, different: str, rows: int) -> str:
    """Says that a target has too many different texts."""
    return (
        f"{found.source}: the target {found.column} has {different} different texts in {rows} rows, too many for "
        "classes. Name another column: dataset.target=NAME."
    )
