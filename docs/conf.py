"""The site as Sphinx builds it: pages in Markdown, formulas as MathML, tables of keys drawn from the code."""

import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))
import key_tables

project = "nnrun"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "nnrun"
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["nnrun.css"]


def inline_formula(writer: Any, node: nodes.Element) -> None:
    """Writes a formula inside a line."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def displayed_formula(writer: Any, node: nodes.Element) -> None:
    """Writes a formula on lines of its own."""
    writer.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def insert_keys(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Puts the tables of a config group where a page says `<!-- keys: GROUP -->`."""
    source[0] = key_tables.inserted(source[0])


def always_new(_app: Sphinx, environment: Any, *_changes: set[str]) -> list[str]:
    """The pages with tables, whose content depends on more than their files."""
    return [page for page in environment.found_docs if page.startswith("keys/")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers what the pages need; browsers draw MathML themselves, without a script and without network."""
    app.add_html_math_renderer("mathml", (inline_formula, None), (displayed_formula, None))
    app.connect("source-read", insert_keys)
    app.connect("env-get-outdated", always_new)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
