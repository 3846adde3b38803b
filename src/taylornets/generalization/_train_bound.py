"""Training for the PAC-Bayes bound itself (theory 13)."""

import time
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import ndtr, roots_hermitenorm

from taylornets import _checks
from taylornets._fit import FitHistory, FitResult, Status
from taylornets.generalization._gibbs import Scored, mean_loss
from taylornets.generalization._informed import Rows, targets_of
from taylornets.generalization._kl import kl_upper, log_xi, slopes
from taylornets.generalization._lifted import Lifted, check_network, factored, gram_of
from taylornets.generalization._linear import Classes, LinearModel, classes_of_labels, is_kernel, orders_of
from taylornets.generalization._pac_bayes import check_delta, priors_of, split_rows
from taylornets.generalization._posterior import Divergence, minimized, seeger

_NODES = 40  # of the training objective; the certificate uses more
_RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
_LEAST = 1e-12  # eigenvalues below, relative to the largest, are dropped


class _Problem(NamedTuple):
    """The bound as a function of whitened coefficients `g`, with outputs `base + root g` and `KL = ½‖g‖²`."""

    base: np.ndarray
    root: np.ndarray
    deviation: np.ndarray
    labels: np.ndarray
    constant: float

    def __call__(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        """Returns the bound and its gradient."""
        g = flat.reshape(self.root.shape[1], -1)
        outputs = self.base + self.root @ g
        loss, slope = _loss(outputs, self.deviation, self.labels)
        n = len(outputs)
        bound = kl_upper(loss, (np.sum(g**2) / 2 + self.constant) / n)
        if bound >= 1 - 1e-12:  # flat: the divergence alone still points to the prior
            return 1.0 + float(np.sum(g**2)) / (2 * n), flat / n
        in_loss, in_kl = slopes(max(loss, 1e-300), bound)
        gradient = in_loss * (self.root.T @ slope) + in_kl * g / n
        return bound, gradient.ravel()


def _loss(outputs: np.ndarray, deviation: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Returns the mean Gibbs loss and its derivative in the outputs, shape `(n, C)`."""
    n, classes = outputs.shape
    if classes == 1:
        margins = labels * outputs[:, 0] / deviation
        density = np.exp(-(margins**2) / 2) / np.sqrt(2 * np.pi)
        return float(np.mean(ndtr(-margins))), (-labels * density / deviation / n)[:, None]
    nodes, weights = roots_hermitenorm(_NODES)
    weights, rows = weights / weights.sum(), np.arange(n)
    margins = (outputs[rows, labels][:, None] - outputs) / deviation[:, None]
    shifted = margins[:, :, None] + nodes
    below = ndtr(shifted)
    below[rows, labels] = 1.0
    logs = np.log(np.maximum(below, 1e-300))
    rest = np.exp(logs.sum(axis=1)[:, None] - logs) * np.exp(-(shifted**2) / 2) / np.sqrt(2 * np.pi)
    slope = (rest @ weights) / deviation[:, None] / n
    slope[rows, labels] = 0.0
    slope[rows, labels] = -slope.sum(axis=1)
    return 1 - float(np.mean(np.prod(below, axis=1) @ weights)), slope


def pac_bayes_posterior(
    net: Any,
    x: ArrayLike | None,
    y: ArrayLike,
    *,
    order: int | None = None,
    delta: float = 0.05,
    prior_rows: Any = None,
    seed: int | None = None,
    max_steps: int = 500,
) -> FitResult:
    """Trains a classifier by minimizing its PAC-Bayes bound: Gibbs error plus divergence, by L-BFGS.

    The minimizer has lifted weights `T = Σ_i β_i φ(x_i)`, plus the mean of an informed prior, so that training is a problem
    in `n` coefficients per class, at any width and order. With `prior_rows`, a Gaussian process on these rows is the prior.

    Args:
        net: a network with one output, drawn independently of the rows, or a Gram matrix or kernel operator with one output.
        x: examples, shape `(n, d)`; `None` for a kernel.
        y: labels, as for `pac_bayes`; for more than two classes, each class has weights of its own.
        order: `k ≥ 1`; not used for kernels.
        delta: failure probability of the bound.
        prior_rows: number of rows that train an informed prior, or their indices.
        seed: seed by which a number of prior rows is drawn; `None` takes the first rows.
        max_steps: maximum number of iterations.

    Returns:
        A result whose `objective` is the bound on the Gibbs error. Its `w` has shape `(m, d)` for order 1, and `(m, R, d)`
        with as
        many copies as the optimum needs for higher orders (`d` at most for order 2, `n` for orders ≥ 3), with a leading axis
        of classes for more than two; for a kernel, the coefficients, shape `(n,)` or `(n, C)`. `pac_bayes` with the same rows
        certifies it.

    Raises:
        ArgumentError: for invalid arguments, or a network with several outputs.

    Source: theory 13.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=32)
        >>> x = jax.random.normal(jax.random.key(1), (200, 3))
        >>> y = jnp.sign(x[:, 0])
        >>> found = tn.generalization.pac_bayes_posterior(net, x, y, order=1)
        >>> again = tn.generalization.pac_bayes(net, found.w, x, y, order=1)
        >>> found.w.shape, bool(again.gibbs <= found.objective + 1e-3)
        ((32, 3), True)
    """
    started = time.perf_counter()
    check_delta(delta)
    max_steps = _checks.integer("max_steps", max_steps, 1)
    kernel = is_kernel(net)
    classes = classes_of_labels(y, 1)
    rows = split_rows(len(classes.labels), prior_rows, seed)
    gram, data = _gram(net, x, classes, order)
    problem, spread = _pose(gram, classes, rows, delta)
    columns = problem.base.shape[1]
    history = FitHistory()

    def record(intermediate_result: Any) -> None:
        value, slope = problem(intermediate_result.x)
        history.objective.append(value)
        history.gradient_norm.append(float(np.linalg.norm(slope)))
        history.scaled_gradient.append(history.gradient_norm[-1] * float(np.linalg.norm(intermediate_result.x)) / value)
        history.steps.append(len(history.objective))
        history.seconds.append(time.perf_counter() - started)

    start = _start(gram, problem, classes, rows)
    found = minimize(
        problem, start.ravel(), jac=True, method="L-BFGS-B", callback=record,
        options={"maxiter": max_steps, "maxfun": 4 * max_steps, "ftol": 1e-12, "gtol": 1e-9},
    )  # fmt: skip
    coefficients = spread(found.x.reshape(-1, columns))
    status = Status.MAX_STEPS if found.nit >= max_steps else Status.STATIONARY
    if kernel:
        w = jnp.asarray(coefficients[:, 0] if columns == 1 else coefficients)
    else:
        assert order is not None
        parts = [_trimmed(factored(net, data, column, order)) for column in coefficients.T]
        w = jnp.asarray(parts[0] if columns == 1 else _stacked(parts), net.w0.dtype)
    return FitResult(w, float(found.fun), None, status, int(found.nit), history)


def _gram(net: Any, x: Any, classes: Classes, order: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kernel of one output on all rows, shape `(n, n)`, and the examples."""
    n = len(classes.labels)
    if is_kernel(net):
        values = _checks.host(net.gram() if hasattr(net, "gram") else net, np.float64)
        if values.size != n * n:
            raise _checks.ArgumentError("net", f"a kernel of one output on {n} rows", f"shape {values.shape}")
        return _checks.host(_checks.array("net", values.reshape(n, n), (n, n)), np.float64), np.empty((n, 0))
    net = check_network(net)
    if net.outputs != 1:
        advice = "For several classes, a network with one output gets weights for each class."
        raise _checks.ArgumentError("net", "one output", f"{net.outputs}", advice)
    order = _checks.integer("order", order, 1, "Pass `order=2`.")
    if not net.symmetric and order % 2 == 0:
        advice = "Without pairs, even powers have one sign."
        raise _checks.ArgumentError("net", f"symmetric=True for order {order}", "symmetric=False", advice)
    data = _checks.host(_checks.array("x", x, (n, net.inputs)), np.float64)
    return gram_of(net, data, data, orders_of(order, None)), data


def _pose(gram: np.ndarray, classes: Classes, rows: Rows, delta: float) -> tuple[_Problem, Any]:
    """Returns the problem, and the map from whitened coefficients to coefficients of the kernel on all rows."""
    counted, columns = rows.counted, 1 if classes.number == 2 else classes.number
    inner, diagonal = gram[np.ix_(counted, counted)], np.diag(gram)[counted]
    base, prior, share = np.zeros((len(counted), columns)), None, 1.0
    if len(rows.prior):
        lifted = Lifted(base, 1.0, np.diag(gram))
        model = LinearModel(lifted, np.diag(gram), lambda first, second: gram[np.ix_(first, second)])
        share, prior = priors_of(model, classes, rows)[0]
        cross = gram[np.ix_(counted, rows.prior)]
        base, diagonal = cross @ prior.mean, prior.variance(diagonal, cross)
        inner = inner - cross @ prior.inverse @ cross.T
    values, vectors = np.linalg.eigh((inner + inner.T) / 2)
    keep = values > _LEAST * max(values[-1], 0.0)
    root = vectors[:, keep] * np.sqrt(values[keep])
    deviation = np.sqrt(np.maximum(diagonal, np.finfo(float).tiny))
    constant = log_xi(len(counted)) - float(np.log(delta * share))
    problem = _Problem(base, root, deviation, classes.labels[counted], constant)

    def spread(g: np.ndarray) -> np.ndarray:
        beta = (vectors[:, keep] / np.sqrt(values[keep])) @ g
        found = np.zeros((len(gram), columns))
        found[counted] = beta
        if prior is not None:
            found[rows.prior] = prior.mean - prior.inverse @ (gram[np.ix_(rows.prior, counted)] @ beta)
        return found

    return problem, spread


def _start(gram: np.ndarray, problem: _Problem, classes: Classes, rows: Rows) -> np.ndarray:
    """Returns the best of some ridge solutions at their best scale, or the prior mean if there is one."""
    columns = problem.base.shape[1]
    best = np.zeros((problem.root.shape[1], columns))
    if len(rows.prior):
        return best
    targets, n = targets_of(problem.labels, classes.number), len(problem.labels)
    projected, squares = problem.root.T @ targets, np.sum(problem.root**2, axis=0)
    lowest = np.inf
    for ridge in _RIDGES:
        g = projected / (squares + ridge * float(np.mean(np.diag(gram))))[:, None]
        scored = Scored(problem.root @ g, problem.deviation, problem.labels)
        found = minimized(mean_loss(scored), Divergence(float(np.sum(g**2))), seeger(n, 0.05), n, 0.0)
        if found.bound < lowest:
            lowest, best = found.bound, found.scale * g
    return best


def _trimmed(w: np.ndarray) -> np.ndarray:
    """Drops copies that are zero in every unit; the copies of a unit are in any order."""
    if w.ndim == 2:
        return w
    order = np.argsort(-np.linalg.norm(w, axis=2), axis=1, kind="stable")
    w = np.take_along_axis(w, order[:, :, None], axis=1)
    used = int(np.max(np.sum(np.any(w != 0, axis=2), axis=1), initial=1))
    return w[:, :used]


def _stacked(parts: list[np.ndarray]) -> np.ndarray:
    """Stacks the displacements of the classes, padded with zero copies."""
    if parts[0].ndim == 2:
        return np.stack(parts)
    most = max(part.shape[1] for part in parts)
    return np.stack([np.pad(part, [(0, 0), (0, most - part.shape[1]), (0, 0)]) for part in parts])
