"""Runs a cell: draws the data, trains along the regularization path, validates and tests (theory 8)."""

import time
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

import taylornets as tn
from taylornets._trees import padded_size
from taylornets.learning._cell import KERNELS, Cell
from taylornets.learning._data import INPUTS, target_of
from taylornets.learning._paths import padded_objective, penalty_path
from taylornets.models import Model

# Maximum number of examples for which one eigendecomposition serves the whole path of ridges; for which rows are padded to
# few sizes, since compiling takes as long as solving; and for which CG stores the matrix instead of only its products.
_DECOMPOSED, _FILLED, _STORED = 1024, 8192, 57_000
_ROWS = 64  # of the Gram matrix, formed at a time
_TOLERANCE = 1e-4


def draw(cell: Cell, role: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws inputs and noiseless targets of one role; smaller draws are prefixes of larger ones.

    Args:
        cell: seed, dimension, inputs and target count.
        role: `"train"`, `"validation"` or `"test"`.
        n: number of examples.

    Returns:
        Inputs of shape `(n, d)` and targets of shape `(n,)`, in float32.
    """
    key = jax.random.fold_in(cell.key("d", "inputs", "decay"), ("train", "validation", "test").index(role))
    # Blocks of fixed size with separate keys make draws nested and avoid compilation for each `n`.
    size = 256
    blocks = [INPUTS[cell.inputs](jax.random.fold_in(key, i), size, cell.d, cell.decay) for i in range(-(-n // size))]
    x = np.concatenate([np.asarray(block, np.float32) for block in blocks])[:n]
    return x, target_of(cell.target)[0](x)


def run_cell(cell: Cell) -> dict[str, Any]:
    """Runs a cell.

    Args:
        cell: the cell.

    Returns:
        `error` (mean squared test error divided by the variance of the target), `validation_error`, the selected
        `penalty`, its position in the `path` (`"inside"`, `"strongest"`, `"weakest"`), `sign_variance` (randomized networks:
        the mean variance over signs, normalized like the error, which is that of the mean output), `m_op` of the training
        inputs, `steps`, `status` and `seconds`.

    Source: theory 8.
    """
    started = time.perf_counter()
    x, y = draw(cell, "train", cell.n)
    validation, test = draw(cell, "validation", cell.validation), draw(cell, "test", cell.test)
    scale = np.float32(np.sqrt(np.mean(test[1] ** 2)))
    noise = np.random.default_rng(np.asarray(jax.random.key_data(cell.key("d", "n", "noise"))))
    y, wanted = (
        targets / scale + np.float32(cell.noise) * noise.standard_normal(len(targets), np.float32)
        for targets in (y, validation[1])
    )
    truth = (test[1] / scale).astype(float)
    best: dict[str, Any] | None = None
    steps, places = 0, len(cell.penalties)
    candidates = _kernel if cell.model in KERNELS else _network
    for place, (penalty, status, taken, predict) in enumerate(candidates(cell, x, y, (validation[0], test[0]))):
        steps += taken
        guesses, variance = predict
        validated = float(np.mean((guesses[0] - wanted) ** 2))
        if best is None or validated < best["validation_error"]:
            best = {
                "error": float(np.mean((guesses[1] - truth) ** 2) / np.var(truth)),
                "validation_error": validated,
                "penalty": penalty,
                "path": "strongest" if place == 0 else "weakest" if place == places - 1 else "inside",
                "sign_variance": None if variance is None else variance / float(np.var(truth)),
                "status": status,
            }
    if best is None:
        raise FloatingPointError(f"no penalty of the path gave finite weights: {cell.name}")
    m_op = float(tn.generalization.operator_norm_ratio(x))
    return best | {"m_op": m_op, "steps": steps, "seconds": time.perf_counter() - started}


Candidate = tuple[float, str, int, tuple[list[np.ndarray], float | None]]


def _network(cell: Cell, x: np.ndarray, y: np.ndarray, others: tuple[np.ndarray, np.ndarray]) -> Iterator[Candidate]:
    key = cell.key("d", "width", "activation")
    net = tn.TwoLayerNetwork.init(key, cell.d, cell.width, activation=cell.activation, dtype=jnp.float32)
    model = cell.meaning
    risk = padded_objective(net, x, y, model=model, power=2.0 * model.order, padded=cell.padded or None)
    for step in penalty_path(risk, cell.penalties, key=jax.random.fold_in(key, 1)):
        guesses, variance = _predict(net, model, step.w, others)
        yield step.penalty, step.status, step.steps, (guesses, variance)


def _predict(
    net: tn.TwoLayerNetwork, model: Model, w: Array, others: tuple[np.ndarray, np.ndarray]
) -> tuple[list[np.ndarray], float | None]:
    """Predicts on both sets of examples; also returns the mean variance of a randomized model on the second."""
    outputs = [model.outputs(net, w, x) for x in others]
    variance = None if model.randomization is None else float(outputs[1].variance.mean())
    return [np.asarray(model.mean_output(item)[:, 0], float) for item in outputs], variance


def _kernel(cell: Cell, x: np.ndarray, y: np.ndarray, others: tuple[np.ndarray, np.ndarray]) -> Iterator[Candidate]:
    # Rows are padded to one of few sizes, columns to a multiple of 64, so that grids of many `n` and `d` require few
    # compilations: a kernel depends only on inner products of the inputs, and padded rows are masked.
    rows, columns = _padded_rows(cell.n), -cell.d % 64
    kernel: Any = cell.activation
    if cell.model == "finite_ntk":
        key = cell.key("d", "width", "activation")
        net = tn.TwoLayerNetwork.init(key, cell.d, cell.width, activation=cell.activation, dtype=jnp.float32)
        w0 = jnp.pad(net.w0, ((0, 0), (0, columns)))
        kernel = tn.TwoLayerNetwork(w0, net.a, net.activation, net.symmetric)
    new = np.pad(np.concatenate(others), ((0, 0), (0, columns)))
    x = np.pad(np.pad(x, ((0, 0), (0, columns))), ((0, rows - cell.n), (0, 0)), mode="edge")
    y = np.pad(y, (0, rows - cell.n))[:, None]
    if cell.n > _STORED:
        solutions = list(_conjugate_gradients(cell, kernel, x[: cell.n], y[: cell.n]))
        x = x[: cell.n]
    else:
        mask = (np.arange(rows) < cell.n).astype(np.float32)
        gram = _masked_gram(kernel, x, mask)
        if cell.n <= _DECOMPOSED:
            # The mask pads the Gram matrix with zeros: a ridge `λ` for `n` examples is a ridge `λ n/rows` for all rows.
            path = tn.kernels.kernel_ridge(gram, y).path([p * cell.n / rows for p in cell.penalties])
            solutions = [(c, "SOLVED", 0) for c in path]
        else:
            solutions = list(_conjugate_gradients(cell, gram, x, y))
    # One pass over the kernel suffices for the whole path.
    stacked = jnp.concatenate([c for c, _, _ in solutions], axis=1)
    values = np.asarray(tn.kernels.predict(kernel, new, x, stacked), float)
    for place, (penalty, (_, status, steps)) in enumerate(zip(cell.penalties, solutions, strict=True)):
        column = values[:, place]
        yield penalty, status, steps, ([column[: cell.validation], column[cell.validation :]], None)


def _padded_rows(n: int) -> int:
    """Rounds up to 256, 512, 1024, then 1024 · 1.5^j in multiples of 64; above 8192, to the next multiple."""
    return padded_size(n, least=256, doubled=_DECOMPOSED, multiple=_ROWS, grown=_FILLED)


@eqx.filter_jit
def _masked_gram(kernel: Any, x: ArrayLike, mask: ArrayLike) -> Array:
    """Forms the Gram matrix in blocks of rows, since memory may not hold a second array of its size."""
    x, mask = jnp.asarray(x), jnp.asarray(mask)

    def some(part: tuple[Array, Array]) -> Array:
        rows, kept = part
        gram = (
            tn.kernels.infinite_width_ntk(kernel, rows, x)
            if isinstance(kernel, str)
            else tn.kernels.ntk(kernel, rows, x)
        )
        return gram * mask * kept[:, None]

    parts = (x.reshape(-1, _ROWS, x.shape[1]), mask.reshape(-1, _ROWS))
    return lax.map(some, parts).reshape(x.shape[0], x.shape[0])


def _conjugate_gradients(cell: Cell, kernel: Any, x: np.ndarray, y: np.ndarray) -> Iterator[tuple[Array, str, int]]:
    start = None
    for penalty in cell.penalties:
        ridge = penalty * cell.n / len(x)
        found = tn.kernels.kernel_ridge_cg(kernel, x, y, ridge, start=start, tol=_TOLERANCE)
        start = found.coefficients
        yield start, "SOLVED" if found.converged else "MAX_STEPS", int(found.steps)
