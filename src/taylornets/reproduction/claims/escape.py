"""Saddle-escaping methods and the certificate of the randomized network (theory 2 to 5; Bai & Lee (2020), section 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import taylornets as tn
from taylornets import statistics
from taylornets._fit import default_method, minimize
from taylornets.certificates import certify_objective
from taylornets.learning import problems
from taylornets.records import Figure, Plot, Series, Table
from taylornets.reproduction.claims import Claim, ClaimContext, NegativeControl, Outcome, register
from taylornets.reproduction.claims._width_figure import width_figure

INPUTS, EXAMPLES, POWER = 10, 200, 8
# At 1e-6, the penalty of the width study, the coupling error of 256 units is already about 5e-2 (see the table by width).
PENALTY, PENALTY_BY_WIDTH = 1e-4, 1e-6
TOLERANCE, NOISY_TOLERANCE = 1e-6, 2e-2
RATE, RATE_TOLERANCE = -0.5, 0.1
STEPS, NOISY_STEPS = 3000, 2000
STATIONARITY, FINAL_STEPS = 1e-3, 400  # of wide networks: the error of the objective, its square, is far below the gap
SMALL_START = 0.01
NAMES = {
    "gradient_descent": "gradient descent",
    "lbfgs": "L-BFGS",
    "perturbed_gradient_descent": "perturbed gradient descent",
    "noisy_sgd": "noisy SGD, fresh signs (network)",
    "negative_curvature": "negative curvature (Newton-CG)",
}
FROM_ZERO = ("gradient_descent", "perturbed_gradient_descent", "negative_curvature", "noisy_sgd")
BY_WIDTH = ("lbfgs", "negative_curvature", "perturbed_gradient_descent", "noisy_sgd")


@dataclass(frozen=True)
class _Sizes:
    """Problems and width of the runs from zero; widths and data sets of the width study, widths with all methods; methods."""

    problems: int
    widths: tuple[int, ...]
    all_methods: tuple[int, ...]
    data_sets: int = 3
    width: int = 256
    methods: tuple[str, ...] = tuple(NAMES)


FULL_WIDTHS = tuple(2**power for power in range(6, 15))
SIZES = {"quick": _Sizes(4, (1024, 4096), (64,)), "full": _Sizes(100, FULL_WIDTHS, FULL_WIDTHS)}


class _Found(NamedTuple):
    """Problems in which gradient descent moved, worst gaps of the other methods, violations and slope of the bound."""

    moved: int
    gaps: Mapping[str, float]
    violations: int
    slope: float


def holds(found: _Found) -> bool:
    """Whether gradient descent stays at 0, the others reach the optimum, and the certificate tightens as predicted."""
    reached = all(gap <= (NOISY_TOLERANCE if name == "noisy_sgd" else TOLERANCE) for name, gap in found.gaps.items())
    return found.moved == 0 and reached and found.violations == 0 and abs(found.slope - RATE) <= RATE_TOLERANCE


class _Run(NamedTuple):
    """One run from zero: whether it left zero, its certified relative gap, its steps, and the trajectory of the gap."""

    moved: bool
    gap: float
    quadratic_gap: float
    steps: int
    history: Any


def _problem(context: ClaimContext, seed: int, width: int) -> tuple[tn.TwoLayerNetwork, Array, Array]:
    keys = jax.random.split(jax.random.fold_in(context.key, seed), 2)
    x, y = problems.noisy_product(keys[0], EXAMPLES, INPUTS)
    return tn.TwoLayerNetwork.init(jax.random.fold_in(keys[1], width), INPUTS, width), x, y


def _model(name: str) -> str:
    return "randomized" if name == "noisy_sgd" else "quadratic"


def _methods(
    context: ClaimContext, names: list[str], width: int, penalty: float, model: str | None = None
) -> dict[str, Any]:
    """Creates one object per method, with rates from the first problem; all seeds share it and its compiled code."""
    net, x, y = _problem(context, 0, width)
    found: dict[str, Any] = {}
    for name in names:
        risk = tn.objective(net, x, y, model=model or _model(name), penalty=penalty, power=POWER)
        steps = NOISY_STEPS if name == "noisy_sgd" else STEPS
        found[name] = default_method(name, risk, context.key, steps)
    return found


def _train(
    context: ClaimContext, seed: int, width: int, name: str, method: Any, start: float, model: str | None = None
) -> _Run:
    """Trains from zero, or from a random point of the given size."""
    net, x, y = _problem(context, seed, width)
    settings: dict[str, Any] = {"penalty": PENALTY, "power": POWER}
    risk = tn.objective(net, x, y, **settings)
    key = jax.random.fold_in(context.key, 10_000 + seed)
    w = start * risk.natural_point(key)
    noisy = name == "noisy_sgd"
    options: dict[str, Any] = (
        {"tol": 1e-12, "max_steps": NOISY_STEPS} if noisy else {"tol": TOLERANCE, "max_steps": STEPS}
    )
    options |= {"rank": 1, "throw": False}
    result = tn.fit(net, x, y, model=model or _model(name), method=method, w_init=w, key=key, **options, **settings)
    assert result.certificate is not None
    gap = float(result.certificate.relative_gap)
    quadratic = float(tn.certify(net, result.w, x, y, **settings).relative_gap) if noisy else gap
    return _Run(bool(jnp.any(result.w != w)), gap, quadratic, result.steps, result.history)


def _from_zero(context: ClaimContext, sizes: _Sizes, methods: Mapping[str, Any]) -> tuple[dict[str, list[_Run]], float]:
    names, seeds = [name for name in FROM_ZERO if name in sizes.methods], sizes.problems
    runs: dict[str, list[_Run]] = {name: [] for name in names}
    for seed in range(seeds):
        for i, name in enumerate(names):
            context.progress(0.5 * (seed + i / len(names)) / seeds, f"{NAMES[name]} from zero, problem {seed + 1}")
            runs[name].append(_train(context, seed, sizes.width, name, methods[name], 0.0))
    net, x, y = _problem(context, 0, sizes.width)
    risk = tn.objective(net, x, y, penalty=PENALTY, power=POWER)
    return runs, tn.stationarity(risk, jnp.zeros_like(net.w0), key=context.key).min_eigenvalue


def _control(context: ClaimContext, sizes: _Sizes, found: _Found) -> NegativeControl:
    name = "gradient_descent"
    method = _methods(context, [name], sizes.width, PENALTY, model="linear")[name]
    run = _train(context, 0, sizes.width, name, method, 0.0, model="linear")
    return NegativeControl(
        setting="the model of order 1 in place of order 2, from W = 0",
        predicted="W = 0 is not a stationary point of the linear model: gradient descent moves",
        measured={"problems in which gradient descent moved": int(run.moved), "certified relative gap": run.gap},
        fails=not holds(found._replace(moved=int(run.moved))),
    )


def _courses(
    context: ClaimContext, sizes: _Sizes, methods: Mapping[str, Any], runs: dict[str, list[_Run]], eigenvalue: float
) -> Figure:
    """Gap by iteration of all methods on one problem, from zero and from a small random initialization."""
    panels: list[Plot] = []
    for start, title in ((0.0, "Initialization at the saddle $W = 0$"), (SMALL_START, "Small random initialization")):
        series: list[Series] = []
        for name, method in methods.items():
            known = start == 0 and name in runs
            run = runs[name][0] if known else _train(context, 0, sizes.width, name, method, start)
            steps, gaps = np.asarray(run.history.steps, float), np.asarray(run.history.relative_gap)
            series.append(Series(NAMES[name], steps, np.maximum(gaps, 1e-13), kind="line"))
        if start == 0:
            gap = runs["gradient_descent"][0].gap
            series.append(Series(rf"saddle, $\lambda_{{\min}}$ = {eigenvalue:.3f}", [1.0], [gap]))
        panels.append(Plot("iteration", "certified relative gap", tuple(series), "log", "log", title=title))
    return Figure(
        "courses",
        "Escaping the saddle at zero",
        tuple(panels),
        f"n = {EXAMPLES} noisy products in dimension {INPUTS}, width {sizes.width}, penalty {PENALTY:g} with power {POWER}. "
        "The gap is that of the dual certificate of the quadratic model; for noisy SGD, of the randomized network. Gradient "
        "descent and L-BFGS do not escape an exact saddle. Evaluations are spaced at increasing numbers of steps.",
    )


def _by_width(context: ClaimContext, sizes: _Sizes) -> tuple[np.ndarray, list[list[Any]], int]:
    """Returns certified relative gaps of L-BFGS by data set and width, rows of the table, and violations of the bound."""
    seeds, found = sizes.data_sets, dict[tuple[int, str], list[float]]()
    violations, all_widths = 0, sorted({*sizes.widths, *sizes.all_methods})
    for j, width in enumerate(all_widths):
        every = width in sizes.all_methods
        names = [name for name in BY_WIDTH if name in sizes.methods]
        methods = _methods(context, names, width, PENALTY_BY_WIDTH, model="randomized") if every else {}
        for seed in range(seeds):
            message = f"trained randomized networks of width {width}, data set {seed + 1}"
            context.progress(0.6 + 0.4 * (j + seed / seeds) / len(all_widths), message)
            certificates = _certificates(context, seed, width, methods)
            best = max(float(certificate.dual) for certificate in certificates.values())
            for name, certificate in certificates.items():
                violations += int(certificate.primal < best)
                found.setdefault((width, name), []).append(float(certificate.relative_gap))
    gaps = np.array([found[width, "lbfgs"] for width in sizes.widths]).T
    rows = [[m, NAMES[name].replace(" (network)", ""), len(values), max(values)] for (m, name), values in found.items()]
    return gaps, rows, violations


def _certificates(
    context: ClaimContext, seed: int, width: int, methods: Mapping[str, Any]
) -> dict[str, tn.certificates.Certificate]:
    """Trains the randomized network by each method, or by L-BFGS from the quadratic model's optimum if there is none."""
    net, x, y = _problem(context, seed, width)
    settings: dict[str, Any] = {"penalty": PENALTY_BY_WIDTH, "power": POWER}
    key = jax.random.fold_in(context.key, 20_000 + seed)
    if not methods:
        start = tn.fit(net, x, y, rank=1, tol=1e-4, throw=False, **settings).w
        # The certificate of a wide network costs as much as hundreds of gradients, so it is computed once, at the end.
        risk = tn.objective(net, x, y, model="randomized", **settings)
        last: dict[str, Any] = {"certified": False, "tol": STATIONARITY, "max_steps": FINAL_STEPS}
        return {"lbfgs": certify_objective(risk, minimize(risk, start, tn.optimizers.LBFGS(), key, **last).w)}
    found: dict[str, tn.certificates.Certificate] = {}
    for name, method in methods.items():
        options: dict[str, Any] = {"max_steps": NOISY_STEPS if name == "noisy_sgd" else STEPS, "throw": False}
        result = tn.fit(net, x, y, model="randomized", method=method, key=key, tol=1e-9, **options, **settings)
        assert result.certificate is not None
        found[name] = result.certificate
    return found


