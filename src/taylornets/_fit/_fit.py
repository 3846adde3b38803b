"""The one training entry (theory 3 to 5): a start, a method, and a certificate that says when to stop."""

import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _checks, losses
from taylornets._fit._result import FitError, FitResult, History, Status
from taylornets.certificates import Certificate, certify_objective, is_certifiable
from taylornets.objectives import Objective, objective
from taylornets.optimizers import LBFGS
from taylornets.two_layer import TwoLayerNetwork

METHODS = {"lbfgs": LBFGS}
_FIRST_CHECK = 20
_CHECK_GROWTH = 1.25
# The starting norm of a unit relative to m^{-1/(2k)}, where the term of order k is O(1): small against the solution, far
# from the saddle at 0. A heuristic.
_START = 0.3
_STRETCH = 0.01


def fit(
    net: TwoLayerNetwork,
    x: Array,
    y: Any,
    *,
    model: str | int = "quadratic",
    loss: str | losses.Loss = "squared",
    penalty: float | Array,
    power: float = 8,
    method: str | LBFGS = "lbfgs",
    w_init: Array | None = None,
    key: PRNGKeyArray | None = None,
    rank: int = 1,
    tol: float = 1e-8,
    max_steps: int = 5000,
    throw: bool = True,
    chunk_size: int | None = None,
) -> FitResult:
    """Trains a displacement and proves how good it is.

    Args:
        net: the network.
        x: examples, shape `(n, d)`.
        y: targets as the loss takes them.
        model: `"quadratic"`, `"randomized"`, `"linear"`, `"full"`, or an integer `k ≥ 1` for the single term of order `k`;
            see `taylornets.objective`.
        loss: a name of `taylornets.losses`, or a loss.
        penalty: `λ > 0`.
        power: `p ≥ 2k`.
        method: `"lbfgs"`, or a method object.
        w_init: start, shape `(m, d)` or `(m, R, d)`; by default zero for the linear model and the full network, and small
            and random otherwise, since `w = 0` is a saddle of every term of order ≥ 2.
        key: JAX random key of the random start; by default `jax.random.key(0)`.
        rank: copies `R` of every unit that share `w0_r` and are penalized together; `R > 1` for single terms only.
        tol: relative gap at which a certified run stops; for the others the scale-free gradient `‖∇P‖ ‖w‖ / P`.
        max_steps: iterations at most.
        throw: whether a run that failed raises; otherwise the status says so.
        chunk_size: examples handled at a time, see `TwoLayerNetwork.prepare`.

    Returns:
        The result with displacement, certificate and status.

    Raises:
        ArgumentError: for arguments that do not fit.
        FitError: when `max_steps` is reached or the objective is not finite, unless `throw=False`.

    Source: theory 3, 5.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=16)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> result = tn.fit(net, x, x[:, 0] * x[:, 1], penalty=1e-2, tol=1e-3)
        >>> result.status.name
        'CERTIFIED'
    """
    rank = _checks.integer("rank", rank, 1)
    max_steps = _checks.integer("max_steps", max_steps, 1)
    _checks.positive("tol", tol)
    risk = objective(net, x, y, model=model, loss=loss, penalty=penalty, power=power, chunk_size=chunk_size)
    if rank > 1 and not risk.response.copies:
        raise _checks.ArgumentError("rank", f"1 for model={model!r}", str(rank), "Copies exist for single terms only.")
    solver = METHODS[_checks.choice("method", method, METHODS)]() if isinstance(method, str) else method
    w = _start(risk, model, rank, key) if w_init is None else risk.prepared.displacement(w_init, risk.response)
    result = minimize(risk, w, solver, certified=is_certifiable(model), tol=tol, max_steps=max_steps)
    if throw and result.status.is_failure:
        raise FitError(result)
    return result


