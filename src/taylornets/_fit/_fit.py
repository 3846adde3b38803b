"""The one training entry (theory 3 to 5): a start, a method, and a certificate that says when to stop."""

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _checks, losses
from taylornets._fit._methods import default_method
from taylornets._fit._result import FitError, FitHistory, FitResult, Status
from taylornets.certificates import Certificate, certify_objective
from taylornets.models import ModelLike
from taylornets.objectives import Objective, objective
from taylornets.optimizers import Method, MethodOutcome
from taylornets.two_layer import TwoLayerNetwork

_FIRST_CHECK = 20
_CHECK_GROWTH = 1.25
_CHECK_GROWTH_COSTLY = 1.6
_STRETCH = 0.01
_RESTARTS = 3
_SAME_OBJECTIVE = 1e-7


def fit(
    net: TwoLayerNetwork,
    x: ArrayLike,
    y: Any,
    *,
    model: ModelLike = "quadratic",
    loss: str | losses.Loss = "squared",
    penalty: float | Array,
    power: float = 8,
    method: str | Method = "lbfgs",
    w_init: Array | None = None,
    key: PRNGKeyArray | None = None,
    rank: int = 1,
    tol: float = 1e-8,
    max_steps: int = 5000,
    throw: bool = True,
    chunk_size: int | None = None,
    sample_weight: ArrayLike | None = None,
) -> FitResult:
    """Trains a displacement and proves how good it is.

    Args:
        net: the network.
        x: examples, shape `(n, d)`.
        y: targets as the loss takes them.
        model: `"quadratic"`, `"randomized"`, `"linear"`, `"full"`, an integer `k ≥ 1` for the single term of order `k`, or
            a randomization such as `SignedMoments(3)`; see `taylornets.objective`.
        loss: a name of `taylornets.losses`, or a loss.
        penalty: `λ > 0`.
        power: `p ≥ 2k`.
        method: `"lbfgs"`, `"negative_curvature"` (leaves saddles, and stops at second-order stationary points),
            `"perturbed_gradient_descent"`, `"noisy_sgd"` (minibatches, and for randomized models fresh signs in every
            step, with a learning rate that falls to 0 at `max_steps`), `"gradient_descent"`, or a method object of
            `taylornets.optimizers`.
        w_init: start, shape `(m, d)` or `(m, R, d)`; by default zero for the linear model and the full network, and
            small and random otherwise, since `w = 0` is a saddle of every term of order ≥ 2.
        key: JAX random key of the method's noise, of the random start, and of up to three further ones where a gap
            remains (the best result is returned); by default `jax.random.key(0)`.
        rank: copies `R` of every unit that share `w0_r` and are penalized together; `R > 1` for single terms of order
            ≥ 2 only.
        tol: relative gap at which a certified run stops; for the others the scale-free gradient
            `‖∇P‖ max(‖w‖, m^{1/2 - 1/(2k)}/B_x) / P`.
        max_steps: iterations at most.
        throw: whether a run that failed raises; otherwise the status says so.
        chunk_size: examples handled at a time, see `TwoLayerNetwork.prepare`.
        sample_weight: weights of the examples, shape `(n,)`, see `taylornets.objective`; objective and certificate are those
            of the weighted problem.

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
    rank, max_steps = check_settings(rank, max_steps, tol)
    risk = objective(
        net, x, y, model=model, loss=loss, penalty=penalty, power=power, chunk_size=chunk_size,
        sample_weight=sample_weight,
    )  # fmt: skip
    check_copies(risk, rank, model)
    result = train(risk, w_init, method=method, key=key, rank=rank, tol=tol, max_steps=max_steps)
    if throw and result.status.is_failure:
        raise FitError(result)
    return result


def check_settings(rank: Any, max_steps: Any, tol: Any) -> tuple[int, int]:
    """Checks what does not depend on the data; gives `rank` and `max_steps` as integers."""
    rank, max_steps = _checks.integer("rank", rank, 1), _checks.integer("max_steps", max_steps, 1)
    _checks.positive("tol", tol)
    return rank, max_steps


def check_copies(risk: Objective, rank: int, model: Any) -> None:
    """Refuses a rank above one for models in which copies of a unit have no meaning."""
    if rank > 1 and not risk.model.copies:
        advice = "Copies serve single terms of order ≥ 2 only."
        raise _checks.ArgumentError("rank", f"1 for model={model!r}", str(rank), advice)


def train(
    risk: Objective,
    w: ArrayLike | None,
    *,
    method: str | Method,
    key: PRNGKeyArray | None,
    rank: int,
    tol: float,
    max_steps: int,
) -> FitResult:
    """`fit` on a prepared objective; from `w`, or from the model's own start with restarts."""
    key = jax.random.key(0) if key is None else key
    solver = default_method(method, risk, key, max_steps) if isinstance(method, str) else method
    options: dict[str, Any] = {"certified": risk.model.certifiable, "tol": tol, "max_steps": max_steps}
    if w is not None:
        return minimize(risk, risk.displacement(w), solver, key, **options)
    result = minimize(risk, risk.start(key, rank), solver, key, **options)
    # A gap that remains is a local minimum of a narrow network, or an optimum of higher rank. Another start tells them
    # apart: two that end at the same objective have met the optimum of this rank.
    for attempt in range(_RESTARTS):
        if result.status is not Status.GAP_REMAINS:
            break
        other_key = jax.random.fold_in(key, attempt)
        other = minimize(risk, risk.start(other_key, rank), solver, other_key, **options)
        if abs(other.objective - result.objective) <= _SAME_OBJECTIVE * result.objective:
            break
        result = min(result, other, key=lambda candidate: candidate.objective)
    return result


