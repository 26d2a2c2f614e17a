import gzip
import subprocess
import sys

import numpy as np
import pytest

from nnrun.datasets.base import DatasetConfig
from nnrun.datasets.breast_cancer import BreastCancer
from nnrun.datasets.diabetes import Diabetes
from nnrun.datasets.digits import Digits, DigitsConfig
from nnrun.datasets.iris import Iris
from nnrun.datasets.public import bundled
from nnrun.datasets.wine import Wine
from nnrun.errors import RunError

PARTS = ("train", "val", "test")


def everything(dataset):
    part = dataset.examples(np.random.default_rng(0))
    return part["inputs"], part["targets"]


@pytest.mark.parametrize(("member", "loader"), [(Iris, "iris"), (Wine, "wine"), (BreastCancer, "breast_cancer")])
def test_classes_equal_those_of_scikit_learn(member, loader):
    from sklearn import datasets

    theirs, (inputs, targets) = getattr(datasets, f"load_{loader}")(), everything(member(DatasetConfig()))
    np.testing.assert_array_equal(inputs, theirs.data.astype(np.float32))
    np.testing.assert_array_equal(targets, theirs.target)
    assert member.input_names == tuple(theirs.feature_names)
    assert member.class_names == tuple(theirs.target_names)


def test_diabetes_equals_that_of_scikit_learn():
    from sklearn.datasets import load_diabetes

    theirs, (inputs, targets) = load_diabetes(scaled=False), everything(Diabetes(DatasetConfig()))
    np.testing.assert_array_equal(inputs, theirs.data.astype(np.float32))
    np.testing.assert_array_equal(targets[:, 0], theirs.target.astype(np.float32))
    assert Diabetes.input_names == tuple(theirs.feature_names)


def test_digits_equal_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    theirs, (inputs, targets) = load_digits(), everything(Digits(DigitsConfig()))
    np.testing.assert_array_equal(inputs[..., 0] * 16, theirs.images)
    np.testing.assert_array_equal(targets, theirs.target)
    assert Digits.class_names == tuple(map(str, theirs.target_names))


@pytest.mark.parametrize("digit", range(10))
def test_only_the_test_part_shows_the_digit_held_back(digit):
    data = Digits(DigitsConfig(anomaly=digit)).load()
    for part in (data.train, data.val):
        assert digit not in part["targets"]
        assert part["anomaly"].sum() == 0
    np.testing.assert_array_equal(data.test["anomaly"], data.test["targets"] == digit)
    assert set(data.test["targets"].tolist()) == set(range(10))
    assert sum(len(getattr(data, part)["targets"]) for part in PARTS) == 1797
    assert (data.spec.task, data.spec.anomalies) == ("reconstruction", True)


def test_other_digits_stay_in_the_parts_they_are_in_without_an_anomaly():
    plain, held = Digits(DigitsConfig()).load(), Digits(DigitsConfig(anomaly=4)).load()
    kept = plain.train["inputs"][plain.train["targets"] != 4]
    np.testing.assert_array_equal(held.train["inputs"], kept)


def test_digits_load_fast_and_without_scikit_learn():
    script = (
        "import sys, time; from nnrun.datasets.digits import Digits, DigitsConfig; import numpy.random\n"
        "start = time.process_time(); Digits(DigitsConfig()).load(); print(time.process_time() - start)\n"
        "assert 'sklearn' not in sys.modules"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(found.stdout) < 0.25


def test_missing_scikit_learn_is_one_sentence(monkeypatch):
    monkeypatch.setattr(bundled, "find_spec", lambda name: None)
    with pytest.raises(RunError) as caught:
        Iris(DatasetConfig()).load()
    assert str(caught.value) == (
        "This data set is a file of scikit-learn, which is missing. Run: pip install scikit-learn."
    )


@pytest.mark.parametrize(
    "content",
    [None, b"no gzip", gzip.compress(b"1,2\n3,x\n"), gzip.compress(b"1,2\n3\n")],
    ids=["missing", "no gzip", "no number", "uneven rows"],
)
def test_a_damaged_table_names_its_file(monkeypatch, tmp_path, content):
    monkeypatch.setattr(bundled, "folder", lambda: tmp_path)
    path = tmp_path / "digits.csv.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"must hold a table of numbers, but reading it failed: .*") as caught:
        bundled.read_table("digits.csv.gz")
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).endswith("Run: pip install --force-reinstall scikit-learn.")
