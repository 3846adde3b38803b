"""The randomized risk in closed form, and its optimum (theory 2, 5; Bai & Lee (2020), section 4)."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import taylornets as tn
from taylornets import statistics
from taylornets._fit import minimize
from taylornets.certificates import certify_objective
from taylornets.learning import problems
from taylornets.randomization import Signs, expected_loss
from taylornets.records import Figure, Plot, Series, Table
from taylornets.reproduction.claims import Claim, ClaimContext, NegativeControl, Outcome, register

INPUTS, EXAMPLES, PENALTY, POWER = 10, 200, 1e-6, 8
PREDICTED, TOLERANCE = -0.5, 0.1
ENUMERATION_TOLERANCE, STANDARD_ERRORS = 1e-12, 5
STATIONARITY = 3e-3  # scale-invariant gradient norm; the relative error of the optimum is of the order of its square
# The randomized network, and the control: the network with one fixed draw of its signs.
Model = Literal["randomized", "sampled"]


@dataclass(frozen=True)
class _Sizes:
    """Widths for the enumeration, number and width of the samples, widths and data sets for the optima and the control."""

    enumerated: tuple[int, ...]
    samples: int
    sampled: int
    widths: tuple[int, ...]
    data_sets: int
    control: tuple[int, ...] = (512, 2048)


# The rate is that of large widths: between widths of 128 and 512 the excess, 20 and 14 %, decays as m^(-0.24) only, and the
# slope over 128 to 8192 was −0.38.
SIZES = {
    "quick": _Sizes((4, 14), 2000, 1024, (512, 2048, 8192), 3),
    "full": _Sizes((4, 8, 14), 2000, 1024, tuple(2**power for power in range(9, 15)), 5),
}


class _Found(NamedTuple):
    """Inputs of the decision rule; the deviation is that of the samples, in standard errors."""

    slope: float
    enumeration: float
    deviation: float
    bounded: bool


def holds(found: _Found) -> bool:
    """Whether the closed form equals the expectation, and the optimum approaches the quadratic one at the theory's rate."""
    return (
        abs(found.slope - PREDICTED) <= TOLERANCE
        and found.enumeration <= ENUMERATION_TOLERANCE
        and found.deviation <= STANDARD_ERRORS
        and found.bounded
    )


def _risk(context: ClaimContext, model: Model, net: tn.TwoLayerNetwork, w: Array, x: Array, y: Array) -> float:
    """Returns the risk in closed form, or for one draw of the signs."""
    if model == "randomized":
        return float(expected_loss("squared", Signs(), net, w, x, y, "exact"))
    return float(jnp.mean((Signs().sample(jax.random.fold_in(context.key, 78), net, w, x)[:, 0] - y) ** 2))


def _enumeration(
    context: ClaimContext, widths: tuple[int, ...], model: Model, known: list[list[float]] | None = None
) -> list[list[float]]:
    """A risk against the mean over all sign vectors: width, both values, relative difference. `known` has the means."""
    rows: list[list[float]] = []
    for i, width in enumerate(widths):
        keys = jax.random.split(jax.random.fold_in(context.key, width), 3)
        net = tn.TwoLayerNetwork.init(keys[0], INPUTS, width)
        x, y = problems.noisy_product(keys[1], 20, INPUTS)
        w = jax.random.normal(keys[2], net.w0.shape)
        exact = _risk(context, model, net, w, x, y)
        enumerated = known[i][2] if known else float(expected_loss("squared", Signs(), net, w, x, y, "enumerate"))
        rows.append([width, exact, enumerated, abs(exact - enumerated) / enumerated])
    return rows


