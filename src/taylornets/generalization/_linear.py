"""The two forms in which a classifier enters a bound: a network with a displacement, or a kernel with coefficients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from taylornets import _checks
from taylornets.generalization._lifted import (
    Lifted,
    NoisyOrders,
    check_network,
    evaluate,
    evaluate_classes,
    gram_of,
)

Indices = np.ndarray


class LinearModel(NamedTuple):
    """A classifier that is linear in its weights, on all rows.

    Attributes:
        lifted: outputs, norm and noise.
        diagonal: `K(x, x)` of one output, shape `(n,)`.
        gram: kernel of one output between two sets of rows; `None` if outputs share their weights.
    """

    lifted: Lifted
    diagonal: np.ndarray
    gram: Callable[[Indices, Indices], np.ndarray] | None


class Classes(NamedTuple):
    """Labels as ±1 for two classes and as indices for more.

    Attributes:
        labels: shape `(n,)`.
        number: number of classes.
    """

    labels: np.ndarray
    number: int


def is_kernel(net: Any) -> bool:
    """Returns whether `net` is a Gram matrix or a kernel operator."""
    matrix = isinstance(net, np.ndarray | jax.Array)
    return matrix or (callable(getattr(net, "gram", None)) and callable(getattr(net, "diagonal", None)))


def classes_of_labels(y: Any, outputs: int | None) -> Classes:
    """Checks labels: ±1, 0/1 or booleans for two classes, 0..C-1 for `C` outputs.

    Args:
        y: labels, shape `(n,)` or `(n, 1)`.
        outputs: number of outputs of the network; `None` or 1 accepts any number of classes.
    """
    values = _checks.host(y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype == bool:
        values = values.astype(float)
    values = _checks.host(_checks.array("y", values, ("n",), "Labels have shape (n,) or (n, 1)."), np.float64)
    distinct = np.unique(values)
    if len(distinct) == 1:
        raise _checks.ArgumentError("y", "labels of at least two classes", f"only {distinct[0]:g}")
    several = (outputs or 1) > 1
    if not several and np.array_equal(distinct, [-1, 1]):
        return Classes(values, 2)
    if not several and np.array_equal(distinct, [0, 1]):
        return Classes(2 * values - 1, 2)
    count = outputs if several and outputs is not None else int(distinct[-1]) + 1
    if np.any(distinct != np.round(distinct)) or distinct[0] < 0 or distinct[-1] >= count or count > len(values):
        bad = distinct[(distinct != np.round(distinct)) | (distinct < 0) | (distinct >= count)]
        expected = f"labels 0 to {count - 1}" if several else "labels ±1, 0/1, booleans, or classes 0 to C - 1"
        raise _checks.ArgumentError("y", expected, f"{(bad if len(bad) else distinct)[-1]:g}")
    return Classes(values.astype(int), count)


def orders_of(order: Any, ratios: tuple[float, ...] | None) -> NoisyOrders:
    """Checks `order` and the noise ratios of a sum."""
    several = isinstance(order, tuple | list)
    named = tuple(_checks.integer("order", k, 0 if several else 1) for k in (order if several else (order,)))
    advice = "For a sum of orders, pass a tuple such as (1, 2)."
    if len(set(named)) != len(named) or list(named) != sorted(named) or max(named, default=0) < 1:
        raise _checks.ArgumentError(
            "order", "an order ≥ 1 or a tuple of ascending orders", _checks.shown(order), advice
        )
    if ratios is None:
        return NoisyOrders(named, (1.0,) * len(named))
    if len(ratios) != len(named):
        raise _checks.ArgumentError("settings", f"{len(named)} noise ratios, one per order", f"{len(ratios)}")
    for ratio in ratios:
        _checks.positive("settings", ratio, "A noise ratio is a positive number.")
    return NoisyOrders(named, tuple(map(float, ratios)))


def linear_model(net: Any, w: Any, x: Any, classes: Classes, kind: NoisyOrders, independent: bool) -> LinearModel:
    """Evaluates a network or a kernel on all rows.

    Args:
        net: a network, a Gram matrix, or a kernel operator.
        w: displacement or coefficients.
        x: examples; `None` for kernels.
        classes: the labels.
        kind: orders and noise of a network.
        independent: whether the outputs of a network get independent weights.
    """
    n = len(classes.labels)
    if is_kernel(net):
        return _kernel_model(net, w, classes)
    net = check_network(net)
    x = _checks.host(_checks.array("x", x, (n, net.inputs)), np.float64)
    if net.outputs == 1 and classes.number > 2:
        lifted = evaluate_classes(net, w, x, kind, classes.number)
    else:
        lifted = evaluate(net, w, x, kind)
        if lifted.covariance is not None and independent:
            spread = np.ptp(np.einsum("nii->ni", lifted.covariance), axis=1)
            if np.any(spread > 1e-5 * lifted.variance):
                expected = "outputs of equal variance for independent noise"
                raise _checks.ArgumentError("net", expected, "outputs that differ", "Use `noise='shared'`.")
            lifted = lifted._replace(covariance=None, norm2=lifted.norm2 * net.outputs)

    def gram(first: Indices, second: Indices) -> np.ndarray:
        return gram_of(net, x[first], x[second], kind)

    return LinearModel(lifted, lifted.variance, gram if net.outputs == 1 else None)


def _kernel_model(net: Any, w: Any, classes: Classes) -> LinearModel:
    n = len(classes.labels)
    operator: Any = net
    if isinstance(net, np.ndarray | jax.Array):
        matrix = _checks.host(_checks.array("net", net, (n, n), "A Gram matrix has a row for each label."), np.float64)
        outputs = 1
    else:
        rows = int(net.shape[0])
        if rows % n:
            raise _checks.ArgumentError("net", f"a kernel on the {n} rows of y", f"shape {tuple(net.shape)}")
        outputs, matrix = rows // n, None
    alpha = _checks.host(_checks.array("w", w, ("n",) if np.ndim(w) == 1 else ("n", "c")), np.float64)
    if outputs > 1:
        blocks = _checks.host(operator.gram(), np.float64)
        alpha = alpha.reshape(n, outputs) if alpha.size == n * outputs else alpha
        if alpha.shape != (n, outputs):
            raise _checks.ArgumentError("w", f"coefficients of shape ({n}, {outputs})", f"shape {alpha.shape}")
        values = np.einsum("icjd,jd->ic", blocks, alpha)
        covariance = np.einsum("icid->icd", blocks)
        lifted = Lifted(values, float(np.sum(alpha * values)), covariance[:, 0, 0], covariance)
        return LinearModel(lifted, lifted.variance, None)
    alpha = alpha[:, None] if alpha.ndim == 1 else alpha
    columns = 1 if classes.number == 2 else classes.number
    if alpha.shape != (n, columns):
        expected = f"coefficients of shape ({n}, {columns})"
        raise _checks.ArgumentError(
            "w", expected, f"shape {alpha.shape}", "One column per class, or one for two classes."
        )

    def whole() -> np.ndarray:
        return _checks.host(operator.gram(), np.float64).reshape(n, n) if matrix is None else matrix

    if matrix is None:
        values = np.stack([_checks.host(net @ column, np.float64) for column in alpha.T.astype(alpha.dtype)], axis=1)
        diagonal = _checks.host(net.diagonal(), np.float64).reshape(n)
    else:
        values, diagonal = matrix @ alpha, np.diag(matrix).copy()
    norm2 = max(float(np.sum(alpha * values)), 0.0)
    return LinearModel(Lifted(values, norm2, diagonal), diagonal, lambda first, second: whole()[np.ix_(first, second)])
