"""Order-k models as linear models: norms of the lifted weights, norms and inner products of the features (theory 13).

The term `f^(k)` is linear in `T_p = Σ_j w_pj^{⊗k}`: with `c_p(x) = σ^{(k)}(u_p)/(k! √m)`,

    f_c(x) = Σ_p a_pc c_p(x) ⟨T_p, x^{⊗k}⟩,      ⟨T_p, T_p'⟩ = Σ_{jj'} ⟨w_pj, w_pj'⟩^k.

The two units of a symmetric pair have equal `c_p` and opposite signs, so they merge: `T_p = Σ_j w_pj^{⊗k} - Σ_j w'_pj^{⊗k}`
over the copies of the two units. `f^(0)` does not depend on the weights; in a sum of orders it counts as a feature with the
weight 1.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike

from taylornets import _checks
from taylornets.two_layer import TwoLayerNetwork

_ROUNDING = 1e-14  # of sums of products, relative to the sum of their absolute values
_ROWS = 2048  # rows whose features are formed at a time


class Lifted(NamedTuple):
    """A model that is linear in its lifted weights, evaluated on a data set.

    Attributes:
        outputs: outputs of the model, shape `(n, C)`.
        norm2: squared norm `N²` of the lifted weights.
        variance: `s²`, the variance of an output under unit noise on the lifted weights, shape `(n,)`.
        covariance: covariance of the outputs under this noise, shape `(n, C, C)`; `None` if they are independent.
    """

    outputs: np.ndarray
    norm2: float
    variance: np.ndarray
    covariance: np.ndarray | None = None


class NoisyOrders(NamedTuple):
    """The orders of a model and the noise of each.

    Attributes:
        orders: distinct orders, ascending; 0 is the initial network.
        ratios: standard deviation `τ_k` of the noise of each order.
    """

    orders: tuple[int, ...]
    ratios: tuple[float, ...]


def check_network(net: Any) -> TwoLayerNetwork:
    """Raises for anything but a two-layer network whose units are still those of its initialization."""
    if not isinstance(net, TwoLayerNetwork):
        expected = "a TwoLayerNetwork, a kernel with `gram()` and `diagonal()`, or a Gram matrix"
        raise _checks.ArgumentError("net", expected, _checks.shown(net))
    if net.symmetric:
        w0, a, half = _checks.host(net.w0), _checks.host(net.a), net.width // 2
        if net.width % 2 or np.any(w0[:half] != w0[half:]) or np.any(a[:half] != -a[half:]):
            advice = (
                "Keep the initial network and train the displacement `w`, or build the network with `symmetric=False`."
            )
            raise _checks.ArgumentError(
                "net", "pairs of units with equal weights and opposite signs", "a network whose pairs differ", advice
            )
    return net


def displacements(net: TwoLayerNetwork, w: Any, orders: tuple[int, ...]) -> list[np.ndarray | None]:
    """Returns the displacement of each order with copies, shape `(m, R, d)`; `None` for order 0."""
    trained = [k for k in orders if k > 0]
    parts = list(w) if isinstance(w, tuple | list) else [w] * len(trained)
    if len(parts) != len(trained):
        raise _checks.ArgumentError("w", f"one displacement for each of the orders {tuple(trained)}", f"{len(parts)}")
    found: list[np.ndarray | None] = [None] * (len(orders) - len(trained))
    for part in parts:
        copies = np.ndim(part) == 3
        shape = (net.width, "R", net.inputs) if copies else (net.width, net.inputs)
        values = _checks.host(_checks.array("w", part, shape), np.float64)
        found.append(values if copies else values[:, None])
    return found


def slopes_of(net: TwoLayerNetwork, x: np.ndarray, order: int) -> np.ndarray:
    """Computes `c_p(x) = σ^{(k)}(u_p)/(k! √m)`, shape `(n, pairs)`, in the precision of the network."""
    u = x.astype(net.w0.dtype) @ _checks.host(net.w0[: net.pairs]).T
    values = _checks.host(net.activation.derivative(order)(u), np.float64)
    return values / (math.factorial(order) * math.sqrt(net.width))


def lifted_norm2(net: TwoLayerNetwork, w: np.ndarray, order: int) -> float:
    """Computes `Σ_p ‖T_p‖²` for a displacement of shape `(m, R, d)`, plus the rounding of its sum."""
    units = w.reshape(net.halves, net.pairs, -1, net.inputs)
    total = size = 0.0
    for i in range(net.halves):
        for j in range(net.halves):
            products = np.einsum("pad,pbd->pab", units[i], units[j]) ** order
            total += (1 if i == j else -1) * float(np.sum(products))
            size += float(np.sum(np.abs(products)))
    rounding = _ROUNDING * size
    return total + rounding if total > rounding else 0.0


def evaluate(net: TwoLayerNetwork, w: Any, x: np.ndarray, kind: NoisyOrders) -> Lifted:
    """Evaluates a sum of terms and its noise on examples."""
    parts = displacements(net, w, kind.orders)
    n, outputs = len(x), net.outputs
    values, covariance = np.zeros((n, outputs)), np.zeros((n, outputs, outputs))
    norm2 = 0.0
    for order, ratio, part in zip(kind.orders, kind.ratios, parts, strict=True):
        norm2 += (1.0 if part is None else lifted_norm2(net, part, order)) / ratio**2
        for start in range(0, n, _ROWS):
            rows = slice(start, start + _ROWS)
            found, noise = _term(net, part, x[rows], order)
            values[rows] += found
            covariance[rows] += ratio**2 * noise
    return Lifted(values, norm2, covariance[:, 0, 0].copy(), covariance if outputs > 1 else None)


def _term(net: TwoLayerNetwork, part: np.ndarray | None, x: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the outputs of one term and their covariance under unit noise, shapes `(n, C)` and `(n, C, C)`."""
    signs, slopes = _checks.host(net.a, np.float64), slopes_of(net, x, order)
    if part is None:
        first = slopes @ signs[: net.pairs] * (0.0 if net.symmetric else 1.0)
        return first, first[:, :, None] * first[:, None, :]
    projected = np.einsum("mrd,nd->nmr", part, x) ** order
    outputs = (np.tile(slopes, (1, net.halves)) * projected.sum(axis=2)) @ signs
    half, sizes = signs[: net.pairs], np.sum(x**2, axis=1) ** order
    if net.outputs == 1:
        noise = (slopes**2 @ half**2)[:, :, None]
    else:
        noise = np.einsum("np,pc,pe->nce", slopes**2, half, half, optimize=True)
    return outputs, noise * sizes[:, None, None]


