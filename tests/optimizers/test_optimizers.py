"""Every optimizer against its formula in float64, and PyTorch where the two agree; duties that all of them have."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nnrun.schema import build, config_class, locate

NAMES = ("sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adadelta", "adam", "adamw", "nadam", "lamb", "lion")
DECOUPLED = ("adamw", "lamb", "lion")
STEPS = 6


def target(name):
    return f"nnrun.optimizers.{name}.{name}"


def make(name, **values):
    return build("optimizer", {"_target_": target(name), **values})


def transformation(name, config):
    return locate(target(name))(config)


class Formula:
    """One array's directions by the published formula; `config` may have more fields than it needs."""

    def __init__(self, name, config, shape):
        self.name, self.c, self.t = name, config, 0
        self.m, self.v = np.zeros(shape), np.full(shape, getattr(config, "initial_sum", 0.0))

    def __call__(self, gradient, weight):
        self.t += 1
        decays = self.c.weight_decay if weight.ndim > 1 else 0.0
        if self.name in DECOUPLED:
            return self.trust(getattr(self, self.name)(gradient) + decays * weight, weight)
        return getattr(self, self.name)(gradient + decays * weight)

    def trust(self, direction, weight):
        return direction * np.linalg.norm(weight) / np.linalg.norm(direction) if self.name == "lamb" else direction

    def sgd(self, g):
        return g

    def momentum(self, g):
        self.m = self.c.momentum * self.m + g
        return self.m

    def nesterov(self, g):
        return g + self.c.momentum * self.momentum(g)

    def rmsprop(self, g):
        self.v = self.c.decay * self.v + (1 - self.c.decay) * g**2
        return g / (np.sqrt(self.v) + self.c.epsilon)

    def adagrad(self, g):
        self.v = self.v + g**2
        return g / np.sqrt(self.v + self.c.epsilon)

    def adadelta(self, g):
        self.v = self.c.decay * self.v + (1 - self.c.decay) * g**2
        direction = g * np.sqrt(self.m + self.c.epsilon) / np.sqrt(self.v + self.c.epsilon)
        self.m = self.c.decay * self.m + (1 - self.c.decay) * direction**2
        return direction

    def adam(self, g):
        self.moments(g)
        return self.m / (1 - self.c.beta1**self.t) / self.root()

    adamw = lamb = adam

    def nadam(self, g):
        self.moments(g)
        b, t = self.c.beta1, self.t
        return (b * self.m / (1 - b ** (t + 1)) + (1 - b) * g / (1 - b**t)) / self.root()

    def lion(self, g):
        direction = np.sign(self.c.beta1 * self.m + (1 - self.c.beta1) * g)
        self.m = self.c.beta2 * self.m + (1 - self.c.beta2) * g
        return direction

    def moments(self, g):
        self.m = self.c.beta1 * self.m + (1 - self.c.beta1) * g
        self.v = self.c.beta2 * self.v + (1 - self.c.beta2) * g**2

    def root(self):
        return np.sqrt(self.v / (1 - self.c.beta2**self.t)) + self.c.epsilon


def start():
    rng = np.random.default_rng(3)
    return {"kernel": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}


def gradients(weights):
    """Of a bowl that differs by coordinate."""
    return {name: np.linspace(0.3, 2.0, w.size).reshape(w.shape) * (w - 0.1) for name, w in weights.items()}


def by_formula(name, config, weights):
    formulas = {key: Formula(name, config, w.shape) for key, w in weights.items()}
    for _ in range(STEPS):
        slopes = gradients(weights)
        weights = {k: w - config.learning_rate * formulas[k](slopes[k], w) for k, w in weights.items()}
    return weights


def by_nnrun(name, config, weights):
    chain = transformation(name, config)

    @jax.jit
    def step(weights, state):
        update, state = chain.update(gradients(weights), state, weights)
        return jax.tree.map(lambda w, u: w - config.learning_rate * u, weights, update), state

    state = chain.init(weights)
    for _ in range(STEPS):
        weights, state = step(weights, state)
    return weights


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("name", NAMES)
def test_steps_follow_the_published_formula(name, weight_decay):
    config = make(name, learning_rate=0.05, weight_decay=weight_decay)
    with jax.enable_x64(True):
        found = by_nnrun(name, config, jax.tree.map(jnp.asarray, start()))
        assert found["kernel"].dtype == jnp.float64
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), found, by_formula(name, config, start()))


def torch_optimizer(torch, name, config, weights):
    shared = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    betas = {"betas": (config.beta1, config.beta2), "eps": config.epsilon} if hasattr(config, "beta2") else {}
    settings = {
        "sgd": ("SGD", {}),
        "momentum": ("SGD", {"momentum": 0.9}),
        "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
        "rmsprop": ("RMSprop", {"alpha": 0.9, "eps": 1e-8}),
        "adagrad": ("Adagrad", {"eps": 1e-10}),
        "adadelta": ("Adadelta", {"rho": 0.9, "eps": 1e-6}),
        "adam": ("Adam", betas),
        "adamw": ("AdamW", betas),
        "nadam": ("NAdam", {**betas, "momentum_decay": 1e6}),
    }
    kind, own = settings[name]
    return getattr(torch.optim, kind)(weights, **shared, **own)


