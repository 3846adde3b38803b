"""Training in lockstep equals separate training of each model by an ordinary optax loop on `tn.taylor_expand`."""

import itertools
import re
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from training_problems import (
    PROBLEMS,
    Problem,
    adam,
    assert_close,
    assert_same,
    cross_entropy,
    loop,
    perceptron,
    sgd,
    taylorized,
)

import taylornets as tn
from taylornets.training._lockstep import Lockstep, LockstepProblem
from taylornets.training._task import task_of

TOGETHER = pytest.mark.parametrize("together", [True, False], ids=["together", "in turn"])


def train(problem, optimizer, **settings):
    settings = {"loss": cross_entropy, "ntk_inputs": 0, "evaluate_every": 100} | settings
    return taylorized(problem.f, problem.params, problem.batches, optimizer=optimizer, **settings)


@pytest.mark.parametrize(
    ("name", "optimizer", "ways"), [("perceptron", sgd, (True, False)), ("convolution", adam, (True,))]
)
def test_orders_equal_a_plain_loop(name, optimizer, ways, x64):
    problem = PROBLEMS[name](np.float64)
    orders = (1, 2, 3, 4)
    alone = {
        order: loop(tn.taylor_expand(problem.f, problem.params, order), problem.params, problem.batches, optimizer())
        for order in orders
    }
    for together in ways:
        # The loss by its name: the package's own cross-entropy.
        found = train(problem, optimizer(), orders=orders, loss="softmax", together=together, include_full=False)
        assert found.together is together
        for order, (params, losses) in alone.items():
            assert_close(found.params[order], params, 1e-12)
            np.testing.assert_allclose(found.history.train_loss[order], losses, rtol=1e-12)
            assert found.steps[order] == len(problem.batches)


@pytest.mark.parametrize(
    ("name", "optimizer", "dtype"),
    [("perceptron", sgd, np.float64), ("convolution", adam, np.float32)],
)
def test_the_model_itself_is_trained_to_the_last_bit(name, optimizer, dtype):
    """In one program with a Taylor model, and in a separate program."""
    with jax.enable_x64(dtype is np.float64):
        problem = PROBLEMS[name](dtype)
        params, losses = loop(problem.f, problem.params, problem.batches, optimizer())
        assert jax.tree.leaves(params)[0].dtype == dtype
        for orders, together in (((2,), True), ((), False)):
            found = train(problem, optimizer(), orders=orders, together=together)
            assert_same(found.params["full"], params)
            assert found.history.train_loss["full"] == losses


def dropout(params, x, key):
    """The perceptron with dropout of the hidden units, given a key."""
    hidden = jnp.tanh(x @ params[0]["w"] + params[0]["b"])
    hidden = jnp.where(jax.random.bernoulli(key, 0.7, hidden.shape), hidden / 0.7, 0)
    return hidden @ params[1]["w"] + params[1]["b"]


def shift(key, x):
    return x + 0.1 * jax.random.normal(key, x.shape, x.dtype)


def test_all_models_share_the_noise(x64):
    """Step `i` splits `fold_in(key, i)` into keys for the model and the augmentation."""
    problem, key = perceptron(np.float64, steps=4), jax.random.key(8)
    runs = [
        taylorized(
            dropout, problem.params, problem.batches, orders=(2,), loss="softmax", optimizer=sgd(), key=key,
            augment=shift, stochastic=True, f_eval=problem.f, together=together, ntk_inputs=0, evaluate_every=9,
        )
        for together in (True, False)
    ]  # fmt: skip
    keys = [jax.random.split(jax.random.fold_in(key, step)) for step in range(4)]
    batches = [((shift(k[1], x), k[0]), y) for k, (x, y) in zip(keys, problem.batches, strict=True)]
    models = {2: tn.taylor_expand(dropout, problem.params, 2), "full": dropout}
    for name, model in models.items():
        params, losses = loop(lambda p, x, m=model: m(p, *x), problem.params, batches, sgd())
        for found in runs:
            np.testing.assert_allclose(found.history.train_loss[name], losses, rtol=1e-12)
            assert_close(found.params[name], params, 1e-12)
    # The measurements are without noise.
    x, y = problem.batches[0]
    assert runs[0].history.loss["full"][0] == pytest.approx(
        float(cross_entropy(problem.f(problem.params, x), y).mean())
    )


def equinox_model():
    class Net(eqx.Module):
        first: eqx.nn.Linear
        dropout: eqx.nn.Dropout
        last: eqx.nn.Linear
        rate: float
        name: str = eqx.field(static=True)

        def __call__(self, x):
            assert self.rate == 0.25  # a setting: still a number inside of the step
            hidden = self.dropout(jnp.tanh(self.first(x)), inference=True)
            return self.last(hidden)

    keys = jax.random.split(jax.random.key(0))
    net = Net(eqx.nn.Linear(3, 5, key=keys[0]), eqx.nn.Dropout(0.25), eqx.nn.Linear(5, 4, key=keys[1]), 0.25, "net")
    return (lambda net, x: jax.vmap(net)(x)), net


