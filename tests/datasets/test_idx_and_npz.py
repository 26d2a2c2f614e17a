"""Arrays in IDX and npz files as data sets, and what is said of files that cannot be what they claim."""

import gzip
import io
import zipfile

import numpy as np
import pytest

from nnrun.compose import compatible
from nnrun.datasets.idx import Idx, IdxConfig
from nnrun.datasets.npz import Npz, NpzConfig
from nnrun.errors import ConfigError, RunError
from nnrun.folders import preprocessing
from nnrun.folders.preprocessing import Preprocessing
from tests.made_up_files import write_idx, write_npz

RNG = np.random.default_rng(0)


def reader_after_saving(data, folder):
    Preprocessing.of(data).save(folder)
    return preprocessing.read(folder).reader


@pytest.fixture
def idx(tmp_path):
    """Keys of 60 images 5 x 7 with the labels 3, 5 and 9, and of 12 test images; an image is full of its label."""
    keys = {}
    for part, n in (("", 60), ("test_", 12)):
        labels = np.array([3, 5, 9])[np.arange(n) % 3]
        write_idx(tmp_path / f"{part}my-images-idx3-ubyte.gz", np.tile(labels[:, None, None], (1, 5, 7)))
        write_idx(tmp_path / f"{part}my-labels-idx1-ubyte", labels)
        keys |= {f"{part}images": str(tmp_path / f"{part}my-images-idx3-ubyte.gz")}
        keys |= {f"{part}labels": str(tmp_path / f"{part}my-labels-idx1-ubyte")}
    return keys


def test_idx_files_under_any_names(idx, tmp_path):
    assert Idx(IdxConfig(**idx)).load().class_names == ("3", "5", "9")
    data = Idx(IdxConfig(**idx, class_names=("2", "1", "0"))).load()
    assert (data.spec.inputs, data.class_names) == ((5, 7, 1), ("2", "1", "0"))
    assert [len(part["targets"]) for part in (data.train, data.val, data.test)] == [51, 9, 12]
    for part in (data.train, data.val, data.test):
        np.testing.assert_array_equal(part["inputs"][:, 0, 0, 0], np.array([3, 5, 9])[part["targets"]])
    without_test = Idx(IdxConfig(images=idx["images"], labels=idx["labels"])).load()
    assert [len(part["targets"]) for part in (without_test.train, without_test.val, without_test.test)] == [42, 9, 9]
    reader = reader_after_saving(data, tmp_path)
    found = list(reader.blocks(tmp_path / "test_my-images-idx3-ubyte.gz", 5))
    np.testing.assert_array_equal(np.concatenate([block.part["inputs"] for block in found]), data.test["inputs"])
    np.testing.assert_array_equal(np.concatenate([block.part["targets"] for block in found]), data.test["targets"])
    np.testing.assert_array_equal(np.concatenate([block.labels["row"] for block in found]), np.arange(12) + 1)
    assert data.labels["row"].tolist() == list(range(1, 13))
    (whole,) = reader.blocks(tmp_path / "my-images-idx3-ubyte.gz", 100)
    rows = without_test.labels["row"] - 1
    np.testing.assert_array_equal(whole.part["targets"][rows], without_test.test["targets"])
    assert (sorted(rows), len(rows)) == (rows.tolist(), 9)