def evaluate_classes(net: TwoLayerNetwork, w: ArrayLike, x: np.ndarray, kind: NoisyOrders, classes: int) -> Lifted:
    """Evaluates one displacement per class of a network with one output: independent noise, `N² = Σ_c N_c²`."""
    if np.ndim(w) not in {3, 4} or np.shape(w)[0] != classes:
        expected = f"one displacement per class, shape ({classes}, m, d) or ({classes}, m, R, d)"
        raise _checks.ArgumentError(
            "w", expected, f"shape {np.shape(w)}", "Or use a network with one output per class."
        )
    found = [evaluate(net, part, x, kind) for part in _checks.host(w)]
    outputs = np.concatenate([item.outputs for item in found], axis=1)
    return Lifted(outputs, sum(item.norm2 for item in found), found[0].variance)


def gram_of(net: TwoLayerNetwork, first: np.ndarray, second: np.ndarray, kind: NoisyOrders) -> np.ndarray:
    """Computes inner products of the features, `Σ_k τ_k² Σ_p c_p(x) c_p(x') ⟨x, x'⟩^k`, shape `(n1, n2)`, for one output."""
    total = np.zeros((len(first), len(second)))
    weights = _checks.host(net.a[: net.pairs, 0], np.float64)
    for order, ratio in zip(kind.orders, kind.ratios, strict=True):
        ours, theirs = slopes_of(net, first, order), slopes_of(net, second, order)
        if order == 0:
            initial = 0.0 if net.symmetric else 1.0
            total += ratio**2 * initial * np.outer(ours @ weights, theirs @ weights)
        else:
            total += ratio**2 * ((ours * weights**2) @ theirs.T) * (first @ second.T) ** order
    return total


def factored(net: TwoLayerNetwork, x: np.ndarray, coefficients: np.ndarray, order: int) -> np.ndarray:
    """Returns a displacement whose lifted weights are `Σ_i β_i φ(x_i)`, so that `f(x) = Σ_i β_i K(x, x_i)`.

    `T_p = a_p Σ_i β_i c_p(x_i) x_i^{⊗k}` is a vector for `k = 1` and a symmetric matrix for `k = 2`, whose positive
    eigenvalues go to the first unit of the pair and the negative ones to the second. For `k ≥ 3` each example is a copy.

    Args:
        net: a network with one output.
        x: examples, shape `(n, d)`.
        coefficients: `β`, shape `(n,)`.
        order: `k ≥ 1`.

    Returns:
        Shape `(m, d)` for `k = 1`, otherwise `(m, R, d)`.
    """
    weights = slopes_of(net, x, order) * _checks.host(net.a[: net.pairs, 0], np.float64) * coefficients[:, None]
    if order == 1:
        half = weights.T @ x
        return half if not net.symmetric else np.concatenate([half / 2, -half / 2])
    if not net.symmetric and order % 2 == 0:
        raise _checks.ArgumentError(
            "net", f"symmetric=True for order {order}", "symmetric=False", "Without pairs, even powers have one sign."
        )
    if order == 2:
        moments = np.einsum("np,nd,ne->pde", weights, x, x, optimize=True)
        values, vectors = np.linalg.eigh(moments)
        scaled = np.swapaxes(vectors * np.sqrt(np.abs(values))[:, None, :], 1, 2)
        parts = [np.where((sign * values > 0)[:, :, None], scaled, 0.0) for sign in (1, -1)]
    elif order % 2:
        roots = np.cbrt(weights) if order == 3 else np.sign(weights) * np.abs(weights) ** (1 / order)
        scaled = roots.T[:, :, None] * x
        if not net.symmetric:
            return scaled
        parts = [scaled / 2 ** (1 / order), -scaled / 2 ** (1 / order)]
    else:
        roots = (np.abs(weights) ** (1 / order)).T[:, :, None] * x
        parts = [np.where((sign * weights.T > 0)[:, :, None], roots, 0.0) for sign in (1, -1)]
    return np.concatenate(parts)
