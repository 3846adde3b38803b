"""Networks couple with their k-th order term; which order learns which target (theory 2, 6, 8)."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

import taylornets as tn
from taylornets import statistics
from taylornets.learning import problems
from taylornets.reproduction.claims import Claim, ClaimContext, Outcome, register
from taylornets.learning import Cell, run_cell
from taylornets.records import Figure, Plot, Series, Table

WIDTHS = {"quick": tuple(2**e for e in (11, 13, 15, 17)), "full": tuple(2**e for e in range(11, 18))}
INPUTS, EXAMPLES = 4, 32
POWERS = {2: 3, 3: 4, 4: 5}  # of the target, by order
# A phase, so that no Gaussian moment of any derivative vanishes.
SIGMA = tn.activations.Custom(lambda t: jnp.sin(t + 0.7), complex_arguments=True, strip_width=float("inf"))
KINDS = {"signed": tn.randomization.SignedMoments, "roots": tn.randomization.RootsOfUnity}
WORDS = {"signed": "signed moments", "roots": "roots of unity"}
TOLERANCE = 0.03
MODELS = {
    "linear": "order 1", "quadratic": "order 2", "cubic": "order 3", "quartic": "order 4",
    "randomized": "network, signs", "randomized3": "network, signed moments of order 3",
}  # fmt: skip
TARGETS = {"square": "He₂", "hermite3": "He₃", "hermite4": "He₄", "hermite5": "He₅"}
LEARNED = {  # dimension: numbers of examples
    "quick": ({10: (300,)}, ("hermite3",)),
    "full": ({10: (100, 300, 1000), 20: (100, 300, 1000)}, tuple(TARGETS)),
}
_LONG = (3e-5, 3e-6, 3e-7, 3e-8, 3e-9, 3e-10, 3e-11)
PATHS = dict.fromkeys(MODELS, _LONG) | {"linear": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)}  # of penalties
SEEDS = 5
OPTIMA = {"quick": ((64, 256, 1024), 2), "full": ((64, 256, 1024, 4096), 5)}  # widths, networks
PENALTY = 1e-4


def predicted(kind: str, order: int, part: str) -> float:
    """The slope in the width."""
    if part == "noise":
        return -1 / (2 * order)
    return -1 / order if kind == "signed" else -1 / 2


def problem(
    key: PRNGKeyArray, width: int, order: int
) -> tuple[tn.TwoLayerNetwork, Array, tn.targets.Polynomial, Array]:
    """A network, inputs, a power of one direction, and weights planted for it."""
    key_net, key_x = jax.random.split(key)
    net = tn.TwoLayerNetwork.init(key_net, INPUTS, width, activation=SIGMA)
    target = tn.targets.Polynomial(jnp.eye(1, INPUTS), (POWERS[order],), jnp.ones(1))
    return net, problems.sphere(key_x, EXAMPLES, INPUTS), target, tn.expressivity.planted_weights(net, target, order)


@partial(jax.jit, static_argnums=(1, 2))
def coupling_errors(key: PRNGKeyArray, width: int, order: int) -> Array:
    """What separates the randomized network from `f^(k)`: root mean square over draws and examples, and that of its mean.

    Shape `(constructions, 2)`.
    """
    net, x, _, w = problem(key, width, order)
    if order % 2:
        # The planted pair moves in opposite directions, which cancels even orders; the positive one, moved further, does not.
        w = jnp.where(net.a > 0, 2 ** (1 / order) * w, 0)
    prepared, term = tn.randomization.prepare_signs(net, x), net.term(order, w, x)
    found: list[Array] = []
    for kind in KINDS.values():
        moments = prepared.apply(kind(order).response, w)
        bias = jnp.mean((moments.mean - term) ** 2)
        found.append(jnp.sqrt(jnp.stack([jnp.mean(moments.variance) + bias, bias])))
    return jnp.stack(found)


def _coupling(context: ClaimContext, share: float) -> tuple[dict[str, Any], bool, list[Figure], Table]:
    seeds, sizes = 16 if context.full else 4, WIDTHS[context.profile]
    fits: dict[str, Any] = {}
    rows: list[list[Any]] = []
    plots: dict[str, list[Series]] = {"noise": [], "bias": []}
    widths, holds = np.asarray(sizes, float), True
    measured = np.zeros((len(POWERS), len(KINDS), 2, seeds, len(sizes)))
    for place, (order, j) in enumerate(itertools.product(POWERS, range(len(sizes)))):
        context.progress(share * place / (len(POWERS) * len(sizes)), f"coupling, k = {order}, width {sizes[j]}")
        for i, key in enumerate(jax.random.split(context.key, seeds)):
            measured[place // len(sizes), :, :, i, j] = coupling_errors(key, sizes[j], order)
    for (of_kind, kind), (of_order, order) in itertools.product(enumerate(KINDS), enumerate(POWERS)):
        values = measured[of_order, of_kind]
        for part, errors in zip(plots, values, strict=True):
            slope, interval = statistics.bootstrap_slope(widths, errors, context.seed)
            wanted, label = predicted(kind, order, part), f"{WORDS[kind]}, k = {order}"
            local = np.diff(np.log(np.mean(errors, axis=0))) / np.diff(np.log(widths))
            fits[f"{label}: slope of the {part}"] = [slope, *interval, wanted, [float(s) for s in local]]
            holds &= abs(slope - wanted) <= TOLERANCE
            mean, low, high = statistics.spread(errors)
            plots[part].append(Series(label, widths, mean, low, high, group=label))
            line = mean[-1] * (widths / widths[-1]) ** wanted
            plots[part].append(Series("", widths, line, kind="theory", group=label))
            rows.append([WORDS[kind], order, part, slope, *interval, wanted, float(local[-1])])
    titles = {"noise": "r.m.s. over draws", "bias": "the mean alone"}
    figure = Figure(
        "coupling_of_order_k",
        "Multipliers turn a wide network into its term of order k",
        tuple(
            Plot("width $m$ (hidden units)", f"difference to $f^{{(k)}}$: {titles[part]}", plots[part], "log2", "log")
            for part in plots
        ),
        f"Activation sin(t + 0.7), planted powers of one direction, {EXAMPLES} inputs on the sphere of dimension {INPUTS}, "
        f"mean over {seeds} networks with 95 % intervals, exact moments over all draws. Dashed: the theory's slopes, through "
        "the last point.",
        highlight=True,
    )
    table = Table(
        "coupling_of_order_k", "Slopes over the width, and the local slope between the two largest widths.",
        ("construction", "k", "part", "slope", "low", "high", "theory", "local at the end"), rows,
    )  # fmt: skip
    return fits, bool(holds), [figure], table


def optima(key: PRNGKeyArray, width: int, order: int = 3) -> tuple[float, float]:
    """What the exact randomized objective has above the optimum of the single order: at that optimum, and at its own."""
    net, x, target, w = problem(key, width, order)
    shared: dict[str, Any] = {"penalty": PENALTY, "power": 2 * order}
    training: dict[str, Any] = shared | {"tol": 1e-6, "max_steps": 3000, "throw": False}
    randomization = tn.randomization.SignedMoments(order)
    y = target(x)
    pure = tn.fit(net, x, y, model=order, w_init=w, **training)
    own = tn.fit(net, x, y, model=randomization, w_init=pure.w, **training)
    there = tn.objective(net, x, y, model=randomization, **shared)(pure.w)
    return float(there) - pure.objective, own.objective - pure.objective


def _convergence(context: ClaimContext, begin: float, end: float) -> tuple[dict[str, list[float]], Figure]:
    widths, seeds = OPTIMA[context.profile]
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
        "The randomized network's optimum approaches the cubic model's",
        (Plot("width $m$ (hidden units)", "randomized objective − cubic optimum", lines, "log2", "log"),),
        f"Exact expected risk under signed moments of order 3, penalty {PENALTY:g}, {EXAMPLES} examples; mean over {seeds} "
        "networks with 95 % intervals. Dashed: m^(-1/3), through the last point.",
    )


def _learning(context: ClaimContext, begin: float) -> tuple[dict[str, int], list[str], list[Figure], Table]:
    grid, targets = LEARNED[context.profile]
    jobs = [(d, n, t, m, s) for d in grid for m in MODELS for n in grid[d] for t in targets for s in range(SEEDS)]
    errors: dict[tuple[int, str, str, int], list[float]] = {}
    weakest = dict.fromkeys(MODELS.values(), 0)
    for done, (d, n, target, model, seed) in enumerate(jobs):
        context.progress(
            begin + (1 - begin) * done / len(jobs), f"{TARGETS[target]}, d = {d}, {MODELS[model]}, n = {n}"
        )
        key = 1000 * context.seed + seed
        found = run_cell(Cell(d, n, key, target, model=model, activation="exp", penalties=PATHS[model]))
        errors.setdefault((d, target, model, n), []).append(found["error"] if np.isfinite(found["error"]) else np.inf)
        weakest[MODELS[model]] += found["path"] == "weakest"
    figures: list[Figure] = []
    for d, sizes in grid.items():
        panels: list[Plot] = []
        for target in targets:
            lines: list[Series] = []
            for model, label in MODELS.items():
                values = np.log([errors[d, target, model, n] for n in sizes])
                half = 1.96 * values.std(axis=1, ddof=1) / np.sqrt(SEEDS)
                mean = values.mean(axis=1)
                x = np.asarray(sizes, float)
                lines.append(Series(label, x, np.exp(mean), np.exp(mean - half), np.exp(mean + half), kind="line"))
            panels.append(Plot("examples $n$", "test error / variance", lines, "log", "log", TARGETS[target]))
        figures.append(
            Figure(
                f"learning_{d}", f"Which order learns which target (d = {d})", tuple(panels),
                "Targets: Hermite polynomials of one coordinate, inputs on the unit sphere; activation exp, 256 units, "
                f"penalty by validation; geometric means over {SEEDS} seeds with 95 % intervals.",
            )
        )  # fmt: skip
    rows = [
        [d, TARGETS[t], n, *(float(np.exp(np.mean(np.log(errors[d, t, m, n])))) for m in MODELS)]
        for d, sizes in grid.items() for t in targets for n in sizes
    ]  # fmt: skip
    table = Table(
        "learning", f"Test error over the target's variance, geometric mean over {SEEDS} seeds.",
        ("d", "target", "n", *MODELS.values()), rows,
    )  # fmt: skip
    best = [
        f"{TARGETS[t]} (d = {d}): {MODELS[min(MODELS, key=lambda m: np.mean(np.log(errors[d, t, m, sizes[-1]])))]}"
        for d, sizes in grid.items() for t in targets
    ]  # fmt: skip
    return weakest, best, figures, table


def _run(context: ClaimContext) -> Outcome:
    share, next_share = (0.1, 0.2) if context.full else (0.3, 0.45)
    fits, holds, coupled, slopes = _coupling(context, share)
    rates, optimum = _convergence(context, share, next_share)
    weakest, best, learned, table = _learning(context, next_share)
    ends = [values for name, values in fits.items() if "signed moments, k = 3" in name and "noise" in name]
    return Outcome(
        measured={
            "slope of the noise, signed moments, k = 3": ends[0][0],
            f"largest distance of {len(fits)} slopes from the theory's": max(abs(v[0] - v[3]) for v in fits.values()),
        },
        interval=(ends[0][1], ends[0][2]),
        holds=holds,
        detail={
            "widths": WIDTHS[context.profile],
            "tolerance": TOLERANCE,
            "fits": fits,
            "total_variation": _variations(),
            "excess_of_the_randomized_objective_local_slopes": rates,
            "weakest_penalty_chosen": weakest,
        },
        figures=(*coupled, optimum, *learned),
        tables=(slopes, table),
        explanation=(
            "Random signs remove odd orders only. To leave orders 1 to k - 1 behind, each unit's displacement is multiplied "
            "by a random node, and its output by a sign, such that all lower moments vanish (signed moments, any activation); "
            "or by a random k-th root of unity (complex, analytic activations). The noise that remains is that of order 1 and "
            "falls as m^(-1/2k); the bias is that of the next order that survives: k + 2, as m^(-1/k), or 2k, as m^(-1/2).",
            "For odd k one unit of each pair is moved, the other is not. Planted weights that move both, in opposite "
            "directions, cancel even orders in every pair, order 2k among them: under roots of unity their bias falls as "
            "m^(-1) rather than m^(-1/2).",
            "The excess of the randomized network's optimum over the cubic model's comes from noise and bias, both of which "
            "enter the risk as m^(-1/3); at these widths the slopes are still smaller, and approach it.",
            "Learning: for a target of degree p of one direction the theory's counting, d^p examples for order 1 and a factor "
            "d fewer for each further order up to p, predicts that order k does best near k = p, and that the randomized "
            f"networks follow their order. Lowest error measured, at the largest n: {'; '.join(best)}. Against the counting "
            "stand what it leaves out: the norm of planted weights of order k grows with k!², every term of order k > 2 has "
            "flat saddles that training must leave, and the randomized networks of 256 units carry noise of order m^(-1/2k).",
            "The interval in the summary belongs to the slope of the noise under signed moments of order 3; it is a bootstrap "
            f"over networks. In the quick profile one target and one n stand for the learning; {SEEDS} seeds.",
        ),
    )


def _variations() -> dict[str, float]:
    """`T` by construction and order."""
    return {f"{WORDS[name]}, k = {k}": kind(k).total_variation for name, kind in KINDS.items() for k in range(2, 9)}


register(
    Claim(
        name="higher_order",
        title="Coupling with the term of any order",
        statement="Multipliers whose lower moments vanish couple a wide network with its term of order k: noise m^(-1/2k), "
        "bias m^(-1/k) for signed moments, m^(-1/2) for roots of unity.",
        source="Bai & Lee (ICLR 2020), section 3 (k = 2; any k is said to be possible); the library's theory, section 2",
        predicted=f"slopes for k = 2, 3, 4 within {TOLERANCE} of the theory's",
        run=_run,
    )
)
