"""Every model, under debug=tiny, on one data set of each kind it accepts."""

import json

import pytest

from nnrun import schema
from nnrun.config import choices
from nnrun.models import inception, vgg

DATASETS = {
    "table": ["dataset=iris"],
    "image": ["dataset=digits"],
    "series": ["dataset=sine", "dataset.window=16"],
}
OF_MODELS = {
    "vgg": ["dataset=shapes", "dataset.image_size=32", "model.width=8", "model.dense_sizes=[32]"],
    "resnet": ["model.filters=[8,16]"],
    "fcn": ["model.filters=[8]", "model.kernel_size=5"],
}
FITS = [
    (name, kind)
    for name in choices.choices("model")
    for kind in schema.locate(choices.load_choice("model", name)["_target_"]).kinds
]


@pytest.fixture
def _few_blocks(monkeypatch):
    """Fewer blocks, convolutions: whole networks take up to a minute to compile, which the smoke runs do."""
    monkeypatch.setitem(vgg.LAYOUTS, 11, (1, 1, 1, 1, 1))
    small = inception.LAYOUTS["small"]
    monkeypatch.setitem(inception.LAYOUTS, "small", small._replace(blocks=small.blocks[:2]))


@pytest.mark.usefixtures("_few_blocks")
@pytest.mark.parametrize(("model", "kind"), FITS)
def test_it_runs(model, kind, nnrun, tmp_path):
    words = [*DATASETS[kind], *OF_MODELS.get(model, [])]
    assert nnrun("debug=tiny", f"model={model}", *words).code == 0
    (summary,) = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/runs/*/*/summary.json")]
    assert summary["status"] == "completed"
    assert summary["parameters"] > 0
    assert summary["metrics"]["test/loss"] > 0


def test_every_kind_of_data_has_a_network():
    assert {kind for _, kind in FITS} == set(DATASETS)
