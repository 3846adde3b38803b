"""Training for the estimators: one prepared objective for all folds and penalties.

A fold is the same problem with different weights, 0 for the held-out rows. Features are therefore computed once, and folds
require no compilation. Within a fold, penalties decrease and each is warm-started from the previous solution.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from taylornets import activations, losses, models
from taylornets._fit import (
    FitHistory,
    FitResult,
    Rank,
    blocks_results,
    close_gap,
    minimize,
    regularization_path,
    sum_path,
    within_memory,
)
from taylornets.certificates import Certificate, certify_objective, certify_sum, default_tolerance, weighted_sum
from taylornets.estimators._data import Scaling, TrainingData, columns_for, filled, rows_for
from taylornets.estimators._representation import Stored
from taylornets.objectives import (
    ORDERS,
    Objective,
    SumObjective,
    blocks_objective,
    linear_outputs,
    orders_of,
    single_objective,
    strengths,
    with_linear_block,
)
from taylornets.optimizers import LBFGS
from taylornets.two_layer import TwoLayerNetwork

# Selection uses looser settings than the final fit: the tolerance on the scale-free gradient, and the number of steps.
_PATH_TOL, _PATH_STEPS = 1e-2, 100
_SUM_TOL = 1e-3  # relative gap of sums
_FEATURE_BYTES = 2**28  # larger features are not stored, but recomputed in every pass
_CHUNK = 512
_PREDICTED = 4096  # rows predicted at a time
_SOLVER = LBFGS(memory=10)


def takes_class_numbers(loss: str) -> bool:
    """Returns whether the targets of a loss are class indices, with one output per class."""
    kind = losses.get(loss)
    return kind.classifies and not kind.separable


class TaylorSettings(NamedTuple):
    """The training problem: a model (an order `k`, a name, or several orders) with a loss and a penalty `λ ‖W‖^p`."""

    model: str | int | tuple[int, ...]
    loss: str
    power: float | tuple[float, ...]
    activation: str
    chunk_size: int | None = None

    @property
    def meaning(self) -> models.Model:
        """The model; of a sum, that of its highest order."""
        orders = self.orders
        if orders is None:
            single: Any = self.model
            return models.get(single)
        return models.get("quadratic" if orders == ORDERS else orders[-1])

    @property
    def orders(self) -> tuple[int, ...] | None:
        """The orders of a sum, or None."""
        return orders_of(self.model)

    def host_start(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draws the initial displacement; of a sum without a certificate, one for each order, stacked."""
        if self.orders in (None, ORDERS):
            return self.meaning.host_start(generator, shape)
        return np.stack([models.get(k).host_start(generator, shape) for k in self.orders or ()])

    def network(self, w0: np.ndarray, signs: np.ndarray) -> TwoLayerNetwork:
        """Returns the network of paired units, with inputs padded by zeros."""
        w0 = filled(w0, len(w0), columns_for(w0.shape[1]))
        return TwoLayerNetwork(jnp.asarray(w0), jnp.asarray(signs), activations.get(self.activation), symmetric=True)

    def objective(self, net: TwoLayerNetwork, problem: TrainingData, penalty: Any) -> Objective | SumObjective:
        """Returns the penalized risk on a problem with padded rows."""
        rows, y = rows_for(len(problem.x)), problem.y
        y = np.pad(y, [(0, rows - len(y)), (0, 0)], mode="edge")  # padding must be valid labels
        chunk_size, kept = self.chunk_size, rows * net.pairs * net.w0.dtype.itemsize
        if chunk_size is None and kept > _FEATURE_BYTES:
            chunk_size = _CHUNK
        options: dict[str, Any] = {
            "loss": self.loss,
            "power": self.power,
            "chunk_size": chunk_size,
            "sample_weight": filled(problem.weight, rows),
        }
        x, y = filled(problem.x, rows, net.inputs), y[:, 0].astype(int) if takes_class_numbers(self.loss) else y
        if self.orders is None:
            return single_objective(net, x, y, model=self.meaning, penalty=penalty, **options)
        if self.orders != ORDERS:
            return blocks_objective(net, x, y, self.orders, penalty=penalty, **options)
        first, second = strengths(penalty)
        risk = single_objective(net, x, y, model=self.meaning, penalty=second, **options)
        return with_linear_block(risk, first)

    def parts(self, net: TwoLayerNetwork, w: Any, x: np.ndarray) -> list[np.ndarray]:
        """Computes the outputs of each order of a sum, otherwise of the model, as one entry."""
        if self.orders is not None:
            return [self._replace(model=k).outputs(net, part, x) for k, part in zip(self.orders, w, strict=True)]
        return [self.outputs(net, w, x)]

    def outputs(self, net: TwoLayerNetwork, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Computes outputs (for the randomized network, their mean over signs) in blocks of rows, shape `(n, outputs)`."""
        model, w, parts = self.meaning, filled(w, len(w), net.inputs), []
        for start in range(0, len(x), _PREDICTED):
            block = x[start : start + _PREDICTED]
            ready = filled(block, rows_for(len(block)), net.inputs)
            found = model.outputs(net, w, ready)
            parts.append(np.asarray(model.mean_output(found))[: len(block)])
        return np.concatenate(parts)


class Training(NamedTuple):
    """A prepared training problem.

    Attributes:
        settings: model, loss and penalty.
        problem: the scaled data.
        scaling: of the inputs.
        representation: of the scaled inputs, or None.
        w0: initial weights, shape `(m, d)`.
        signs: output signs, shape `(m, outputs)`.
        risk: the objective; its penalty is set later.
        start: initial displacement, columns padded.
        generator: source of further random numbers.
    """

    settings: TaylorSettings
    problem: TrainingData
    scaling: Scaling
    representation: Stored | None
    w0: np.ndarray
    signs: np.ndarray
    risk: Objective | SumObjective
    start: Array
    generator: np.random.Generator


def walk(risk: Objective | SumObjective, w: Any, penalties: Sequence[float], max_iter: int) -> Iterator[FitResult]:
    """Runs the path for the selection of a penalty, with loose tolerance."""
    if isinstance(risk, SumObjective):
        return _blocks(risk, w, penalties, _PATH_TOL, min(_PATH_STEPS, max_iter))
    if risk.block is not None:
        return sum_path(risk, penalties, None, tol=_SUM_TOL, max_steps=max_iter)

    def solve(risk: Objective, w: Array) -> FitResult:
        steps = min(_PATH_STEPS, max_iter)
        return minimize(risk, w, _SOLVER, jax.random.key(0), certified=False, tol=_PATH_TOL, max_steps=steps)

    return regularization_path(risk, penalties, solve, w)


def _blocks(risk: SumObjective, w: Any, penalties: Sequence[Any], tol: float, max_iter: int) -> Iterator[FitResult]:
    """Trains a sum without a certificate; nothing is computed before the first result, in the caller's precision."""
    key = jax.random.key(0)
    yield from blocks_results(risk, penalties, w, solver=_SOLVER, key=key, tol=tol, max_steps=max_iter)


def certified_fit(risk: Objective, w: Array, rank: Rank, tol: float, max_iter: int, on_check: Any = None) -> FitResult:
    """Trains to a certified gap of `tol` if the model has a certificate, at any rank if `rank` is `"auto"`."""
    model = risk.model
    options: dict[str, Any] = {"tol": tol, "max_steps": max_iter, "on_check": on_check}

    def solve(risk: Objective) -> FitResult:
        if rank == "auto" and model.term == 2:
            return close_gap(risk, w, _SOLVER, **options)
        return minimize(risk, w, _SOLVER, jax.random.key(0), certified=model.certifiable, **options)

    return within_memory(solve, risk)[0].explained(rank, default_tolerance(risk))


def train(
    training: Training, penalties: Sequence[Any], *, rank: Rank, tol: float, max_iter: int, on_check: Any
) -> tuple[FitResult, int]:
    """Follows the path to its last penalty, and trains there to a certified gap of `tol` if the model has a certificate.

    Returns:
        The result, and the total number of iterations.
    """
    risk, w, steps = training.risk, training.start, 0
    if isinstance(risk, SumObjective):
        for result in walk(risk, w, penalties[:-1], max_iter):
            w, steps = result.w, steps + result.steps
        (result,) = _blocks(risk, w, penalties[-1:], tol, max_iter)
        return result, steps + result.steps
    if risk.block is not None:
        (result,) = sum_path(risk, penalties[-1:], None, tol=tol, max_steps=max_iter)
        return result, result.steps
    for result in walk(risk, w, penalties[:-1], max_iter):
        w, steps = result.w, steps + result.steps
    found = certified_fit(risk.with_penalty(penalties[-1]), w, rank, tol, max_iter, on_check)
    return found, steps + found.steps


def certified_path(
    training: Training, penalties: Sequence[Any], rank: Rank, tol: float, max_iter: int
) -> Iterator[FitResult]:
    """Trains to a certified gap of `tol` at every penalty."""
    risk = training.risk
    if isinstance(risk, SumObjective):
        return _blocks(risk, training.start, penalties, tol, max_iter)
    if risk.block is not None:
        return sum_path(risk, penalties, None, tol=tol, max_steps=max_iter)

    def solve(risk: Objective, w: Array) -> FitResult:
        return certified_fit(risk, w, rank, tol, max_iter)

    return regularization_path(risk, penalties, solve, training.start)


def continues(previous: Any, w: np.ndarray, rank: Rank) -> bool:
    """Whether training can continue from a displacement: same shape or, at any rank, same width and inputs."""
    if not isinstance(previous, np.ndarray):
        return False
    return previous.shape == w.shape or (rank == "auto" and previous.shape[:: previous.ndim - 1] == w.shape)


def held_out(
    risk: Objective | SumObjective, result: FitResult, weight: np.ndarray, labels: np.ndarray | None
) -> tuple[float, float]:
    """Scores a solution on the rows of a fold: error rate (0 for regression) and risk.

    Args:
        risk: the objective of all rows.
        result: the solution trained without the fold.
        weight: weights of the rows of the fold, 0 elsewhere, shape `(rows,)`.
        labels: class indices of all rows, shape `(n,)`; empty for regression.
    """
    if isinstance(risk, SumObjective):
        found, value = risk.outputs(result.w), float(risk.with_weights(weight).risk(result.w))
        return _scored(found, value, weight, labels)
    rows = risk.with_weights(weight)
    if isinstance(result.w, tuple):
        v, w = result.w
        found = risk.outputs(w) + linear_outputs(risk, v)
        value = float(weighted_sum(rows, rows.loss.value(found, rows.targets())))
    else:
        found, value = risk.mean_outputs(result.w), float(rows.risk(result.w))
    return _scored(found, value, weight, labels)


def _scored(found: Any, value: float, weight: np.ndarray, labels: np.ndarray | None) -> tuple[float, float]:
    if labels is None:
        return 0.0, value
    wrong = decided(np.asarray(found)[: len(labels)]) != labels
    return float(np.average(wrong, weights=weight[: len(labels)])), value


def decided(outputs: np.ndarray) -> np.ndarray:
    """Returns the class indices predicted by the outputs."""
    return (outputs[:, 0] > 0).astype(int) if outputs.shape[1] == 1 else np.argmax(outputs, axis=1)


def stored(certificate: Certificate, rows: int) -> Certificate:
    """Converts a certificate to NumPy without loss of precision, with the dual vector restricted to the first rows."""
    numbers = jax.tree.map(np.asarray, certificate)
    return eqx.tree_at(lambda c: c.dual_vector, numbers, numbers.dual_vector[:rows])


def certified(risk: Objective | SumObjective, w: Any, rows: int) -> Certificate:
    """Computes the certificate of any displacement, or pair of displacements."""
    assert isinstance(risk, Objective)
    blocks = [
        jnp.asarray(filled(block, len(block), risk.net.inputs)) for block in (w if isinstance(w, tuple) else (w,))
    ]
    found = certify_objective(risk, blocks[0]) if risk.block is None else certify_sum(risk, tuple(blocks))
    return stored(found, rows)


def history_of(history: FitHistory) -> dict[str, list[float]]:
    """Returns the trajectory of a run as plain lists."""
    names = ("steps", "objective", "gradient_norm", "scaled_gradient", "relative_gap")
    return {name: list(getattr(history, name)) for name in names}
