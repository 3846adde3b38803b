"""Runs a cell: draws the data, trains along the penalty path, validates, tests (theory 8)."""

import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import taylornets as tn
from taylornets.experiments.paths import penalty_path
from taylornets.experiments.sweeps._cell import KERNELS, POWERS, Cell
from taylornets.experiments.sweeps._data import INPUTS, TARGETS

# Up to here an eigendecomposition serves the whole path of ridges; then CG on the stored matrix; then CG without it.
_DECOMPOSED, _STORED = 1200, 32_000
_TOLERANCE = 1e-4
RESULTS = ("error", "validation_error", "penalty", "path", "sign_variance", "m_op", "steps", "status", "seconds")


def draw(cell: Cell, role: str, n: int) -> tuple[Array, Array]:
    """Inputs and noiseless targets of one role; the first rows of a larger draw are those of a smaller one.

    Args:
        cell: seed, dimension, inputs and target count.
        role: `"train"`, `"validation"` or `"test"`.
        n: examples.

    Returns:
        Inputs of shape `(n, d)` and targets of shape `(n,)`, in float32.
    """
    key = jax.random.fold_in(cell.key("d", "inputs", "decay"), ("train", "validation", "test").index(role))
    # Blocks of fixed size with keys of their own make draws nested.
    size = 256
    blocks = [
        INPUTS[cell.inputs](jax.random.fold_in(key, block), size, cell.d, cell.decay) for block in range(-(-n // size))
    ]
    x = jnp.concatenate(blocks)[:n].astype(jnp.float32)
    return x, TARGETS[cell.target][0](x)


def run(cell: Cell) -> dict[str, Any]:
    """Runs a cell.

    Args:
        cell: what to run.

    Returns:
        `error` (mean squared error on fresh examples over the variance of the target), `validation_error`, the chosen
        `penalty`, its place in the `path` (`"inside"`, `"strongest"`, `"weakest"`), `sign_variance` (randomized networks:
        the mean variance over signs, relative as the error; the error is that of the mean), `m_op` of the training
        inputs, `steps`, `status` and `seconds`.

    Source: theory 8.
    """
    started = time.perf_counter()
    x, y = draw(cell, "train", cell.n)
    validation, test = draw(cell, "validation", cell.validation), draw(cell, "test", cell.test)
    scale = float(jnp.sqrt(jnp.mean(test[1] ** 2)))
    noise = jax.random.split(cell.key("d", "n", "noise"))
    y = y / scale + cell.noise * jax.random.normal(noise[0], y.shape, y.dtype)
    wanted = validation[1] / scale + cell.noise * jax.random.normal(noise[1], validation[1].shape, y.dtype)
    truth = np.asarray(test[1] / scale, float)
    best: dict[str, Any] | None = None
    steps, places = 0, len(cell.penalties)
    candidates = _kernel if cell.model in KERNELS else _network
    for place, (penalty, status, taken, predict) in enumerate(candidates(cell, x, y, (validation[0], test[0]))):
        steps += taken
        guesses, variance = predict
        validated = float(np.mean((guesses[0] - np.asarray(wanted)) ** 2))
        if best is None or validated < best["validation_error"]:
            best = {
                "error": float(np.mean((guesses[1] - truth) ** 2) / np.var(truth)),
                "validation_error": validated,
                "penalty": penalty,
                "path": "strongest" if place == 0 else "weakest" if place == places - 1 else "inside",
                "sign_variance": None if variance is None else variance / float(np.var(truth)),
                "status": status,
            }
    assert best is not None
    m_op = float(tn.generalization.operator_norm_ratio(x))
    return best | {"m_op": m_op, "steps": steps, "seconds": time.perf_counter() - started}


Candidate = tuple[float, str, int, tuple[list[np.ndarray], float | None]]


def _network(cell: Cell, x: Array, y: Array, others: tuple[Array, Array]) -> Iterator[Candidate]:
    key = cell.key("d", "width", "activation")
    net = tn.TwoLayerNetwork.init(key, cell.d, cell.width, activation=cell.activation, dtype=jnp.float32)
    path = penalty_path(
        net,
        x,
        y,
        model=cell.model,
        penalties=cell.penalties,
        power=POWERS[cell.model],
        key=jax.random.fold_in(key, 1),
        padded=cell.padded or None,
    )
    for step in path:
        guesses, variance = _predict(net, cell.model, step.w, others)
        yield step.penalty, step.status, step.steps, (guesses, variance)


def _predict(
    net: tn.TwoLayerNetwork, model: str, w: Array, others: tuple[Array, Array]
) -> tuple[list[np.ndarray], float | None]:
    if model == "randomized":
        moments = [tn.randomization.Signs().moments(net, w, x) for x in others]
        return [np.asarray(item.mean[:, 0], float) for item in moments], float(moments[1].variance.mean())
    order = {"linear": 1, "quadratic": 2}.get(model)
    outputs = [net(w, x) if order is None else net.term(order, w, x) for x in others]
    return [np.asarray(item[:, 0], float) for item in outputs], None


def _kernel(cell: Cell, x: Array, y: Array, others: tuple[Array, Array]) -> Iterator[Candidate]:
    kernel: Any = cell.activation
    if cell.model == "finite_ntk":
        key = cell.key("d", "width", "activation")
        kernel = tn.TwoLayerNetwork.init(key, cell.d, cell.width, activation=cell.activation, dtype=jnp.float32)
    gram = None
    if cell.n <= _STORED:
        gram = tn.kernels.infinite_width_ntk(kernel, x) if cell.model == "ntk" else tn.kernels.ntk(kernel, x)
    if gram is not None and cell.n <= _DECOMPOSED:
        path = tn.kernels.kernel_ridge(gram, y[:, None]).path(cell.penalties)
        solutions = [(c, "SOLVED", 0) for c in path]
    else:
        solutions = list(_conjugate_gradients(cell, kernel if gram is None else gram, x, y))
    # One pass over the kernel serves the whole path.
    stacked = jnp.concatenate([c for c, _, _ in solutions], axis=1)
    values = np.asarray(tn.kernels.predict(kernel, jnp.concatenate(others), x, stacked), float)
    for place, (penalty, (_, status, steps)) in enumerate(zip(cell.penalties, solutions, strict=True)):
        column = values[:, place]
        yield penalty, status, steps, ([column[: cell.validation], column[cell.validation :]], None)


def _conjugate_gradients(cell: Cell, kernel: Any, x: Array, y: Array) -> Iterator[tuple[Array, str, int]]:
    start = None
    for penalty in cell.penalties:
        found = tn.kernels.kernel_ridge_cg(kernel, x, y[:, None], penalty, start=start, tol=_TOLERANCE)
        start = found.coefficients
        yield start, "SOLVED" if found.converged else "MAX_STEPS", int(found.steps)
