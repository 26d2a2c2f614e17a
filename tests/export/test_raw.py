"""The columns of a table become inside an exported function what the reader makes of them."""

import datetime

import jax
import numpy as np
import polars
import pytest
from jax import export

from nnrun.datasets.base import Scaling
from nnrun.datasets.tables.category import Category
from nnrun.datasets.tables.date import NO_DAY, Date
from nnrun.datasets.tables.numeric import Numeric
from nnrun.datasets.tables.reader import TableReader
from nnrun.datasets.tables.source import TableFormat
from nnrun.folders import preprocessing
from nnrun.trained.export.arguments import TableInputs

EPOCH = datetime.datetime(1970, 1, 1)
PARTS = ("years", "season", "weekday", "hour")
COLUMNS = {
    "numeric": (Numeric("size", (), ".", 2.5, True), Numeric("age", (), ".", -1.0, False)),
    "dates": (
        Date("sold", (), "%Y-%m-%d %H:%M:%S%.f", 1.6e9 + 0.25, True, PARTS),
        Date("built", (), "%Y-%m-%d %H:%M:%S%.f", -2.1e9, False, ("hour", "weekday")),
    ),
    "categories": (
        Category("colour", (), ("red", "blue"), True, False),
        Category("shape", (), ("round", "flat", "odd"), False, False),
        Category("town", (), ("Bern", "Basel"), True, True),
        Category("road", (), ("A1",), False, True),
    ),
}
SIZE = 40


def reader_of(**kinds):
    columns = {kind: kinds.get(kind, ()) for kind in COLUMNS}
    return TableReader(TableFormat(), (), **columns, label=None, targets=(), left_out={})


def table(reader):
    """A frame with gaps, and the arrays that say the same."""
    random = np.random.default_rng(0)
    gap = lambda: random.random(SIZE) < 0.2  # noqa: E731
    frame, numbers, moments, codes = {}, [], [], []
    for one in reader.numeric:
        numbers.append(np.where(gap(), np.nan, random.normal(size=SIZE).round(3)))
        frame[one.name] = [None if np.isnan(value) else str(value) for value in numbers[-1]]
    for one in reader.dates:
        days, seconds = random.integers(-60_000, 60_000, SIZE), random.integers(0, 86_400, SIZE)
        days = np.where(gap(), NO_DAY, days)
        moments.append(np.stack([days, seconds], -1))
        pairs = [(int(day), int(second)) for day, second in moments[-1]]
        frame[one.name] = [None if d == NO_DAY else str(EPOCH + datetime.timedelta(d, s)) for d, s in pairs]
    for one in reader.categories:
        codes.append(random.integers(-1, len(one.categories) + 1, SIZE))
        frame[one.name] = [(None, "never seen", *one.categories)[code + 1] for code in codes[-1]]
    found = {"numbers": numbers, "moments": moments, "codes": codes}
    arrays = {name: np.stack(values, 1) for name, values in found.items() if values}
    return polars.DataFrame(frame, schema=dict.fromkeys(frame, polars.String)), arrays


@pytest.mark.parametrize("kinds", [tuple(COLUMNS), ("numeric",), ("dates",), ("categories",)])
def test_columns_become_what_the_reader_makes_of_them(kinds):
    reader = reader_of(**{kind: COLUMNS[kind] for kind in kinds})
    raw = TableInputs(reader)
    frame, given = table(reader)
    arrays = [given[one.name].astype(one.dtype) for one in raw.arguments]
    assert [(SIZE, *one.shape) for one in raw.arguments] == [array.shape for array in arrays]
    names = [one.name for one in raw.arguments]
    batch = jax.jit(lambda *arrays: raw.batch(dict(zip(names, arrays, strict=True))))(*arrays)
    expected = reader.block(frame).part
    assert set(batch) == set(expected)
    assert batch["inputs"].dtype == np.float32
    np.testing.assert_allclose(batch["inputs"], expected["inputs"], atol=2e-5)
    if "categories" in expected:
        np.testing.assert_array_equal(batch["categories"], expected["categories"])


def test_made_up_examples_have_the_shapes_and_types_of_the_arguments():
    raw = TableInputs(reader_of(**COLUMNS))
    count = len(raw.reader.input_names)
    made = raw.made_up(np.random.default_rng(0), 30, Scaling(np.full(count, 5.0), np.full(count, 2.0)))
    assert {name: values.shape for name, values in made.items()} == {
        one.name: (30, *one.shape) for one in raw.arguments
    }
    assert np.isnan(made["numbers"]).any()
    assert 2 < np.nanmean(made["numbers"]) < 8
    assert (made["moments"][..., 0] == NO_DAY).any()
    assert made["codes"].min() == -1


def test_an_artifact_of_a_mixed_table_fills_the_gaps_of_raw_columns(nnrun, tmp_path):
    random = np.random.default_rng(1)
    rows = [
        (
            "" if random.random() < 0.2 else f"{random.normal():.3f}",
            random.choice(["red", "blue", "green", ""]),
            f"20{random.integers(10, 24)}-0{random.integers(1, 10)}-1{random.integers(0, 10)}",
            f"{random.normal():.3f}",
        )
        for _ in range(120)
    ]
    text = "size,colour,sold,price\n" + "\n".join(map(",".join, rows))
    (tmp_path / "mixed.csv").write_text(text)
    words = "model=mlp dataset=csv dataset.path=mixed.csv dataset.target=price training.epochs=2 hydra.run.dir=RUN"
    assert nnrun(*words.split()).code == 0
    assert nnrun("export", "RUN", "--output", "model.stablehlo").code == 0
    assert nnrun("predict", "RUN", "mixed.csv", "--output", "wanted.csv").code == 0
    reader = preprocessing.read(tmp_path / "RUN").reader
    (colour,) = reader.categories
    size, colours, sold, _ = zip(*rows, strict=True)
    days = [(datetime.datetime.fromisoformat(day) - EPOCH).days for day in sold]
    places = [-1 if not c else colour.categories.index(c) + 1 for c in colours]
    arrays = (
        np.array([[float(value or "nan")] for value in size], np.float32),
        np.array([[[day, 0]] for day in days], np.int32),
        np.array(places, np.int32)[:, None],
    )
    artifact = export.deserialize((tmp_path / "model.stablehlo").read_bytes())
    found = np.asarray(artifact.call(*arrays)["predictions"])[:, 0]
    wanted = polars.read_csv(tmp_path / "wanted.csv")["price_predicted"].to_numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
