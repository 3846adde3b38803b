"""The choice of a method for an objective, and its rank.

| model | `method="auto"` |
|---|---|
| linear | Newton's method on the ridge dual |
| quadratic, `n·C` at most a few thousand, or `w_init` given | dual Newton method |
| quadratic, larger | L-BFGS with four copies while its gap halves per 30 % more steps, to 1e-3; then the dual Newton method |
| quadratic at a fixed rank, all others | L-BFGS |
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, PRNGKeyArray

from taylornets import _checks
from taylornets._fit._dual_newton import LARGE_GAP, dual_newton
from taylornets._fit._methods import default_method
from taylornets._fit._minimize import FIRST_CHECK, minimize
from taylornets._fit._ranks import fewest_copies, with_new_copy
from taylornets._fit._result import FitHistory, FitResult
from taylornets._fit._ridge import ridge
from taylornets._fit._start import spectral_start
from taylornets._fit._status import Status
from taylornets.certificates import Certificate, certify_objective, default_tolerance
from taylornets.objectives import Objective
from taylornets.optimizers import LBFGS, METHODS, Method

Rank = int | str  # "auto" or a number of copies

_RESTARTS = 3
_SAME_OBJECTIVE = 1e-7
_OPEN = (Status.GAP_REMAINS, Status.COUPLING_ERROR)
# Up to this many outputs on the examples, first-order steps do not pay: at n = 2000 the dual Newton method alone takes .5 to
# 1.0 of the time to a gap of 1e-4, and .5 to .8 to 1e-6; at n = 5000 and weak penalties 1.3 to 1.4, and 1.0 to 1.2.
_MOST_DIRECT = 2500
# The first stage of larger problems: copies, the first check, the least number of steps, and the rules that end it. With four
# copies, steps cost twice as much as with two, but the gap falls further before the rank limits it. From a gap of 1e-3, the
# dual Newton method needs about ten steps to 1e-6.
_FIRST_COPIES, _EARLY_CHECK, _FIRST_STEPS, _MORE_STEPS, _BETTER = 4, 10, 50, 1.3, 0.5
_NEWTON_GAP = 1e-3
# The last stage, where the dual Newton method stalls at a larger gap: at very weak penalties, L-BFGS then lowers the objective
# (on the diabetes data at λ = 1e-9 from 5.7e-4 to 4.3e-4), and the dual bound is kept.
_LAST_COPIES, _LAST_STEPS = 4, 2000


def train(
    risk: Objective,
    w: ArrayLike | None,
    predicted: Array | None = None,
    *,
    method: str | Method,
    key: PRNGKeyArray | None,
    rank: Rank,
    tol: float | None,
    max_steps: int,
) -> FitResult:
    """Runs `fit` on a prepared objective; `predicted` are outputs that may be close to those of the solution."""
    return _trained(risk, w, predicted, method, key, rank, tol, max_steps).explained(rank, default_tolerance(risk))


def takes_outputs(risk: Objective, method: str | Method, rank: Rank) -> bool:
    """Whether `train` uses predicted outputs: whether a run from a displacement is one of the dual Newton method."""
    return isinstance(method, str) and _named(risk, method, rank, risk.net.w0) == "dual_newton"


def _trained(
    risk: Objective, w: ArrayLike | None, predicted: Array | None, method: str | Method, key: PRNGKeyArray | None, rank: Rank,
    tol: float | None, max_steps: int,
) -> FitResult:  # fmt: skip
    key = jax.random.key(0) if key is None else key
    tol = default_tolerance(risk) if tol is None else tol
    start = None if w is None else risk.displacement(w)
    if isinstance(method, str):
        name = _named(risk, _checks.choice("method", method, ("auto", "dual_newton", *METHODS)), rank, start)
        if name == "ridge":
            return ridge(risk, start, tol=tol, max_steps=max_steps)
        if name in {"dual_newton", "hybrid"}:
            return _dual(risk, start, predicted, name, key, rank, tol, max_steps)
        method = default_method(name, risk, key, max_steps)
    options: dict[str, Any] = {"certified": risk.model.certifiable, "tol": tol, "max_steps": max_steps}
    if rank == "auto":
        first = risk.start(key, 1) if start is None else start
        return _growing(risk, minimize(risk, first, method, key, **options), method, key, options)
    if start is not None:
        return minimize(risk, start, method, key, **options)
    return _restarted(risk, method, key, int(rank), options)


def _named(risk: Objective, name: str, rank: Rank, start: Array | None) -> str:
    """Resolves `"auto"`, and checks that the dual Newton method applies."""
    lifted = risk.model.certifiable and risk.model.randomization is None
    if name == "dual_newton":
        if not lifted:
            advice = "The method works on the convex lift, which only these models have; use method='auto'."
            raise _checks.ArgumentError(
                "method", "another method for this model", f"'dual_newton' for model={risk.model.name!r}", advice
            )
        return "ridge" if risk.order == 1 else "dual_newton"
    if name != "auto":
        return name
    if not lifted or (risk.order == 2 and rank != "auto"):
        return "lbfgs"
    if risk.order == 1:
        return "ridge"
    direct = risk.count * risk.net.outputs <= _MOST_DIRECT
    return "dual_newton" if direct or start is not None else "hybrid"


def _dual(
    risk: Objective, w: Array | None, predicted: Array | None, name: str, key: PRNGKeyArray, rank: Rank, tol: float,
    max_steps: int,
) -> FitResult:  # fmt: skip
    if name == "hybrid":
        began = time.perf_counter()
        start = jax.block_until_ready(spectral_start(risk, key, _FIRST_COPIES))
        elapsed = time.perf_counter() - began
        result = close_gap(risk, start, LBFGS(), tol=tol, max_steps=max_steps, first_check=_EARLY_CHECK)
        result.history.seconds[:] = [elapsed + seconds for seconds in result.history.seconds]
        return result
    found = dual_newton(risk, w, tol=tol, max_steps=max_steps, predicted=predicted)
    result = _lowered(risk, found, tol, max_steps)
    most = risk.net.inputs if rank == "auto" else int(rank)
    if result.w.ndim == 2 or result.w.shape[1] <= most or result.certificate is None:
        return result
    # The optimum has more copies than allowed. The dual vector still bounds the optimum of this rank.
    kept = result.w[:, 0] if most == 1 else result.w[:, :most]
    limited = minimize(risk, kept, LBFGS(), key, certified=True, tol=tol, max_steps=max_steps)
    certificate = certify_objective(risk, limited.w, jnp.asarray(result.certificate.dual_vector))
    return result.followed_by(limited).certified_by(certificate, tol)


def close_gap(
    risk: Objective,
    w: Array,
    method: Method,
    *,
    tol: float,
    max_steps: int,
    on_check: Callable[[FitHistory], None] | None = None,
    first_check: int = FIRST_CHECK,
) -> FitResult:
    """Trains the quadratic model from `w`: first by `method`, while a large gap halves, then by the dual Newton method.

    The first stage is cheap per step and reaches moderate gaps sooner; it stops because of the rank, and slows down at weak
    penalties. The second has neither limit.
    """
    first = minimize(
        risk, w, method, jax.random.key(0), certified=True, tol=tol, max_steps=max_steps, on_check=on_check, until=_slow,
        first_check=first_check,
    )  # fmt: skip
    if first.status is Status.CERTIFIED:
        return _compressed(risk, first, tol)
    if first.status is not Status.GAP_REMAINS or first.steps >= max_steps:
        return first
    second = dual_newton(risk, first.w, tol=tol, max_steps=max_steps - first.steps, on_check=on_check)
    return _lowered(risk, first.followed_by(second), tol, max_steps)


def _lowered(risk: Objective, result: FitResult, tol: float, max_steps: int) -> FitResult:
    """Lowers the objective by L-BFGS with copies where the dual Newton method has stalled at a large gap; keeps its bound."""
    left = min(max_steps - result.steps, _LAST_STEPS)
    if result.status is not Status.GAP_REMAINS or _gap(result) <= LARGE_GAP or left <= 0:
        return result
    key = jax.random.key(0)
    more = minimize(risk, risk.start(key, _LAST_COPIES), LBFGS(), key, certified=True, tol=tol, max_steps=left)
    if not more.objective < result.objective or result.certificate is None:
        return result
    certificate = certify_objective(risk, more.w, jnp.asarray(result.certificate.dual_vector))
    joined = replace(result.followed_by(more), status=result.status).certified_by(certificate, tol)
    joined = _compressed(risk, joined, tol)
    if joined.certificate is not None:
        joined.history.close(joined.certificate)
    left = max_steps - joined.steps
    if joined.status is Status.CERTIFIED or _gap(joined) > LARGE_GAP or left <= 0:
        return joined
    last = joined.followed_by(dual_newton(risk, joined.w, tol=tol, max_steps=left))
    return last if _gap(last) <= _gap(joined) else joined


def _gap(result: FitResult) -> float:
    return math.inf if result.certificate is None else float(result.certificate.relative_gap)


def _slow(history: FitHistory) -> bool:
    """Whether the gap no longer halves per 30 % more steps, or is so small that Newton's method closes it fast."""
    now = history.steps[-1]
    if history.relative_gap[-1] <= _NEWTON_GAP:
        return True
    earlier = [
        gap for steps, gap in zip(history.steps, history.relative_gap, strict=True) if steps * _MORE_STEPS <= now
    ]
    return now >= _FIRST_STEPS and bool(earlier) and history.relative_gap[-1] > _BETTER * earlier[-1]


