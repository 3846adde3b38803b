"""Trust-region Newton-CG with a second-order stopping test (theory 4).

Each step minimizes the quadratic model in a ball by Steihaug's conjugate gradients, with one Hessian-vector product per
iteration. A direction of negative curvature is followed to the boundary. If the model predicts no decrease beyond rounding,
the point is stationary, and Lanczos searches for negative curvature that is not visible in the gradient (which vanishes at
`W = 0`). If it finds any, the method moves along that direction and continues; otherwise it stops.

At `W = 0` the Hessian is block-diagonal over the units, and the gradient of a unit at exactly 0 vanishes: a move along one
eigenvector would activate only one unit at a time. The method therefore adds a random direction of a tenth of the length,
which moves all units away from 0.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from taylornets import _checks, _programs
from taylornets.optimizers import _method
from taylornets.optimizers._interface import MethodOutcome
from taylornets.optimizers._stationarity import Stationarity, stationarity

# Fractions of the predicted decrease required to accept a step and to expand the region (Conn, Gould, Toint).
_ACCEPT, _GOOD = 0.1, 0.75
_LENGTHS = 2.0 ** np.arange(-20, 13)  # trial lengths along a direction of negative curvature
_SIDEWAYS = 0.1
_ROUNDING = 8.0


class _Region(NamedTuple):
    """The carry of the compiled loop."""

    w: Array
    value: Float[Array, ""]
    gradient: Array
    radius: Float[Array, ""]
    steps: Int[Array, ""]
    products: Int[Array, ""]
    flat: Bool[Array, ""]


class NegativeCurvatureState(NamedTuple):
    """The state of a run.

    Attributes:
        region: iterate, value, gradient, radius, steps, Hessian-vector products.
        key: random key for the next second-order test.
        escapes: number of saddles escaped along negative curvature.
        stationarity: the second-order test that ended the run; None until then.
        second_order: whether this test found no negative curvature beyond the tolerance. False if it found some or did not
            converge, but no move along the direction lowers the objective by more than rounding.
    """

    region: _Region
    key: PRNGKeyArray
    escapes: int = 0
    stationarity: Stationarity | None = None
    second_order: bool = False

    @property
    def w(self) -> Array:
        """The iterate; the objective never increases along the run."""
        return self.region.w

    @property
    def value(self) -> Array:
        """The objective at the iterate."""
        return self.region.value

    @property
    def steps(self) -> Array:
        """Number of completed trust-region steps."""
        return self.region.steps


class NegativeCurvature(eqx.Module):
    """Trust-region Newton-CG that stops at second-order stationary points, or reports that rounding prevents progress.

    `taylornets.optimizers.negative_curvature` is an alias.

    Args:
        curvature_tolerance: a point is second-order stationary if the lower bound on the smallest Hessian eigenvalue (up to the
            Lanczos residual) is at least `-curvature_tolerance` times the spectral radius.
        max_products: maximum number of Hessian-vector products per trust-region step.
        test_products: maximum number of Hessian-vector products per second-order test.

    Raises:
        ArgumentError: for values out of range.

    Source: Conn, Gould, Toint, "Trust-Region Methods" (2000), algorithms 6.1.1 and 7.5.1.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=16)
        >>> x, saddle = jax.random.normal(jax.random.key(1), (20, 3)), 0 * net.w0
        >>> method = tn.optimizers.negative_curvature()
        >>> tn.fit(net, x, x[:, 0] * x[:, 1], penalty=1e-2, method=method, w_init=saddle, tol=1e-3).status.name
        'CERTIFIED'
    """

    curvature_tolerance: float = eqx.field(static=True, default=1e-6)
    max_products: int = eqx.field(static=True, default=200)
    test_products: int = eqx.field(static=True, default=3000)
    scales_inputs: bool = eqx.field(static=True, default=False, init=False)

    def __check_init__(self):
        _checks.positive("curvature_tolerance", self.curvature_tolerance)
        _checks.integer("max_products", self.max_products, 1)
        _checks.integer("test_products", self.test_products, 1)

    def init(self, fun: Any, w: Array, key: PRNGKeyArray) -> NegativeCurvatureState:
        """Returns the state at the initial point `w`.

        Raises:
            ArgumentError: for networks whose activation has no continuous second derivative.
        """
        _method.require_second_derivative(fun)
        return NegativeCurvatureState(_start(fun, w), key)

    def advance(self, fun: Any, state: NegativeCurvatureState, steps: int) -> NegativeCurvatureState:
        """Runs up to `steps` trust-region steps, with a second-order test whenever the gradient yields no further decrease."""
        last = int(state.steps) + steps
        while True:
            state = state._replace(region=_advance(self, fun, state.region, jnp.asarray(last)))
            if int(state.steps) >= last or not bool(jnp.isfinite(state.value)) or state.stationarity is not None:
                return state
            key, key_test, key_side = jax.random.split(state.key, 3)
            test = stationarity(fun, state.w, key=key_test, max_products=self.test_products)
            tested = state.region._replace(products=state.region.products + test.products)
            state = state._replace(region=tested, key=key)
            if test.lower_bound >= -self.curvature_tolerance * test.spectral_radius:
                return state._replace(stationarity=test, second_order=True)
            moved, escaped = _escape(fun, tested, test.direction, key_side)
            if not bool(escaped):
                return state._replace(stationarity=test)
            state = state._replace(region=moved, escapes=state.escapes + 1)

    def outcome(self, state: NegativeCurvatureState) -> MethodOutcome:
        """Reports a stall if a second-order test ended the run; the outcome contains the test and its result."""
        return MethodOutcome(state.stationarity is not None, state.second_order, state.stationarity)


@_programs.program
def _start(fun: Any, w: Array) -> _Region:
    value, gradient = _method.value_and_gradient(fun, w)
    zero = jnp.zeros((), jnp.int32)
    radius = jnp.maximum(jnp.linalg.norm(w), 1.0).astype(w.dtype)
    return _method.strongly_typed(_Region(w, value, gradient, radius, zero, zero, jnp.zeros((), bool)))


@_programs.loop
def _advance(method: NegativeCurvature, fun: Any, region: _Region, last: Array) -> _Region:
    def going(region: _Region) -> Array:
        return (region.steps < last) & ~region.flat & jnp.isfinite(region.value)

    def step(region: _Region) -> _Region:
        norm = jnp.linalg.norm(region.gradient)
        # Forcing term for superlinear convergence, relative to the value to make it dimensionless.
        accuracy = norm * jnp.minimum(0.1, jnp.sqrt(norm * region.radius / jnp.abs(region.value)))
        move, change, products = _steihaug(method, fun, region, accuracy)
        predicted = -(jnp.vdot(region.gradient, move) + jnp.vdot(move, change) / 2)
        value, gradient = _method.value_and_gradient(fun, region.w + move)
        floor = _ROUNDING * jnp.finfo(value.dtype).eps * jnp.abs(region.value)
        # If both decreases are at the level of rounding, the gradient norm decides.
        tiny = (predicted <= floor) & (jnp.abs(region.value - value) <= floor)
        ratio = jnp.where(tiny, 1.0, (region.value - value) / jnp.where(predicted > 0, predicted, 1))
        lower = jnp.linalg.norm(gradient) < norm
        accepted = jnp.where(tiny, lower, (ratio > _ACCEPT) & jnp.isfinite(value) & (predicted > 0))
        length = jnp.linalg.norm(move)
        wider = jnp.where(length > 0.9 * region.radius, 2 * region.radius, region.radius)
        radius = jnp.where(accepted, jnp.where(ratio > _GOOD, wider, region.radius), length / 4)
        return _Region(
            jnp.where(accepted, region.w + move, region.w),
            jnp.where(accepted, value, region.value),
            jnp.where(accepted, gradient, region.gradient),
            radius,
            region.steps + 1,
            region.products + products,
            tiny | (norm == 0),
        )

    return lax.while_loop(going, step, region._replace(flat=jnp.zeros((), bool)))


class _Inner(NamedTuple):
    """Carry of Steihaug's conjugate gradients: step, Hessian product, residual, direction, iterations, stop flag."""

    p: Array
    hp: Array
    r: Array
    d: Array
    products: Int[Array, ""]
    done: Bool[Array, ""]


