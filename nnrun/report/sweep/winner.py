"""The best trial's own results on the sweep's page: they are known only once the rest of the page is drawn."""

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from nnrun.report.sweep.text import shown

PLACE = "<!-- the best trial on the test part -->"
"""Where the section stands in the page."""
MOST_FIGURES, LARGEST_FIGURE = 8, 2**20
"""Pictures that the page holds, and bytes of each."""


def with_winner(page: str, summary: Mapping[str, Any], figures: Path) -> str:
    """The page with the metrics, baselines and figures of the winner's run folder."""
    return page.replace(PLACE, _section(summary, figures), 1)


def _section(summary: Mapping[str, Any], figures: Path) -> str:
    tests = {name: value for name, value in summary["metrics"].items() if name.startswith("test/")}
    baseline = summary["baseline"]
    names = sorted({name for values in baseline.values() for name in values})
    head = "".join(f"<th>{escape(name)}" for name in ("", "best trial", *names))
    rows = ""
    for metric, value in tests.items():
        cells = [value, *(baseline.get(metric, {}).get(name) for name in names)]
        rows += f"<tr><td>{escape(metric)}" + "".join(f"<td class=n>{'' if c is None else shown(c)}" for c in cells)
    table = f'<div class="scroll"><table><thead><tr>{head}<tbody>{rows}</table></div>' if tests else ""
    lead = '<p class="lead">On the test part, which no trial has seen, beside naive baselines.</p>'
    return f'<section id="winner"><h2>The best trial</h2>\n{lead}\n{table}{_pictures(figures)}</section>'


def _pictures(figures: Path) -> str:
    paths = [path for path in sorted(figures.glob("*.png")) if path.stat().st_size <= LARGEST_FIGURE][:MOST_FIGURES]
    images = ""
    for path in paths:
        data, name = base64.b64encode(path.read_bytes()).decode(), escape(path.stem.replace("_", " "))
        images += f'<figure><img style="max-width:100%" alt="{name}" src="data:image/png;base64,{data}"></figure>'
    return images
