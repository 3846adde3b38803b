"""Sums of the linear and the quadratic term, each with its own displacement and penalty (theory 12).

The linear block is eliminated (`objectives.eliminate`), and the dual Newton method trains the quadratic one; both are convex in
the lift, so the certificate is that of the sum.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from taylornets import _checks, losses
from taylornets._fit._dual_newton import dual_newton
from taylornets._fit._result import FitResult, Status
from taylornets.certificates import Certificate, default_tolerance
from taylornets.objectives import EliminatedSquared, Objective, eliminate, objective
from taylornets.two_layer import TwoLayerNetwork

SUM, ORDERS = "linear+quadratic", (1, 2)
RATIO = 100.0
"""Default `λ1/λ2`: validation over 10, 100 and 1000 chose it in 7 of 8 runs (theory 12)."""
_SYMMETRIC = 1e-5


def is_sum(model: Any) -> bool:
    """Returns whether the model is a sum of orders; raises for sums other than orders 1 and 2.

    Raises:
        ArgumentError: for an order given twice, or other orders.
    """
    if isinstance(model, str):
        return model == SUM
    if not isinstance(model, tuple | list):
        return False
    orders = tuple(_checks.order_of("model", order, 1) for order in model)
    if len(set(orders)) < len(orders):
        raise _checks.ArgumentError("model", "each order once", str(orders), f"Use (1, 2) or {SUM!r}.")
    if sorted(orders) != list(ORDERS):
        advice = "For a single order, pass the integer. Sums of other orders have no certificate."
        raise _checks.ArgumentError("model", "the orders (1, 2)", str(orders), advice)
    return True


def strengths(penalty: Any) -> tuple[float, float]:
    """Returns `(λ1, λ2)` from a pair, or from a number `λ2` with `λ1 = 100 λ2`."""
    if isinstance(penalty, tuple | list):
        if len(penalty) != 2:
            advice = "One strength for each order, (λ1, λ2)."
            raise _checks.ArgumentError("penalty", "a number or a pair", f"{len(penalty)} numbers", advice)
        for place, value in enumerate(penalty):
            _checks.positive(f"penalty[{place}]", value, "A block without a penalty would fit all examples.")
        return float(penalty[0]), float(penalty[1])
    _checks.positive("penalty", penalty)
    return RATIO * float(penalty), float(penalty)


def powers(power: Any) -> float:
    """Returns the power of the quadratic block; that of the linear block is 2."""
    if not isinstance(power, tuple | list):
        return power
    if len(power) != 2 or power[0] != 2:
        advice = "The linear block is eliminated in closed form, which requires the power 2."
        raise _checks.ArgumentError("power", "a number or a pair (2, p)", str(tuple(power)), advice)
    return power[1]


def check_sum(method: Any, rank: Any) -> None:
    """Rejects methods other than the dual Newton method, and a fixed rank."""
    if method not in ("auto", "dual_newton"):
        advice = "L-BFGS over both blocks stalls far from the optimum."
        raise _checks.ArgumentError(
            "method", f"'auto' or 'dual_newton' for model={SUM!r}", _checks.shown(method), advice
        )
    if rank != "auto":
        raise _checks.ArgumentError("rank", f"'auto' for model={SUM!r}", str(rank), "Rank one has local minima here.")


def initial_block(problem: "SumProblem", w: Any) -> Array | None:
    """Returns the initial displacement of the quadratic block, from `W` or from a pair `(V, W)`."""
    block: Any = w[1] if isinstance(w, tuple) and len(w) == 2 else w
    return None if block is None else problem.risk.displacement(block)


@dataclass(frozen=True)
class SumProblem:
    """A prepared problem: features and Gram matrix, shared by a path of penalties.

    Attributes:
        risk: the quadratic model with the squared loss.
        gram: of the linear block, shape `(nC, nC)`.
        own: whether the linear block is that of the network, so that `V` is a displacement.
    """

    risk: Objective
    gram: Float[Array, "nC nC"]
    own: bool

    @classmethod
    def on(cls, risk: Objective) -> "SumProblem":
        """Adds the network's linear block to a prepared objective of the quadratic model with the squared loss."""
        return cls(risk, _gram(risk), True)

    @classmethod
    def of(
        cls,
        net: TwoLayerNetwork,
        x: ArrayLike,
        y: Any,
        *,
        loss: Any,
        power: Any,
        kernel: ArrayLike | None,
        **options: Any,
    ) -> "SumProblem":
        """Prepares the problem; arguments as in `fit`."""
        if not losses.get(loss).quadratic:
            advice = "The linear block is eliminated in closed form; train a single order with this loss."
            raise _checks.ArgumentError("loss", f"'squared' for model={SUM!r}", repr(losses.get(loss).name), advice)
        risk = objective(net, x, y, model="quadratic", penalty=1.0, power=powers(power), **options)
        if kernel is not None:
            return cls(risk, jnp.kron(_kernel(kernel, risk), jnp.eye(net.outputs, dtype=risk.strength.dtype)), False)
        return cls.on(risk)

    def solve(self, penalty: Any, w: Array | None, *, tol: float | None, max_steps: int) -> FitResult:
        """Trains to a certified optimum; `w` is an initial displacement of the quadratic block."""
        first, second = strengths(penalty)
        risk = eliminate(self.risk.with_penalty(second), self.gram, first)
        tol = default_tolerance(risk) if tol is None else tol
        found = dual_newton(risk, w, tol=tol, max_steps=max_steps)
        return self._result(risk, found, first, tol)

    def path(self, penalties: Any, w: Array | None, *, tol: float | None, max_steps: int) -> Iterator[FitResult]:
        """Trains at each penalty, warm-started from the quadratic block of the previous solution."""
        for penalty in penalties:
            result = self.solve(penalty, w, tol=tol, max_steps=max_steps)
            w = result.w[1]
            yield result

    def _result(self, risk: Objective, found: FitResult, strength: float, tol: float) -> FitResult:
        """Adds the linear block and evaluates the objective of the sum at both blocks."""
        loss = risk.loss
        assert isinstance(loss, EliminatedSquared)
        assert found.certificate is not None
        y, quadratic = risk.targets(), risk.outputs(found.w)
        z = loss.coefficients(quadratic - y)
        if self.own:
            net: Any = risk.net
            _, pull = jax.vjp(lambda v: net.prepare(risk.x, (1,)).term(1, v), jnp.zeros_like(net.w0))
            v = -pull(z)[0]
            linear, norm = net.prepare(risk.x, (1,)).term(1, v), jnp.sum(v**2)
        else:
            v, linear = -z, -loss.kernel_product(z)
            norm = jnp.sum(v * linear)
        misfit = jnp.sum(risk.weights() * jnp.sum((quadratic + linear - y) ** 2, axis=1))
        primal = misfit + strength * norm + risk.penalty_value(found.w)
        certificate = Certificate(primal, found.certificate.dual, found.certificate.dual_vector)
        status = found.status
        if status is Status.CERTIFIED and float(certificate.relative_gap) > tol:
            status = Status.GAP_REMAINS
        return dataclasses.replace(
            found, w=(v, found.w), objective=float(primal), certificate=certificate, status=status, own_kernel=self.own
        )


