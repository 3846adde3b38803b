"""The randomized risk in closed form, and its optimum against the quadratic one (theory 2 and 5; BL20, section 4)."""

import jax
import jax.numpy as jnp
import numpy as np

import taylornets as tn
from taylornets._fit import minimize
from taylornets.certificates import certify_objective
from taylornets import statistics
from taylornets.learning import problems
from taylornets.reproduction.claims import Claim, ClaimContext, Outcome, register
from taylornets.records import Figure, Plot, Series, Table
from taylornets.randomization import Signs, expected_loss

INPUTS, EXAMPLES, PENALTY, POWER = 10, 200, 1e-6, 8
PREDICTED, TOLERANCE = -0.5, 0.1
ENUMERATION_WIDTHS = (4, 8, 14)
ENUMERATION_TOLERANCE = 1e-12
STATIONARITY = 1e-3  # scale-free gradient; the relative error of the optimum is of the order of its square


def _enumeration(context: ClaimContext) -> list[list[float]]:
    """Exact risk against the mean over all sign vectors: width, both values, relative difference."""
    rows: list[list[float]] = []
    for width in ENUMERATION_WIDTHS:
        keys = jax.random.split(jax.random.fold_in(context.key, width), 3)
        net = tn.TwoLayerNetwork.init(keys[0], INPUTS, width)
        x, y = problems.noisy_product(keys[1], 20, INPUTS)
        w = jax.random.normal(keys[2], net.w0.shape)
        exact, enumerated = (
            float(expected_loss("squared", Signs(), net, w, x, y, method)) for method in ("exact", "enumerate")
        )
        rows.append([width, exact, enumerated, abs(exact - enumerated) / enumerated])
    return rows


def _optima(context: ClaimContext, seed: int, width: int) -> tuple[float, float, float, float]:
    """Optimal objectives of the quadratic and the randomized model, the gap of the first, the bound for the second."""
    keys = jax.random.split(jax.random.fold_in(context.key, 1000 + seed), 2)
    x, y = problems.noisy_product(keys[0], EXAMPLES, INPUTS)
    net = tn.TwoLayerNetwork.init(jax.random.fold_in(keys[1], width), INPUTS, width)
    quadratic = tn.fit(net, x, y, penalty=PENALTY, power=POWER, throw=False)
    # The certificate of a wide network takes as long as hundreds of gradients, so it is made once, at the end.
    risk = tn.objective(net, x, y, model="randomized", penalty=PENALTY, power=POWER)
    randomized = minimize(
        risk, quadratic.w, tn.optimizers.LBFGS(), context.key, certified=False, tol=STATIONARITY, max_steps=400
    )
    assert quadratic.certificate is not None
    return (
        quadratic.objective,
        randomized.objective,
        float(quadratic.certificate.relative_gap),
        float(certify_objective(risk, randomized.w).dual),
    )


def _sampled(context: ClaimContext) -> tuple[float, float, float]:
    """Exact risk of a wide network, and mean and standard error over 2000 sampled sign vectors."""
    keys = jax.random.split(jax.random.fold_in(context.key, 77), 3)
    x, y = problems.noisy_product(keys[0], EXAMPLES, INPUTS)
    net = tn.TwoLayerNetwork.init(keys[1], INPUTS, 1024)
    w = jax.random.normal(jax.random.fold_in(keys[1], 1), net.w0.shape) * 1024**-0.25
    exact = float(expected_loss("squared", Signs(), net, w, x, y))
    risks = jax.lax.map(
        lambda key: jnp.mean((Signs().sample(key, net, w, x)[:, 0] - y) ** 2), jax.random.split(keys[2], 2000)
    )
    return exact, float(jnp.mean(risks)), float(jnp.std(risks) / np.sqrt(2000))


