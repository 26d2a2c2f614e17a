"""`nnrun export RUN`: a trained network for programs without nnrun."""

import json
import math
from pathlib import Path
from typing import Any

from nnrun.commands import on_run, usage
from nnrun.errors import ConfigError, RunError
from nnrun.folders import columns_file
from nnrun.host import terminal
from nnrun.host.libraries import check_installed
from nnrun.schema import nearest

SUFFIXES = {"stablehlo": ".stablehlo", "onnx": ".onnx", "safetensors": ".safetensors"}
LIBRARIES = {"onnx": ("jax2onnx", "onnxruntime")}
"""Libraries that a format needs: those of the extra of its name."""


def export(words: list[str]) -> int:
    """`nnrun export RUN [--format stablehlo] [--output model.stablehlo] [--overwrite] [--trust]`: for other programs.

    Writes the network with its best weights by default to RUN/export/model.<format>, and beside it
    <name>.preprocessing.json: what the arrays are called, their shapes, columns, categories and class names.
    stablehlo (a jax.export artifact for CPU, CUDA and TPU) and onnx take raw inputs and answer in original units;
    safetensors holds the weights alone, with <name>.names.json saying what each of them is.
    Example: `nnrun export outputs/runs/DATE/TIME_mlp_iris --format onnx`
    """
    given = usage.parse(export, words)
    form = given.values.get("format", "stablehlo")
    if form not in SUFFIXES:
        raise ConfigError(f"--format must be one of {', '.join(SUFFIXES)}, but got {form}. {nearest(form, SUFFIXES)}")
    others = "--format stablehlo and --format safetensors need nothing more."
    check_installed(f"--format {form}", LIBRARIES.get(form, ()), form, others)
    folder, plain = on_run.folder(given)
    output = _output(folder, form, given)
    try:
        _write(folder, plain, form, output)
    except OSError as error:
        raise RunError(f"{error}. Nothing was exported.") from error
    return 0


def _output(folder: Path, form: str, given: usage.Words) -> Path:
    if "output" not in given.values:
        return folder / "export" / f"model{SUFFIXES[form]}"
    path = Path(given.values["output"])
    columns_file.check(path, "overwrite" in given.flags, (SUFFIXES[form],))
    if path.resolve().parent == folder.resolve():
        raise ConfigError(
            f"--output {path} lies among the run's own files. Leave --output out, or name another folder."
        )
    return path


def _write(folder: Path, plain: dict[str, Any], form: str, output: Path) -> None:
    from nnrun.folders import preprocessing
    from nnrun.host import disk
    from nnrun.trained.export import function, onnx, stablehlo, weights
    from nnrun.trained.trained_run import load

    run = load(folder, plain)
    about = json.loads((folder / preprocessing.NAME).read_bytes())
    whole = function.network(run)
    # The same for every format, because their files may lie beside each other.
    beside = {"preprocessing": about | {"signature": whole.signature()}}
    remark = ""
    if form == "safetensors":
        content, beside["names"] = weights.translate(run)
    elif form == "onnx":
        content = onnx.translate(whole, [function.examples(run, whole, count) for count in (1, 5)])
    else:
        content, any_size = stablehlo.translate(whole)
        remark = "" if any_size else " The network depends on the size of its batch: give it one example at a time."
    name = preprocessing.reader_name(run.preprocessing.reader)
    if name not in preprocessing.READERS and form != "safetensors":
        remark += f" It takes the arrays that {name} reads; that class is code of your own and not in the file."
    output.parent.mkdir(exist_ok=True)
    for name, text in beside.items():
        described = json.dumps(text, indent=1, ensure_ascii=False).encode() + b"\n"
        disk.write(output.with_name(f"{output.stem}.{name}.json"), described)
    disk.write(output, content)
    size = f"{len(content) / 2**20:.3g} MiB" if len(content) > 2**19 else f"{math.ceil(len(content) / 1024)} KiB"
    names = " and ".join(f"{output.stem}.{name}.json" for name in beside)
    terminal.say(f"{output} ({size}), described by {names} beside it.{remark}")