def _growing(
    risk: Objective, result: FitResult, method: Method, key: PRNGKeyArray, options: dict[str, Any]
) -> FitResult:
    """Adds copies while a stationary point has directions of negative curvature in the lifted problem."""
    if not risk.model.certifiable or risk.model.randomization is not None or risk.order != 2:
        return result
    while result.status is Status.GAP_REMAINS and result.steps < options["max_steps"]:
        w = with_new_copy(risk, result.w)
        if w is None:
            break
        left = {**options, "max_steps": options["max_steps"] - result.steps}
        more = result.followed_by(minimize(risk, w, method, key, **left))
        if not more.objective < result.objective * (1 - _SAME_OBJECTIVE * options["tol"]):
            break
        result = more
    return _compressed(risk, result, options["tol"])


def _compressed(risk: Objective, result: FitResult, tol: float) -> FitResult:
    """Returns the result with the least number of copies that keeps its gap."""
    if result.w.ndim == 2 or result.certificate is None:
        return result
    w = fewest_copies(risk, result.w, float(result.certificate.dual), tol)
    certificate = Certificate(risk(w), result.certificate.dual, result.certificate.dual_vector)
    return result.with_displacement(w, certificate)


def _restarted(risk: Objective, method: Method, key: PRNGKeyArray, rank: int, options: dict[str, Any]) -> FitResult:
    """Restarts while a gap remains at a fixed rank.

    A remaining gap indicates a local minimum of a narrow network or an optimum of higher rank. A restart distinguishes the
    two: runs that end at the same objective have reached the optimum of this rank.
    """
    result = minimize(risk, risk.start(key, rank), method, key, **options)
    for attempt in range(_RESTARTS):
        if result.status not in _OPEN:
            break
        other_key = jax.random.fold_in(key, attempt)
        other = minimize(risk, risk.start(other_key, rank), method, other_key, **options)
        if abs(other.objective - result.objective) <= _SAME_OBJECTIVE * result.objective:
            break
        result = min(result, other, key=lambda candidate: candidate.objective)
    return result
