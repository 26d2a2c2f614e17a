"""Which way imports point, who prints and who draws, read off the sources."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "nnrun"
SOURCES = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
CORE = ("models", "tasks", "optimizers", "schedules", "datasets", "training", "search")
HYDRA = ("config.py", "composition.py", "launch.py", "explanations.py", "verbs.py", "sweep_syntax.py", "_plugins/")


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


def test_only_the_edge_knows_hydra():
    assert not offenders(["hydra", "omegaconf"], HYDRA)


def test_only_reports_draw():
    assert not offenders(["matplotlib"], ["report/"])
    assert not offenders(["matplotlib.pyplot", "pylab"])


def test_only_the_terminal_prints():
    def prints(tree):
        return any(
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            for node in ast.walk(tree)
        )

    assert [path for path, tree in SOURCES.items() if prints(tree)] == ["terminal.py"]


def test_data_sets_know_no_jax_and_read_libraries_only_when_needed():
    within = ["datasets/"]
    assert not offenders(["jax", "flax", "optax"], within=within)
    assert not offenders(["sklearn", "PIL", "polars", "scipy"], within=within, module_level=True)


@pytest.mark.parametrize("group", CORE)
def test_the_core_imports_nothing_above_it(group):
    above = ["cli", "launch", "composition", "explanations", "verbs", "run", "outputs", "checkpoint", "terminal"]
    above += ["interruption", "execution", "report"]
    if group != "training":
        above += ["training", "config"]
    assert not offenders([f"nnrun.{name}" for name in above], within=[f"{group}/"])


def test_models_optimizers_and_schedules_know_no_tasks_and_tasks_no_optimizers():
    assert not offenders(["nnrun.tasks"], within=["models/", "optimizers/", "schedules/", "datasets/"])
    assert not offenders(
        ["nnrun.optimizers", "nnrun.schedules"], within=["models/", "tasks/", "datasets/", "training/"]
    )
    assert not offenders(["nnrun.models"], within=["datasets/", "optimizers/", "schedules/"])


def test_nothing_is_pickled():
    assert not offenders(["pickle", "shelve", "marshal", "joblib", "dill", "cloudpickle"])


def test_members_of_a_group_do_not_import_the_command_line_at_module_level():
    assert not offenders(["jax", "numpy", "hydra", "omegaconf", "yaml"], within=["cli.py", "terminal.py", "errors.py"])
