"""A run folder or input from somebody else: nothing of it is executed, and all of it is answered in a sentence."""

import io
import json
import os
import pickle
import resource
import shutil
import struct
import time
import zipfile

import numpy as np
import pytest
import yaml

from nnrun.config import choices as members
from tests import sweep_folders
from tests.sweep_folders import change_yaml

SECONDS = 60.0
"""Of any answer, on a machine that does much else besides."""
MEGABYTES = 400


class Pwn:
    """Touches a file when it is unpickled."""

    def __reduce__(self):
        return (os.system, ("touch pwned",))


@pytest.fixture
def here(finished_run, tmp_path):
    """The test's folder with a copy of the finished run and rows to predict."""
    shutil.copytree(finished_run, tmp_path / "run")
    np.save(tmp_path / "new.npy", np.ones((3, 4)))
    return tmp_path


@pytest.fixture
def refused(nnrun, here):
    """Runs a command and checks that it ends soon with one sentence, having executed and written nothing."""

    def run(*words, code=2):
        before = {path for path in here.rglob("*") if path.suffix != ".pyc"}
        memory, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        done = nnrun(*words)
        assert (done.code, done.out) == (code, ""), done
        assert done.err.startswith("nnrun: ")
        assert (done.err.count("\n"), "Traceback" in done.err, len(done.err) < 1500) == (1, False, True)
        assert {path for path in here.rglob("*") if path.suffix != ".pyc"} == before
        assert time.process_time() - started < SECONDS
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < MEGABYTES * 1024
        return done.err

    return run


def bomb(levels=40):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


def merge_bomb(levels=30):
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}], y{i}: 1}}" for i in range(1, levels)]
    return "\n".join(lines)


VERBS = [("predict", "run", "new.npy"), ("evaluate", "run"), ("sample", "run"), ("repeat", "run")]


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    "target", ["os.system", "nnrun.runs.run.Run", "nnrun.__main__.main", "evil.Model", 3, None, ["x"]]
)
def test_targets_are_our_members_alone(refused, here, words, target):
    (here / "evil.py").write_text("open('pwned', 'w')")
    (here / "conf").mkdir()
    change_yaml(here / "run/config.yaml", "model", "_target_", value=target)
    assert target is None or f"model._target_={target}, code outside nnrun" in refused(*words)


@pytest.mark.parametrize("target", ["nnrun.models.mlp.jnp", "nnrun.models.mlp.nothing", "nnrun.models.none.MLP"])
def test_targets_that_are_no_members(refused, here, target):
    change_yaml(here / "run/config.yaml", "model", "_target_", value=target)
    assert f"_target_ {target}" in refused("predict", "run", "new.npy")


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("model", "x"), {"_target_": "os.system", "command": "touch pwned"}, "no run writes: model.x._target_"),
        (("model", "activation"), "${oc.env:HOME}", "must hold values alone, but model.activation is ${oc.env:HOME}"),
        (("dataset", "seed"), "${oc.decode:1}", "must hold values alone"),
        (("hydra",), {"callbacks": {"x": {"_target_": "os.system"}}}, "a key that no run writes: hydra"),
        (("model", "_recursive_"), True, "no run writes: model._recursive_"),
        (("choices", "model"), {"_target_": "os.system"}, "must name its choices by words"),
        (("choices", "../model"), "mlp", "a key that no run writes: ../model"),
        (("model", "hidden_sizes"), [1] * 5000, "must have at most 256 entries in model.hidden_sizes, but has 5000"),
    ],
)
def test_configs_that_no_run_writes(refused, here, words, keys, value, said):
    change_yaml(here / "run/config.yaml", *keys, value=value)
    assert said in refused(*words)


FOREIGN = [
    "!!python/object/apply:os.system ['touch pwned']",
    "model: !!python/object/new:os.system ['touch pwned']",
    "choices: !!python/name:os.system",
    bomb(),
    merge_bomb(),
    "[" * 100_000,
    "- " * 100_000 + "x",
    "a: " + "9" * 200_000,
    "x" * 2**19,
    "a: &a [*a]",
    "\x00",
    "",
    "3",
    "- model",
    "choices: {}",
]
foreign = pytest.mark.parametrize("text", FOREIGN, ids=lambda text: text[:30].replace("\x00", "nul"))