def _optima(context: ClaimContext, seed: int, width: int, model: Model) -> tuple[float, float, float, float]:
    """Optimal objectives of the quadratic model and the network, the gap of the former, and the bound for the latter."""
    keys = jax.random.split(jax.random.fold_in(context.key, 1000 + seed), 2)
    x, y = problems.noisy_product(keys[0], EXAMPLES, INPUTS)
    net = tn.TwoLayerNetwork.init(jax.random.fold_in(keys[1], width), INPUTS, width)
    quadratic = tn.fit(net, x, y, penalty=PENALTY, power=POWER, rank=1, throw=False)
    # The certificate of a wide network costs as much as hundreds of gradients, so it is computed once, at the end.
    risk = tn.objective(net, x, y, model="randomized", penalty=PENALTY, power=POWER)
    trained = risk if model == "randomized" else tn.objective(net, x, y, model=model, penalty=PENALTY, power=POWER)
    found = minimize(
        trained, quadratic.w, tn.optimizers.LBFGS(), context.key, certified=False, tol=STATIONARITY, max_steps=400
    )
    assert quadratic.certificate is not None
    return (
        quadratic.objective,
        found.objective,
        float(quadratic.certificate.relative_gap),
        float(certify_objective(risk, found.w).dual),
    )


def _sampled(
    context: ClaimContext, sizes: _Sizes, model: Model, known: tuple[float, float, float] | None = None
) -> tuple[float, float, float]:
    """The risk of a wide network, and mean and standard error over sampled sign vectors; `known` has these two."""
    keys = jax.random.split(jax.random.fold_in(context.key, 77), 3)
    x, y = problems.noisy_product(keys[0], EXAMPLES, INPUTS)
    net = tn.TwoLayerNetwork.init(keys[1], INPUTS, sizes.sampled)
    w = jax.random.normal(jax.random.fold_in(keys[1], 1), net.w0.shape) * sizes.sampled**-0.25
    exact = _risk(context, model, net, w, x, y)
    if known:
        return exact, *known[1:]
    risks = jax.lax.map(
        lambda key: jnp.mean((Signs().sample(key, net, w, x)[:, 0] - y) ** 2), jax.random.split(keys[2], sizes.samples)
    )
    return exact, float(jnp.mean(risks)), float(jnp.std(risks) / np.sqrt(sizes.samples))


class _Measured(NamedTuple):
    """Rows of the enumeration; risk, sampled risk and its standard error; optima by data set, width and `_optima`'s entry."""

    enumeration: list[list[float]]
    sampled: tuple[float, float, float]
    optima: np.ndarray
    excess: np.ndarray
    interval: tuple[float, float]
    found: _Found


def _measure(
    context: ClaimContext,
    sizes: _Sizes,
    model: Model,
    span: tuple[float, float],
    known: _Measured | None = None,
) -> _Measured:
    """Measures; what does not depend on the model is taken from a known measurement."""
    widths, seeds, (begin, end) = sizes.widths, sizes.data_sets, span
    enumeration = _enumeration(context, sizes.enumerated, model, known.enumeration if known else None)
    exact, sampled, error = _sampled(context, sizes, model, known.sampled if known else None)
    optima = np.zeros((seeds, len(widths), 4))
    for j, width in enumerate(widths):
        for i in range(seeds):
            done = begin + (end - begin) * (j * seeds + i) / (seeds * len(widths))
            context.progress(done, f"{model} network of width {width}, data set {i + 1} of {seeds}")
            optima[i, j] = _optima(context, i, width, model)
    excess = np.abs(optima[:, :, 1] / optima[:, :, 0] - 1)
    slope, interval = statistics.bootstrap_slope(np.asarray(widths, float), excess, context.seed)
    found = _Found(
        slope,
        max(row[3] for row in enumeration),
        abs(sampled - exact) / error,
        bool(np.all(optima[:, :, 3] <= optima[:, :, 1])),
    )
    return _Measured(enumeration, (exact, sampled, error), optima, excess, interval, found)


def _control(context: ClaimContext, sizes: _Sizes, known: _Measured) -> NegativeControl:
    small = replace(sizes, widths=sizes.control, data_sets=1)
    found = _measure(context, small, "sampled", (0.9, 1.0), known).found
    return NegativeControl(
        setting="one fixed draw of the signs instead of the expectation over them",
        predicted="the linear term fits the data at a penalty cost of order m^(-2), so the optimum stays below the quadratic "
        "one: slope 0; the risk differs from the expectation",
        measured={"slope": found.slope, "worst difference to enumeration": found.enumeration},
        fails=not holds(found),
    )


