"""The proximal dual Newton method: training of the quadratic model to a certified optimum (theory 11).

The method solves the convex lift by a proximal point iteration in `Θ`, and each proximal problem by a semismooth Newton method
on its dual. The variable is the vector of outputs `f`, so that `ν = p ℓ'(f)` is in the domain of the conjugate. There are no
local minima, no random initialization and no rank to choose: ranks are those of the eigendecompositions.

Every iterate gives an upper bound, the objective `P(Θ)`, and a lower bound, `max_t D(tν)`. The run ends when the best of each
are within the tolerance.

**Schedule** (heuristics). `ε = 2aκ` with `a` of the last center. `κ` shrinks when Newton's method converges at once, so that
the proximal steps get longer, grows when it has to work, and grows much when steps are short or not found. A center is
replaced when the Newton decrement is smaller than the proximal distance: beyond that accuracy, the proximal problem is not the
limit of progress.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from taylornets import _devices, _programs
from taylornets._fit._lift import DualPoint, Evaluation, Prox, dual_point, evaluate
from taylornets._fit._newton import is_dense, newton_direction
from taylornets._fit._ranks import displacement_of
from taylornets._fit._refine import may_refine, refined
from taylornets._fit._result import FitHistory, FitResult
from taylornets._fit._status import Status
from taylornets.certificates import certify_objective
from taylornets.objectives import Objective

_KAPPA = 0.3
_SHRINK, _GROW, _RESCUE = 0.3, 3.0, 30.0
_ARMIJO, _BACKTRACK, _MOST_TRIALS = 1e-4, 0.4, 12
_INNER_STEPS = 8
_BETTER = 0.9
_HARD = 8  # backtracks at one center
# Centers without a better gap, after which a run counts as stalled; more in float64 while the gap is large, where plateaus end.
_PATIENCE, _LONG_PATIENCE, LARGE_GAP = 12, 60, 1e-2
_COARSE, _FINE, _FINE_GAP = 1e-3, 1e-4, 1e-5  # relative residuals of the Newton equation
_INSIDE = 0.9  # largest multiple of the first dual vector relative to the end of its range


class _Bounds(NamedTuple):
    """The best bounds so far: `primal` with its minimizer and the point that it comes from, `dual` with its dual vector."""

    primal: float
    found: Prox
    point: DualPoint
    dual: float
    vector: Array

    @classmethod
    def of(cls, state: Evaluation) -> "_Bounds":
        primal, dual = _numbers(state.primal, state.point.dual)
        return cls(primal, state.prox, state.point, dual, state.point.dual_vector)

    @property
    def gap(self) -> float:
        return (self.primal - self.dual) / abs(self.primal) if self.primal else 0.0

    def improved(self, state: Evaluation) -> "_Bounds":
        bounds = self
        primal, dual = _numbers(state.primal, state.point.dual)
        if primal < bounds.primal:
            bounds = bounds._replace(primal=primal, found=state.prox, point=state.point)
        if dual > bounds.dual:
            bounds = bounds._replace(dual=dual, vector=state.point.dual_vector)
        return bounds


@_devices.exact
def dual_newton(
    risk: Objective,
    w: Array | None,
    *,
    tol: float,
    max_steps: int,
    on_check: Callable[[FitHistory], None] | None = None,
    predicted: Array | None = None,
) -> FitResult:
    """Trains the quadratic model by the proximal dual Newton method.

    Args:
        risk: an objective of the quadratic model.
        w: initial displacement, shape `(m, d)` or `(m, R, d)`; None for a start from the dual problem.
        tol: relative gap at which the run stops.
        max_steps: maximum number of Newton steps.
        on_check: called with the history after every Newton step.
        predicted: see `solve_lift`.

    Returns:
        The result; `w` has the least number of copies with which the certificate holds. A gap that remains in lower
        precision is closed in float64, see `_refine`.
    """
    result = _certified(risk, w, tol, max_steps, on_check, predicted)
    left = max_steps - result.steps
    if result.status is not Status.GAP_REMAINS or left <= 0 or not may_refine(risk):
        return result
    return refined(risk, result, lambda risk, w, tol: _certified(risk, w, tol, left, None), tol)


def _certified(
    risk: Objective, w: Array | None, tol: float, max_steps: int, on_check: Callable[[FitHistory], None] | None,
    predicted: Array | None = None,
) -> FitResult:  # fmt: skip
    """Runs the method and certifies its solution, or `w` where that is better."""
    found = solve_lift(risk, w, tol=tol, max_steps=max_steps, on_check=on_check, predicted=predicted)
    best = found.w
    if w is not None and found.status is not Status.CERTIFIED and not float(risk(best)) <= float(risk(w)):
        best = w
    certificate = certify_objective(risk, best, found.dual_vector)
    found.history.close(certificate)
    status = found.status
    if status is Status.CERTIFIED and float(certificate.relative_gap) > tol:
        status = Status.GAP_REMAINS
    primal = float(certificate.primal)
    return FitResult(best, primal, certificate, status, found.steps, found.history, net=risk.net, model=risk.model)


class LiftSolution(NamedTuple):
    """The displacement `w`, the dual vector `nu` from which it was computed, the best dual vector, and how the run ended."""

    w: Array
    nu: Array
    dual_vector: Array
    status: Status
    steps: int
    history: FitHistory


def solve_lift(
    risk: Objective,
    w: Array | None,
    *,
    tol: float,
    max_steps: int,
    on_check: Callable[[FitHistory], None] | None = None,
    outputs: Array | None = None,
    predicted: Array | None = None,
) -> LiftSolution:
    """Runs the method.

    Args:
        risk: as in `dual_newton`.
        w: as in `dual_newton`.
        tol: as in `dual_newton`.
        max_steps: as in `dual_newton`.
        on_check: as in `dual_newton`.
        outputs: the outputs of `w`, if they are known.
        predicted: outputs that may be closer to the solution; the run starts from those with the larger dual value.
    """
    history, began = FitHistory(), time.perf_counter()
    run = _Run(risk, w, outputs, predicted)
    status = None
    while status is None:
        bounds = run.bounds
        history.add_bounds(run.steps, bounds.primal, bounds.gap, time.perf_counter() - began)
        if on_check is not None:
            on_check(history)
        if bounds.gap <= tol:
            status = Status.CERTIFIED
        elif run.stalled or not np.isfinite(bounds.gap):
            status = Status.GAP_REMAINS
        elif run.steps >= max_steps:
            status = Status.MAX_STEPS
        else:
            run.newton_step()
    best = run.bounds
    w = displacement_of(risk, best.point, best.found, best.dual, tol, run.size)
    return LiftSolution(w, best.point.nu, best.vector, status, run.steps, history)


class _Run:
    """The mutable state of a run: the current point and centers, the best bounds, and the schedule."""

    def __init__(self, risk: Objective, w: Array | None, outputs: Array | None, predicted: Array | None):
        self.risk = risk
        self.kappa, self.steps, self.idle = _KAPPA, 0, 0
        self._inner = self._backtracks = 0
        entries = risk.net.width * risk.net.inputs
        # Small problems use one length of the list of pairs, and so compile once.
        self.size = entries if is_dense(risk, entries) else None
        self._centers = _lifted(jnp.zeros_like(risk.net.w0) if w is None else w)
        f = outputs
        if f is None:
            f = _cold_outputs(risk) if w is None else risk.outputs(w)
        self.point = dual_point(risk, f)
        if predicted is not None:
            self.point = max(self.point, dual_point(risk, predicted), key=lambda point: float(point.dual))
        # Zero if every unit is off on every example; the minimizer is then zero at any ε > 0.
        self._slope = self._penalty_slope(self.point.total) or float(risk.strength)
        self._state = self._evaluate()
        self.bounds = _Bounds.of(self._state)
        self._best_gap = self.bounds.gap

    @property
    def stalled(self) -> bool:
        plateau = self.bounds.gap > LARGE_GAP and self.point.f.dtype == np.float64
        return self.idle >= (_LONG_PATIENCE if plateau else _PATIENCE)

    def newton_step(self) -> None:
        """Takes a step along the Newton direction, then replaces the centers if the proximal problem is solved well enough."""
        state = self._state
        direction = newton_direction(self.risk, state, _FINE if self.bounds.gap < _FINE_GAP else _COARSE)
        decrement, before = _numbers(direction.decrement, state.prox.distance)
        moved = self._search(direction.f, decrement)
        self.steps, self._inner = self.steps + 1, self._inner + 1
        self.bounds = self.bounds.improved(self._state)
        (distance,) = _numbers(self._state.prox.distance)
        hard = self._inner >= _INNER_STEPS or self._backtracks >= _HARD
        if not moved or hard or decrement < max(before, distance):
            self._recenter(moved)

    def _search(self, direction: Array, decrement: float) -> bool:
        """Backtracks on the dual function, which increases along the Newton direction; whether a point was found."""
        start, step = self.point.f, 1.0
        before, fenchel = _numbers(self._state.proximal_dual, self.point.fenchel)
        slack = 16 * float(jnp.finfo(start.dtype).eps) * (abs(before) + abs(fenchel))
        old = self.point, self._state
        for _ in range(_MOST_TRIALS):
            self.point = dual_point(self.risk, _along(start, np.asarray(step, start.dtype), direction))
            self._state = self._evaluate()
            (after,) = _numbers(self._state.proximal_dual)
            if np.isfinite(after) and after >= before + _ARMIJO * step * decrement - slack:
                return True
            step, self._backtracks = step * _BACKTRACK, self._backtracks + 1
        self.point, self._state = old
        return False

    def _recenter(self, moved: bool) -> None:
        if moved and self._inner <= 2 and not self._backtracks:
            self.kappa *= _SHRINK
        elif not moved or self._backtracks >= _HARD:
            self.kappa *= _RESCUE
        elif self._inner >= 4 or self._backtracks > 1:
            self.kappa = max(self.kappa, min(_GROW * self.kappa, 1.0))
        gap = self.bounds.gap
        self.idle = 0 if gap < _BETTER * self._best_gap else self.idle + 1
        self._best_gap = min(gap, self._best_gap)
        self._centers = self._state.prox.theta
        self._slope = float(self._state.prox.a) or self._slope
        self._inner = self._backtracks = 0
        self._state = self._evaluate()
        self.bounds = self.bounds.improved(self._state)

    def _evaluate(self) -> Evaluation:
        epsilon = jnp.asarray(2 * self._slope * self.kappa, self._centers.dtype)
        return evaluate(self.risk, self.point, self._centers, epsilon, self.size)

    def _penalty_slope(self, total: Array) -> float:
        """The slope `a` of the penalty at the maximizer `s = √g` of `sC - λ s^{p/2}`."""
        strength, q = float(self.risk.strength), self.risk.penalty.power / 2
        if q == 2:
            return strength
        root = (float(total) / (q * strength)) ** (1 / (q - 1))
        return strength * q / 2 * root ** (q - 2)


def _numbers(*values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in jax.device_get(values))


@_programs.program
def _along(start: Array, step: np.ndarray | Array, direction: Array) -> Array:
    return start + step * direction


@_programs.program
def _lifted(w: Array) -> Array:
    copies = w.reshape(w.shape[0], -1, w.shape[-1])
    return jnp.einsum("rjd,rje->rde", copies, copies)


def _cold_outputs(risk: Objective) -> Array:
    """Outputs with `ℓ'(f) = t ℓ'(f⁰)`, for the multiple `t` that maximizes the dual value: `f = ∇ℓ*(t ℓ'(f⁰))`."""
    initial = risk.initial_outputs()
    return _outputs_of_multiple(risk, initial, dual_point(risk, initial))


@_programs.program
def _outputs_of_multiple(risk: Objective, initial: Array, first: DualPoint) -> Array:
    y = risk.targets()
    slopes = risk.loss.derivative(initial, y)
    size = jnp.linalg.norm(first.nu)
    t = jnp.linalg.norm(first.dual_vector) / jnp.where(size > 0, size, 1)
    _, high = risk.loss.scale_range(slopes, y)
    slopes = jnp.minimum(t, _INSIDE * high) * slopes
    return jax.grad(lambda s: jnp.sum(risk.loss.conjugate(s, y)))(slopes)