@foreign
def test_yaml_that_is_none_of_ours(refused, here, text):
    (here / "run/config.yaml").write_text(text)
    assert "run/config.yaml" in refused("predict", "run", "new.npy")


@foreign
@pytest.mark.parametrize(("verb", "name"), [("resume", "sweep.yaml"), ("report", "sweep.yaml"), ("best", "best.yaml")])
def test_yaml_of_a_sweep_that_is_none_of_ours(refused, here, text, verb, name):
    (here / "sweep").mkdir()
    (here / "sweep/sweep.yaml").touch()
    (here / "sweep" / name).write_text(text)
    assert f"sweep/{name} is " in refused(verb, "sweep")


def test_a_config_that_is_no_file(refused, here):
    (here / "run/config.yaml").unlink()
    os.mkfifo(here / "run/config.yaml")
    assert "is missing or damaged" in refused("predict", "run", "new.npy")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reader": {"name": "os.system", "shape": [4]}}, "is damaged or of another version"),
        ({"reader": {"name": "arrays", "shape": [2**40]}}, "but its reader gives (1099511627776,)"),
        ({"input_scaling": {"offset": [[0.0] * 4] * 9, "scale": 1.0}}, "the inputs' scaling has the shape (9, 4)"),
        ({"input_scaling": {"offset": [0.0] * 3, "scale": 1.0}}, "the inputs' scaling has the shape (3,)"),
        ({"input_scaling": {"offset": [[0.0], [0.0, 1.0]], "scale": 1.0}}, "is damaged or of another version"),
        ({"class_names": ["a"]}, "3 classes have so many names: 1"),
        ({"series": {"period": 1, "naive_error": [1.0], "target_columns": [7]}}, "the targets are columns (7,)"),
        ({"series": {"period": 1, "naive_error": [1.0] * 9, "target_columns": [0]}}, "naive errors of shape (9,)"),
        ({"spec": {"inputs": [2**62, 2**62]}}, "an example has the shape"),
        ({"spec": {"inputs": [1e300]}}, "is damaged or of another version"),
        ({"spec": {"targets": [2**40]}}, "a target has the shape"),
        ({"spec": {"classes": 2**40}}, "a target has the shape and number of classes"),
        ({"spec": {"classes": 7}}, "classes have so many names"),
        ({"spec": {"kind": "image"}}, ""),
        ({"spec": {"kind": "code"}}, "is damaged or of another version"),
        ({"spec": {"inputs": [2**26]}, "reader": {"name": "arrays", "shape": [2**26]}}, "is of another network"),
    ],
)
def test_preprocessing_that_no_run_writes(nnrun, refused, here, changes, said):
    path = here / "run/preprocessing.json"
    content = json.loads(path.read_text())
    spec = content["spec"] | changes.pop("spec", {})
    if spec["inputs"] != [4]:
        content["input_scaling"] = {"offset": 0.0, "scale": 1.0}
    path.write_text(json.dumps(content | changes | {"spec": spec}))
    if said:
        assert said in refused("predict", "run", "new.npy")
    else:
        assert nnrun("predict", "run", "new.npy").code in (0, 2)


@pytest.mark.parametrize("text", ["[" * 10**6, '{"spec": ' * 10**5, "{", "", "null", "3", '"x"', "[]", "\x00"])
def test_preprocessing_that_is_no_object(refused, here, text):
    (here / "run/preprocessing.json").write_text(text)
    assert "preprocessing.json is damaged or of another version" in refused("predict", "run", "new.npy")


def test_preprocessing_of_any_size_is_not_read(refused, here):
    with (here / "run/preprocessing.json").open("wb") as file:
        file.truncate(2**40)
    assert "it is larger than 33554432 bytes" in refused("predict", "run", "new.npy")


def header(content, body=b""):
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + body


def tensor(shape, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}


