"""Second-order stationary points of the quadratic model, for the claim `landscape`."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import taylornets as tn
from taylornets.certificates import landscape_objective
from taylornets.learning import problems
from taylornets.objectives import Objective
from taylornets.records import Figure, Plot, Series, Surface
from taylornets.reproduction.claims import ClaimContext

# Few examples and a weak penalty: the theory does not exclude bad minima at small width, even less with power 4.
INPUTS, EXAMPLES, PENALTY, POWER = 6, 60, 1e-6, 8
DENSE = 600
SCALES = (0.01, 0.1, 0.3, 1.0, 3.0)
STEPS = 3000
BAD = 1e-6
SLICE = 61


class Point(NamedTuple):
    """A second-order stationary point: objective, stationarity test, and smallest dense eigenvalue, if computed."""

    w: Array
    objective: float
    test: tn.Stationarity
    dense: float | None


@eqx.filter_jit
def hessian(risk: Objective, w: Array) -> Array:
    """The Hessian, from its columns."""
    basis = jnp.eye(w.size, dtype=w.dtype).reshape(w.size, *w.shape)
    columns = jax.lax.map(lambda direction: risk.hessian_vector_product(w, direction), basis, batch_size=16)
    return columns.reshape(w.size, w.size)


def _dense(risk: Objective, w: Array) -> np.ndarray:
    """All eigenvalues of the Hessian."""
    return np.linalg.eigvalsh(np.asarray(hessian(risk, w)))


def problem(context: ClaimContext, width: int, power: int) -> tuple[tn.TwoLayerNetwork, Array, Array, Objective]:
    """Network, inputs, targets and objective at a width."""
    keys = jax.random.split(context.key, 2)
    x, y = problems.noisy_product(keys[0], EXAMPLES, INPUTS)
    net = tn.TwoLayerNetwork.init(jax.random.fold_in(keys[1], width), INPUTS, width)
    return net, x, y, tn.objective(net, x, y, penalty=PENALTY, power=power)


def _lower_bound(net: tn.TwoLayerNetwork, x: Array, y: Array, power: int, found: tn.certificates.Certificate) -> float:
    """The dual value of a rank-one point or, if a gap remains, of the optimum of the lifted problem, of any rank."""
    if float(found.relative_gap) <= 1e-7:
        return float(found.dual)
    result = tn.fit(net, x, y, penalty=PENALTY, power=power, tol=1e-9, throw=False)
    assert result.certificate is not None
    return max(float(found.dual), float(result.certificate.dual))


def _stationary_points(context: ClaimContext, risk: Objective, starts: int) -> list[Point]:
    """Second-order stationary points found by the negative-curvature method from random initializations of all scales."""
    method = tn.optimizers.negative_curvature()
    points: list[Point] = []
    for i in range(starts):
        key = jax.random.fold_in(context.key, 100 + i)
        w = risk.natural_point(key, scale=SCALES[i % len(SCALES)])
        state = method.advance(risk, method.init(risk, w, key), STEPS)
        if state.stationarity is None or not state.second_order:
            continue  # not second-order stationary according to the method
        dense = float(_dense(risk, state.w)[0]) if state.w.size <= DENSE else None
        points.append(Point(state.w, float(state.value), state.stationarity, dense))
    return points


def _eigenvalue_errors(context: ClaimContext, risk: Objective, minimum: Array) -> list[list[Any]]:
    """Compares `λ_min` by Lanczos with the dense Hessian, at a saddle, a minimum and random points."""
    zero = jnp.zeros_like(minimum)
    candidates = {"saddle at 0": zero, "minimum": minimum}
    for i, scale in enumerate(SCALES):
        candidates[f"random, scale {scale:g}"] = risk.natural_point(jax.random.fold_in(context.key, i), scale=scale)
    rows: list[list[Any]] = []
    for name, w in candidates.items():
        test, dense = tn.stationarity(risk, w, key=context.key), float(_dense(risk, w)[0])
        error = abs(test.min_eigenvalue - dense) / abs(dense)
        rows.append(
            [w.shape[0], name, dense, test.min_eigenvalue, error, test.uncertainty, test.converged, test.products]
        )
    return rows


def _slice(risk: Objective, minimum: Array, direction: Array) -> Figure:
    """Draws the objective around the saddle, along negative curvature and toward the minimum, and both spectra."""
    size = jnp.linalg.norm(minimum)
    towards = minimum / size
    across = direction - jnp.vdot(direction, towards) * towards
    across = across / jnp.linalg.norm(across)
    grid = jnp.linspace(-1.2, 1.2, SLICE)
    near = grid / 6  # further out, the eighth power of the norm dominates the figure

    def at(shift: Array, t: Array) -> Array:
        return risk(size * (t * across + shift * towards))

    values = jax.lax.map(lambda shift: jax.lax.map(lambda t: at(shift, t), near), grid)
    along = jax.lax.map(lambda t: at(t, jnp.zeros_like(t)), grid)
    axis = "distance / norm of the minimum"
    start, end = (np.sort(_dense(risk, w)) for w in (jnp.zeros_like(minimum), minimum))
    share = (np.arange(start.size) + 1) / start.size
    return Figure(
        "slice",
        "The saddle at zero and its escape direction",
        (
            Surface(
                "along the direction of negative curvature (" + axis + ")",
                "toward the minimum (" + axis + ")",
                near,
                grid,
                np.asarray(values),
                "penalized objective",
                (
                    Series("saddle $W = 0$", [0.0], [0.0]),
                    Series("certified minimum", [0.0], [1.0]),
                ),
                title="Two-dimensional slice",
            ),
            Plot(
                "toward the minimum (" + axis + ")",
                "penalized objective",
                (Series("", grid, np.asarray(along), kind="line"),),
                title="Line through the saddle and the minimum",
            ),
            Plot(
                "Hessian eigenvalue",
                "cumulative fraction of eigenvalues",
                (
                    Series("at the saddle $W = 0$", start, share, kind="line"),
                    Series("at the certified minimum", end, share, kind="line"),
                ),
                title="Hessian spectra",
            ),
        ),
        f"Width {minimum.shape[0]}, n = {EXAMPLES}, d = {INPUTS}, penalty {PENALTY:g} with power {POWER}. Left: the plane "
        "spanned by the minimum and the eigenvector of the smallest eigenvalue at the saddle; −W is a minimum as well.",
    )


def _claim(test: tn.Stationarity) -> float:
    """The claimed lower bound on the smallest eigenvalue, minus the rounding error of the dense computation."""
    return test.lower_bound - 1e-12 * test.spectral_radius


class FoundPoints(NamedTuple):
    """The points of all widths and powers.

    Fields: rows of the table of points, rows of the table of eigenvalues, relative excesses by power, the number of points
    whose smallest eigenvalue lies below its claimed bound, and the figure of the slice.
    """

    rows: list[list[Any]]
    eigenvalues: list[list[Any]]
    excesses: dict[int, list[np.ndarray]]
    below_claim: int
    figure: Figure


def study(
    context: ClaimContext, widths: tuple[int, ...], powers: tuple[int, ...], starts: int, sliced: int
) -> FoundPoints:
    """Points from random starts at every width and power; the slice is drawn at the width `sliced`."""
    rows: list[list[Any]] = []
    eigenvalues: list[list[Any]] = []
    excesses: dict[int, list[np.ndarray]] = {power: [] for power in powers}
    below_claim, figure = 0, None
    for j, (width, power) in enumerate((width, power) for width in widths for power in powers):
        message = f"second-order stationary points, width {width}, power {power}"
        context.progress(0.2 + 0.8 * j / (len(widths) * len(powers)), message)
        net, x, y, risk = problem(context, width, power)
        points = _stationary_points(context, risk, starts)
        best = min(points, key=lambda point: point.objective)
        landscape = landscape_objective(risk, best.w, best.test)
        bound = _lower_bound(net, x, y, power, landscape.certificate)
        values = np.asarray([point.objective for point in points])
        excess = np.maximum(values / bound - 1, 1e-12)
        excesses[power].append(excess)
        below_claim += sum(point.dense is not None and point.dense < _claim(point.test) for point in points)
        proved = float(landscape.excess_bound) / best.objective
        bad = float(np.mean(values > values.min() * (1 + BAD)))
        rows.append([power, width, len(points), excess.min(), np.median(excess), excess.max(), bad, proved])
        if power == POWER and best.w.size <= DENSE:
            eigenvalues += _eigenvalue_errors(context, risk, best.w)
        if power == POWER and width == sliced:
            saddle = tn.stationarity(risk, jnp.zeros_like(best.w), key=context.key)
            figure = _slice(risk, best.w, saddle.direction)
    assert figure is not None
    return FoundPoints(rows, eigenvalues, excesses, below_claim, figure)