def test_idx_files_that_do_not_fit_are_named(idx, tmp_path):
    def refused(error=RunError, **changes):
        with pytest.raises(error) as caught:
            Idx(IdxConfig(**{**idx, **changes})).load()
        return str(caught.value)

    assert refused(ConfigError, images=None).startswith("dataset=idx needs dataset.images, an IDX file.")
    assert (
        refused(ConfigError, labels="x") == "dataset.labels must be a file, but there is none at x. Correct the path."
    )
    assert refused(ConfigError, class_names=("a",)).startswith(
        "dataset.class_names must be 3 names, one for each label"
    )
    assert "must start with the magic number 2051 (IDX), but starts with 2049" in refused(
        ConfigError, images=idx["labels"]
    )
    assert "holds 60 images and" in refused(labels=idx["test_labels"])
    write_idx(tmp_path / "strange", np.arange(12))
    assert "strange has 9 labels of 9 classes that the training part does not have: 0 (1), 1 (1)" in refused(
        ConfigError, test_labels=str(tmp_path / "strange")
    )
    write_idx(tmp_path / "wide", np.zeros((12, 5, 8)))
    assert "must hold images of (5, 7, 1) like" in refused(test_images=str(tmp_path / "wide"))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_an_idx_file_that_claims_more_than_it_can_hold_takes_no_memory(idx, tmp_path, ending):
    path = tmp_path / f"bomb{ending}"
    content = bytes([0, 0, 8, 3]) + np.array([2**31, 2**15, 2**15], ">u4").tobytes() + b"\0" * 100
    path.write_bytes(gzip.compress(content) if ending else content)
    with pytest.raises(RunError) as caught:
        Idx(IdxConfig(**{**idx, "images": str(path)})).load()
    assert str(caught.value).startswith(
        f"{path} says that it holds 2,305,843,009,213,693,952 bytes, which no file of its"
    )


def test_a_packed_file_that_never_ends_is_read_to_its_header_alone(idx, tmp_path):
    path = tmp_path / "long.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(bytes([0, 0, 8, 1, 0, 0, 0, 60]))
        for _ in range(200):
            file.write(b"\0" * 2**20)
    with pytest.raises(RunError, match=r"long\.gz must be 68 bytes long as its header says, but has 69\."):
        Idx(IdxConfig(**{**idx, "test_labels": str(path)})).load()