def _figure(grid: np.ndarray, excess: np.ndarray) -> Figure:
    mean, low, high = statistics.spread(excess)
    anchor = np.exp(np.mean(np.log(mean)) - PREDICTED * np.mean(np.log(grid)))
    label = "optimum of the exact randomized risk, relative to the quadratic one"
    series = (
        Series(label, grid, mean, low, high, group="a"),
        Series("theory: $m^{-1/2}$", grid, anchor * grid**PREDICTED, kind="theory", group="a"),
    )
    axis = "relative excess of the optimal objective"
    return Figure(
        "excess",
        "The optimum of the randomized network approaches that of the quadratic model",
        (Plot("width $m$ (hidden units)", axis, series, "log2", "log"),),
        f"n = {EXAMPLES} noisy products in dimension {INPUTS}, cubic ReLU, penalty {PENALTY:g} with power {POWER}. The "
        "quadratic optimum is certified; the randomized one is trained on the exact expected risk. Mean over "
        f"{len(excess)} data sets, 95 % intervals.",
    )


def _tables(widths: tuple[int, ...], measured: _Measured) -> tuple[Table, Table]:
    means, gaps, excess = (
        measured.optima.mean(axis=0),
        measured.optima[:, :, 2].max(axis=0),
        measured.excess.mean(axis=0),
    )
    columns = (
        "width", "quadratic optimum", "its relative gap (worst)", "randomized optimum", "excess", "lower bound for it",
    )  # fmt: skip
    rows = [[m, means[j, 0], gaps[j], means[j, 1], excess[j], means[j, 3]] for j, m in enumerate(widths)]
    title = "Optimal objectives. The lower bound holds for every displacement of the randomized network."
    return Table("optima", title, columns, rows), Table(
        "enumeration",
        "Closed form compared with the mean over all sign vectors.",
        ("width", "closed form", "all sign vectors", "relative difference"),
        measured.enumeration,
    )


def run(context: ClaimContext, sizes: _Sizes | None = None) -> Outcome:
    """Measures closed form and optima; the sizes default to those of the profile."""
    sizes = sizes or SIZES[context.profile]
    measured = _measure(context, sizes, "randomized", (0.0, 0.9))
    found, (exact, sampled, error) = measured.found, measured.sampled
    return Outcome(
        measured={"slope": found.slope, "worst difference to enumeration": found.enumeration},
        interval=measured.interval,
        holds=holds(found),
        control=_control(context, sizes, measured),
        detail={
            "slope_tolerance": TOLERANCE,
            "enumeration_tolerance": ENUMERATION_TOLERANCE,
            "exact_risk": exact,
            "sampled_risk": sampled,
            "sampled_standard_error": error,
            "samples_agree_within_5_standard_errors": found.deviation <= STANDARD_ERRORS,
            "lower_bound_never_violated": found.bounded,
        },
        figures=(_figure(np.asarray(sizes.widths, float), measured.excess),),
        tables=_tables(sizes.widths, measured),
        explanation=(
            "For the squared loss, the expected risk over all random signs has a closed form at the cost of one forward "
            "pass: the squared error of the mean plus the variance. It is compared with the mean over all sign vectors for "
            "small networks and with samples for a wide one.",
            "With increasing width, the optimal objective of networks trained on this exact risk approaches the certified "
            "global optimum of the quadratic model; the excess decays as m^(-1/2).",
        ),
    )


register(
    Claim(
        name="randomized_risk",
        title="The randomized risk",
        statement="The expected risk under random signs has a closed form, and its optimum approaches that of the quadratic "
        "model as the width grows.",
        source="Bai & Lee (2020), section 4; closed form: theory 2 and theory 5",
        predicted="equality with enumeration to 1e-12; excess of the optimum with slope −1/2 (within 0.1)",
        run=run,
        seconds=110,
    )
)
