"""`predict`: exact recurrences of gradient descent on Taylor models (theory 15).

Order 1, any model. The outputs are affine, so with `e = f − y` and `K = J Jᵀ`

    e' = (I − η K/n) e.

Order 2, any model, one example and one output. With `∇²f = Σ_j h_j q_j q_jᵀ` at the start and `G_j = ⟨∇f, q_j⟩`, a step
`−η e ∇f` changes the gradient by `−η e ∇²f ∇f` and the output by its first and second order:

    f' = f − η e Σ_j G_j² (1 − η e h_j/2),    G_j' = (1 − η e h_j) G_j,    κ = Σ_j G_j².

`TwoLayerNetwork`, every order and the network. The gradient in `w_r` is `m^{-1/2} Σ_j a_r e_j s(z_jr) x_j/n`, so that the
projections `z_ir = ⟨w_r, x_i⟩` form a closed system,

    z' = z − (η/(n √m)) Σ_j ⟨x_i, x_j⟩ (e_j · a_r) s(z_jr),    s_k(z) = Σ_{1≤j≤k} σ^{(j)}(u) z^{j−1}/(j−1)!.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets._checks import ArgumentError, integer, order_of, positive, shown
from taylornets.dynamics._models import FULL, Fit, stability_limit
from taylornets.two_layer import TwoLayerNetwork

_LARGEST = 4000  # rows of a dense matrix


@dataclass(frozen=True)
class Recurrence:
    """Gradient descent without a network: a small closed system with the same outputs.

    Attributes:
        kind: which recurrence of theory 15 applies.
        targets: shape `(n, c)`.
        begin: the initial state of the system.
        advance: one step of the system.
        outputs_of: the outputs of a state, shape `(n, c)`.
        limit: `2/λ_max(J Jᵀ/n)` at the start.
        rate: the step size.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> x, y = jnp.ones((1, 1)), jnp.zeros(1)
        >>> system = tn.dynamics.predict(lambda p, x: (x * p[0] * p[1])[:, 0], jnp.ones(2), x, y, 0.5, 2)
        >>> [round(float(f), 4) for f in system(2)[:, 0, 0]]
        [1.0, 0.25, 0.1914]
    """

    kind: str
    targets: np.ndarray
    begin: Any
    advance: Callable[[Any], Any]
    outputs_of: Callable[[Any], np.ndarray]
    limit: float
    rate: float

    def __call__(self, steps: int) -> np.ndarray:
        """Returns the outputs before each of `steps` updates and at the end, shape `(steps + 1, n, c)`."""
        integer("steps", steps, 0)
        state, found = self.begin, [self.outputs_of(self.begin)]
        for _ in range(steps):
            with np.errstate(over="ignore", invalid="ignore"):
                state = self.advance(state)
                found.append(self.outputs_of(state))
        return np.stack(found)

    def loss(self, steps: int) -> np.ndarray:
        """Returns the losses `(1/2n) Σ ‖f − y‖²` of the same states, shape `(steps + 1,)`."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.sum((self(steps) - self.targets) ** 2, axis=(1, 2)) / (2 * len(self.targets))

    def __str__(self) -> str:
        return f"{self.kind}: {self.phase} at step size {self.rate:.4g} (stability limit of order 1 {self.limit:.4g})"

    @property
    def phase(self) -> str:
        """The prediction: "lazy" up to the limit; above it, "divergent" for order 1, else "catapult or divergent"."""
        above = "divergent" if "order 1" in self.kind else "catapult or divergent"
        return "lazy" if self.rate <= self.limit else above


def predict(f: Callable[..., Any], params0: Any, x: Any, y: Any, rate: float, order: int | str) -> Recurrence:
    """Returns the exact recurrence of gradient descent on a Taylor model, where one exists.

    One exists for order 1 of any model; for order 2 of any model with one example and one output; and for every order of a
    `TwoLayerNetwork`, and `"full"`. The loss is `(1/2n) Σ_i ‖f(x_i) − y_i‖²`.

    Args:
        f: the model `f(params, x)`, or a `TwoLayerNetwork`.
        params0: the initialization; of a `TwoLayerNetwork`, the displacement, shape `(m, d)`.
        x: examples, shape `(n, ...)`.
        y: targets, as many numbers as outputs.
        rate: the step size η.
        order: order of the Taylor model around `params0`, or "full" for the network itself.

    Returns:
        A `Recurrence`: call it with a number of steps for the outputs.

    Raises:
        ArgumentError: if no recurrence applies, for a matrix of more than 4000 rows, and for invalid data or step sizes.

    Source: theory 15; Zhu, Liu, Radhakrishnan and Belkin (2022) for order 2.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> system = tn.dynamics.predict(lambda w, x: x @ w, jnp.ones(1), jnp.ones((1, 1)), jnp.zeros(1), 1.5, 1)
        >>> system(3)[:, 0, 0].tolist(), system.phase  # e' = (1 − 1.5) e
        ([1.0, -0.5, 0.25, -0.125], 'lazy')
    """
    positive("rate", rate)
    if isinstance(order, str):
        if order != FULL:
            raise ArgumentError("order", 'an integer ≥ 1 or "full"', shown(order))
    else:
        order_of("order", order, 1)
    fit = Fit.of(f, params0, x, y)
    if isinstance(f, TwoLayerNetwork):
        return _two_layer(f, params0, x, fit, rate, order)
    if order == 1:
        return _linear(fit, rate)
    if order == 2 and fit.y.size == 1:
        return _quadratic(fit, rate)
    got = f"order {order} of a {type(f).__name__} with {len(fit.y)} examples and {fit.y.shape[1]} outputs"
    known = "order 1, order 2 of one example with one output, or a TwoLayerNetwork"
    raise ArgumentError("order", f"a case with a closed recurrence ({known})", got, "Use taylornets.dynamics.run.")