NAME = "weights.params.head.bias"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is damaged"),
        (struct.pack("<Q", 2**63) + b"{}", "is damaged"),
        (struct.pack("<Q", 10**8) + b"{" * 1000, "is damaged"),
        (header("[" * 10**5), "is damaged"),
        (header({NAME: tensor([2**40], 2**42)}), "is damaged"),
        (header({NAME: tensor([2**62, 4], 0)}), "is damaged"),
        (header({NAME: tensor([0, 2**62], 0)}), f"{NAME} has the shape (0, 4611686018427387904), not (3,)"),
        (header({NAME: tensor([5], 20)}, bytes(20)), f"{NAME} has the shape (5,), not (3,)"),
        (header({NAME: tensor([3], 24, "F64")}, bytes(24)), f"must hold {NAME} as float32, not float64"),
        (header({NAME: tensor([3], 6, "BF16")}, bytes(6)), ""),
        (
            header({"../../x": tensor([3], 12)}, bytes(12)),
            f"is of another network or version of nnrun: {NAME} is missing",
        ),
        (pickle.dumps(Pwn()), "is damaged"),
        (b"PK\x03\x04" + bytes(100), "is damaged"),
    ],
)
def test_weights_that_no_run_writes(refused, here, content, said):
    (here / "run/model.safetensors").write_bytes(content)
    found = refused("predict", "run", "new.npy")
    assert said in found
    assert "Train again: nnrun repeat run" in found


def test_weights_that_are_damaged_are_told_by_show_too(nnrun, here):
    (here / "run/model.safetensors").write_bytes(b"{")
    done = nnrun("show", "run")
    assert (done.code, done.err.startswith("nnrun: run/model.safetensors is damaged (")) == (2, True)


def test_weights_of_any_size_are_not_read(refused, here):
    path = here / "run/model.safetensors"
    with path.open("wb") as file:
        file.write(header({"x": tensor([2**38], 2**40)}))
        file.truncate(file.tell() + 2**40)
    assert f"{NAME} is missing" in refused("predict", "run", "new.npy")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_sizes": [2**40]}, "has the shape"),
        ({"hidden_sizes": [10**30]}, "has the shape"),
        ({"hidden_sizes": [-1]}, "model.hidden_sizes must be >= 1"),
        ({"hidden_sizes": []}, "has the shape (64, 3), not (4, 3)"),
        ({"dropout": 1e400}, "model.dropout must be a number"),
        ({"layers": 10**9, "name": "lstm"}, "model.layers must be <= 64, but got 1000000000"),
        ({"blocks_per_stage": 10**9, "name": "resnet"}, "model.blocks_per_stage must be <= 200"),
    ],
)
def test_networks_that_are_absurd(refused, here, changes, said):
    path = here / "run/config.yaml"
    content = yaml.safe_load(path.read_text())
    content["model"] = members.load_choice("model", changes.pop("name", "mlp")) | changes
    path.write_text(yaml.safe_dump(content))
    assert said in refused("predict", "run", "new.npy")


