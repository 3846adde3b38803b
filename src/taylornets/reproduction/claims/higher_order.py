"""Coupling of networks with their order-k term (theory 2 and 6)."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

import taylornets as tn
from taylornets import statistics
from taylornets.learning import problems
from taylornets.records import Figure, Plot, Series, Table
from taylornets.reproduction.claims import Claim, ClaimContext, NegativeControl, Outcome, register

INPUTS, EXAMPLES = 4, 32
POWERS = {2: 3, 3: 4, 4: 5}  # of the target, by order
# A phase shift, so that no Gaussian moment of any derivative vanishes.
SIGMA = tn.activations.Custom(lambda t: jnp.sin(t + 0.7), complex_arguments=True, strip_width=float("inf"))
KINDS = {"signed": tn.randomization.SignedMoments, "roots": tn.randomization.RootsOfUnity}
WORDS = {"signed": "signed moments", "roots": "roots of unity"}
TOLERANCE = 0.03
PENALTY = 1e-4
CONTROL_ORDER = 3


@dataclass(frozen=True)
class _Sizes:
    """Widths and networks for coupling and optima (not part of the verdict, and optional), and orders of the coupling."""

    widths: tuple[int, ...]
    networks: int
    optima: tuple[int, ...]
    optima_networks: int
    orders: tuple[int, ...] = tuple(POWERS)
    coupling_share: float = 0.65  # of the time


SIZES = {
    "quick": _Sizes(tuple(2**e for e in (11, 13, 15, 17)), 4, (), 0, coupling_share=0.9),
    "full": _Sizes(tuple(2**e for e in range(11, 18)), 16, (64, 256, 1024, 4096), 5),
}


def holds(slopes: Iterable[tuple[float, float]]) -> bool:
    """Whether every measured slope (first of the pair) agrees with the theory (second)."""
    return all(abs(slope - wanted) <= TOLERANCE for slope, wanted in slopes)


def predicted(kind: str, order: int, part: str) -> float:
    """The slope in the width."""
    if part == "noise":
        return -1 / (2 * order)
    return -1 / order if kind == "signed" else -1 / 2


def problem(
    key: PRNGKeyArray, width: int, order: int
) -> tuple[tn.TwoLayerNetwork, Array, tn.targets.Polynomial, Array]:
    """Returns a network, inputs, a power of one direction, and planted weights for it."""
    key_net, key_x = jax.random.split(key)
    net = tn.TwoLayerNetwork.init(key_net, INPUTS, width, activation=SIGMA)
    target = tn.targets.Polynomial(jnp.eye(1, INPUTS), (POWERS[order],), jnp.ones(1))
    return net, problems.sphere(key_x, EXAMPLES, INPUTS), target, tn.expressivity.planted_weights(net, target, order)


@partial(jax.jit, static_argnums=(1, 2, 3))
def coupling_errors(key: PRNGKeyArray, width: int, order: int, multipliers: int | None = None) -> Array:
    """Difference between the randomized network and `f^(k)`: root mean square over draws and examples, and that of its mean.

    Shape `(constructions, 2)`. The multipliers are those of order `k` unless another order is given.
    """
    net, x, _, w = problem(key, width, order)
    if order % 2:
        # Moving a planted pair in opposite directions cancels even orders; moving only the positive unit, further, does not.
        w = jnp.where(net.a > 0, 2 ** (1 / order) * w, 0)
    prepared, term = tn.randomization.prepare_signs(net, x), net.term(order, w, x)
    found: list[Array] = []
    for kind in KINDS.values():
        moments = prepared.apply(kind(multipliers or order).response, w)
        bias = jnp.mean((moments.mean - term) ** 2)
        found.append(jnp.sqrt(jnp.stack([jnp.mean(moments.variance) + bias, bias])))
    return jnp.stack(found)


def _errors(
    context: ClaimContext, sizes: _Sizes, order: int, span: tuple[float, float], multipliers: int | None = None
) -> np.ndarray:
    """Coupling errors of one order, shape `(constructions, 2, networks, widths)`; `span` is its range of the progress."""
    found = np.zeros((len(KINDS), 2, sizes.networks, len(sizes.widths)))
    for j, width in enumerate(sizes.widths):
        done = span[0] + (span[1] - span[0]) * j / len(sizes.widths)
        context.progress(done, f"coupling, k = {order}, width {width}")
        for i, key in enumerate(jax.random.split(context.key, sizes.networks)):
            found[:, :, i, j] = coupling_errors(key, width, order, multipliers)
    return found


def _control(context: ClaimContext, sizes: _Sizes) -> NegativeControl:
    order, small = CONTROL_ORDER, replace(sizes, widths=sizes.widths[:2])
    widths = np.asarray(small.widths, float)
    errors = dict(zip(KINDS, _errors(context, small, order, (0.97, 1.0), 2), strict=True))["signed"]
    slopes = {
        part: statistics.bootstrap_slope(widths, values, context.seed)[0]
        for part, values in zip(("noise", "bias"), errors, strict=True)
    }
    return NegativeControl(
        setting=f"multipliers of order 2 on a network planted for order {order}",
        predicted="order 2 survives and grows as m^(1/2 − 2/6): both slopes 1/6",
        measured={f"slope of the {part}": slope for part, slope in slopes.items()},
        fails=not holds((slope, predicted("signed", order, part)) for part, slope in slopes.items()),
    )


def _coupling(context: ClaimContext, sizes: _Sizes) -> tuple[dict[str, Any], list[Figure], Table]:
    seeds, orders = sizes.networks, sizes.orders
    fits: dict[str, Any] = {}
    rows: list[list[Any]] = []
    plots: dict[str, list[Series]] = {"noise": [], "bias": []}
    widths, measured = np.asarray(sizes.widths, float), list[np.ndarray]()
    for place, order in enumerate(orders):
        begin, end = (sizes.coupling_share * (place + i) / len(orders) for i in (0, 1))
        measured.append(_errors(context, sizes, order, (begin, end)))
    for (of_kind, kind), (of_order, order) in itertools.product(enumerate(KINDS), enumerate(orders)):
        values = measured[of_order][of_kind]
        for part, errors in zip(plots, values, strict=True):
            slope, interval = statistics.bootstrap_slope(widths, errors, context.seed)
            wanted, label = predicted(kind, order, part), f"{WORDS[kind]}, k = {order}"
            local = np.diff(np.log(np.mean(errors, axis=0))) / np.diff(np.log(widths))
            fits[f"{label}: slope of the {part}"] = [slope, *interval, wanted, [float(s) for s in local]]
            mean, low, high = statistics.spread(errors)
            plots[part].append(Series(label, widths, mean, low, high, group=label))
            line = mean[-1] * (widths / widths[-1]) ** wanted
            plots[part].append(Series("", widths, line, kind="theory", group=label))
            rows.append([WORDS[kind], order, part, slope, *interval, wanted, float(local[-1])])
    titles = {"noise": "r.m.s. over draws", "bias": "mean over draws"}
    figure = Figure(
        "coupling_of_order_k",
        "Random multipliers turn a wide network into its order-k term",
        tuple(
            Plot("width $m$ (hidden units)", f"difference from $f^{{(k)}}$: {titles[part]}", plots[part], "log2", "log")
            for part in plots
        ),
        f"Activation sin(t + 0.7), planted powers of one direction, {EXAMPLES} inputs on the sphere of dimension {INPUTS}, "
        f"mean over {seeds} networks with 95 % intervals, exact moments over all draws. Dashed: the theory's slopes, through "
        "the last point.",
        highlight=True,
    )
    table = Table(
        "coupling_of_order_k", "Slopes in the width, and the local slope between the two largest widths.",
        ("construction", "k", "part", "slope", "low", "high", "theory", "local slope at the end"), rows,
    )  # fmt: skip
    return fits, [figure], table


def optima(key: PRNGKeyArray, width: int, order: int = 3) -> tuple[float, float]:
    """Excess of the exact randomized objective over the optimum of the order-k model: at that optimum, and at its own."""
    net, x, target, w = problem(key, width, order)
    shared: dict[str, Any] = {"penalty": PENALTY, "power": 2 * order}
    training: dict[str, Any] = shared | {"tol": 1e-6, "max_steps": 3000, "throw": False}
    randomization = tn.randomization.SignedMoments(order)
    y = target(x)
    pure = tn.fit(net, x, y, model=order, w_init=w, **training)
    own = tn.fit(net, x, y, model=randomization, w_init=pure.w, **training)
    there = tn.objective(net, x, y, model=randomization, **shared)(pure.w)
    return float(there) - pure.objective, own.objective - pure.objective


def _convergence(context: ClaimContext, sizes: _Sizes) -> tuple[dict[str, list[float]], Figure]:
    widths, seeds, begin, end = sizes.optima, sizes.optima_networks, sizes.coupling_share, 0.97
    values = np.zeros((2, seeds, len(widths)))
    for j, width in enumerate(widths):
        context.progress(begin + (end - begin) * j / len(widths), f"optima of order 3, width {width}")
        for i, key in enumerate(jax.random.split(context.key, seeds)):
            values[:, i, j] = optima(key, width)
    m = np.asarray(widths, float)
    labels = ("at the cubic model's optimum", "at its own optimum")
    lines, slopes = [], dict[str, list[float]]()
    for label, excess in zip(labels, values, strict=True):
        mean, low, high = statistics.spread(excess)
        lines.append(Series(label, m, mean, low, high, group=label))
        lines.append(Series("", m, mean[-1] * (m / m[-1]) ** (-1 / 3), kind="theory", group=label))
        slopes[label] = (np.diff(np.log(excess.mean(axis=0))) / np.diff(np.log(m))).tolist()
    return slopes, Figure(
        "optima_of_order_3",
        "The optimum of the randomized network approaches that of the cubic model",
        (Plot("width $m$ (hidden units)", "randomized objective − cubic optimum", lines, "log2", "log"),),
        f"Exact expected risk under signed moments of order 3, penalty {PENALTY:g}, {EXAMPLES} examples; mean over {seeds} "
        "networks with 95 % intervals. Dashed: m^(-1/3), through the last point.",
    )


def run(context: ClaimContext, sizes: _Sizes | None = None) -> Outcome:
    """Measures coupling and optima; the sizes default to those of the profile."""
    sizes = sizes or SIZES[context.profile]
    fits, coupled, slopes = _coupling(context, sizes)
    rates, optimum = _convergence(context, sizes) if sizes.optima else ({}, None)
    ends = [values for name, values in fits.items() if "signed moments, k = 3" in name and "noise" in name]
    return Outcome(
        measured={
            "slope of the noise, signed moments, k = 3": ends[0][0],
            f"largest distance of {len(fits)} slopes from the theory's": max(abs(v[0] - v[3]) for v in fits.values()),
        },
        interval=(ends[0][1], ends[0][2]),
        holds=holds((fit[0], fit[3]) for fit in fits.values()),
        control=_control(context, sizes),
        detail={
            "widths": sizes.widths,
            "tolerance": TOLERANCE,
            "fits": fits,
            "total_variation": _variations(),
            "excess_of_the_randomized_objective_local_slopes": rates,
        },
        figures=(*coupled, *(() if optimum is None else (optimum,))),
        tables=(slopes,),
        explanation=(
            "Random signs cancel odd orders only. To cancel orders 1 to k − 1, the displacement of each unit is multiplied "
            "by a random node and its output by a sign, such that all lower moments vanish (signed moments, any "
            "activation); or the displacement is multiplied by a random k-th root of unity (complex, analytic "
            "activations). The remaining noise is that of order 1 and decays as m^(-1/2k); the bias comes from the next "
            "surviving order: k + 2, as m^(-1/k), or 2k, as m^(-1/2).",
            "For odd k, only one unit of each pair is displaced. Planted weights that displace both units in opposite "
            "directions cancel even orders in every pair, including order 2k: under roots of unity, their bias decays as "
            "m^(-1) rather than m^(-1/2).",
            "The excess of the randomized network's optimum over the cubic model's comes from noise and bias, both of which "
            "enter the risk as m^(-1/3); up to width 4096, the slopes are still flatter and approach this rate (full profile).",
            "Which order learns which degree from how many examples is the subject of the claim `degrees`.",
            "The interval in the summary is a bootstrap interval over networks, for the slope of the noise under signed "
            "moments of order 3.",
        ),
    )


def _variations() -> dict[str, float]:
    """`T` by construction and order."""
    return {f"{WORDS[name]}, k = {k}": kind(k).total_variation for name, kind in KINDS.items() for k in range(2, 9)}


register(
    Claim(
        name="higher_order",
        title="Coupling with the term of order k",
        statement="Multipliers whose lower moments vanish couple a wide network with its term of order k: noise m^(-1/2k), "
        "bias m^(-1/k) for signed moments, m^(-1/2) for roots of unity.",
        source="Bai & Lee (2020), section 3 (k = 2, with a remark on general k); theory 2",
        predicted=f"slopes for k = 2, 3, 4 within {TOLERANCE} of the theory's",
        run=run,
        seconds=60,
    )
)