def _steihaug(method: NegativeCurvature, fun: Any, region: _Region, accuracy: Array) -> tuple[Array, Array, Array]:
    """Returns an approximate minimizer `p` of `⟨g, p⟩ + ⟨p, Hp⟩/2` in the ball, `Hp`, and the number of products."""

    def going(inner: _Inner) -> Array:
        return ~inner.done & (inner.products < method.max_products)

    def iterate(inner: _Inner) -> _Inner:
        product = _method.hessian_vector_product(fun, region.w, inner.d)
        curvature, square = jnp.vdot(inner.d, product), jnp.vdot(inner.r, inner.r)
        step = square / jnp.where(curvature > 0, curvature, 1)
        outside = (curvature <= 0) | (jnp.linalg.norm(inner.p + step * inner.d) >= region.radius)
        step = jnp.where(outside, _to_boundary(inner.p, inner.d, region.radius), step)
        r = inner.r + step * product
        d = -r + jnp.vdot(r, r) / square * inner.d
        done = outside | (jnp.linalg.norm(r) <= accuracy)
        return _Inner(inner.p + step * inner.d, inner.hp + step * product, r, d, inner.products + 1, done)

    zero, g = jnp.zeros_like(region.w), region.gradient
    start = _Inner(zero, zero, g, -g, jnp.zeros((), jnp.int32), jnp.linalg.norm(g) == 0)
    end = lax.while_loop(going, iterate, start)
    return end.p, end.hp, end.products


def _to_boundary(p: Array, d: Array, radius: Array) -> Array:
    """Solves `‖p + τ d‖ = radius` for `τ ≥ 0` without cancellation."""
    a, b, c = jnp.vdot(d, d), jnp.vdot(p, d), jnp.maximum(radius**2 - jnp.vdot(p, p), 0)
    root = jnp.sqrt(b * b + a * c)
    return jnp.where(b > 0, c / (b + root), (root - b) / a)


@_programs.program
def _escape(fun: Any, region: _Region, direction: Array, key: PRNGKeyArray) -> tuple[_Region, Array]:
    """Returns the lowest point on a grid of lengths, in both directions, along negative curvature plus a random part."""
    side = jax.random.normal(key, direction.shape, direction.dtype)
    side = _SIDEWAYS * side / jnp.linalg.norm(side)
    lengths = jnp.asarray(_LENGTHS, direction.dtype)
    candidates = [(sign * direction + share * side) for sign in (1, -1) for share in (1, 0)]
    rays = jnp.stack(candidates)

    def value(index: Array) -> Array:
        ray, length = jnp.divmod(index, lengths.size)
        return fun(region.w + lengths[length] * rays[ray])

    values = lax.map(value, jnp.arange(len(candidates) * lengths.size))
    best = jnp.nanargmin(values)
    ray, length = jnp.divmod(best, lengths.size)
    w = region.w + lengths[length] * rays[ray]
    lowered, gradient = _method.value_and_gradient(fun, w)
    escaped = lowered < region.value
    radius = jnp.maximum(region.radius, lengths[length])
    return region._replace(w=w, value=lowered, gradient=gradient, radius=radius), escaped


negative_curvature = NegativeCurvature
