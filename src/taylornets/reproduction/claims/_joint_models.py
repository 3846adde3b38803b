"""Target, models and test errors of the claim `joint`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

import taylornets as tn
from taylornets.learning import problems
from taylornets.reproduction.claims import ClaimContext

PENALTIES = (1e-5, 1e-6, 1e-7)
RIDGES = (1e-2, 1e-3, 1e-4, 1e-5)
HALF = 0.5  # a²/(a² + b²), the share of the linear part
NAMES = {"linear": "NTK", "quadratic": "quadratic model", "sum": "sum of both"}
TOLERANCE, STEPS = 1e-3, 200
_VALIDATION = 500


@dataclass(frozen=True)
class Shape:
    """Sizes that determine the compiled programs: all dimensions up to `columns` and all `n` up to `rows` share them.

    Args:
        rows: rows of the training data; those beyond the examples have weight 0.
        columns: inputs of the network; those beyond the dimension are 0 and change no inner product.
        width: hidden units.
        pairs: pairs `±x` of test inputs.
    """

    rows: int
    columns: int
    width: int
    pairs: int


def target(x: Array) -> Array:
    """A dense linear part and `z_1 z_2`, both of variance 1/2 (`z = √d x`)."""
    d = x.shape[1]
    dense = jnp.where(jnp.arange(d) % 2, -1.0, 1.0)
    return (x @ dense + d * x[:, 0] * x[:, 1]) * np.sqrt(HALF)


def errors(
    key: PRNGKeyArray, d: int, n: int, shape: Shape, activation: str, models: Sequence[str] = tuple(NAMES)
) -> dict[str, float]:
    """Test errors of models over the variance of the target, penalties by validation; the bound of parity; the gap.

    An even model predicts the same at `x` and `-x`. Its error on such pairs is at least the mean square of the odd part of the
    target: `"bound"`, over the variance of the same test targets. `"gap"` is the largest certified gap of the selected fits.
    """
    keys = jax.random.split(key, 4)
    counts = (shape.rows, shape.pairs, _VALIDATION)
    x, test, valid = (problems.sphere(k, count, d) for k, count in zip(keys, counts, strict=False))
    test = jnp.concatenate([test, -test])  # pairs ±x, so that the bound of parity is exact on the sample
    net = tn.TwoLayerNetwork.init(keys[3], shape.columns, shape.width, activation=activation)
    y, truth, wanted = target(x), target(test), target(valid)
    x, test, valid = (jnp.pad(each, ((0, 0), (0, shape.columns - d))) for each in (x, test, valid))
    odd = (truth[: shape.pairs] - truth[shape.pairs :]) / 2
    found: dict[str, float] = {"bound": float(jnp.mean(odd**2) / jnp.var(truth)), "gap": 0.0}
    for name in models:
        path = _path(name, net, x, y, (np.arange(shape.rows) < n).astype(float))
        scores = [(float(jnp.mean((r.predict(valid)[:, 0] - wanted) ** 2)), i) for i, r in enumerate(path)]
        best = path[min(scores)[1]]
        found[name] = float(jnp.mean((best.predict(test)[:, 0] - truth) ** 2) / jnp.var(truth))
        assert best.certificate is not None
        found["gap"] = max(found["gap"], float(best.certificate.relative_gap))
    return found


def _path(name: str, net: tn.TwoLayerNetwork, x: Array, y: Array, weight: np.ndarray) -> list[Any]:
    shared: dict[str, Any] = {"tol": TOLERANCE, "max_steps": STEPS, "throw": False, "sample_weight": weight}
    if name == "linear":
        return tn.fit_path(net, x, y, RIDGES, model="linear", power=2, **shared)
    model = "quadratic" if name == "quadratic" else "linear+quadratic"
    return tn.fit_path(net, x, y, PENALTIES, model=model, power=4, **shared)


def kept_errors(
    context: ClaimContext,
    seed: int,
    d: int,
    n: int,
    shape: Shape,
    activation: str,
    models: Sequence[str] = tuple(NAMES),
) -> dict[str, float]:
    """Returns `errors` with the key of a seed, from the finished parts of an interrupted run if they are there."""
    cell = {"d": d, "n": n, "seed": [context.seed, seed], **asdict(shape), "activation": activation, "models": models}
    key = jax.random.fold_in(context.key, seed)
    return context.kept(json.dumps(cell), partial(errors, key, d, n, shape, activation, models))
