"""Predictions of a finished run: the same as its own, from any kind of file, whole or not at all."""

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars
import pytest

from nnrun.datasets.iris import Iris
from nnrun.errors import ConfigError, RunError
from nnrun.folders import reading
from nnrun.trained import prediction
from nnrun.trained.trained_run import load


def columns(path):
    if path.suffix == ".npz":
        return dict(np.load(path))
    frame = polars.read_csv(path) if path.suffix == ".csv" else polars.read_parquet(path)
    return {name: frame[name].to_numpy() for name in frame.columns}


@pytest.fixture(scope="session")
def loaded(finished_run):
    return load(finished_run, reading.config(finished_run)[0])


@pytest.fixture(scope="session")
def held_out(finished_run):
    """The raw test part of the run: inputs and labels."""
    from nnrun.config import run_config

    built = run_config.build(reading.config(finished_run)[0])
    return built.dataset.create().load().test


@pytest.fixture
def sources(held_out, tmp_path):
    """The test part in every kind of file; columns of the csv in another order, and one too many."""
    inputs, names = held_out["inputs"], Iris.input_names
    np.save(tmp_path / "new.npy", inputs)
    np.savez(tmp_path / "new.npz", inputs=inputs.astype(np.float64))
    table = {"id": np.arange(len(inputs)), **{name: inputs[:, i] for i, name in reversed(list(enumerate(names)))}}
    polars.DataFrame(table).write_csv(tmp_path / "new.csv")
    return tmp_path


@pytest.mark.parametrize("kind", ["npy", "npz", "csv"])
@pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
def test_predictions_are_those_of_the_run_itself(nnrun, finished_run, sources, kind, ending):
    done = nnrun("predict", str(finished_run), f"new.{kind}", "--output", f"out.{ending}")
    count = len(columns(finished_run / "predictions.csv")["predicted"])
    extra = "Columns that are not used: id\n" if kind == "csv" else ""
    assert done == (0, f"{extra}{count} predictions are in out.{ending}\n", "")
    found, own = columns(sources / f"out.{ending}"), columns(finished_run / "predictions.csv")
    names = [f"probability_{name}" for name in ("setosa", "versicolor", "virginica")]
    assert list(found) == ["row", "predicted", *names]
    assert found["row"].tolist() == list(range(count))
    assert found["predicted"].tolist() == own["predicted"].tolist()
    for name in names:
        np.testing.assert_allclose(found[name], own[name], atol=1e-6)


def test_the_default_file_lies_in_the_current_folder_and_replaces_nothing(nnrun, finished_run, sources):
    assert nnrun("predict", str(finished_run), "new.csv").out.endswith("predictions are in new_predictions.csv\n")
    before = (sources / "new_predictions.csv").read_bytes()
    again = nnrun("predict", str(finished_run), "new.csv")
    assert (again.code, again.err) == (
        2,
        "nnrun: new_predictions.csv exists already. Name another file with --output FILE, "
        "or replace it with --overwrite.\n",
    )
    (sources / "new_predictions.csv").write_text("old")
    assert nnrun("predict", str(finished_run), "new.csv", "--overwrite").code == 0
    assert (sources / "new_predictions.csv").read_bytes() == before


@pytest.mark.parametrize("size", [1, 7, 22])
def test_blocks_of_any_size_give_the_same_rows_by_one_program(loaded, held_out, sources, size):
    reader = loaded.preprocessing.reader
    whole = next(prediction.columns(loaded, [reader.block(held_out["inputs"])]))
    found = list(prediction.columns(loaded, reader.blocks(sources / "new.csv", size)))
    assert len(found) == -(-len(held_out["inputs"]) // size)
    for name, values in whole.items():
        joined = np.concatenate([block[name] for block in found])
        assert joined.dtype == values.dtype
        if values.dtype.kind == "f":
            np.testing.assert_allclose(joined, values, atol=1e-6)
        else:
            assert joined.tolist() == values.tolist()


def test_one_program_serves_all_blocks(loaded, held_out):
    predictor, sizes = prediction.Predictor(loaded), set()
    for count in (len(held_out["inputs"]), 5, 9, 1):
        assert len(predictor.outputs({"inputs": held_out["inputs"][:count]}).prediction) == count
        sizes.add(predictor._outputs._cache_size())
    assert len(sizes) == 1


def test_a_block_is_read_when_the_one_before_is_predicted(loaded, held_out):
    read = []

    def blocks():
        for i in range(3):
            read.append(i)
            yield loaded.preprocessing.reader.block(held_out["inputs"])

    found = prediction.columns(loaded, blocks())
    next(found)
    assert read == [0]


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
def test_a_failure_in_a_later_block_leaves_nothing_and_keeps_what_was_there(nnrun, finished_run, tmp_path, ending):
    inputs = np.ones((10_000, 4))
    inputs[9_000, 2] = np.nan
    np.save(tmp_path / "new.npy", inputs)
    (tmp_path / f"out.{ending}").write_text("before")
    done = nnrun("predict", str(finished_run), "new.npy", "--output", f"out.{ending}", "--overwrite")
    said = "new.npy: an input of row 9000 (counted from 0) is missing or infinite. Fill it in."
    assert (done.code, done.err) == (1, f"nnrun: {said}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.npy", f"out.{ending}"]
    assert (tmp_path / f"out.{ending}").read_text() == "before"


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("./new.csv", "--output ./new.csv is what is to be predicted. Name another file."),
        ("out.xlsx", "--output out.xlsx must end in one of .csv, .parquet, .npz. Write for example out.csv."),
        ("none/out.csv", "--output none/out.csv: there is no folder none. Make it, or name another one."),
        ("folder.csv", "folder.csv is a folder. Name another file with --output FILE, or replace it with --overwrite."),
    ],
)
def test_where_predictions_cannot_go(nnrun, finished_run, sources, output, said):
    (sources / "folder.csv").mkdir()
    done = nnrun("predict", str(finished_run), "new.csv", "--output", output)
    assert (done.code, done.err) == (2, f"nnrun: {said}\n")