def npz(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def npy(shape, body=b"", descr="<f8"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + body


def pickled():
    file = io.BytesIO()
    np.save(file, np.array([Pwn()] * 4, dtype=object).reshape(1, 4), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("arrays", "code", "said"),
    [
        ({"inputs.npy": pickled()}, 2, "must hold inputs of shape (n, 4), all numbers, but got object"),
        ({"inputs.npy": npy((10**12, 4), bytes(10**7))}, 1, "is damaged: it ends early"),
        ({"inputs.npy": npy((3, 10**12))}, 2, "but got float64 of shape (3, 1000000000000)"),
        ({"inputs.npy": npy((), bytes(8))}, 2, "but got float64 of shape ()"),
        ({"../../inputs.npy": npy((1, 4), bytes(32))}, 2, "must have an array inputs"),
        ({"/etc/inputs.npy": npy((1, 4), bytes(32))}, 2, "must have an array inputs"),
        ({"inputs.npy": b"\x80\x04"}, 1, "is damaged"),
        ({"inputs.npy": npy((2, 4), bytes(64)), "targets.npy": npy((3,), bytes(24))}, 2, "has 2 inputs, but 3 targets"),
        (
            {"inputs.npy": npy((1, 4), bytes(32)), "targets.npy": npy((1,), bytes([7, *[0] * 7]), "<i8")},
            2,
            "a class that the training part does not have: 7",
        ),
        ({"inputs.npy": npy((1, 4), bytes(32), "<c16")}, 2, "all numbers, but got complex128"),
    ],
)
def test_archives_that_are_not_what_they_say(refused, here, arrays, code, said):
    npz(here / "bad.npz", arrays)
    assert said in refused("predict", "run", "bad.npz", code=code)


@pytest.mark.parametrize("name", ["run.log", "figures/x", "samples.npz", "evaluations"])
def test_links_out_of_the_folder_are_refused(refused, here, name):
    (here / "mine").mkdir()
    (here / "run" / name).unlink(missing_ok=True)
    (here / "run" / name).symlink_to(here / "mine")
    assert f"{name} is a link, which no run writes" in refused("evaluate", "run")


def test_a_summary_does_not_drive_the_terminal(nnrun, here):
    path = here / "run/summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"command": "nnrun \x1b]0;x\x07\x1b[2J\u202e"}))
    done = nnrun("show", "run")
    assert done.code == 0
    assert "\n  nnrun \\x1b]0;x\\x07\\x1b[2J\\u202e  (not to be pasted" in done.out


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("metrics", "x"), ("baseline", [1]), ("status", None), ("versions", {"a": {}}), ("command", [])),
        *(("objective", 3), ("objective", {"metric": "val/loss", "direction": "minimize", "value": "x", "epoch": 1})),
        ("objective", {"value": 1.0}),
    ],
)
def test_a_summary_of_another_form_is_damaged(refused, here, key, value):
    path = here / "run/summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert "run/summary.json is damaged or of another version" in refused("show", "run")


@pytest.mark.parametrize("text", ["[" * 10**6, "9" * 10**5, "{", "", "\x00"])
def test_a_summary_that_is_no_json_is_damaged(refused, here, text):
    (here / "run/summary.json").write_text(text)
    assert "run/summary.json is damaged" in refused("show", "run")


OWN_MODEL = '''
from nnrun.models.mlp import MLP, MLPConfig


class Own(MLP):
    """An MLP of one's own."""

    config: MLPConfig
'''


@pytest.fixture
def with_own_model(here):
    """A folder with a user's own model."""
    own = here / "conf" / "model"
    own.mkdir(parents=True)
    (here / "own_model.py").write_text(OWN_MODEL)
    target = {"_target_": "own_model.Own"}
    (own / "own.yaml").write_text(yaml.safe_dump(members.load_choice("model", "mlp") | target))


@pytest.mark.usefixtures("with_own_model")
def test_a_sweep_of_a_users_own_member_goes_on_with_trust_alone(nnrun, refused, here):
    words = ("search=random", "search.trials=2", "optimizer.learning_rate=interval(1e-3,1e-2)")
    assert nnrun("-m", "model=own", "debug=tiny", "dataset=iris", *words, "hydra.sweep.dir=sweep").code == 0
    for verb in (("resume", "sweep", "search.trials=3"), ("report", "sweep")):
        assert "If the folder is your own, run again with --trust where ./conf and the code lie." in refused(*verb)
        assert nnrun(*verb, "--trust").code == 0
    assert len(sweep_folders.ledger(here / "sweep")[0]) == 3


@pytest.mark.usefixtures("with_own_model")
def test_a_users_own_member_is_loaded_with_trust_alone(nnrun, refused, here):
    assert nnrun("model=own", "debug=tiny", "dataset=iris", "hydra.run.dir=mine").code == 0
    for verb in (("predict", "mine", "new.npy"), ("evaluate", "mine"), ("repeat", "mine")):
        assert "If the folder is your own, run again with --trust where ./conf and the code lie." in refused(*verb)
    assert nnrun("show", "mine").code == 0
    assert nnrun("predict", "mine", "new.npy", "--trust").code == 0
    assert nnrun("evaluate", "mine", "--trust").code == 0
    (here / "own_model.py").unlink()