class _Preconditioned(eqx.Module):
    """The objective in the coordinates `z` with `w = z A`, `A = (S/‖S‖ + ε I)^{-1/2}`, `S = Σ p_i x_i x_iᵀ`.

    Curvature in `w_r` goes through `⟨w_r, x_i⟩`, so inputs of uneven spread make the objective ill-conditioned. `ε`
    bounds how far a direction is stretched; a heuristic. On digits it halves the steps, on isotropic inputs `A` is nearly `I`.
    """

    risk: Objective
    transform: Float[Array, "d d"]
    inverse: Float[Array, "d d"]

    @classmethod
    def of(cls, risk: Objective) -> "_Preconditioned":
        x = risk.x
        values, vectors = jnp.linalg.eigh((x * risk.weights()[:, None]).T @ x)
        scale = jnp.sqrt(jnp.maximum(values / values[-1], 0) + _STRETCH)
        return cls(risk, (vectors / scale[None, :]) @ vectors.T, (vectors * scale[None, :]) @ vectors.T)

    def __call__(self, z: Array) -> Array:
        return self.risk(z @ self.transform)


def minimize(
    risk: Objective,
    w: Array,
    solver: Method,
    key: PRNGKeyArray,
    *,
    certified: bool,
    tol: float,
    max_steps: int,
    on_check: Callable[[FitHistory], None] | None = None,
) -> FitResult:
    """Runs a method on a prepared objective, with checks at geometrically growing numbers of steps.

    The schedule depends on nothing but the number of steps, so that the result does not depend on the machine's speed;
    it bounds the certificates' share of the time. After every check `on_check` is handed the history so far.
    """
    started = time.perf_counter()
    history = FitHistory()
    fun = _Preconditioned.of(risk) if solver.scales_inputs else risk
    enter, leave = (fun.inverse, fun.transform) if isinstance(fun, _Preconditioned) else (None, None)
    state = solver.init(fun, w if enter is None else w @ enter, key)
    randomized = certified and risk.model.randomization is not None
    check, growth = _FIRST_CHECK, _CHECK_GROWTH_COSTLY if randomized else _CHECK_GROWTH
    certificate: Certificate | None = None
    value, gradient = risk.value_and_gradient(w)
    while True:
        state = solver.advance(fun, state, min(check, max_steps) - int(state.steps))
        candidate = state.w if leave is None else state.w @ leave
        size = jnp.maximum(jnp.linalg.norm(candidate), risk.natural_norm)
        # After numbers that are not finite, the best point known is what counts.
        diverged = not bool(jnp.isfinite(state.value))
        if jnp.isfinite(candidate).all():
            found, slope = risk.value_and_gradient(candidate)
            diverged |= not bool(jnp.isfinite(found))
            if not diverged or found < value:
                w, value, gradient = candidate, found, slope
        certificate = certify_objective(risk, w) if certified else None
        history.add(int(state.steps), value, gradient, size, certificate, time.perf_counter() - started)
        if on_check is not None:
            on_check(history)
        outcome = solver.outcome(state)
        status = Status.DIVERGED if diverged else _status(outcome, history, certificate, tol, max_steps)
        if status is not None:
            return FitResult(w, float(value), certificate, status, int(state.steps), history, outcome.stationarity)
        check = max(int(state.steps) + 1, int(growth * check))


def _status(
    outcome: MethodOutcome, history: FitHistory, certificate: Certificate | None, tol: float, max_steps: int
) -> Status | None:
    """How a run ends at a check, or None if it goes on."""
    if certificate is not None:
        if history.relative_gap[-1] <= tol:
            return Status.CERTIFIED
        end = Status.GAP_REMAINS
    else:
        if outcome.second_order:
            return Status.SECOND_ORDER
        # A method with a second-order test continues until that test, however small the gradient.
        if history.scaled_gradient[-1] <= tol and (outcome.stalled or outcome.second_order is None):
            return Status.STATIONARY
        end = Status.STALLED
    if outcome.stalled:
        return end
    return Status.MAX_STEPS if history.steps[-1] >= max_steps else None
