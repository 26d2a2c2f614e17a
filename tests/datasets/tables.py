"""Small tables, and dataset=csv on them."""

import pytest

from nnrun.datasets.csv import Csv
from nnrun.errors import ConfigError
from nnrun.schema import build, config_class


def write(path, columns, separator=","):
    """A table of columns; values are written as they are."""
    lines = [separator.join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([separator.join(columns), *lines, ""]))
    return path


def make(file, **values):
    schema = config_class("nnrun.datasets.csv.Csv")
    return Csv(build("dataset", {"path": file and str(file), "target": "class", **values}, schema))


def load(file, **values):
    return make(file, **values).load()


def refusal(file, **values):
    with pytest.raises(ConfigError) as caught:
        make(file, **values).spec()
    return str(caught.value).replace(f"{file}", "t.csv")
