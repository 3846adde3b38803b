"""The loop of the iterative methods: segments of steps, with a certificate after each."""

import time
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _programs
from taylornets._fit._result import FitHistory, FitResult
from taylornets._fit._status import Status
from taylornets.certificates import Certificate, certify_objective
from taylornets.objectives import Objective, ReducedObjective
from taylornets.optimizers import Method, MethodOutcome
from taylornets.two_layer import Block, RowBlocks, fold_blocks

FIRST_CHECK = 20
_CHECK_GROWTH = 1.25
_CHECK_GROWTH_COSTLY = 1.6
_STRETCH = 0.01


class _Preconditioned(eqx.Module):
    """The objective in the coordinates `z` with `w = z A`, `A = (S/‖S‖ + ε I)^{-1/2}`, `S = Σ p_i x_i x_iᵀ`.

    The curvature in `w_r` enters through `⟨w_r, x_i⟩`, so anisotropic inputs make the objective ill-conditioned. `ε` limits
    the scaling of a direction and is a heuristic. It halves the steps on digits; for isotropic inputs `A` is nearly `I`.
    """

    risk: Objective | ReducedObjective
    transform: Float[Array, "d d"]
    inverse: Float[Array, "d d"]

    @classmethod
    def of(cls, risk: Objective | ReducedObjective) -> "_Preconditioned":
        values, vectors = jnp.linalg.eigh(_second_moment(risk))
        scale = jnp.sqrt(jnp.maximum(values / values[-1], 0) + _STRETCH)
        return cls(risk, (vectors / scale[None, :]) @ vectors.T, (vectors * scale[None, :]) @ vectors.T)

    def __call__(self, z: Array) -> Array:
        return self.risk(z @ self.transform)


def _second_moment(risk: Objective | ReducedObjective) -> Float[Array, "d d"]:
    """Computes `S = Σ p_i x_i x_iᵀ`."""
    if isinstance(risk.features.blocks.x, RowBlocks):
        return _second_moment_of_rows(risk)
    x = risk.x
    return (x * risk.weights()[:, None]).T @ x


@_programs.program
def _second_moment_of_rows(risk: Objective | ReducedObjective) -> Float[Array, "d d"]:
    prepared = risk.features

    def add(total: Array, item: tuple[Block, Array]) -> Array:
        block, weights = item
        return total + (block.x * weights[:, None]).T @ block.x

    start = jnp.zeros((risk.net.inputs, risk.net.inputs), prepared.blocks.x.dtype)
    return fold_blocks(add, start, (prepared.blocks, prepared.per_example(risk.weights())))


def minimize(
    risk: Objective | ReducedObjective,
    w: Array,
    solver: Method,
    key: PRNGKeyArray,
    *,
    certified: bool,
    tol: float,
    max_steps: int,
    on_check: Callable[[FitHistory], None] | None = None,
    until: Callable[[FitHistory], bool] | None = None,
    first_check: int = FIRST_CHECK,
) -> FitResult:
    """Runs a method on a prepared objective, with checks at a geometric schedule of steps, from `first_check` on.

    The schedule depends only on the number of steps, so results do not depend on the speed of the machine, and it bounds
    the fraction of time spent on certificates. `on_check` is called with the history after every check. A certified run also
    ends, with a remaining gap, when `until` returns true for the history.
    """
    started = time.perf_counter()
    history = FitHistory()
    fun = _Preconditioned.of(risk) if solver.scales_inputs else risk
    enter, leave = (fun.inverse, fun.transform) if isinstance(fun, _Preconditioned) else (None, None)
    state = solver.init(fun, w if enter is None else w @ enter, key)
    randomized = certified and risk.model.randomization is not None
    check, growth = first_check, _CHECK_GROWTH_COSTLY if randomized else _CHECK_GROWTH
    certificate: Certificate | None = None
    value, gradient = risk.value_and_gradient(w)
    while True:
        state = solver.advance(fun, state, min(check, max_steps) - int(state.steps))
        candidate = state.w if leave is None else state.w @ leave
        size = jnp.maximum(jnp.linalg.norm(candidate), risk.natural_norm)
        # If the objective is not finite, the best known point is used.
        diverged = not bool(jnp.isfinite(state.value))
        if jnp.isfinite(candidate).all():
            found, slope = risk.value_and_gradient(candidate)
            diverged |= not bool(jnp.isfinite(found))
            if not diverged or found < value:
                w, value, gradient = candidate, found, slope
        certificate = _certified(risk, w, certificate) if certified and isinstance(risk, Objective) else None
        history.add(int(state.steps), value, gradient, size, certificate, time.perf_counter() - started)
        if on_check is not None:
            on_check(history)
        outcome = solver.outcome(state)
        status = Status.DIVERGED if diverged else _status(outcome, history, certificate, tol, max_steps)
        if status is None and until is not None and until(history):
            status = Status.GAP_REMAINS
        if status is Status.GAP_REMAINS and randomized:
            status = Status.COUPLING_ERROR
        if status is not None:
            steps = int(state.steps)
            return FitResult(
                w, float(value), certificate, status, steps, history, outcome.stationarity, risk.net, risk.model
            )
        check = max(int(state.steps) + 1, int(growth * check))


def _certified(risk: Objective, w: Array, best: Certificate | None) -> Certificate:
    """Returns the certificate of `w`, with the best lower bound so far: it holds for all displacements alike."""
    found = certify_objective(risk, w)
    if best is None or risk.model.randomization is not None or not float(found.dual) < float(best.dual):
        return found
    return Certificate(found.primal, best.dual, best.dual_vector)


def _status(
    outcome: MethodOutcome, history: FitHistory, certificate: Certificate | None, tol: float, max_steps: int
) -> Status | None:
    """Returns the status if the run ends at this check, otherwise None."""
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
