"""`nnrun export RUN`: the files, and what is refused."""

import json
import re
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from nnrun.commands import export
from tests.test_run import MY_MODEL

FORMS = ["stablehlo", "safetensors"]


@pytest.fixture
def here(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path / "run"


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_by_default_files_lie_in_the_run_and_are_described_beside(nnrun, here):
    done = nnrun("export", "run")
    assert (done.code, done.err) == (0, "")
    text = r"run/export/model.stablehlo \(2\d KiB\), described by model.preprocessing.json beside it.\n"
    assert re.fullmatch(text, done.out)
    assert names(here / "export") == {"model.stablehlo", "model.preprocessing.json"}
    about = json.loads((here / "export" / "model.preprocessing.json").read_text())
    assert about["signature"] == {
        "arguments": {"inputs": {"dtype": "float32", "shape": ["batch", 4]}},
        "results": {
            "predicted": {"dtype": "int32", "shape": ["batch"]},
            "probabilities": {"dtype": "float32", "shape": ["batch", 3]},
        },
    }
    about.pop("signature")
    assert about == json.loads((here / "preprocessing.json").read_text())
    assert nnrun("export", "run").code == 0


def test_weights_keep_their_values_under_short_names(nnrun, here, tmp_path):
    (tmp_path / "out").mkdir()
    assert nnrun("export", "run", "--format=safetensors", "--output", "out/w.safetensors").code == 0
    assert names(tmp_path / "out") == {"w.safetensors", "w.names.json", "w.preprocessing.json"}
    ours, theirs = load_file(tmp_path / "out" / "w.safetensors"), load_file(here / "model.safetensors")
    assert len(ours) == 6
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[f"weights.params.{name}"])
    about = json.loads((tmp_path / "out" / "w.preprocessing.json").read_text())
    assert about["signature"]["arguments"] == {"inputs": {"dtype": "float32", "shape": ["batch", 4]}}
    described = json.loads((tmp_path / "out" / "w.names.json").read_text())
    assert described["arrays"]["hidden.dense.0.kernel"] == {
        "shape": [4, 64],
        "layer": "hidden.dense.0",
        "kind": "Linear",
        "meaning": "W (inputs, outputs) of y = x W + b",
        "pytorch": {"module": "torch.nn.Linear", "parameter": "weight", "axes": [1, 0]},
    }


EXISTS = "taken.stablehlo exists already. Name another file with --output FILE, or replace it with --overwrite."
REFUSED = [
    ([], "nnrun export needs RUN, for example nnrun export outputs/runs/DATE/TIME_mlp_iris --format onnx"),
    (
        ["nowhere"],
        "There is no folder nowhere here. nnrun runs lists the runs under ./outputs, where nnrun writes them.",
    ),
    (
        ["run", "--format", "onx"],
        "--format must be one of stablehlo, onnx, safetensors, but got onx. Did you mean onnx?",
    ),
    (["run", "--output", "a.onnx"], "--output a.onnx must end in .stablehlo. Write for example a.stablehlo."),
    (
        ["run", "--output", "no/a.stablehlo"],
        "--output no/a.stablehlo: there is no folder no. Make it, or name another one.",
    ),
    (
        ["run", "--format", "safetensors", "--output", "run/model.safetensors", "--overwrite"],
        "--output run/model.safetensors lies among the run's own files. Leave --output out, or name another folder.",
    ),
    (["run", "--output", "taken.stablehlo"], EXISTS),
    (["run", "--quantize"], "nnrun export has no option --quantize. "),
]


@pytest.mark.parametrize(("words", "text"), REFUSED)
def test_what_is_refused(nnrun, here, tmp_path, words, text):
    (tmp_path / "taken.stablehlo").write_text("kept")
    before = names(here), names(tmp_path)
    done = nnrun("export", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"nnrun: {text}")
    assert (names(here), names(tmp_path)) == before


def test_a_file_is_replaced_where_that_is_asked_for(nnrun, here, tmp_path):
    (tmp_path / "taken.stablehlo").write_text("kept")
    assert nnrun("export", "run", "--output", "taken.stablehlo", "--overwrite").code == 0
    assert (tmp_path / "taken.stablehlo").read_bytes() != b"kept"


def test_a_run_without_weights_is_named(nnrun, here):
    (here / "model.safetensors").unlink()
    text = "run has no weights (model.safetensors), though its training is completed. To train again: nnrun repeat run"
    assert nnrun("export", "run") == (2, "", f"nnrun: {text}\n")


@pytest.mark.parametrize("form", FORMS)
def test_damaged_weights_leave_nothing_half_written(nnrun, here, form):
    path = here / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    done = nnrun("export", "run", "--format", form)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("nnrun: run/model.safetensors is damaged (")
    assert not (here / "export").exists()


def test_a_missing_library_is_named_with_how_to_get_it(nnrun, here, monkeypatch):
    monkeypatch.setattr(export, "LIBRARIES", {"onnx": ("json", "no_such_library")})
    done = nnrun("export", "run", "--format", "onnx")
    text = (
        "--format onnx needs no_such_library, which is not installed: pip install '.[onnx]'. --format stablehlo "
        "and --format safetensors need nothing more."
    )
    assert done == (2, "", f"nnrun: {text}\n")


def test_a_full_disk_is_said_and_leaves_no_artifact(nnrun, here, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert nnrun("export", "run") == (1, "", "nnrun: [Errno 28] No space left on device. Nothing was exported.\n")
    assert not names(here / "export")


def test_a_network_of_your_own_is_exported_and_resumed_only_if_trusted(nnrun, tmp_path):
    (tmp_path / "own_network.py").write_text(MY_MODEL)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "own.yaml").write_text("_target_: own_network.My\nscale: 1.0\n")
    assert nnrun("debug=tiny", "model=own", "dataset=iris", "hydra.run.dir=run").code == 0
    for words in (["export", "run"], ["resume", "run", "training.epochs=3"]):
        refused = nnrun(*words)
        assert (refused.code, refused.out) == (2, "")
        assert "names model._target_=own_network.My, code outside nnrun" in refused.err
        assert nnrun(*words, "--trust").code == 0
    assert (tmp_path / "run" / "export" / "model.stablehlo").exists()