CASES = {
    "table": ({}, "table", (4,), (), "classification"),
    "numbers": ({"targets": RNG.normal(size=60)}, "table", (4,), (1,), "regression"),
    "several numbers": ({"targets": RNG.normal(size=(60, 2))}, "table", (4,), (2,), "regression"),
    "texts": ({"targets": np.array(["no", "yes"] * 30)}, "table", (4,), (), "classification"),
    "grey bytes": ({"inputs": RNG.integers(0, 256, (60, 5, 6), np.uint8)}, "image", (5, 6, 1), (), "classification"),
    "colours": ({"inputs": RNG.integers(0, 256, (60, 5, 6, 3), np.uint8)}, "image", (5, 6, 3), (), "classification"),
    "series": ({"inputs": RNG.normal(size=(60, 5, 2))}, "series", (5, 2), (), "classification"),
    "steps": (
        {"inputs": RNG.normal(size=(60, 5, 2)), "targets": RNG.integers(0, 3, (60, 5))},
        "series", (5, 2), (), "classification",
    ),
    "lengths": (
        {"inputs": RNG.normal(size=(60, 5, 2)), "lengths": np.arange(60) % 5 + 1},
        "series", (5, 2), (), "classification",
    ),
    "numbers of steps": (
        {"inputs": RNG.normal(size=(60, 5, 2)), "targets": RNG.normal(size=(60, 5, 3))},
        "series", (5, 2), (3,), "regression",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_kind_and_task_follow_from_the_arrays(tmp_path, name):
    arrays, kind, inputs, targets, task = CASES[name]
    path = tmp_path / "arrays.npz"
    write_npz(path, **arrays)
    dataset = Npz(NpzConfig(path=str(path)))
    spec, data = dataset.spec(), dataset.load()
    assert (spec.kind, spec.inputs, spec.targets, spec.task, dataset.task()) == (kind, inputs, targets, task, task)
    assert spec.lengths == ("lengths" in arrays)
    assert spec.per_step == ("steps" in name)
    assert [len(part["inputs"]) for part in (data.train, data.val, data.test)] == [42, 9, 9]
    (block,) = reader_after_saving(data, tmp_path).blocks(path, 100)
    for name in data.test:
        np.testing.assert_array_equal(block.part[name][data.labels["row"]], data.test[name])


def test_without_targets_there_is_reconstruction(tmp_path, make_config):
    path = tmp_path / "x.npz"
    np.savez(path, inputs=RNG.normal(size=(60, 4)))
    keys = {"dataset.path": str(path)}
    compatible.check_fit(make_config(keys, model="autoencoder", dataset="npz", task="reconstruction"))
    dataset = Npz(NpzConfig(path=str(path)))
    assert dataset.task() == "reconstruction"
    assert set(dataset.load().train) == {"inputs"}


def test_parts_and_the_names_of_keras(tmp_path):
    path = tmp_path / "mnist.npz"
    train, test = (RNG.integers(0, 256, (n, 6, 6), np.uint8) for n in (60, 20))
    np.savez(path, x_train=train, y_train=np.arange(60)[:, None] % 3, x_test=test, y_test=np.arange(20)[:, None] % 3)
    data = Npz(NpzConfig(path=str(path))).load()
    assert [len(part["inputs"]) for part in (data.train, data.val, data.test)] == [51, 9, 20]
    np.testing.assert_array_equal(data.test["inputs"][..., 0], test)
    np.testing.assert_array_equal(data.test["targets"], np.arange(20) % 3)
    np.savez(path, inputs=train, targets=np.arange(60) % 3, val_inputs=test, val_targets=np.arange(20) % 3)
    data = Npz(NpzConfig(path=str(path))).load()
    assert [len(part["inputs"]) for part in (data.train, data.val, data.test)] == [51, 20, 9]


@pytest.mark.parametrize("name", ["inputs", "targets"])
def test_numbers_of_more_digits_than_single_precision_are_noted(tmp_path, name):
    path = tmp_path / "x.npz"
    arrays = {"inputs": RNG.normal(size=(60, 3)), "targets": RNG.normal(size=60)}
    np.savez(path, **arrays)
    assert Npz(NpzConfig(path=str(path))).load().notes == ()
    large = arrays[name] + (np.array([0, 1e8, 0]) if name == "inputs" else 1e8)
    np.savez(path, **arrays | {name: large})
    (note,) = Npz(NpzConfig(path=str(path))).load().notes
    column, values = (2, large[:, 1]) if name == "inputs" else (1, large)
    assert note == (
        f"{path}: column {column} of {name} varies by {values.std():.3g} around 1e+08, but single precision keeps "
        "about 7 digits. Subtract a constant from it, for example 1e+08."
    )
    np.savez(path, **arrays | {name: large.astype(np.float32)})
    assert Npz(NpzConfig(path=str(path))).load().notes == (), "nothing is lost any more"


def test_scaling_of_series_leaves_out_the_padding(tmp_path):
    inputs, lengths = np.full((60, 5, 1), 1e6), np.full(60, 2)
    inputs[:, :2] = RNG.normal(size=(60, 2, 1))
    np.savez(tmp_path / "x.npz", inputs=inputs, lengths=lengths, targets=np.arange(60) % 2)
    assert abs(Npz(NpzConfig(path=str(tmp_path / "x.npz"))).load().input_scaling.offset[0]) < 1


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


X = np.ones((60, 4))
Y = np.arange(60)
GAP = np.where(np.arange(240).reshape(60, 4) == 50, np.nan, 1)
INFINITE = np.where(Y == 7, np.inf, 1.0)


@pytest.mark.parametrize(
    ("error", "arrays", "said"),
    [
        (
            ConfigError,
            {"a": X},
            " must hold an array inputs, but holds a of shape (60, 4). Save it with names that are known: numpy",
        ),
        (ConfigError, {"inputs": np.array([Evil()])}, ": inputs must be numbers, but is of type object."),
        (ConfigError, {"inputs": X * 1j}, ": inputs must be numbers, but is of type complex128."),
        (ConfigError, {"inputs": X[:0]}, ": inputs has the shape (0, 4), in which there is no example."),
        (ConfigError, {"inputs": X, "targets": X[:59, 0]}, ": targets must have the shape (60,), but has (59,)."),
        (ConfigError, {"inputs": X, "val_targets": Y}, " gives inputs for some parts alone."),
        (ConfigError, {"inputs": X, "test_inputs": X[:, :3]}, ": test_inputs must have the shape (60, 4), but has"),
        (ConfigError, {"inputs": Y}, ": inputs must have 2, 3 or 4 axes, but have the shape (60,)."),
        (ConfigError, {"inputs": X, "targets": X.astype(int)}, ": classes must be (n,), or (n, steps) for series"),
        (ConfigError, {"inputs": X, "targets": X[..., None]}, ": numbers to predict must be (n,) or (n, values)"),
        (ConfigError, {"inputs": np.ones((2000, 1)), "targets": np.arange(2000)}, ": targets are 2000 different whole"),
        (RunError, {"inputs": GAP}, ": inputs has a missing or infinite value in row 12 (from 0). Fill it in."),
        (RunError, {"inputs": X, "targets": INFINITE}, ": targets has a missing or infinite value in row 7 (from 0)"),
        (
            RunError,
            {"inputs": np.ones((60, 5, 1)), "lengths": Y},
            ": lengths must be the number of valid steps of each",
        ),
        (
            ConfigError,
            {"inputs": X, "targets": Y % 2, "test_inputs": X, "test_targets": Y % 3},
            ", test_targets has 20 examples of a class that the training part does not have: 2. Its classes are 0, 1.",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, error, arrays, said):
    path = tmp_path / "x.npz"
    np.savez(path, **arrays)
    with pytest.raises(error) as caught:
        Npz(NpzConfig(path=str(path))).load()
    assert str(caught.value).startswith(f"{path}{said}")


def test_a_stated_kind_and_task_are_kept(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, inputs=RNG.normal(size=(60, 5, 6)), targets=np.arange(60))
    spec = Npz(NpzConfig(path=str(path), kind="image", targets="numbers")).spec()
    assert (spec.kind, spec.inputs, spec.task) == ("image", (5, 6, 1), "regression")
    with pytest.raises(
        ConfigError, match=r"inputs must have the shape \(n, features\) of dataset.kind=table, but have"
    ):
        Npz(NpzConfig(path=str(path), kind="table")).spec()


def archive(path, claimed, content):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": claimed})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("inputs.npy", header.getvalue() + content)


@pytest.mark.parametrize("claimed", [(10**12, 4), (2**62, 2**62), (60, 10**12)])
def test_absurd_shapes_take_no_memory(tmp_path, claimed):
    archive(tmp_path / "x.npz", claimed, b"\0" * 960)
    with pytest.raises(ConfigError, match=r"x\.npz says that it holds [\d,]+ bytes, which no file of its length does"):
        Npz(NpzConfig(path=str(tmp_path / "x.npz"))).spec()


def test_an_archive_that_unpacks_to_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    archive(tmp_path / "x.npz", (1000, 1000), b"\0" * 4_000_000)
    monkeypatch.setattr("os.sysconf", lambda name: 1000)
    with pytest.raises(ConfigError, match=r"x\.npz holds 0\.0 GB of values, but this machine has 0\.0 GB of memory"):
        Npz(NpzConfig(path=str(tmp_path / "x.npz"))).spec()


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "flipped"])
def test_a_damaged_archive_is_named(tmp_path, damage):
    path = tmp_path / "x.npz"
    write_npz(path)
    content = path.read_bytes()
    middle = len(content) // 4
    flipped = content[:middle] + bytes(255 - byte for byte in content[middle : middle + 40]) + content[middle + 40 :]
    path.write_bytes({"cut": content[:-30], "text": b"text", "empty": b"", "flipped": flipped}[damage])
    with pytest.raises((ConfigError, RunError), match=r"x\.npz is damaged"):
        Npz(NpzConfig(path=str(path))).load()


def test_paths(tmp_path):
    with pytest.raises(ConfigError, match=r"dataset=npz needs dataset\.path, an \.npz file\. Set for example"):
        Npz(NpzConfig()).spec()
    with pytest.raises(ConfigError, match=r"dataset\.path must be an \.npz file, but there is none at x\."):
        Npz(NpzConfig(path="x")).spec()
