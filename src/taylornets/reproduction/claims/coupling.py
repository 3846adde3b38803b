"""Random signs couple a wide network with its quadratic term (theory 2; Bai & Lee (2020), section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

import taylornets as tn
from taylornets import statistics
from taylornets.learning import problems
from taylornets.records import Figure, Plot, Series, Table
from taylornets.reproduction.claims import Claim, ClaimContext, NegativeControl, Outcome, register

PREDICTED = {"noise": -0.25, "bias": -0.5}
TOLERANCE = 0.02
INPUTS, EXAMPLES = 10, 100
# A target with several directions and signs, so that units of both signs and all directions have nonzero weights.
COEFFICIENTS = (2.0, -1.5, 1.0)


@dataclass(frozen=True)
class _Sizes:
    """Widths, and number of networks per width."""

    widths: tuple[int, ...]
    networks: int


WIDTHS = tuple(2**power for power in range(11, 17))
# Each width is compiled separately, which takes most of the time.
SIZES = {"quick": _Sizes(WIDTHS[1::2], 24), "full": _Sizes(WIDTHS, 64)}


def holds(slopes: Mapping[str, float]) -> bool:
    """Whether the slopes of noise and bias agree with the theory."""
    return all(abs(slopes[name] - PREDICTED[name]) <= TOLERANCE for name in PREDICTED)


def problem(key: PRNGKeyArray, width: int) -> tuple[tn.TwoLayerNetwork, Array, Array]:
    """Returns a network, inputs, and planted weights for the target."""
    key_net, key_x = jax.random.split(key)
    net = tn.TwoLayerNetwork.init(key_net, INPUTS, width)
    x = problems.sphere(key_x, EXAMPLES, INPUTS)
    target = tn.targets.Polynomial(jnp.eye(3, INPUTS), (2, 2, 2), jnp.array(COEFFICIENTS))
    return net, x, tn.expressivity.planted_weights(net, target)


@partial(jax.jit, static_argnums=1)
def errors(key: PRNGKeyArray, width: int) -> tuple[Array, Array, Array]:
    """Root mean square over examples of the sign noise, the bias, and the error without signs."""
    net, x, w = problem(key, width)
    moments = tn.randomization.Signs().moments(net, w, x)
    quadratic = net.term(2, w, x)
    bias = moments.mean - quadratic
    total = jnp.mean(moments.variance + bias**2)  # E_s (f(sW) - f2)², exactly
    return jnp.sqrt(total), jnp.sqrt(jnp.mean(bias**2)), jnp.sqrt(jnp.mean((net(w, x) - quadratic) ** 2))


def _measure(context: ClaimContext, sizes: _Sizes) -> np.ndarray:
    """Noise, bias and the error without signs, shape `(3, networks, widths)`."""
    seeds, count = sizes.networks, len(sizes.widths)
    values = np.zeros((3, seeds, count))
    for i, key in enumerate(jax.random.split(context.key, seeds)):
        for j, width in enumerate(sizes.widths):
            context.progress((i * count + j) / (seeds * count), f"width {width}, network {i + 1} of {seeds}")
            values[:, i, j] = errors(jax.random.fold_in(key, width), width)
    return values


def _control(slope: float) -> NegativeControl:
    """Without signs, the output is deterministic: its difference from the quadratic term is both noise and bias."""
    slopes = dict.fromkeys(PREDICTED, slope)
    return NegativeControl(
        setting="the same networks without random signs",
        predicted="the linear term remains: both slopes +1/4",
        measured={f"{name} slope": slope for name in slopes},
        fails=not holds(slopes),
    )


def _figure(values: np.ndarray, widths: np.ndarray) -> Figure:
    labels = {"noise": "noise: r.m.s. of $f(sW) - f^{(2)}(W)$", "bias": "bias: r.m.s. of $E_s f(sW) - f^{(2)}(W)$"}
    series: list[Series] = []
    for i, name in enumerate(PREDICTED):
        mean, low, high = statistics.spread(values[i])
        series.append(Series(labels[name], widths, mean, low, high, group=name))
        anchor = np.exp(np.mean(np.log(mean)) - PREDICTED[name] * np.mean(np.log(widths)))
        slope = {"noise": "-1/4", "bias": "-1/2"}[name]
        series.append(
            Series(f"theory: $m^{{{slope}}}$", widths, anchor * widths ** PREDICTED[name], kind="theory", group=name)
        )
    mean, low, high = statistics.spread(values[2])
    series.append(Series("without signs: r.m.s. of $f(W) - f^{(2)}(W)$", widths, mean, low, high, group="plain"))
    anchor = np.exp(np.mean(np.log(mean)) - 0.25 * np.mean(np.log(widths)))
    series.append(Series("theory: $m^{1/4}$", widths, anchor * widths**0.25, kind="theory", group="plain"))
    return Figure(
        "coupling",
        "Random signs turn a wide network into its quadratic model",
        (Plot("width $m$ (hidden units)", "difference from the quadratic term", series, "log2", "log"),),
        f"Cubic ReLU, planted weights with per-unit norms of order m^(-1/4), {EXAMPLES} inputs on the unit sphere of dimension "
        f"{INPUTS}; mean over {values.shape[1]} networks with 95 % intervals. Noise and bias are exact "
        "moments over all sign vectors, not samples. Without signs the linear term remains and grows with the width.",
        highlight=True,
    )


def run(context: ClaimContext, sizes: _Sizes | None = None) -> Outcome:
    """Measures the slopes; the sizes default to those of the profile."""
    sizes = sizes or SIZES[context.profile]
    values, widths = _measure(context, sizes), np.asarray(sizes.widths, float)
    names = (*PREDICTED, "plain")
    fits = {name: statistics.bootstrap_slope(widths, values[i], context.seed) for i, name in enumerate(names)}
    table = Table(
        "coupling",
        "Root mean square differences from the quadratic term, mean over networks.",
        ("width", "noise", "bias", "without signs"),
        [[int(m), *values[:, :, j].mean(axis=1)] for j, m in enumerate(sizes.widths)],
    )
    return Outcome(
        measured={f"{name} slope": fits[name][0] for name in PREDICTED},
        interval=fits["noise"][1],
        holds=holds({name: fits[name][0] for name in PREDICTED}),
        control=_control(fits["plain"][0]),
        detail={
            "widths": sizes.widths,
            "networks": sizes.networks,
            "tolerance": TOLERANCE,
            "noise_slope_interval": fits["noise"][1],
            "bias_slope_interval": fits["bias"][1],
        },
        figures=(_figure(values, widths),),
        tables=(table,),
        explanation=(
            "The displacement of each hidden unit is multiplied by an independent random sign. The linear term then has "
            "expectation zero, while the quadratic term does not change: the linear term contributes noise that decays as "
            "m^(-1/4), and the next even term a bias that decays as m^(-1/2). Without signs, the linear term dominates the "
            "quadratic one by a factor m^(1/4): the NTK regime.",
            "The interval in the summary is a bootstrap interval over networks, for the slope of the noise.",
        ),
    )


register(
    Claim(
        name="coupling",
        title="Coupling with the quadratic model",
        statement="With random signs, a network of width m whose units move by m^(-1/4) differs from its quadratic term by a "
        "noise of order m^(-1/4) and a bias of order m^(-1/2).",
        source="Bai & Lee (2020), section 3; exact moments: theory 2",
        predicted="slopes on log-log axes: noise −1/4, bias −1/2 (each within 0.02)",
        run=run,
        seconds=25,
    )
)
