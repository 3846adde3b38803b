"""Every value of the history is recomputed from the parameters passed to a callback."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_problems import cross_entropy, perceptron, sgd, taylorized

import taylornets as tn
from taylornets.training._task import task_of

LEAVES = ["0.b", "0.w", "1.b", "1.w"]


def root_mean_square(a):
    return np.sqrt(np.sum(np.square(a)) / len(a))


def kernel(f, params, x):
    """From the explicit Jacobian, with one row per pair of example and output."""
    jacobian = jax.tree.leaves(jax.jacrev(lambda p: f(p, x).ravel())(params))
    rows = np.concatenate([np.reshape(leaf, (leaf.shape[0], -1)) for leaf in jacobian], axis=1)
    return rows @ rows.T


def expected_numbers(problem, models, params, x, y):
    outputs = {name: np.asarray(model(params[name], x)) for name, model in models.items()}
    full, start = outputs["full"], np.asarray(problem.f(problem.params, x))
    movement = root_mean_square(full - start)
    distance = {name: root_mean_square(outputs[name] - full) for name in (1, 2)}
    first, now = (kernel(problem.f, p, x[:3]) for p in (problem.params, params["full"]))
    cosine = np.sum(first * now) / np.linalg.norm(first) / np.linalg.norm(now)
    return {
        "loss": {name: np.mean(cross_entropy(out, y)) for name, out in outputs.items()},
        "accuracy": {name: np.mean(out.argmax(1) == y) for name, out in outputs.items()},
        "agreement": {name: np.mean(outputs[name].argmax(1) == full.argmax(1)) for name in (1, 2)},
        "distance": distance,
        "relative_distance": {name: d / movement if movement else 0.0 for name, d in distance.items()},
        "displacement": {
            name: [
                np.linalg.norm(after[leaf] - before[leaf])
                for before, after in zip(problem.params, params[name], strict=True)
                for leaf in ("b", "w")
            ]
            for name in models
        },
        "ntk_drift": 1 - cosine,
    }


@pytest.mark.parametrize("batch_size", [None, 5])
def test_classification(batch_size, x64):
    problem = perceptron(np.float64)
    models = {order: tn.taylor_expand(problem.f, problem.params, order) for order in (1, 2)} | {"full": problem.f}
    x, y = problem.batches.x[:12], problem.batches.y[:12]
    seen = []

    def callback(snapshot):
        params = {name: snapshot.params(name) for name in models}
        seen.append((snapshot.step, len(snapshot.history.steps), params))

    found = taylorized(
        problem.f, problem.params, problem.batches, orders=(2, 1), loss="softmax", optimizer=sgd(), probe=(x, y),
        probe_batch_size=batch_size, evaluate_every=4, ntk_inputs=3, callbacks=[callback],
    )  # fmt: skip
    history = found.history
    assert list(found.params) == [1, 2, "full"]
    assert history.steps == [0, 4, 6] == [step for step, _, _ in seen]
    assert [count for _, count, _ in seen] == [1, 2, 3]
    for i, (_, _, params) in enumerate(seen):
        numbers = expected_numbers(problem, models, params, x, y)
        for kind in ("loss", "accuracy", "agreement", "distance", "relative_distance"):
            table = getattr(history, kind)
            assert set(table) == set(numbers[kind])
            for name, value in numbers[kind].items():
                # Outputs that are alike to 1e-4 differ by what their rounding leaves; shares are single precision.
                rel = 1e-6 if kind in ("accuracy", "agreement") else 1e-8
                assert table[name][i] == pytest.approx(float(value), rel=rel, abs=1e-15), (kind, name)
        for name, lengths in numbers["displacement"].items():
            assert sorted(history.displacement[name]) == LEAVES
            values = [history.displacement[name][leaf][i] for leaf in LEAVES]
            np.testing.assert_allclose(values, lengths, rtol=1e-12)
        assert history.ntk_drift[i] == pytest.approx(numbers["ntk_drift"], rel=1e-8, abs=1e-15)
    assert history.relative_distance[1][0] == history.ntk_drift[0] == 0.0
    assert 0 < history.relative_distance[2][-1] < history.relative_distance[1][-1]
    assert {name: len(losses) for name, losses in history.train_loss.items()} == {1: 6, 2: 6, "full": 6}
    for name, model in models.items():
        np.testing.assert_allclose(found.outputs[name], model(found.params[name], x), rtol=1e-12)
    np.testing.assert_allclose(found.outputs[0], problem.f(problem.params, x), rtol=1e-12)
    assert found.leaf_norms == pytest.approx(
        {f"{i}.{leaf}": np.linalg.norm(layer[leaf]) for i, layer in enumerate(problem.params) for leaf in "bw"}
    )
    table = str(found).splitlines()
    assert table[0].split() == ["model", "loss", "accuracy", "distance", "to", "full", "agreement", "status"]
    assert [line.split("  ")[0] for line in table[1:]] == ["order 1", "order 2", "full"]
    assert f"{history.loss['full'][-1]:.4g}" in table[3]


def test_nothing_has_moved_before_the_first_step():
    """Series and model round differently, but the initial distance is exactly 0."""
    problem = perceptron(steps=1)
    found = taylorized(problem.f, problem.params, problem.batches, orders=(3,), loss="softmax", optimizer=sgd())
    assert found.history.relative_distance[3][0] == 0.0
    assert len(found.history.ntk_drift) == 2


def test_regression_has_no_classes():
    """One output of shape `(n,)`; the squared loss, passed as an object and averaged over examples."""
    x = np.linspace(-1, 1, 12, dtype=np.float32)[:, None]
    params = {"w": jnp.ones((1, 3)), "v": jnp.ones(3) / 3}

    def f(p, x):
        return jnp.tanh(x @ p["w"]) @ p["v"]

    found = taylorized(
        f, params, [(x, x[:, 0] ** 2)] * 3, orders=(1,), loss=tn.losses.get("squared"), optimizer=sgd(), ntk_inputs=0
    )
    history = found.history
    assert not history.accuracy
    assert not history.agreement
    assert not history.ntk_drift
    start = np.asarray(f(params, x))
    assert history.loss["full"][0] == pytest.approx(float(np.mean((start - x[:, 0] ** 2) ** 2)), rel=1e-5)
    assert history.train_loss[1][0] == pytest.approx(history.loss[1][0], rel=1e-6)
    assert str(found).splitlines()[1].split()[3] == "–"


@pytest.mark.parametrize(
    ("loss", "task", "kind", "classes"),
    [("softmax", "auto", int, True), ("logistic", "auto", float, True), ("squared", "auto", int, False),
     ("softmax", "regression", int, False), ("squared", "classification", float, True),
     (cross_entropy, "auto", int, True), (cross_entropy, "auto", bool, True), (cross_entropy, "auto", float, False),
     (cross_entropy, "regression", int, False)],
)  # fmt: skip
def test_what_counts_as_classification(loss, task, kind, classes):
    assert task_of(loss, task, np.zeros(3, kind)).classification is classes


def test_accuracy_of_all_forms_of_targets():
    outputs = jnp.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    several = task_of("softmax", "auto", None)
    assert float(several.accuracy(outputs, np.array([0, 1]))) == 0.5
    assert float(several.accuracy(outputs, np.eye(3)[[0, 2]])) == 1.0
    for one in (outputs[:, 0] - 1, outputs[:, :1] - 1):  # +1 and -1
        for labels, right in (([1, -1], 1.0), ([1, 0], 1.0), ([0, 1], 0.0), ([True, True], 0.5)):
            assert float(task_of("logistic", "auto", None).accuracy(one, np.array(labels))) == right


def test_labels_of_every_place():
    """Outputs `(n, length, classes)`, as of a language model; targets of shape `(n, length)`."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 5, 3)).astype(np.float32), rng.integers(0, 4, (6, 5))
    w = jnp.asarray(rng.normal(size=(3, 4)), jnp.float32)

    def f(w, x):
        return jnp.tanh(x @ w)

    found = taylorized(f, w, [(x, y)], orders=(), loss="softmax", optimizer=sgd(), ntk_inputs=2)
    assert found.history.loss["full"][0] == pytest.approx(float(cross_entropy(f(w, x), y).mean()), rel=1e-5)
    assert found.history.accuracy["full"][0] == pytest.approx(np.mean(np.asarray(f(w, x)).argmax(-1) == y))