def _kernel(kernel: ArrayLike, risk: Objective) -> Array:
    """Validates a Gram matrix of the linear block: symmetric and positive semidefinite."""
    n = risk.count
    gram = _checks.array("linear_kernel", kernel, (n, n), "One row and one column per training example.")
    size = float(jnp.abs(gram).max())
    if float(jnp.abs(gram - gram.T).max()) > _SYMMETRIC * size:
        raise _checks.ArgumentError("linear_kernel", "a symmetric matrix", "one that is not", "Use (K + K.T)/2.")
    least = float(np.linalg.eigvalsh(np.asarray(gram, float))[0])
    if least < -_SYMMETRIC * size * n:
        raise _checks.ArgumentError("linear_kernel", "a positive semidefinite matrix", f"the eigenvalue {least:.3g}")
    return (gram + gram.T).astype(risk.strength.dtype) / 2


def _gram(risk: Objective) -> Array:
    """The NTK of all outputs on the examples, shape `(nC, nC)`."""
    net, n = risk.net, risk.count
    u = risk.x @ net.w0[: net.pairs].T
    slopes = net.activation.derivative(1)(u) / net.width**0.5
    inner = risk.x @ risk.x.T

    def block(c: int, e: int) -> Array:
        return net.halves * ((slopes * (net.signs[:, c] * net.signs[:, e])) @ slopes.T) * inner

    outputs = range(net.outputs)
    rows = [jnp.stack([block(c, e) for e in outputs], -1) for c in outputs]
    return jnp.moveaxis(jnp.stack(rows, -2), 1, 2).reshape(n * net.outputs, n * net.outputs)
