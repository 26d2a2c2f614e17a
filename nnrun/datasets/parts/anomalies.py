"""Words that mark an example as normal or as anomalous."""

from collections.abc import Collection, Mapping

from nnrun.datasets.tables.values import as_number

NORMAL = ("0", "false", "no", "normal", "inlier")
ANOMALOUS = ("1", "true", "yes", "anomaly", "anomalous", "abnormal", "outlier")
KNOWN = f"as normal ({', '.join(NORMAL)}) or as anomalous ({', '.join(ANOMALOUS)})"
"""What a mark must tell, in whatever case it is written."""
MOST_SHOWN = 8


def is_anomalous(word: str, normal: Collection[str] = ()) -> bool | None:
    """Whether a word marks what it stands beside as anomalous; None for a word that says neither.

    normal: the words that mean normal, where every other word means anomalous; without them the usual ones are known.
    """
    value = _value(word)
    if value in map(_value, normal or NORMAL):
        return False
    return True if normal or value in map(_value, ANOMALOUS) else None


def counted(counts: Mapping[str, int]) -> str:
    """`ok (310), worn (12) and 3 more`, the most frequent first."""
    most = sorted(counts, key=lambda word: (-counts[word], word))
    more = f" and {len(most) - MOST_SHOWN} more" if len(most) > MOST_SHOWN else ""
    return ", ".join(f"{word} ({counts[word]})" for word in most[:MOST_SHOWN]) + more


def _value(word: str) -> float | str:
    """What is equal for two spellings of a word."""
    number = as_number(word)
    return word.casefold() if number is None else number