def _refuse_large(rows: int) -> None:
    if rows > _LARGEST:
        raise ArgumentError(
            "f", f"a dense matrix of at most {_LARGEST} rows", f"{rows} rows", "Use taylornets.dynamics.run."
        )


def _double(value: Any) -> np.ndarray:
    return np.asarray(value, np.float64)


def _linear(fit: Fit, rate: float) -> Recurrence:
    n, shape = len(fit.y), fit.y.shape
    _refuse_large(fit.y.size)
    jacobian = _double(jax.jit(jax.jacrev(lambda v: fit.outputs(v).reshape(-1)))(fit.start))
    kernel, y = jacobian @ jacobian.T / n, _double(fit.y)
    largest = float(np.linalg.eigvalsh(kernel)[-1])
    return Recurrence(
        "order 1: e' = (I − ηK/n) e", y, (_double(fit.outputs(fit.start)) - y).ravel(), lambda e: e - rate * kernel @ e,
        lambda e: y + e.reshape(shape), stability_limit(largest), rate,
    )  # fmt: skip


def _quadratic(fit: Fit, rate: float) -> Recurrence:
    _refuse_large(fit.start.size)

    def single(v: Any) -> Any:
        return fit.outputs(v)[0, 0]

    value, slope = jax.value_and_grad(single)(fit.start)
    curvatures, vectors = np.linalg.eigh(_double(jax.jit(jax.hessian(single))(fit.start)))
    parts, y = vectors.T @ _double(slope), _double(fit.y)

    def advance(state: tuple[float, np.ndarray]) -> tuple[float, np.ndarray]:
        f, g = state
        pull = rate * (f - y[0, 0]) * curvatures
        return f - rate * (f - y[0, 0]) * np.sum(g**2 * (1 - pull / 2)), (1 - pull) * g

    largest = float(parts @ parts)
    return Recurrence(
        "order 2, one example: f and ⟨∇f, q_j⟩", y, (float(value), parts), advance, lambda state: np.full((1, 1), state[0]),
        stability_limit(largest), rate,
    )  # fmt: skip


def _two_layer(net: TwoLayerNetwork, w: Any, x: Any, fit: Fit, rate: float, order: int | str) -> Recurrence:
    x, a = jnp.asarray(x), _double(net.a)
    w = jnp.asarray(w)
    before, gram, y, scale = x @ (net.w0 + w).T, _double(x @ x.T), _double(fit.y), math.sqrt(net.width)
    _refuse_large(len(gram))
    count = 1 if order == FULL else int(order)
    sigma = [_double(net.activation.derivative(j)(before)) for j in range(count + 1)]
    slope: Callable[[Any], Any] = net.activation.derivative(1)
    value: Callable[[Any], Any] = net.activation.derivative(0)

    def slopes(z: np.ndarray) -> np.ndarray:
        if order == FULL:
            return _double(slope(before + z))
        return sum((sigma[j] * z ** (j - 1) / math.factorial(j - 1) for j in range(1, count + 1)), np.zeros_like(z))

    def outputs(z: np.ndarray) -> np.ndarray:
        if order == FULL:
            return _double(value(before + z)) @ a / scale
        return sum((sigma[j] * z**j / math.factorial(j) for j in range(count + 1)), np.zeros_like(z)) @ a / scale

    def advance(z: np.ndarray) -> np.ndarray:
        return z - rate / (len(y) * scale) * gram @ ((outputs(z) - y) @ a.T * slopes(z))

    # J Jᵀ = ⟨x_i, x_j⟩ Σ_r a_r a_rᵀ σ'(u_ir) σ'(u_jr)/m
    kernel = np.einsum("ij,ir,jr,rc,rd->icjd", gram, sigma[1], sigma[1], a, a, optimize=True).reshape(y.size, -1)
    largest = float(np.linalg.eigvalsh(kernel / (net.width * len(y)))[-1])
    return Recurrence(
        f"two-layer network, {'full' if order == FULL else f'order {order}'}: projections", y, np.zeros(before.shape), advance,
        outputs, stability_limit(largest), rate,
    )  # fmt: skip