class _Preconditioned(eqx.Module):
    """The objective in the coordinates `z` with `w = z A`, `A = (S/‖S‖ + ε I)^{-1/2}`, `S = (1/n) Σ x_i x_iᵀ`.

    Curvature in `w_r` goes through `⟨w_r, x_i⟩`, so inputs of uneven spread make the objective ill-conditioned. `ε` bounds
    how far a direction is stretched; a heuristic. On digits it halves the steps, on isotropic inputs `A` is nearly `I`.
    """

    risk: Objective
    transform: Float[Array, "d d"]
    inverse: Float[Array, "d d"]

    @classmethod
    def of(cls, risk: Objective) -> "_Preconditioned":
        x = risk.prepared.x
        values, vectors = jnp.linalg.eigh(x.T @ x)
        scale = jnp.sqrt(jnp.maximum(values / values[-1], 0) + _STRETCH)
        return cls(risk, (vectors / scale) @ vectors.T, (vectors * scale) @ vectors.T)

    def __call__(self, z: Array) -> Array:
        return self.risk(z @ self.transform)


def minimize(risk: Objective, w: Array, solver: LBFGS, *, certified: bool, tol: float, max_steps: int) -> FitResult:
    """Runs a method on a prepared objective, with checks at geometrically growing numbers of steps.

    The schedule depends on nothing but the number of steps, so that the result does not depend on the machine's speed;
    it bounds the certificates' share of the time.
    """
    started = time.perf_counter()
    history = History()
    fun = _Preconditioned.of(risk)
    state = solver.init(fun, w @ fun.inverse)
    check, restarted = _FIRST_CHECK, False
    certificate: Certificate | None = None
    value, gradient = risk.value_and_gradient(w)
    while True:
        state = solver.advance(fun, state, min(check, max_steps) - int(state.steps))
        finite = bool(jnp.isfinite(state.value))
        if finite:
            w = state.w @ fun.transform
            value, gradient = risk.value_and_gradient(w)
        certificate = certify_objective(risk, w) if certified else None
        _record(history, int(state.steps), value, gradient, certificate, time.perf_counter() - started)
        stationarity = float(jnp.linalg.norm(gradient) * jnp.linalg.norm(w) / jnp.abs(value))
        if (stationarity if certificate is None else float(certificate.relative_gap)) <= tol:
            status = Status.STATIONARY if certificate is None else Status.CERTIFIED
        elif not finite:
            status = Status.DIVERGED
        elif solver.is_stalled(state) and restarted:
            status = Status.STALLED if certificate is None else Status.GAP_REMAINS
        elif int(state.steps) >= max_steps:
            status = Status.MAX_STEPS
        else:
            # A stall may come from stale curvature pairs: once, the method starts afresh from where it stands.
            if solver.is_stalled(state):
                restarted = True
                state = solver.init(fun, state.w)._replace(steps=state.steps)
            check = max(int(state.steps) + 1, int(_CHECK_GROWTH * check))
            continue
        return FitResult(w, float(value), certificate, status, int(state.steps), history)


def _record(
    history: History, steps: int, value: Array, gradient: Array, certificate: Certificate | None, seconds: float
) -> None:
    history.steps.append(steps)
    history.objective.append(float(value))
    history.gradient_norm.append(float(jnp.linalg.norm(gradient)))
    history.seconds.append(seconds)
    if certificate is not None:
        history.relative_gap.append(float(certificate.relative_gap))


def _start(risk: Objective, model: str | int, rank: int, key: PRNGKeyArray | None) -> Array:
    """Zero where the objective is convex or starts at a network; elsewhere `‖w_r‖ ≈ 0.3 m^{-1/(2k)}/B_x`."""
    net = risk.prepared.net
    shape = (net.width, net.inputs) if rank == 1 else (net.width, rank, net.inputs)
    dtype = net.w0.dtype
    if model in ("linear", "full", 1):
        return jnp.zeros(shape, dtype)
    scale = _START * net.width ** (-1 / (2 * risk.order)) / (net.input_norm * (net.inputs * rank) ** 0.5)
    return scale * jax.random.normal(jax.random.key(0) if key is None else key, shape, dtype)
