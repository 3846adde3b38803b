"""Random signs couple a wide network with its quadratic term (theory 2; BL20, section 3)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

import taylornets as tn
from taylornets import statistics
from taylornets.learning import problems
from taylornets.reproduction.claims import Claim, ClaimContext, Outcome, register
from taylornets.records import Figure, Plot, Series, Table

WIDTHS = tuple(2**power for power in range(11, 17))
PREDICTED = {"noise": -0.25, "bias": -0.5}
TOLERANCE = 0.02
INPUTS, EXAMPLES = 10, 100
# A target of several directions and signs, so that units of both signs and all directions carry weight.
COEFFICIENTS = (2.0, -1.5, 1.0)


@partial(jax.jit, static_argnums=1)
def _errors(key: PRNGKeyArray, width: int) -> tuple[Array, Array, Array]:
    """Root mean square over examples of the sign noise, of the bias, and of what plain linearization leaves behind."""
    key_net, key_x = jax.random.split(key)
    net = tn.TwoLayerNetwork.init(key_net, INPUTS, width)
    x = problems.sphere(key_x, EXAMPLES, INPUTS)
    target = tn.targets.Polynomial(jnp.eye(3, INPUTS), (2, 2, 2), jnp.array(COEFFICIENTS))
    w = tn.expressivity.planted_weights(net, target)
    moments = tn.randomization.Signs().moments(net, w, x)
    quadratic = net.term(2, w, x)
    bias = moments.mean - quadratic
    total = jnp.mean(moments.variance + bias**2)  # E_s (f(sW) - f2)², exactly
    return jnp.sqrt(total), jnp.sqrt(jnp.mean(bias**2)), jnp.sqrt(jnp.mean((net(w, x) - quadratic) ** 2))


def _run(context: ClaimContext) -> Outcome:
    seeds = 64 if context.full else 24
    values = np.zeros((3, seeds, len(WIDTHS)))
    for i, key in enumerate(jax.random.split(context.key, seeds)):
        for j, width in enumerate(WIDTHS):
            context.progress(
                (i * len(WIDTHS) + j) / (seeds * len(WIDTHS)), f"width {width}, network {i + 1} of {seeds}"
            )
            values[:, i, j] = _errors(jax.random.fold_in(key, width), width)
    widths = np.asarray(WIDTHS, float)
    names = ("noise", "bias")
    fits = {name: statistics.bootstrap_slope(widths, values[i], context.seed) for i, name in enumerate(names)}
    holds = all(abs(fits[name][0] - PREDICTED[name]) <= TOLERANCE for name in names)
    labels = {"noise": "noise: r.m.s. of $f(sW) - f^{(2)}(W)$", "bias": "bias: r.m.s. of $E_s f(sW) - f^{(2)}(W)$"}
    series: list[Series] = []
    for i, name in enumerate(names):
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
    figure = Figure(
        "coupling",
        "Random signs turn a wide network into its quadratic model",
        (Plot("width $m$ (hidden units)", "difference to the quadratic term", series, "log2", "log"),),
        f"Cubic ReLU, planted weights with unit norms of order m^(-1/4), {EXAMPLES} inputs on the unit sphere of dimension "
        f"{INPUTS}; mean over {seeds} networks with 95 % intervals. Noise and bias are exact moments over all sign vectors, "
        "not samples. Without signs the linear term is left, and it grows with the width.",
        highlight=True,
    )
    table = Table(
        "coupling",
        "Root mean square differences to the quadratic term, mean over networks.",
        ("width", "noise", "bias", "without signs"),
        [[int(m), *values[:, :, j].mean(axis=1)] for j, m in enumerate(WIDTHS)],
    )
    return Outcome(
        measured={f"{name} slope": fits[name][0] for name in names},
        interval=fits["noise"][1],
        holds=holds,
        detail={
            "widths": WIDTHS,
            "networks": seeds,
            "tolerance": TOLERANCE,
            "noise_slope_interval": fits["noise"][1],
            "bias_slope_interval": fits["bias"][1],
        },
        figures=(figure,),
        tables=(table,),
        explanation=(
            "Each hidden unit's displacement is multiplied by an independent random sign. The linear term then averages out, "
            "the quadratic one does not change at all: what is left of the linear term is a noise that falls as m^(-1/4), and "
            "the next even term is a bias that falls as m^(-1/2). Without the signs the linear term outgrows the quadratic "
            "one as m^(1/4): the NTK regime, which the signs leave.",
            "The interval in the summary belongs to the slope of the noise; it is a bootstrap over networks.",
        ),
    )


register(
    Claim(
        name="coupling",
        title="Coupling with the quadratic model",
        statement="With random signs, a network of width m whose units move by m^(-1/4) differs from its quadratic term by a "
        "noise of order m^(-1/4) and a bias of order m^(-1/2).",
        source="Bai & Lee (ICLR 2020), section 3; exact moments in the library's theory, section 2",
        predicted="slopes on log-log axes: noise −1/4, bias −1/2 (each within 0.02)",
        run=_run,
    )
)
