"""The weights as safetensors under short names, with a map that says what each of them is."""

from collections.abc import Sequence
from typing import Any

from flax import nnx

from nnrun.folders import weights_file
from nnrun.models.blocks.convolution import Conv
from nnrun.models.blocks.recurrent import Direction
from nnrun.models.gru import ResetAfterCell, ResetBeforeCell
from nnrun.models.lstm import LSTMCell
from nnrun.models.rnn import ElmanCell
from nnrun.trained.trained_run import TrainedRun
from nnrun.training.network import split

CELLS = {
    ElmanCell: ("RNN", ("h",), (0,)),
    LSTMCell: ("LSTM", ("input gate", "forget gate", "output gate", "candidate"), (0, 1, 3, 2)),
    ResetAfterCell: ("GRU", ("reset gate", "update gate", "candidate"), (0, 1, 2)),
    ResetBeforeCell: (None, ("reset gate", "update gate", "candidate"), ()),
}
"""Name in torch.nn, our blocks of columns, and which of ours each of torch's blocks is."""
NOTES = {
    "axes": "Images are (batch, height, width, channels): channels last, also where feature maps are flattened.",
    "pytorch": "module and parameter of the same meaning: take the array's `blocks` (equal parts of its last axis) in "
    "the order given, then transpose to `axes`; null where PyTorch has no equal.",
    "scaling": "The first layer sees (raw - offset) / scale of preprocessing.json, with log the same of log(raw).",
}


def translate(run: TrainedRun) -> tuple[bytes, dict[str, Any]]:
    """The safetensors file, and the map from its names to layer, shape, meaning and PyTorch's equal."""
    _, params, _, statistics = split(run.model)
    modules = {".".join(map(str, path)): module for path, module in nnx.iter_modules(run.model)}
    arrays = weights_file.named(params) | weights_file.named(statistics)
    described: dict[str, Any] = {}
    for name, array in arrays.items():
        layer, _, attribute = name.rpartition(".")
        owner = modules.get(layer)
        meaning, pytorch = _meaning(owner, attribute, layer, modules)
        described[name] = {"shape": list(array.shape), "layer": layer, "kind": type(owner).__name__}
        described[name] |= {"meaning": meaning, "pytorch": pytorch}
    return weights_file.encoded(arrays), {"notes": NOTES, "arrays": described}


def _meaning(owner: Any, attribute: str, layer: str, modules: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    match owner, attribute:
        case nnx.Linear(), "kernel":
            return "W (inputs, outputs) of y = x W + b", _equal("Linear", "weight", (1, 0))
        case nnx.Linear(), "bias":
            return "b (outputs,) of y = x W + b", _equal("Linear", "bias")
        case Conv(), _:
            return _of_convolution(owner, attribute)
        case ((nnx.BatchNorm() | nnx.LayerNorm()), _):
            return _of_normalization(owner, attribute, layer, modules)
        case nnx.Embed(), "embedding":
            return "a row per category, 0 for never seen", _equal("Embedding", "weight")
        case Direction(), _:
            return _of_recurrence(owner, attribute, layer)
    return attribute, None


def _of_convolution(owner: Conv, attribute: str) -> tuple[str, dict[str, Any]]:
    space = tuple(range(owner.kernel[...].ndim - 2))
    module = f"Conv{len(space)}d"
    if attribute == "bias":
        return "b (outputs,) of a cross-correlation", _equal(module, "bias")
    axes = "height, width" if len(space) == 2 else "time"
    text = f"W ({axes}, inputs, outputs) of a cross-correlation"
    return text, _equal(module, "weight", (len(space) + 1, len(space), *space))


def _of_normalization(owner: Any, attribute: str, layer: str, modules: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    # PyTorch has a BatchNorm for each number of spatial axes: those of the convolution beside it, else 1d.
    convolution = modules.get(f"{layer.removesuffix('.norm').removesuffix('.norm')}.conv")
    axes = convolution.kernel[...].ndim - 2 if isinstance(convolution, Conv) else 1
    module = f"BatchNorm{axes}d" if isinstance(owner, nnx.BatchNorm) else "LayerNorm"
    formula = f"y = γ (x - mean) / sqrt(var + {owner.epsilon:g}) + β"
    meaning, parameter = {
        "scale": (f"γ of {formula}", "weight"),
        "bias": (f"β of {formula}", "bias"),
        "mean": ("running mean", "running_mean"),
        "var": ("running variance", "running_var"),
    }[attribute]
    return meaning, _equal(module, parameter)


def _of_recurrence(owner: Direction, attribute: str, layer: str) -> tuple[str, dict[str, Any] | None]:
    module, blocks, order = CELLS[type(owner.rule.cell)]
    columns = f"blocks of `units` columns: {', '.join(blocks)}"
    number = layer.split(".")[-2]
    suffix = f"l{number}{'_reverse' if owner.backwards else ''}"
    meaning, parameter = {
        "input": (f"W_x (inputs, blocks * units), {columns}", "weight_ih"),
        "recurrent": (f"W_h (units, blocks * units), {columns}", "weight_hh"),
        "bias": (f"b (blocks * units,), {columns}; PyTorch's second bias is zero", "bias_ih"),
        "recurrent_bias": ("c (units,), the last third of PyTorch's bias_hh, whose others are zero", "bias_hh"),
    }[attribute]
    if module is None:
        return f"{meaning}; the reset gate acts before the recurrent product, in PyTorch after it", None
    if attribute == "recurrent_bias":
        return meaning, None
    axes = () if attribute == "bias" else (1, 0)
    return meaning, _equal(module, f"{parameter}_{suffix}", axes, order if len(order) > 1 else ())


def _equal(module: str, parameter: str, axes: Sequence[int] = (), blocks: Sequence[int] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {"module": f"torch.nn.{module}", "parameter": parameter}
    found |= {"blocks": list(blocks)} if blocks else {}
    return found | ({"axes": list(axes)} if axes else {})