def test_no_examples_are_no_predictions(nnrun, finished_run, tmp_path):
    (tmp_path / "new.csv").write_text(",".join(Iris.input_names) + "\n")
    done = nnrun("predict", str(finished_run), "new.csv")
    assert (done.code, [path.name for path in tmp_path.iterdir()]) == (2, ["new.csv"])
    assert "There is no example to predict" in done.err


def test_targets_that_are_not_known_yet_are_left_empty(tmp_path):
    known = {"time": np.array(["a", "b"]), "x_t+1": np.array([1.0, 2.0]), "x_t+1_predicted": np.array([1.5, 2.5])}
    newest = {"time": np.array(["c"]), "x_t+1_predicted": np.array([3.5])}
    for ending in ("csv", "npz"):
        assert prediction.write([known, newest], tmp_path / f"out.{ending}", (), False) == 3
        found = columns(tmp_path / f"out.{ending}")
        assert found["time"].tolist() == ["a", "b", "c"]
        np.testing.assert_array_equal(found["x_t+1"], [1, 2, np.nan])
        assert found["x_t+1_predicted"].tolist() == [1.5, 2.5, 3.5]


def test_arrays_of_higher_rank_become_columns_by_the_inputs_names():
    from nnrun.folders.columns_file import flattened

    found = flattened({"reconstruction": np.arange(4).reshape(2, 2), "latent": np.ones((2, 3))}, ("a", "b"))
    assert list(found) == ["reconstruction_a", "reconstruction_b", "latent_0", "latent_1", "latent_2"]
    assert found["reconstruction_b"].tolist() == [1, 3]
    with pytest.raises(ConfigError, match=r"A table would need 20000 columns.*--output FILE.npz"):
        flattened({"image": np.ones((1, 100, 200))})


def test_a_run_that_is_not_completed_is_used_with_a_warning(nnrun, finished_run, sources, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    (tmp_path / "run/summary.json").write_text(json.dumps(summary | {"status": "interrupted"}))
    done = nnrun("predict", "run", "new.npy")
    assert done.out.startswith("Warning: run is interrupted, so these are the weights of the best epoch so far.\n")
    (tmp_path / "run/model.safetensors").unlink()
    done = nnrun("predict", "run", "new.npy", "--overwrite")
    said = "run has no weights (model.safetensors). If it is still to be trained: nnrun resume run"
    assert (done.code, done.err) == (2, f"nnrun: {said}\n")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            "The training loss became NaN or infinite in epoch 1. Divide optimizer.learning_rate by 10.",
            "The training loss became NaN or infinite in epoch 1. Train again with a smaller rate: "
            "nnrun repeat run optimizer.learning_rate=0.0001",
        ),
        ("x.gz is cut. Replace it.", "x.gz is cut. More says nnrun show run. To train again: nnrun repeat run"),
    ],
)
def test_a_failed_run_without_weights_is_to_be_repeated_not_resumed(
    nnrun, finished_run, sources, tmp_path, error, text
):
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "run/model.safetensors").unlink()
    summary = json.loads((tmp_path / "run/summary.json").read_text()) | {"status": "failed", "error": error}
    (tmp_path / "run/summary.json").write_text(json.dumps(summary))
    said = f"run has no weights (model.safetensors), because its training failed: {text}"
    assert nnrun("predict", "run", "new.npy") == (2, "", f"nnrun: {said}\n")
    with contextlib.chdir(tmp_path), pytest.raises(ConfigError) as caught:
        load(Path("run"), reading.config(Path("run"))[0])
    assert str(caught.value) == said


