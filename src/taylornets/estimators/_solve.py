"""Training for the estimators: one prepared objective serves every fold and every penalty.

A fold is the same problem with other weights: 0 for the rows held out. So features are computed once, and nothing is
compiled for a fold. Within a fold each penalty starts from the solution of the one before, from strong to weak.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from taylornets import activations, losses, models
from taylornets._fit import FitHistory, FitResult, minimize, regularization_path
from taylornets.certificates import Certificate, certify_objective
from taylornets.estimators._data import TrainingData, columns_for, filled, rows_for
from taylornets.objectives import Objective, objective
from taylornets.optimizers import LBFGS
from taylornets.two_layer import TwoLayerNetwork

# Selection asks for less than the final fit: the scale-free gradient at which a penalty's run stops, and its steps.
_PATH_TOL, _PATH_STEPS = 1e-2, 100
_FEATURE_BYTES = 2**28  # features beyond that are not kept, but formed anew in every pass
_CHUNK = 512
_PREDICTED = 4096  # rows predicted at a time
_SOLVER = LBFGS(memory=10)


def takes_class_numbers(loss: str) -> bool:
    """Whether the targets of a loss are the numbers of classes with one output each."""
    kind = losses.get(loss)
    return kind.classifies and not kind.separable


class TaylorSettings(NamedTuple):
    """What is trained: a model (an order `k`, or a name) under a loss and a penalty `λ ‖W‖^p`."""

    model: str | int
    loss: str
    power: float
    activation: str
    chunk_size: int | None = None

    @property
    def meaning(self) -> models.Model:
        """The model."""
        return models.get(self.model)

    def network(self, w0: np.ndarray, signs: np.ndarray) -> TwoLayerNetwork:
        """The network of paired units; its inputs are filled up with zeros."""
        w0 = filled(w0, len(w0), columns_for(w0.shape[1]))
        return TwoLayerNetwork(jnp.asarray(w0), jnp.asarray(signs), activations.get(self.activation), symmetric=True)

    def objective(self, net: TwoLayerNetwork, problem: TrainingData, penalty: float) -> Objective:
        """The penalized risk on a problem, its rows filled up."""
        rows, y = rows_for(len(problem.x)), problem.y
        y = np.pad(y, [(0, rows - len(y)), (0, 0)], mode="edge")  # what fills up must be labels, too
        chunk_size, kept = self.chunk_size, rows * net.pairs * net.w0.dtype.itemsize
        if chunk_size is None and kept > _FEATURE_BYTES:
            chunk_size = _CHUNK
        return objective(
            net,
            filled(problem.x, rows, net.inputs),
            y[:, 0].astype(int) if takes_class_numbers(self.loss) else y,
            model=self.model,
            loss=self.loss,
            penalty=penalty,
            power=self.power,
            chunk_size=chunk_size,
            sample_weight=filled(problem.weight, rows),
        )

    def outputs(self, net: TwoLayerNetwork, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Outputs (of the randomized network: their mean over signs), shape `(n, outputs)`, some rows at a time."""
        model, w, parts = self.meaning, filled(w, len(w), net.inputs), []
        for start in range(0, len(x), _PREDICTED):
            block = x[start : start + _PREDICTED]
            ready = filled(block, rows_for(len(block)), net.inputs)
            found = model.outputs(net, w, ready)
            parts.append(np.asarray(model.mean_output(found))[: len(block)])
        return np.concatenate(parts)


def walk(risk: Objective, w: Array, penalties: Sequence[float], max_iter: int) -> Iterator[FitResult]:
    """The path on which a penalty is selected: not certified, and not trained to the end."""

    def solve(risk: Objective, w: Array) -> FitResult:
        steps = min(_PATH_STEPS, max_iter)
        return minimize(risk, w, _SOLVER, jax.random.key(0), certified=False, tol=_PATH_TOL, max_steps=steps)

    return regularization_path(risk, penalties, solve, w)


def certified_fit(risk: Objective, w: Array, tol: float, max_iter: int, on_check: Any = None) -> FitResult:
    """Trains to a certified gap of `tol` where the model has one."""
    return minimize(
        risk, w, _SOLVER, jax.random.key(0), certified=risk.model.certifiable, tol=tol, max_steps=max_iter,
        on_check=on_check,
    )  # fmt: skip


def train(
    risk: Objective, w: Array, penalties: Sequence[float], tol: float, max_iter: int, on_check: Any
) -> tuple[FitResult, int]:
    """Down the path of penalties to its last one, and there to a certified gap of `tol` where the model has one.

    Returns:
        The result, and all iterations together.
    """
    steps = 0
    for result in walk(risk, w, penalties[:-1], max_iter):
        w, steps = result.w, steps + result.steps
    found = certified_fit(risk.with_penalty(penalties[-1]), w, tol, max_iter, on_check)
    return found, steps + found.steps


def held_out(risk: Objective, result: FitResult, weight: np.ndarray, labels: np.ndarray | None) -> tuple[float, float]:
    """How a solution does on the rows of a fold: share of wrong labels (0 for regression), and the risk.

    Args:
        risk: the objective of all rows.
        result: the solution found without the fold.
        weight: of the fold's rows, 0 elsewhere, shape `(rows,)`.
        labels: class numbers of all rows, shape `(n,)`, or none.
    """
    value = float(risk.with_weights(weight).risk(result.w))
    if labels is None:
        return 0.0, value
    outputs = np.asarray(risk.mean_outputs(result.w))[: len(labels)]
    wrong = decided(outputs) != labels
    return float(np.average(wrong, weights=weight[: len(labels)])), value


def decided(outputs: np.ndarray) -> np.ndarray:
    """The class numbers that outputs decide for."""
    return (outputs[:, 0] > 0).astype(int) if outputs.shape[1] == 1 else np.argmax(outputs, axis=1)


def stored(certificate: Certificate, rows: int) -> Certificate:
    """A certificate whose numbers are NumPy's, so that no digit is lost outside; the dual vector of the first rows."""
    numbers = jax.tree.map(np.asarray, certificate)
    return eqx.tree_at(lambda c: c.dual_vector, numbers, numbers.dual_vector[:rows])


def certified(risk: Objective, w: np.ndarray, rows: int) -> Certificate:
    """The certificate of any displacement."""
    return stored(certify_objective(risk, jnp.asarray(filled(w, len(w), risk.net.inputs))), rows)


def history_of(history: FitHistory) -> dict[str, list[float]]:
    """The course of a run as plain lists."""
    names = ("steps", "objective", "gradient_norm", "scaled_gradient", "relative_gap")
    return {name: list(getattr(history, name)) for name in names}
