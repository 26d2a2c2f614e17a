"""Values that are nearly what a column could hold: numbers written another way, and dates but for a few."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from nnrun.datasets.tables.values import BEGINNING, COMMA, GROUPED, dates, first

if TYPE_CHECKING:
    import polars

DECIMAL_COMMA = shlex.quote('dataset.decimal=","')
NEARLY = 0.8
"""The share of the values that must be dates for the others to be taken for mistakes."""


class Notation(NamedTuple):
    """How numbers may be written that are taken for texts, and what to do about it."""

    what: str
    pattern: str
    move: str


NOTATIONS = (
    Notation(
        "commas between the thousands",
        r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$",
        f"Take the commas out of the file, or, where they stand before the decimals, set {DECIMAL_COMMA}.",
    ),
    Notation("a comma before the decimals", COMMA, f"Set {DECIMAL_COMMA}."),
    Notation("a per cent sign", r"^[+-]?\d+([.,]\d+)?\s?%$", "Take the signs out of the file."),
)


POINTS = Notation(
    "points between the thousands",
    GROUPED,
    "Take the points out of the file, or, where they stand before the decimals, set dataset.decimal=. or write commas.",
)
"""One more notation, where the mark before the decimals is a comma."""


def fitting_notations(words: "polars.Series", among: Sequence[Notation]) -> tuple[Notation, ...]:
    """The notations in which every text is written."""
    return tuple(one for one in among if words.str.contains(one.pattern).all())


def first_no_date(words: "polars.Series", among: Sequence[str]) -> int | None:
    """The position of the first text that is no date of the pattern that nearly all others have, if there is one."""
    given, few = words.is_not_null(), words.drop_nulls().head(100)
    if few.str.contains(BEGINNING).sum() < NEARLY * len(few):
        return None
    likely = [one for one in among if dates(few, one).null_count() <= (1 - NEARLY) * len(few)]
    wrong = [given & dates(words, one).is_null() for one in likely]
    best = min(wrong, key=lambda one: one.sum(), default=given)
    few_wrong = 0 < int(best.sum()) <= (1 - NEARLY) * int(given.sum())
    return first(best) if few_wrong else None