def linen_model():
    module = nn.Sequential([nn.Dense(5), jnp.tanh, nn.Dense(4)])
    return (lambda params, x: module.apply({"params": params}, x)), module.init(jax.random.key(0), jnp.ones((1, 3)))[
        "params"
    ]


def nnx_model():
    graph, params = nnx.split(
        nnx.Sequential(nnx.Linear(3, 5, rngs=nnx.Rngs(0)), jnp.tanh, nnx.Linear(5, 4, rngs=nnx.Rngs(1)))
    )
    return (lambda params, x: nnx.merge(graph, params)(x)), nnx.to_pure_dict(params)


@pytest.mark.parametrize("build", [equinox_model, linen_model, nnx_model])
def test_models_of_other_libraries(build):
    f, params = build()
    batches = perceptron(steps=3).batches
    found = taylorized(
        f, params, batches, orders=(2,), loss=cross_entropy, optimizer=sgd(), ntk_inputs=0, include_full=False
    ).params[2]
    moving, fixed = eqx.partition(params, eqx.is_inexact_array)
    model = tn.taylor_expand(f, params, 2)
    after, _ = loop(lambda p, x: model(eqx.combine(p, fixed), x), moving, batches, sgd())
    assert jax.tree.structure(found) == jax.tree.structure(params)
    assert_close(eqx.filter(found, eqx.is_inexact_array), after, 1e-5)
    assert jax.tree.leaves(eqx.filter(found, eqx.is_inexact_array, inverse=True)) == jax.tree.leaves(fixed)


@TOGETHER
def test_frozen_leaves_do_not_move(together):
    problem = perceptron()
    mask = [{"w": True, "b": False}, True]
    found = train(problem, adam(), orders=(3,), trainable=mask, together=together)
    flags = [{"w": True, "b": False}, {"w": True, "b": True}]
    for name in found.params:
        for flag, before, after in zip(
            jax.tree.leaves(flags), jax.tree.leaves(problem.params), jax.tree.leaves(found.params[name]), strict=True
        ):
            assert bool(np.array_equal(before, after)) is not flag
        assert set(found.history.displacement[name]) == {"0.w", "1.w", "1.b"}
    frozen, moving = eqx.partition(problem.params, jax.tree.map(lambda m: not m, flags))
    model = tn.taylor_expand(problem.f, problem.params, 3, trainable=mask)
    after, _ = loop(lambda p, x: model(eqx.combine(p, frozen), x), moving, problem.batches, adam())
    assert_close(eqx.filter(found.params[3], flags), after, 1e-5)


OPTIMIZERS = {
    "sgd": lambda: optax.sgd(0.1),
    "adam": lambda: optax.adam(0.01),
    "adamw of matrices": lambda: optax.adamw(
        0.01, weight_decay=0.1, mask=lambda p: jax.tree.map(lambda a: a.ndim > 1, p)
    ),
    "multi_transform": lambda: optax.multi_transform(
        {"w": optax.sgd(0.1), "b": optax.set_to_zero()}, {"w": "w", "b": "b"}
    ),
    "lbfgs": lambda: optax.lbfgs(),
    "plateau": lambda: optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(patience=1, accumulation_size=2)),
    "schedule free": lambda: optax.contrib.schedule_free_sgd(0.1),
    "prodigy": lambda: optax.contrib.prodigy(),
    "noise": lambda: optax.chain(optax.add_noise(0.1, 0.5, key=jax.random.key(1)), optax.sgd(0.1)),
    "two batches a step": lambda: optax.MultiSteps(optax.adam(0.01), 2).gradient_transformation(),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimizer(name, x64):
    """Includes optimizers that store the initial parameters, hold infinite best values, or take the loss as a function."""
    batches = perceptron(np.float64, steps=4).batches
    params = {"w": jnp.ones((3, 4)) * jnp.arange(4) / 4, "b": jnp.zeros(4)}
    problem = Problem(lambda p, x: jnp.sin(x @ p["w"] + p["b"]), params, batches)
    found = train(problem, OPTIMIZERS[name](), orders=(2,), include_full=False)
    assert not found.diverged
    model, optimizer = tn.taylor_expand(problem.f, problem.params, 2), OPTIMIZERS[name]()
    optimizer = optax.with_extra_args_support(optimizer)

    @jax.jit
    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        def objective(p: Any) -> Any:
            return jnp.mean(cross_entropy(model(p, x), y))

        value, gradient = jax.value_and_grad(objective)(params)
        updates, state = optimizer.update(gradient, state, params, value=value, grad=gradient, value_fn=objective)
        return optax.apply_updates(params, updates), state

    params, state = problem.params, optimizer.init(problem.params)
    for x, y in problem.batches:
        params, state = step(params, state, x, y)
    assert_close(found.params[2], params, 1e-11)  # line searches divide by small differences
    if name == "multi_transform":
        assert_same(found.params[2]["b"], problem.params["b"])