def _from_zero_table(runs: dict[str, list[_Run]]) -> Table:
    columns = (
        "method", "problems", "left zero", "gap (median)", "gap (worst)", "steps (median)",
        "gap of the quadratic model (worst)",
    )  # fmt: skip
    rows: list[list[Any]] = []
    for name, found in runs.items():
        moved, gaps, quadratic, steps, _ = zip(*found, strict=True)
        median = float(np.median(gaps)), max(gaps), float(np.median(steps))
        rows.append([NAMES[name], len(found), sum(moved), *median, max(quadratic)])
    return Table("from_zero", "Runs initialized exactly at W = 0, by method.", columns, rows)


def run(context: ClaimContext, sizes: _Sizes | None = None) -> Outcome:
    """Runs the methods from zero and certifies networks by width; the sizes default to those of the profile."""
    sizes = sizes or SIZES[context.profile]
    methods = _methods(context, list(sizes.methods), sizes.width, PENALTY)
    runs, eigenvalue = _from_zero(context, sizes, methods)
    courses = _courses(context, sizes, methods, runs, eigenvalue)
    gaps, by_width, violations = _by_width(context, sizes)
    slope, interval = statistics.bootstrap_slope(np.asarray(sizes.widths, float), gaps, context.seed)
    worst = {name: max(run.gap for run in found) for name, found in runs.items() if name != "gradient_descent"}
    found = _Found(sum(run.moved for run in runs["gradient_descent"]), worst, violations, slope)
    return Outcome(
        measured={
            "problems in which gradient descent moved": found.moved,
            **{f"worst gap, {NAMES[name].split(' (')[0].split(',')[0]}": gap for name, gap in worst.items()},
            "slope of the network's certificate": slope,
        },
        interval=interval,
        holds=holds(found),
        control=_control(context, sizes, found),
        detail={
            "penalty": PENALTY,
            "penalty_by_width": PENALTY_BY_WIDTH,
            "smallest_eigenvalue_at_zero": eigenvalue,
            "violations_of_the_network_certificate": violations,
            "slope_tolerance": RATE_TOLERANCE,
        },
        figures=(courses, width_figure(sizes.widths, gaps, RATE, f"penalty {PENALTY_BY_WIDTH:g} with power {POWER}")),
        tables=(
            _from_zero_table(runs),
            Table(
                "by_width",
                "Certified relative gaps of the randomized network, worst over the data sets.",
                ("width", "method", "data sets", "relative gap (worst)"),
                by_width,
            ),
        ),
        explanation=(
            "At W = 0 the gradient of the quadratic objective vanishes, and the Hessian has a negative eigenvalue: a strict "
            "saddle, from which gradient descent never moves. The other methods escape to the certified global optimum.",
            "Noisy SGD is the algorithm of the paper: minibatches of 64, fresh random signs and injected noise in every "
            "step, on the network itself. Its gap is that of the network's own certificate and has three parts: the noise "
            f"that remains when the learning rate has decayed to zero after {NOISY_STEPS} steps (it decreases roughly as "
            "one over the number of steps), the coupling error, and the distance to the best network.",
            "The network's certificate combines the dual bound of the quadratic model with the exact variance over the "
            "signs and an explicit bound on the even terms of order four and higher. It covers every displacement of the "
            "network and becomes tighter as the width grows. The rate is that of large widths: a correction of relative order "
            "m^(-1/2) steepens it (over widths 64 to 1024 the slope was −0.58).",
        ),
    )


register(
    Claim(
        name="escape",
        title="Saddle-escaping methods",
        statement="Saddle-escaping methods reach the certified global optimum from W = 0, where gradient descent stays, and "
        "the randomized network itself can be certified, with a gap that shrinks as the width grows.",
        source="Bai & Lee (2020), section 4; certificates: theory 4 and theory 5",
        predicted="gradient descent does not move; gaps ≤ 1e-6, noisy SGD ≤ 2e-2; certificate of the "
        "network with slope −1/2 (within 0.1)",
        run=run,
        seconds=140,
    )
)