@pytest.mark.parametrize("name", NAMES[:9])
def test_steps_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    config, weights = make(name, weight_decay=0.02), {"kernel": start()["kernel"]}
    theirs = torch.tensor(weights["kernel"], requires_grad=True)
    optimizer = torch_optimizer(torch, name, config, [theirs])
    for _ in range(STEPS):
        theirs.grad = torch.tensor(gradients({"kernel": theirs.detach().numpy()})["kernel"])
        optimizer.step()
    with jax.enable_x64(True):
        ours = by_nnrun(name, config, jax.tree.map(jnp.asarray, weights))
    np.testing.assert_allclose(ours["kernel"], theirs.detach().numpy(), rtol=1e-7)


def traced_run(name, traced, weights, steps):
    """Trains on the bowl (w - 0.1)² with every number of the config traced and a step size that falls to 0."""
    config = dataclasses.replace(make(name), **traced)
    chain = transformation(name, config)

    def step(carry, left):
        w, state = carry
        update, state = chain.update(jax.tree.map(lambda x: 2 * (x - jnp.asarray(0.1, x.dtype)), w), state, w)
        w = jax.tree.map(lambda x, u: x - (config.learning_rate * left).astype(x.dtype) * u, w, update)
        return (w, state), None

    return jax.lax.scan(step, (weights, chain.init(weights)), jnp.linspace(1, 0, steps))[0]


def numbers(name, learning_rate):
    """Every number of the optimizer as a strongly typed array, the decay switched on but tiny."""
    values = {field.name: jnp.float32(field.default) for field in dataclasses.fields(config_class(target(name)))}
    return values | {"learning_rate": jnp.float32(learning_rate), "weight_decay": jnp.float32(1e-6)}


RATES = dict.fromkeys(NAMES, 0.05) | {"adadelta": 10.0, "adagrad": 0.5, "lion": 0.01, "sgd": 0.1}


@pytest.mark.parametrize("name", NAMES)
def test_converges_without_retracing_and_maps_over_trials(name):
    traces, weights = [], jax.tree.map(jnp.float32, {"kernel": np.full((2, 2), 1.0), "bias": np.full(2, 0.5)})

    def run(traced):
        traces.append(1)
        return traced_run(name, traced, weights, 400)

    program = jax.jit(run)
    found, _ = program(numbers(name, RATES[name]))
    again, _ = program(numbers(name, RATES[name] / 2))
    assert len(traces) == 1
    for leaf in jax.tree.leaves(found):
        np.testing.assert_allclose(leaf, 0.1, atol=0.05)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), numbers(name, RATES[name]), numbers(name, RATES[name] / 2))
    mapped, _ = jax.jit(jax.vmap(run))(stacked)
    jax.tree.map(lambda m, a, b: np.testing.assert_allclose(m, [a, b], rtol=1e-4, atol=1e-6), mapped, found, again)


@pytest.mark.parametrize("name", NAMES)
def test_keeps_bfloat16_weights_direction_and_state(name):
    weights = {"kernel": jnp.ones((2, 2), jnp.bfloat16), "bias": jnp.ones(2, jnp.bfloat16)}
    found, state = jax.jit(lambda traced: traced_run(name, traced, weights, 20))(numbers(name, RATES[name]))
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}
    floating = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert {leaf.dtype for leaf in floating} <= {jnp.dtype(jnp.bfloat16)}
    assert all((leaf < 1).all() and jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("name", NAMES)
def test_a_decay_of_zero_leaves_no_trace_in_the_program(name):
    weights = {"kernel": jnp.ones((2, 2))}

    def state(weight_decay):
        return jax.tree.structure(transformation(name, make(name, weight_decay=weight_decay)).init(weights))

    assert "Masked" not in str(state(0.0))
    assert "Masked" in str(state(0.1))


@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_traced_and_bounded(name):
    for field in dataclasses.fields(config_class(target(name))):
        assert field.metadata["traced"]
        assert {"above", "least"} & set(field.metadata)
        assert field.metadata["help"]


def test_a_first_lamb_step_on_zero_weights_is_adams():
    weights = {"kernel": jnp.zeros((2, 2))}
    slope = {"kernel": jnp.full((2, 2), 0.5)}
    update, _ = (chain := transformation("lamb", make("lamb"))).update(slope, chain.init(weights), weights)
    np.testing.assert_allclose(update["kernel"], 1.0, rtol=1e-5)


def test_optax_agrees_on_the_names_of_the_family():
    """adamw here, times its learning rate, is optax.adamw with the same mask."""
    config = make("adamw")
    ours = transformation("adamw", config)
    theirs = optax.adamw(1e-3, weight_decay=0.01, mask=lambda p: {"kernel": True})
    weights, slope = {"kernel": jnp.ones((2, 2))}, {"kernel": jnp.full((2, 2), 0.2)}
    update, _ = ours.update(slope, ours.init(weights), weights)
    with jax.numpy_dtype_promotion("standard"):
        step, _ = theirs.update(slope, theirs.init(weights), weights)
    np.testing.assert_allclose(-1e-3 * update["kernel"], step["kernel"], rtol=1e-6)
