"""Methods that leave the saddle at zero, and the certificate of the randomized network (theory 2 to 5; BL20, section 4)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import taylornets as tn
from taylornets._fit import default_method, natural_point
from taylornets import statistics
from taylornets.learning import problems
from taylornets.reproduction.claims import Claim, ClaimContext, Outcome, register
from taylornets.records import Figure, Plot, Series, Table

INPUTS, EXAMPLES, WIDTH, POWER = 10, 200, 256, 8
# At 1e-6, the penalty of the width study, the coupling error of 256 units alone is about 5e-2 (see the table by width).
PENALTY, PENALTY_BY_WIDTH = 1e-4, 1e-6
TOLERANCE, NOISY_TOLERANCE = 1e-6, 2e-2
RATE, RATE_TOLERANCE = -0.5, 0.1
STEPS, NOISY_STEPS = 3000, 2000
SMALL_START = 0.01
NAMES = {
    "gradient_descent": "gradient descent",
    "lbfgs": "L-BFGS",
    "perturbed_gradient_descent": "perturbed gradient descent",
    "noisy_sgd": "noisy SGD, fresh signs (network)",
    "negative_curvature": "negative curvature (Newton-CG)",
}


class _Run(NamedTuple):
    """One run from zero: whether it left zero, its certified relative gap, its steps, and the course of the gap."""

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
    """One object per method, with rates from the first problem: all seeds share it, and its compiled code."""
    net, x, y = _problem(context, 0, width)
    found: dict[str, Any] = {}
    for name in names:
        risk = tn.objective(net, x, y, model=model or _model(name), penalty=penalty, power=POWER)
        steps = NOISY_STEPS if name == "noisy_sgd" else STEPS
        found[name] = default_method(name, risk, context.key, steps)
    return found


def _train(context: ClaimContext, seed: int, name: str, method: Any, start: float) -> _Run:
    """Trains from zero, or from a random point of that size."""
    net, x, y = _problem(context, seed, WIDTH)
    settings: dict[str, Any] = {"penalty": PENALTY, "power": POWER}
    risk = tn.objective(net, x, y, **settings)
    key = jax.random.fold_in(context.key, 10_000 + seed)
    w = start * natural_point(risk, key)
    noisy = name == "noisy_sgd"
    options: dict[str, Any] = {
        "tol": 1e-12 if noisy else TOLERANCE,
        "max_steps": NOISY_STEPS if noisy else STEPS,
        "throw": False,
    }
    result = tn.fit(net, x, y, model=_model(name), method=method, w_init=w, key=key, **options, **settings)
    assert result.certificate is not None
    gap = float(result.certificate.relative_gap)
    quadratic = float(tn.certify(net, result.w, x, y, **settings).relative_gap) if noisy else gap
    return _Run(bool(jnp.any(result.w != w)), gap, quadratic, result.steps, result.history)


def _from_zero(context: ClaimContext, seeds: int) -> tuple[dict[str, list[_Run]], float]:
    names = ["gradient_descent", "perturbed_gradient_descent", "negative_curvature", "noisy_sgd"]
    methods = _methods(context, names, WIDTH, PENALTY)
    runs: dict[str, list[_Run]] = {name: [] for name in names}
    for seed in range(seeds):
        for i, name in enumerate(names):
            context.progress(0.5 * (seed + i / len(names)) / seeds, f"{NAMES[name]} from zero, problem {seed + 1}")
            runs[name].append(_train(context, seed, name, methods[name], 0.0))
    net, x, y = _problem(context, 0, WIDTH)
    risk = tn.objective(net, x, y, penalty=PENALTY, power=POWER)
    return runs, tn.stationarity(risk, jnp.zeros_like(net.w0), key=context.key).min_eigenvalue


def _courses(context: ClaimContext, runs: dict[str, list[_Run]], eigenvalue: float) -> Figure:
    """Gap against iterations of all methods on one problem, from zero and from a small random start."""
    methods = _methods(context, list(NAMES), WIDTH, PENALTY)
    panels: list[Plot] = []
    for start, title in ((0.0, "start: the saddle $W = 0$"), (SMALL_START, "start: small and random")):
        series: list[Series] = []
        for name, method in methods.items():
            run = runs[name][0] if start == 0 and name in runs else _train(context, 0, name, method, start)
            steps, gaps = np.asarray(run.history.steps, float), np.asarray(run.history.relative_gap)
            series.append(Series(NAMES[name], steps, np.maximum(gaps, 1e-13), kind="line"))
        if start == 0:
            gap = runs["gradient_descent"][0].gap
            series.append(Series(rf"saddle, $\lambda_{{\min}}$ = {eigenvalue:.3f}", [1.0], [gap]))
        panels.append(Plot("iteration", "certified relative gap", tuple(series), "log", "log", title=title))
    return Figure(
        "courses",
        "Leaving the saddle at zero",
        tuple(panels),
        f"n = {EXAMPLES} noisy products in dimension {INPUTS}, width {WIDTH}, penalty {PENALTY:g} with power {POWER}. The "
        "gap is that of the dual certificate: of the quadratic model, and for noisy SGD of the randomized network. Gradient "
        "descent and L-BFGS do not leave an exact saddle. The checks are at growing numbers of steps.",
    )


def _by_width(context: ClaimContext, widths: tuple[int, ...], seeds: int) -> tuple[np.ndarray, list[list[Any]], int]:
    """Certified relative gap of L-BFGS by data set and width; rows of the table; violations of the bound."""
    gaps, rows, violations = np.zeros((seeds, len(widths))), [], 0
    for j, width in enumerate(widths):
        every = context.full or width == widths[0]
        names = ["lbfgs", "negative_curvature", "perturbed_gradient_descent", "noisy_sgd"] if every else ["lbfgs"]
        methods = _methods(context, names, width, PENALTY_BY_WIDTH, model="randomized")
        found: dict[str, list[float]] = {name: [] for name in names}
        for seed in range(seeds):
            net, x, y = _problem(context, seed, width)
            settings: dict[str, Any] = {"penalty": PENALTY_BY_WIDTH, "power": POWER}
            start = tn.fit(net, x, y, tol=1e-4, throw=False, **settings).w if not every else None
            primal: list[float] = []
            dual: list[float] = []
            for name, method in methods.items():
                message = f"{NAMES[name]} of the randomized network, width {width}"
                context.progress(0.6 + 0.4 * (j + seed / seeds) / len(widths), message)
                steps = NOISY_STEPS if name == "noisy_sgd" else STEPS
                options: dict[str, Any] = {"method": method, "w_init": start, "max_steps": steps, "throw": False}
                key = jax.random.fold_in(context.key, 20_000 + seed)
                result = tn.fit(net, x, y, model="randomized", key=key, tol=1e-9, **options, **settings)
                assert result.certificate is not None
                primal.append(result.objective)
                dual.append(float(result.certificate.dual))
                found[name].append(float(result.certificate.relative_gap))
            violations += sum(value < max(dual) for value in primal)
            gaps[seed, j] = found["lbfgs"][-1]
        rows += [
            [width, NAMES[name].replace(" (network)", ""), len(values), max(values)] for name, values in found.items()
        ]
    return gaps, rows, violations


def _width_figure(widths: tuple[int, ...], gaps: np.ndarray) -> Figure:
    grid = np.asarray(widths, float)
    mean, low, high = statistics.spread(gaps)
    anchor = np.exp(np.mean(np.log(mean)) - RATE * np.mean(np.log(grid)))
    series = (
        Series("certified relative gap of the trained network", grid, mean, low, high, group="a"),
        Series("theory: $m^{-1/2}$", grid, anchor * grid**RATE, kind="theory", group="a"),
    )
    return Figure(
        "network_certificate",
        "A proof for the randomized network itself, sharper with the width",
        (Plot("width $m$ (hidden units)", "proved bound on the excess (relative)", series, "log2", "log"),),
        f"Networks trained on their exact randomized risk (L-BFGS), penalty {PENALTY_BY_WIDTH:g} with power {POWER}. The bound "
        f"covers every displacement of the network. Mean over {gaps.shape[0]} data sets, 95 % intervals.",
        highlight=True,
    )


def _run(context: ClaimContext) -> Outcome:
    seeds = 100 if context.full else 20
    runs, eigenvalue = _from_zero(context, seeds)
    courses = _courses(context, runs, eigenvalue)
    widths = tuple(2**power for power in (range(6, 15) if context.full else (6, 8, 10)))
    gaps, by_width, violations = _by_width(context, widths, 3)
    slope, interval = statistics.bootstrap_slope(np.asarray(widths, float), gaps, context.seed)
    worst = {name: max(run.gap for run in found) for name, found in runs.items()}
    stayed = not any(run.moved for run in runs["gradient_descent"])
    reached = all(worst[name] <= TOLERANCE for name in ("perturbed_gradient_descent", "negative_curvature"))
    noisy = worst["noisy_sgd"]
    rows = [
        [
            NAMES[name],
            seeds,
            sum(run.moved for run in found),
            float(np.median([run.gap for run in found])),
            worst[name],
            float(np.median([run.steps for run in found])),
            max(run.quadratic_gap for run in found),
        ]
        for name, found in runs.items()
    ]
    columns = (
        "method",
        "problems",
        "left zero",
        "gap (median)",
        "gap (worst)",
        "steps (median)",
        "gap of the quadratic model (worst)",
    )
    return Outcome(
        measured={
            "problems in which gradient descent moved": sum(run.moved for run in runs["gradient_descent"]),
            "worst gap, perturbed gradient descent": worst["perturbed_gradient_descent"],
            "worst gap, negative curvature": worst["negative_curvature"],
            "worst gap, noisy SGD": noisy,
            "slope of the network's certificate": slope,
        },
        interval=interval,
        holds=stayed
        and reached
        and noisy <= NOISY_TOLERANCE
        and violations == 0
        and abs(slope - RATE) <= RATE_TOLERANCE,
        detail={
            "penalty": PENALTY,
            "penalty_by_width": PENALTY_BY_WIDTH,
            "smallest_eigenvalue_at_zero": eigenvalue,
            "violations_of_the_network_certificate": violations,
            "slope_tolerance": RATE_TOLERANCE,
        },
        figures=(courses, _width_figure(widths, gaps)),
        tables=(
            Table("from_zero", "Runs from W = 0 exactly, by method.", columns, rows),
            Table(
                "by_width",
                "Certified relative gaps of the randomized network, worst over the data sets.",
                ("width", "method", "data sets", "relative gap (worst)"),
                by_width,
            ),
        ),
        explanation=(
            "At W = 0 the gradient of the quadratic objective vanishes, and the Hessian has a negative eigenvalue: a strict "
            "saddle. Gradient descent started there never moves. Methods that perturb, inject noise, or use negative "
            "curvature leave it and reach the certified global optimum.",
            "Noisy SGD is the algorithm of the paper: minibatches of 64, fresh random signs and injected noise in every "
            "step, on the network itself. Its gap is that of the network's own certificate, and has three parts: the noise "
            f"that is left when the learning rate has fallen to zero after {NOISY_STEPS} steps (it falls about as one over the "
            "number of steps), the coupling error that the certificate has to allow for, and the distance to the best network.",
            "The network's certificate adds to the duality of the quadratic model the exact variance over the signs and an "
            "explicit bound on the even terms of order four and more. It covers every displacement of the network, and "
            "sharpens as the width grows.",
        ),
    )


register(
    Claim(
        name="escape",
        title="Saddle-escaping methods",
        statement="Methods that escape saddles reach the certified global optimum from W = 0, where gradient descent "
        "stays, and the randomized network itself can be certified, with a gap that falls with the width.",
        source="Bai & Lee (ICLR 2020), section 4; certificates: the library's theory, sections 4 and 5",
        predicted="gradient descent does not move; gaps ≤ 1e-6, noisy SGD ≤ 2e-2; certificate of the "
        "network with slope −1/2 (within 0.1)",
        run=_run,
    )
)
