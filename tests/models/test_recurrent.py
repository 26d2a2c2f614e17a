"""rnn, lstm and gru against NumPy loops, forward and gradients, in float64 and both memory layouts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recurrent_reference as reference
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import OutputSpec
from nnrun.models.blocks import recurrent
from nnrun.models.gru import GRU, GRUConfig
from nnrun.models.lstm import LSTM, LSTMConfig
from nnrun.models.rnn import RNN, RNNConfig

TIME, CHANNELS, HIDDEN = 6, 2, 3
LENGTHS = np.array([6, 1, 4, 5])
FORMS = {
    "plain": ({}, "last", False),
    "stacked mean": ({"layers": 2}, "mean", False),
    "padded per step": ({"bidirectional": True}, "per_step", True),
    "padded last": ({"bidirectional": True, "layers": 2}, "last", True),
    "padded mean truncated": ({"bidirectional": True, "truncate": 4}, "mean", True),
    "truncated": ({"layers": 2, "truncate": 2}, "per_step", False),
}
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture
def features_first(monkeypatch):
    monkeypatch.setattr(recurrent, "FEATURES_FIRST", 1)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def build(cell, output=OutputSpec((2,)), seed=0, channels=CHANNELS, **keys):
    data = DataSpec("series", (TIME, channels), (2,), "regression")
    model, config = {"rnn": (RNN, RNNConfig), "lstm": (LSTM, LSTMConfig)}.get(cell, (GRU, GRUConfig))
    keys |= {"reset_after": True} if cell == "gru_after" else {}
    return model(config(**{"hidden_size": HIDDEN, **keys}), data, output, rngs=nnx.Rngs(seed))


def randomized(cell, **keys):
    """Graph, parameters drawn at random (biases too) in the widest precision, and the rest."""
    graph, params, rest = nnx.split(nnx.eval_shape(lambda: build(cell, **keys)), nnx.Param, ...)
    rng = np.random.default_rng(0)
    return graph, jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape) * 0.7), params), rest


def plain(params, bidirectional):
    """The parameters as the reference wants them."""
    tree = jax.tree.map(np.asarray, nnx.to_pure_dict(params))
    layers = [[tree["layers"][k][d] for d in range(2 if bidirectional else 1)] for k in sorted(tree["layers"])]
    return layers, tree["head"]


def batch_of(rng, padded):
    batch = {"inputs": jnp.asarray(rng.normal(size=(len(LENGTHS), TIME, CHANNELS)))}
    return batch | ({"lengths": jnp.asarray(LENGTHS)} if padded else {})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", reference.CELLS)
def test_forward_and_gradient_equal_numpy(cell, form, x64, monkeypatch):
    monkeypatch.setattr(recurrent, "FEATURES_FIRST", 1 if len(form) % 2 else 100)
    keys, readout, padded = FORMS[form]
    graph, params, rest = randomized(cell, output=OutputSpec((2,), readout == "per_step"), readout=readout, **keys)
    rng = np.random.default_rng(1)
    batch, lengths = batch_of(rng, padded), LENGTHS if padded else [TIME] * len(LENGTHS)
    weight = rng.normal(size=(len(LENGTHS), TIME, 2) if readout == "per_step" else (len(LENGTHS), 2))
    held = {}

    def loss(params):
        prediction = nnx.merge(graph, params, rest)(batch)[0].prediction
        return (prediction * weight).sum(), prediction

    def expected(params):
        layers, head = plain(params, keys.get("bidirectional"))
        inputs, truncate = np.asarray(batch["inputs"]), keys.get("truncate")
        return reference.network(cell, layers, head, inputs, lengths, readout, truncate=truncate, held=held)

    def expected_loss(params):
        pairs = zip(expected(params), weight, strict=True)
        return sum((p * w[: len(p)] if p.ndim == 2 else p * w).sum() for p, w in pairs)

    (_, prediction), gradient = quick_jit(jax.value_and_grad(loss, has_aux=True))(params)
    for got, want, length in zip(prediction, expected(params), lengths, strict=True):
        np.testing.assert_allclose(got[:length] if readout == "per_step" else got, want, atol=1e-12)
        if readout == "per_step":
            assert not np.any(got[length:])
    for _ in range(3):
        direction = jax.tree.map(lambda p: rng.normal(size=p.shape), params)
        slope = sum(map(np.vdot, jax.tree.leaves(gradient), jax.tree.leaves(direction)))
        ends = [expected_loss(jax.tree.map(lambda p, d, e=e: p + e * d, params, direction)) for e in (1e-5, -1e-5)]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-5, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("threshold", [1, 100])
@pytest.mark.parametrize(("padded", "truncate"), [(False, None), (True, 2)])
@pytest.mark.parametrize("cell", reference.CELLS)
def test_hand_derived_gradient_equals_jax(cell, padded, truncate, threshold, x64, monkeypatch):
    monkeypatch.setattr(recurrent, "FEATURES_FIRST", threshold)
    graph, params, rest = randomized(cell, truncate=truncate)
    one = nnx.merge(graph, params, rest).layers[0][0]
    batch = batch_of(np.random.default_rng(2), padded)
    x, lengths = one.rule.layout.sequence(batch["inputs"]), batch.get("lengths")
    rng = np.random.default_rng(3)
    initial = tuple(jnp.asarray(rng.normal(size=(len(LENGTHS), HIDDEN))) for _ in range(one.rule.cell.states))
    graph, params = nnx.split(one)

    def loss(params, x, initial, delta):
        outputs, final = nnx.merge(graph, params)(x, lengths, initial, delta)
        return (jnp.sin(outputs) * jnp.arange(outputs.size).reshape(outputs.shape)).sum() + sum(
            (k + 1.5) * (part**2).sum() for k, part in enumerate(final)
        )

    zeros = jnp.zeros((TIME, *initial[0].T.shape) if threshold == 1 else (TIME, *initial[0].shape))
    got, want = (quick_jit(jax.grad(loss, (0, 1, 2)))(params, x, initial, delta) for delta in (None, zeros))
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-10, atol=1e-11), got, want)


@pytest.mark.parametrize("cell", reference.CELLS)
def test_carry_continues_a_sequence(cell, features_first, x64):
    graph, params, rest = randomized(cell, layers=2, output=OutputSpec((2,), True))
    inputs = batch_of(np.random.default_rng(4), False)["inputs"]

    @quick_jit
    def run(params):
        model = nnx.merge(graph, params, rest)
        first, half = model({"inputs": inputs[:, :4]})
        return model({"inputs": inputs}), first, model({"inputs": inputs[:, 4:]}, carry=half)

    (whole, carry), first, (second, end) = run(params)
    joined = jnp.concatenate([first.prediction, second.prediction], 1)
    np.testing.assert_allclose(joined, whole.prediction, atol=1e-13)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-13), end, carry)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_truncation_cuts_the_gradient_between_segments(cell, x64):
    graph, params, rest = randomized(cell, output=OutputSpec((2,), True), truncate=4)
    batch = batch_of(np.random.default_rng(5), False)
    untruncated = randomized(cell, output=OutputSpec((2,), True))[0]

    def whole(graph, params):
        return (nnx.merge(graph, params, rest)(batch)[0].prediction ** 2).sum()

    def segments(params):
        model = nnx.merge(untruncated, params, rest)
        first, carry = model({"inputs": batch["inputs"][:, :4]})
        second, _ = model({"inputs": batch["inputs"][:, 4:]}, carry=jax.lax.stop_gradient(carry))
        return (first.prediction**2).sum() + (second.prediction**2).sum()

    run = quick_jit(jax.value_and_grad(whole, 1), static_argnums=0)
    (value, got), (same, full) = run(graph, params), run(untruncated, params)
    want = quick_jit(jax.grad(segments))(params)
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-10, atol=1e-12), got, want)
    assert value == same
    assert not np.allclose(full["layers"][0][0]["recurrent"][...], got["layers"][0][0]["recurrent"][...])


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("cell", reference.CELLS)
def test_hidden_gradients_equal_finite_differences(cell, padded, x64):
    graph, params, rest = randomized(cell, readout="mean")
    model, batch = nnx.merge(graph, params, rest), batch_of(np.random.default_rng(6), padded)
    got = quick_jit(lambda: model.hidden_gradients(batch, lambda outputs, batch: (outputs.prediction**2).sum(-1)))()
    ((w,),), head = plain(params, False)
    norms = np.zeros((len(LENGTHS), TIME))

    def loss(x, step, shift):
        state, total = (np.zeros(HIDDEN),) * (2 if cell == "lstm" else 1), 0
        for t, row in enumerate(x):
            state = reference.CELLS[cell](row, state, w)
            state = (state[0] + shift * (t == step), *state[1:])
            total = total + state[0] / len(x)
        return ((total @ head["kernel"] + head["bias"]) ** 2).sum()

    for n, x in enumerate(np.asarray(batch["inputs"])):
        x = x[: LENGTHS[n]] if padded else x
        for t in range(len(x)):
            unit = 1e-6 * np.eye(HIDDEN)
            norms[n, t] = np.linalg.norm([(loss(x, t, e) - loss(x, t, -e)) / 2e-6 for e in unit])
    np.testing.assert_allclose(got, norms.mean(0), rtol=1e-6)


def test_hidden_gradients_of_two_directions_and_lower_layers(features_first, x64):
    graph, params, rest = randomized("gru", layers=2, bidirectional=True, output=OutputSpec((2,), True))
    model, batch = nnx.merge(graph, params, rest), batch_of(np.random.default_rng(7), True)

    def loss(outputs, batch):
        return outputs.prediction[:, 2].sum(-1)

    last, first = quick_jit(lambda: [model.hidden_gradients(batch, loss, layer=k) for k in (-1, 0)])()
    # both directions of step 2 are read; the others are reached through one direction each
    direct = np.linalg.norm(np.asarray(params["head"]["kernel"][...]).sum(1))
    assert last[2] == pytest.approx(direct * (LENGTHS > 2).mean())
    assert np.all(last > 0)
    assert np.all(first > 0)
    assert first.shape == (TIME,)


@pytest.mark.parametrize("cell", reference.CELLS)
def test_batched_by_vmap_and_map_equal_single_runs(cell, features_first):
    batch = {"inputs": jnp.asarray(np.random.default_rng(8).normal(size=(3, TIME, CHANNELS)), jnp.float32)}
    graph, params, rest = randomized(cell)

    def gradient(scale):
        loss = jax.value_and_grad(lambda p: (nnx.merge(graph, p, rest)(batch)[0].prediction ** 2).sum())
        return loss(jax.tree.map(lambda p: p * scale, params))

    scales, run = jnp.asarray([0.3, 0.6, 1.0]), quick_jit(gradient)
    single = jax.tree.map(lambda *parts: np.stack(parts), *[run(scale) for scale in scales])
    for together in (quick_jit(jax.vmap(gradient)), quick_jit(lambda s: jax.lax.map(gradient, s))):
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), together(scales), single)


def test_split_over_devices_changes_nothing(features_first):
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,))
    graph, params, rest = randomized("lstm", layers=2)
    inputs = jnp.asarray(np.random.default_rng(9).normal(size=(8, TIME, CHANNELS)), jnp.float32)

    def gradient(params, inputs, sharding=None):
        inputs = inputs if sharding is None else jax.lax.with_sharding_constraint(inputs, sharding)
        loss = lambda p: (nnx.merge(graph, p, rest)({"inputs": inputs})[0].prediction ** 2).mean()  # noqa: E731
        return jax.value_and_grad(loss)(params)

    want = jax.jit(gradient)(params, inputs)
    everywhere = jax.device_put((params, inputs), NamedSharding(mesh, PartitionSpec()))
    split = NamedSharding(mesh, PartitionSpec("batch"))
    compiled = jax.jit(lambda *a: gradient(*a, split)).lower(*everywhere).compile()
    assert "all-gather" not in compiled.as_text()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), compiled(*everywhere), want)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_bfloat16_throughout(cell, features_first):
    graph, params, rest = randomized(cell, layers=2, truncate=3)
    batch = {"inputs": jnp.ones((4, TIME, CHANNELS)), "lengths": jnp.asarray(LENGTHS)}

    def loss(params, inputs):
        outputs, carry = nnx.merge(graph, params, rest)(batch | {"inputs": inputs})
        return (outputs.prediction**2).sum(), (outputs.prediction, carry)

    run = quick_jit(jax.value_and_grad(loss, has_aux=True))
    (_, (exact, _)), _ = run(params, batch["inputs"])
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), (params, batch["inputs"]))
    (_, everything), gradient = run(*half)
    assert {leaf.dtype for leaf in jax.tree.leaves((everything, gradient))} == {jnp.dtype(jnp.bfloat16)}
    np.testing.assert_allclose(everything[0].astype(jnp.float32), exact, atol=0.1)


def test_new_numbers_and_batches_do_not_retrace():
    traces = []

    @quick_jit
    def run(dropout, inputs):
        traces.append(1)
        model = build("rnn", layers=2, dropout=dropout)
        return model({"inputs": inputs}, nnx.Rngs(dropout=0))[0].prediction

    inputs = jnp.ones((4, TIME, CHANNELS))
    first, second = run(0.1, inputs), run(0.7, inputs * 2)
    assert len(traces) == 1
    assert not np.allclose(first, second)
    assert nnx.split(nnx.eval_shape(lambda: build("gru")))[0] == nnx.split(nnx.eval_shape(lambda: build("gru")))[0]


@pytest.mark.parametrize("layers", [1, 2])
def test_dropout_lies_between_layers_alone(layers):
    params = randomized("rnn", layers=layers)[1]
    dropping = nnx.split(build("rnn", layers=layers, dropout=0.9), nnx.Param, ...)
    batch = {"inputs": jnp.ones((4, TIME, CHANNELS))}

    @quick_jit
    def run():
        model = nnx.merge(dropping[0], params, dropping[2])
        return [model(batch, rngs)[0].prediction for rngs in (None, nnx.Rngs(dropout=0))]

    evaluated, trained = run()
    assert np.array_equal(evaluated, trained) == (layers == 1)


def test_initial_weights():
    one = jax.jit(lambda: nnx.state(build("lstm").layers[0][0]))()
    for block in jnp.split(one["recurrent"][...], 4, 1):
        np.testing.assert_allclose(block @ block.T, np.eye(HIDDEN), atol=1e-5)
    np.testing.assert_array_equal(one["bias"][...], np.repeat([0.0, 1.0, 0.0, 0.0], HIDDEN))


@pytest.mark.parametrize("padded", [False, True])
def test_padding_is_never_read(padded):
    graph, params, rest = randomized("lstm", bidirectional=True, readout="mean")
    run, rng = quick_jit(lambda batch: nnx.merge(graph, params, rest)(batch)[0].prediction), np.random.default_rng(10)
    inputs = rng.normal(size=(len(LENGTHS), TIME, CHANNELS)).astype(np.float32)
    beyond = np.arange(TIME) >= LENGTHS[:, None]
    batch = {"inputs": inputs, "lengths": LENGTHS} if padded else {"inputs": inputs}
    changed = {**batch, "inputs": np.where(beyond[..., None], 1e3, inputs)}
    assert np.array_equal(run(batch), run(changed)) == padded


@pytest.mark.parametrize(
    ("readout", "per_step", "text"),
    [
        (
            "per_step",
            False,
            "model.readout=per_step needs a task with a target at every time step, but this one has one per sequence. "
            "Set for example model.readout=last.",
        ),
        (
            "mean",
            True,
            "model.readout must be auto or per_step where targets are given per time step, but got mean. "
            "Set model.readout=auto.",
        ),
    ],
)
def test_readout_must_fit_the_task(readout, per_step, text):
    with pytest.raises(ConfigError) as caught:
        build("rnn", readout=readout, output=OutputSpec((2,), per_step))
    assert str(caught.value) == text


def test_two_directions_take_no_carry():
    batch = {"inputs": jnp.ones((1, TIME, CHANNELS))}
    graph, params, rest = randomized("rnn", bidirectional=True)
    model = nnx.merge(graph, params, rest)
    assert jax.eval_shape(lambda: model(batch)[1]) is None
    with pytest.raises(ConfigError, match=r"^A carried state needs the past alone, but model.bidirectional is true"):
        model(batch, carry=((jnp.zeros((1, HIDDEN)),),))
