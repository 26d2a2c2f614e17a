"""Which way imports point, who prints and who draws, read off the sources."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "nnrun"
SOURCES = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}

SPINE = """
errors
host
schema
config search optimizers schedules
datasets
models
tasks
training
execution report
compose
folders
trained runs
sweeps
commands
api __main__
"""
"""Floors from the ground up: a room imports from its own floor's folder and from what lies below, nothing else."""

FLOORS = {room: floor for floor, rooms in enumerate(SPINE.split("\n")) for room in rooms.split()}
ROOT = {"__init__.py", "__main__.py", "api.py", "errors.py", "schema.py"}
MOST_FLOORS = 16
MOST_FILES = 25
"""In one folder, beside the members that a config group has there."""
PLUGINS = "_plugins/"


def imported(tree, module_level=False):
    """Full names of imported modules; `from a import b` counts as `a.b`."""
    nodes = tree.body if module_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offenders(modules, allowed=(), within=None, module_level=False):
    """Files that import one of `modules`, but for those whose path starts with one of `allowed`."""
    return {
        f"{path}: {name}"
        for path, tree in SOURCES.items()
        if not path.startswith(tuple(allowed)) and (within is None or path.startswith(tuple(within)))
        for name in imported(tree, module_level)
        if any(name == module or name.startswith(module + ".") for module in modules)
    }


def room(name):
    """The folder, or the module of the root, that a path or a dotted name of ours lies in."""
    return name.removesuffix(".py").removeprefix("nnrun.").replace("/", ".").split(".")[0]


def modules():
    """Dotted name of every module -> the dotted names of our modules that it imports anywhere."""
    names = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in SOURCES}
    graph = {}
    for name, path in names.items():
        found = graph.setdefault(name, set())
        for full in imported(SOURCES[path]):
            parts = full.removeprefix("nnrun.").split(".")
            heads = [".".join(parts[:n]) for n in range(len(parts), 0, -1)] if full.startswith("nnrun.") else []
            found.update([next((head for head in heads if head in names), name)])
        found.discard(name)
    return graph


def test_the_root_holds_what_users_import_and_nothing_else():
    assert {path for path in SOURCES if "/" not in path} == ROOT


def test_every_room_stands_on_a_floor():
    assert {room(path) for path in SOURCES if path != "__init__.py"} - {"_plugins"} == set(FLOORS)
    assert len(SPINE.split()) >= len(FLOORS)
    assert len(SPINE.strip().split("\n")) <= MOST_FLOORS


@pytest.mark.parametrize("upper", FLOORS)
def test_imports_point_downward(upper):
    paths = [path for path in SOURCES if path != "__init__.py" and room(path) == upper]
    arrows = {
        f"{path}: {name}"
        for path in paths
        for name in imported(SOURCES[path])
        if name.startswith("nnrun.") and room(name) in FLOORS
        if room(name) != upper and FLOORS[room(name)] >= FLOORS[upper]
    }
    assert not arrows


def test_no_imports_go_in_circles():
    try:
        TopologicalSorter(modules()).prepare()
    except CycleError as error:
        pytest.fail(f"{error.args[1]}")


def test_no_folder_is_a_corridor():
    members = {path.stem for path in (PACKAGE.parent / "conf").glob("*/*.yaml")}
    for folder in {Path(path).parent for path in SOURCES}:
        files = [path for path in SOURCES if Path(path).parent == folder and Path(path).stem not in members]
        assert len(files) <= MOST_FILES, folder


def test_only_the_edge_knows_hydra():
    assert not offenders(["hydra", "omegaconf"], ["compose/", PLUGINS])


def test_only_reports_draw():
    assert not offenders(["matplotlib"], ["report/"])
    assert not offenders(["matplotlib.pyplot", "pylab"])


def test_only_the_terminal_prints():
    def prints(tree):
        return any(
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            for node in ast.walk(tree)
        )

    assert [path for path, tree in SOURCES.items() if prints(tree)] == ["host/terminal.py"]


def test_text_files_are_utf_8_whatever_the_machine_is_set_to():
    others = {"Image", "archive", "cache", "gzip", "os", "self", "self.folder", "tarfile"}

    def in_text(call):
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        if name not in ("open", "read_text", "write_text"):
            return False
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in others:
            return False
        in_bytes = any("b" in str(arg.value) for arg in call.args if isinstance(arg, ast.Constant))
        return not in_bytes and not any(keyword.arg == "encoding" for keyword in call.keywords)

    calls = ((path, node) for path, tree in SOURCES.items() for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert not [f"{path}: {ast.unparse(call)}" for path, call in calls if in_text(call)]


def test_data_sets_know_no_jax_and_read_libraries_only_when_needed():
    within = ["datasets/"]
    assert not offenders(["jax", "flax", "optax"], within=[*within, "search/"])
    assert not offenders(["sklearn", "PIL", "polars", "scipy"], within=within, module_level=True)


def test_sweeps_see_jax_through_execution_alone():
    assert not offenders(["jax", "flax", "optax"], within=["sweeps/", "commands/", "report/sweep/"])


def test_nothing_is_pickled():
    assert not offenders(["pickle", "shelve", "marshal", "joblib", "dill", "cloudpickle"])


def test_what_starts_first_imports_little():
    within = ["commands/cli.py", "host/terminal.py", "errors.py"]
    assert not offenders(["jax", "numpy", "hydra", "omegaconf", "yaml"], within=within)
