"""The dual Newton method to a certified gap of 1e-8 on 160 problems, and L-BFGS with one, two and four copies of each unit.

150 problems: five networks, three activations, two losses, five pairs of penalty and power. Ten more have several outputs,
anisotropic or few inputs, weights, the Huber loss, and odd or constant targets. Every method runs once after a run that
compiles; times are those of its history. Problems of one shape share their programs.
"""

import itertools
import statistics
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import taylornets as tn
from benchmarks import _measure

GAP, MOST_STEPS = 1e-8, 5000
NETWORKS = ((60, 6, 32), (80, 7, 48), (100, 8, 64), (110, 9, 80), (120, 10, 100))
ACTIVATIONS = ("cubic_relu", "tanh", "softplus")
PENALTIES = ((1e-8, 4), (1e-6, 4), (1e-3, 4), (1e-6, 8), (1e-9, 8))
COPIES = (1, 2, 4)


class Problem(NamedTuple):
    """A training problem."""

    name: str
    net: tn.TwoLayerNetwork
    x: Any
    y: Any
    options: dict[str, Any]


def product(index: int, activation: str, loss: str, penalty: float, power: int, outputs: int = 1) -> Problem:
    """A noisy product, or the labels made from it, on the unit sphere."""
    n, d, m = NETWORKS[index]
    keys = jax.random.split(jax.random.key(index), 3)
    net = tn.TwoLayerNetwork.init(keys[0], d, m, outputs=outputs, activation=activation)
    x = jax.random.normal(keys[1], (n, d))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    y = d * x[:, 0] * x[:, 1] + 0.1 * jax.random.normal(keys[2], (n,))
    if loss == "logistic":
        y = jnp.where(y > 0, 1.0, -1.0)
    options: dict[str, Any] = {"loss": loss, "penalty": penalty, "power": power}
    return Problem(f"{activation}, {loss}, λ = {penalty:g}, p = {power}", net, x, y, options)


def own() -> list[Problem]:
    """Ten problems of other kinds."""
    base = product(0, "cubic_relu", "squared", 1e-6, 4)
    x, d, n = base.x, base.x.shape[1], len(base.x)
    steep = x * jnp.arange(1, d + 1) ** -1.5
    labels = jnp.argmax(x[:, :3] ** 2, axis=1)
    three = product(0, "tanh", "squared", 1e-6, 4, outputs=3)
    change = {
        "anisotropic inputs": base._replace(x=steep),
        "odd target": base._replace(y=x[:, 0] ** 3),
        "constant target": base._replace(y=jnp.ones(n)),
        "two inputs": base._replace(net=tn.TwoLayerNetwork.init(jax.random.key(9), 2, 32), x=x[:, :2]),
        "weights": base._replace(options=base.options | {"sample_weight": jnp.exp(3 * x[:, 2] * d**0.5)}),
        "Huber loss": base._replace(options=base.options | {"loss": "huber"}),
        "GELU, p = 6": product(0, "gelu", "squared", 1e-7, 6),
        "three outputs": three._replace(y=jnp.stack([three.y, x[:, 0] ** 2, x[:, 1] ** 2], axis=1)),
        "softmax": three._replace(y=labels, options=three.options | {"loss": "softmax"}),
        "separable labels": product(0, "cubic_relu", "logistic", 1e-10, 4)._replace(
            y=jnp.where(x[:, 0] ** 2 > x[:, 1] ** 2, 1.0, -1.0)
        ),
    }
    return [problem._replace(name=name) for name, problem in change.items()]


def run(problem: Problem, method: str, rank: Any, steps: int) -> dict[str, float]:
    """Steps, seconds and gap of one method, after a run that compiles."""
    net, x, y, options = problem[1:]
    options = options | {"method": method, "rank": rank, "tol": GAP, "key": jax.random.key(5), "throw": False}
    tn.fit(net, x, y, max_steps=min(steps, 40), **options)
    found = tn.fit(net, x, y, max_steps=steps, **options)
    assert found.certificate is not None
    return {"steps": found.steps, "seconds": found.history.seconds[-1], "gap": float(found.certificate.relative_gap)}


def compared(problems: list[Problem], methods: dict[str, Any], most: int) -> dict[str, list[dict[str, float]]]:
    """The runs of every method; programs of problems that differ in more than the penalty are dropped, which frees memory."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    for _, same in itertools.groupby(problems, key=lambda problem: problem.name.split(", λ")[0]):
        for problem, (name, method) in itertools.product(list(same), methods.items()):
            found[name].append(run(problem, *method, most))
        jax.clear_caches()
    return found


def row(name: str, runs: list[dict[str, float]]) -> list[Any]:
    """Certified runs, steps and seconds of one method over the problems."""
    steps = sorted(each["steps"] for each in runs)
    seconds = [each["seconds"] for each in runs]
    gaps = [each["gap"] for each in runs]
    closed = sum(gap <= GAP for gap in gaps)
    return [name, f"{closed} of {len(runs)}", statistics.median(steps), steps[int(0.9 * (len(steps) - 1))], steps[-1],
            f"{statistics.median(seconds):.3f}", f"{max(seconds):.2f}", f"{max(gaps):.0e}"]  # fmt: skip


def main(quick: bool) -> dict[str, Any]:
    methods = {"dual Newton": ("dual_newton", "auto")} | {f"L-BFGS, R = {r}": ("lbfgs", r) for r in COPIES}
    choices = itertools.product(range(len(NETWORKS)), ACTIVATIONS, ("squared", "logistic"), PENALTIES)
    most = 50 if quick else MOST_STEPS
    with jax.enable_x64(True):
        problems = {
            "150 problems": [product(i, a, loss, *pair) for i, a, loss, pair in choices][: 2 if quick else None],
            "ten others": own()[: 1 if quick else None],
        }
        found = {title: compared(some, methods, most) for title, some in problems.items()}
    columns = ["method", "certified", "steps: median", "90 %", "largest", "s: median", "largest", "largest gap"]
    tables = [
        {"title": title, "columns": columns, "rows": [row(name, runs) for name, runs in by_method.items()]}
        for title, by_method in found.items()
    ]
    ours = [each for by_method in found.values() for each in by_method["dual Newton"]]
    steps, worst = [each["steps"] for each in ours], max(each["gap"] for each in ours)
    middle = statistics.median(steps)
    return {
        "title": "Certified optimality on 160 problems",
        "floors": ["one Newton step: one eigendecomposition of each unit and one factorization of size n"],
        "tables": tables,
        "runs": found,
        "problems": {title: [problem.name for problem in some] for title, some in problems.items()},
        "targets": [
            _measure.target("gap ≤ 1e-8 in all", f"{worst:.1e}", worst <= GAP),
            _measure.target("steps: median ≤ 20", f"{middle:g}", middle <= 20),
            _measure.target("steps: at most 40", f"{max(steps)}", max(steps) <= 40),
        ],
    }