def test_a_reader_that_gives_another_shape_is_refused(loaded):
    from nnrun.datasets.reader import Block

    with pytest.raises(ConfigError, match=r"takes examples of shape \(4,\), but its reader gives \(5,\)"):
        next(prediction.columns(loaded, [Block({"inputs": np.ones((2, 5), np.float32)}, {})]))


@pytest.mark.parametrize(
    ("said", "key"),
    [
        (
            "dataset.csv, row 3, column a has no value. Fill it, or set dataset.missing=previous.",
            "dataset.missing=previous",
        ),
        ("Where the comma is the decimal mark, set 'dataset.decimal=\",\"'.", "'dataset.decimal=\",\"'"),
        ("Leave it out, dataset.drop=[a, b], or state", "'dataset.drop=[a, b]'"),
        ("Put them into double quotes, or set dataset.separator.", "dataset.separator=VALUE"),
        ("dataset.csv cannot be opened: Permission denied. Check dataset.path.", None),
    ],
)
def test_a_key_that_an_error_advises_is_told_as_one_of_the_training(monkeypatch, said, key):
    class Refusing:
        def blocks(self, source, size):
            raise RunError(said)
            yield

    monkeypatch.setattr(prediction, "block_size", lambda run: 9)
    run = SimpleNamespace(folder=Path("my run"), preprocessing=SimpleNamespace(reader=Refusing()))
    with pytest.raises(RunError) as caught:
        list(prediction.blocks(run, "dataset.csv"))
    more = f" Keys are set in training, so this means to train again: nnrun repeat 'my run' {key}" if key else ""
    assert str(caught.value) == said + more


@pytest.fixture(scope="module")
def autoencoder(command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoencoder")
    words = ("model=autoencoder", "model.latent_size=2", "dataset=wine", "training.epochs=2", "hydra.run.dir=run")
    assert command(*words, folder=folder).code == 0
    return folder / "run"


def test_an_autoencoder_writes_reconstruction_error_flag_and_codes(nnrun, autoencoder, tmp_path):
    own = dict(np.load(autoencoder / "predictions.npz"))
    np.save(tmp_path / "new.npy", own["inputs"])
    assert nnrun("predict", str(autoencoder), "new.npy").code == 0
    found = columns(tmp_path / "new_predictions.csv")
    assert list(found)[:2] == ["row", "reconstruction_alcohol"]
    assert list(found)[-2:] == ["error", "flagged"]
    np.testing.assert_allclose(found["error"], own["error"], rtol=1e-5)
    np.testing.assert_allclose(found["reconstruction_alcohol"], own["reconstruction"][:, 0], rtol=1e-5)
    assert found["flagged"].tolist() == own["flagged"].tolist()
    assert nnrun("predict", str(autoencoder), "new.npy", "--latent").out.endswith(
        "latent codes are in new_latent.csv\n"
    )
    codes = columns(tmp_path / "new_latent.csv")
    assert list(codes) == ["row", "latent_0", "latent_1"]
    np.testing.assert_allclose(np.stack([codes["latent_0"], codes["latent_1"]], 1), own["latent"], atol=1e-5)


def test_a_network_without_codes_says_so(nnrun, finished_run, sources):
    done = nnrun("predict", str(finished_run), "new.npy", "--latent")
    assert done.err.endswith("holds a network without latent codes. Train one: model=autoencoder or vae.\n")
    assert not (sources / "new_latent.csv").exists()


def test_sigterm_ends_with_its_code_and_leaves_nothing(nnrun, finished_run, sources, monkeypatch):
    from nnrun.datasets.arrays.reader import ArrayReader

    whole = ArrayReader.blocks

    def blocks(self, source, size):
        yield from whole(self, source, 5)
        os.kill(os.getpid(), signal.SIGTERM)
        yield from whole(self, source, 5)

    before, handler = sorted(sources.iterdir()), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ArrayReader, "blocks", blocks)
    for ending in ("csv", "parquet", "npz"):
        assert nnrun("predict", str(finished_run), "new.npy", "--output", f"out.{ending}").code == 143
    assert sorted(sources.iterdir()) == before
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.parametrize("verb", ["predict", "evaluate", "show", "sample", "repeat", "resume", "runs"])
def test_every_verb_explains_itself(nnrun, verb):
    done = nnrun(verb, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"`nnrun {verb}")


def test_damage_that_no_check_knows_is_a_sentence_too(nnrun, finished_run, sources, monkeypatch):
    from nnrun.datasets.arrays.reader import ArrayReader

    monkeypatch.setattr(ArrayReader, "blocks", divmod)
    done = nnrun("predict", str(finished_run), "new.npy")
    assert (done.code, done.out) == (1, "")
    assert "does not look (TypeError: unsupported operand type(s) for divmod(): 'PosixPath' and 'int')" in done.err