def test_a_model_that_diverges_stops_and_the_others_go_on():
    """Squared loss with a learning rate at which orders 3 and 4, polynomials in the displacement, diverge."""
    problem = perceptron(steps=30)
    targets = [(x, 3 * jax.nn.one_hot(y, 4)) for x, y in problem.batches]
    optimizer = optax.sgd(0.4, momentum=0.5)

    def run(**settings):
        return taylorized(
            problem.f, problem.params, targets, loss="squared", optimizer=optimizer, ntk_inputs=0, evaluate_every=1,
            **settings,
        )  # fmt: skip

    runs = [run(orders=(3, 4), together=True), run(orders=(3,), together=False)]
    for order in (3, 4):
        taken = runs[0].steps[order]
        assert 0 < taken < 30
        model = tn.taylor_expand(problem.f, problem.params, order)

        def squared(outputs, y):
            return jnp.sum((outputs - y) ** 2, axis=1)

        kept, _ = loop(model, problem.params, targets[:taken], optimizer, squared)
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(kept))
        gone, losses = loop(model, problem.params, targets[: taken + 1], optimizer, squared)
        assert not all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves((gone, losses)))
        for found in runs:
            if order not in found.params:
                continue
            assert found.steps[order] == taken
            assert found.status[order] == f"diverged in step {taken + 1}; the last finite state is kept"
            # What overflows in the end has multiplied its rounding in every step; a few digits are left.
            assert_close(found.params[order], kept, 1e-2)
            distances = found.history.displacement[order]["0.w"]
            assert len(set(distances[taken - 2 :])) == 3  # at rest from then on
    for found in runs:
        assert found.diverged == tuple(name for name in found.params if name != "full")
        assert found.steps["full"] == 30
        assert re.match(
            r"trained for 30 steps, but its loss on the probe set grew from 10\.4 to ", found.status["full"]
        )
        assert len(set(found.history.displacement["full"]["0.w"])) == 31
        assert "diverged in step" in str(found)


def study(problem, orders):
    mask = jax.tree.map(lambda _: True, problem.params)
    optimizer = optax.with_extra_args_support(sgd())
    return LockstepProblem(
        problem.f,
        problem.f,
        problem.params,
        mask,
        orders,
        True,
        task_of("softmax", "auto", None),
        optimizer,
        tn.training.TrainingSettings(),
    )


def test_one_after_the_other_where_memory_is_short(x64):
    problem = perceptron(np.float64)
    found, bytes_of = {}, {}
    for limit in (None, 1):
        it = study(problem, (2,))
        lockstep, states, losses = Lockstep(it, limit=limit), it.begin(), {}
        for batch in problem.batches:
            states, losses = lockstep(states, batch, None)
        assert list(losses) == [2, "full"]
        assert lockstep.together is (limit is None)
        found[limit], bytes_of[limit] = states, lockstep.bytes
    assert bytes_of[None] == bytes_of[1] > sum(leaf.nbytes for leaf in jax.tree.leaves(problem.params))
    for name in (2, "full"):
        assert_close(found[1][name].params, found[None][name].params, 1e-12)


def test_the_start_is_left_alone():
    """Steps donate their buffers, but neither the user's arrays nor the arrays passed to callbacks."""
    problem = perceptron()
    before = jax.tree.map(np.array, problem.params)
    kept = []
    found = train(
        problem, sgd(), orders=(1,), evaluate_every=1, callbacks=[lambda s: kept.append((s.step, s.params("full")))]
    )
    assert_same(problem.params, before)
    assert_same(kept[0][1], before)
    assert_same(kept[-1][1], found.params["full"])
    assert [step for step, _ in kept] == list(range(7))


def test_kinds_of_batches():
    """`Batches`, a list and an iterator of unknown length give the same training."""
    problem = perceptron(steps=4)
    whole = train(problem, sgd(), orders=())
    assert whole.history.steps == [0, 4]
    for batches in (list(problem.batches), itertools.islice(perceptron().batches, 4)):
        found = taylorized(
            problem.f,
            problem.params,
            batches,
            orders=(),
            loss=cross_entropy,
            optimizer=sgd(),
            ntk_inputs=0,
        )
        assert_same(found.params["full"], whole.params["full"])
        assert found.history.steps[-1] == 4
        assert len(found.history.train_loss["full"]) == 4


def test_a_model_that_exploded_to_finite_numbers_says_so():
    """The gradient of (x p³)² at p = 1 is 6: the order-2 model 1 + 3 Δ + 3 Δ² moves from Δ = 0 to −1.8 and diverges."""
    batch = (jnp.ones((4, 1)), jnp.zeros((4, 1)))
    found = taylorized(
        lambda p, x: x * p**3, jnp.array([1.0]), [batch] * 3, orders=(2, 3), loss="squared", optimizer=optax.sgd(0.3)
    )
    assert re.fullmatch(r"trained for 3 steps, but its loss on the probe set grew from 1 to \S+e\+\d+", found.status[2])
    assert found.status[3] == found.status["full"] == "trained for 3 steps"