def _run(context: ClaimContext) -> Outcome:
    widths = tuple(2**power for power in (range(6, 15) if context.full else range(6, 15, 2)))
    seeds = 5 if context.full else 3
    enumeration = _enumeration(context)
    exact, sampled, error = _sampled(context)
    excess = np.zeros((seeds, len(widths)))
    results = np.zeros((seeds, len(widths), 4))
    for j, width in enumerate(widths):
        for i in range(seeds):
            context.progress((j * seeds + i) / (seeds * len(widths)), f"width {width}, data set {i + 1} of {seeds}")
            results[i, j] = _optima(context, i, width)
            excess[i, j] = results[i, j, 1] / results[i, j, 0] - 1
    grid = np.asarray(widths, float)
    slope, interval = statistics.bootstrap_slope(grid, excess, context.seed)
    worst = max(row[3] for row in enumeration)
    samples_agree = abs(sampled - exact) <= 5 * error
    bounded = bool(np.all(results[:, :, 3] <= results[:, :, 1]))
    mean, low, high = statistics.spread(excess)
    anchor = np.exp(np.mean(np.log(mean)) - PREDICTED * np.mean(np.log(grid)))
    figure = Figure(
        "excess",
        "The best randomized network approaches the best quadratic model",
        (
            Plot(
                "width $m$ (hidden units)",
                "excess of the optimal objective (relative)",
                (
                    Series(
                        "optimum of the exact randomized risk over the quadratic one", grid, mean, low, high, group="a"
                    ),
                    Series("theory: $m^{-1/2}$", grid, anchor * grid**PREDICTED, kind="theory", group="a"),
                ),
                "log2",
                "log",
            ),
        ),
        f"n = {EXAMPLES} noisy products in dimension {INPUTS}, cubic ReLU, penalty {PENALTY:g} with power {POWER}. The "
        "quadratic optimum is certified; the randomized one is trained on the exact expected risk. Mean over "
        f"{seeds} data sets, 95 % intervals.",
    )
    optima = Table(
        "optima",
        "Optimal objectives; the lower bound holds for every displacement of the randomized network.",
        (
            "width",
            "quadratic optimum",
            "its relative gap (worst)",
            "randomized optimum",
            "excess",
            "lower bound for it",
        ),
        [
            [
                m,
                results[:, j, 0].mean(),
                results[:, j, 2].max(),
                results[:, j, 1].mean(),
                mean[j],
                results[:, j, 3].mean(),
            ]
            for j, m in enumerate(widths)
        ],
    )
    identity = Table(
        "enumeration",
        "Closed form against the mean over all sign vectors.",
        ("width", "closed form", "all sign vectors", "relative difference"),
        enumeration,
    )
    return Outcome(
        measured={"slope": slope, "worst difference to enumeration": worst},
        interval=interval,
        holds=abs(slope - PREDICTED) <= TOLERANCE and worst <= ENUMERATION_TOLERANCE and samples_agree and bounded,
        detail={
            "slope_tolerance": TOLERANCE,
            "enumeration_tolerance": ENUMERATION_TOLERANCE,
            "exact_risk": exact,
            "sampled_risk": sampled,
            "sampled_standard_error": error,
            "samples_agree_within_5_standard_errors": samples_agree,
            "lower_bound_never_violated": bounded,
        },
        figures=(figure,),
        tables=(optima, identity),
        explanation=(
            "The risk of the squared loss, averaged over all random signs, has a closed form that costs one forward pass: the "
            "squared error of the mean plus the variance. Here it is compared with the sum over all sign vectors of small "
            "networks and with samples of a wide one.",
            "Trained on that exact risk, a network of growing width reaches an objective that approaches the certified global "
            "optimum of the quadratic model; the excess falls as one over the root of the width.",
        ),
    )


register(
    Claim(
        name="randomized_risk",
        title="The randomized risk",
        statement="The expected risk under random signs has a closed form, and its optimum approaches that of the quadratic "
        "model as the width grows.",
        source="Bai & Lee (ICLR 2020), section 4; closed form in the library's theory, sections 2 and 5",
        predicted="equality with enumeration to 1e-12; excess of the optimum with slope −1/2 (within 0.1)",
        run=_run,
    )
)