def test_measurements_over_the_run():
    """About twenty measurements by default; no distances without the full model."""
    problem = perceptron(steps=50)
    found = taylorized(
        problem.f, problem.params, problem.batches, orders=(1,), loss="softmax", optimizer=sgd(), include_full=False
    )
    assert found.history.steps == [*range(0, 50, 3), 50]
    assert not found.history.distance
    assert not found.history.agreement
    assert not found.history.ntk_drift
    assert set(found.params) == set(found.history.loss) == {1}


def train_wide(outputs, width=1.0, **settings):
    """A linear model of one input with many outputs."""
    x = np.linspace(-1, 1, 4, dtype=np.float32)[:, None]
    params = {"v": jnp.full((1, outputs), width), "u": jnp.full((1, 1), width)}
    return taylorized(
        lambda p, x: x @ p["u"] @ p["v"], params, [(x, np.tile(2 * x, outputs))] * 2, orders=(), loss="squared",
        optimizer=optax.sgd(0.1 / outputs), **settings,
    )  # fmt: skip


NO_DRIFT = {
    "many outputs": ({"outputs": 10_001}, r"skipped by default for 10,001 outputs per input \(set ntk_inputs to compute it\)"),
    "memory": ({"outputs": 3, "max_bytes": 500}, r"x1: .* kernel of shape \(4, 3, 4, 3\) .*max_bytes"),
    "zero": ({"outputs": 3, "width": 0.0}, "the kernel at the initialization is zero"),
}  # fmt: skip


@pytest.mark.parametrize("which", NO_DRIFT)
def test_where_there_is_no_kernel_the_result_says_why(which):
    settings, reason = NO_DRIFT[which]
    found = train_wide(**settings)
    assert len(found.history.ntk_drift) == len(found.history.steps) == 3
    assert np.isnan(found.history.ntk_drift).all()
    assert re.match(reason, found.reasons["ntk_drift"])
    assert str(found).splitlines()[-1] == f"ntk_drift: {found.reasons['ntk_drift']}"


def test_a_kernel_that_was_asked_for_and_does_not_fit():
    with pytest.raises(
        tn.ArgumentError, match=r"^ntk_inputs: expected inputs whose kernel fits .* got 3 of 3 outputs each"
    ):
        train_wide(3, ntk_inputs=3, max_bytes=500)
    assert train_wide(3, ntk_inputs=3, max_bytes=float("inf")).history.ntk_drift[-1] > 0
