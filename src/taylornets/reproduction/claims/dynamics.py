"""Step sizes above the stability limit: order 1 diverges, every higher order and the network catapult (theory 15)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

import taylornets as tn
from taylornets.learning import problems
from taylornets.records import Figure, Heatmap, Plot, Series, Table
from taylornets.reproduction.claims import Claim, ClaimContext, NegativeControl, Outcome, register

INPUTS, EXAMPLES, ORDERS = 8, 60, (1, 2, 3)
REFLECTED, ABOVE = 2.1, 2.6  # step sizes c = ηλ0
REFLECTION = 0.05  # from theory 15: differences of 0.03 at c = 2.1 with n = 60 and m = 4096
STRETCH = 1.5  # of the first coordinate: one mode of the kernel is then well separated from the others
EXACT = 1e-10
SHADES = {"converges": 0.0, "catapult": 1.0, "diverges": 2.0}


@dataclass(frozen=True)
class _Sizes:
    """Width, grid of step sizes in units of 1/λ0, and updates; width and updates of the reflection."""

    width: int
    grid: tuple[float, ...]
    steps: int
    wide: int


GRID = (0.5, 1.0, 1.5, 1.9, 2.1, 2.6, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 8.0)
SIZES = {"quick": _Sizes(256, GRID, 200, 2048), "full": _Sizes(1024, GRID, 1000, 4096)}
Name = int | str


def holds(ends: Mapping[Name, float], reflected: Mapping[Name, float]) -> bool:
    """Whether all models train above the limit and end below `ηS = 2`, and near the reflected value next to the limit.

    Args:
        ends: `ηS` at the end from c = 2.6, by model; NaN if the model diverged.
        reflected: the same from c = 2.1.
    """
    flat = all(value < 2 for value in ends.values())
    return flat and all(abs(value - (4 - REFLECTED)) <= REFLECTION for value in reflected.values())


def problem(key: PRNGKeyArray, width: int) -> tuple[tn.TwoLayerNetwork, Array, Array, Array]:
    """A symmetric tanh network at its initialization, examples on an ellipsoid and targets."""
    key_net, key_x = jax.random.split(key)
    net = tn.TwoLayerNetwork.init(key_net, INPUTS, width, activation="tanh")
    x = problems.sphere(key_x, EXAMPLES, INPUTS) * jnp.ones(INPUTS).at[0].set(STRETCH)
    return net, jnp.zeros_like(net.w0), x, 3 * x[:, 0] * x[:, 1] + x[:, 0] + x[:, 2]


def final_sharpness(run: tn.dynamics.Trajectory) -> dict[Name, float]:
    """`ηS` at the end by model; NaN for models that diverged."""
    return {
        name: float(run.rate * values[-1]) if run.status[name] != "diverged" else float("nan")
        for name, values in run.hessian.items()
    }


def trajectory(
    key: PRNGKeyArray, width: int, c: float, steps: int, every: int, orders: Sequence[int]
) -> tuple[tn.dynamics.Trajectory, float]:
    """A run at the step size `c/λ0`, and its largest deviation from the recurrences of theory 15 relative to the loss."""
    net, w, x, y = problem(key, width)
    rate = c / 2 * tn.dynamics.predict(net, w, x, y, 1.0, 1).limit
    found = tn.dynamics.run(
        net, w, x, y, orders=orders, rate=rate, steps=steps, every=every, quantities=("hessian",), key=key
    )  # fmt: skip
    deviation = 0.0
    for name in (k for k in (*orders, "full") if found.status[k] != "diverged"):
        losses = tn.dynamics.predict(net, w, x, y, rate, name).loss(steps)[found.step]
        deviation = max(deviation, float(np.max(np.abs(losses - found.loss[name])) / np.max(losses)))
    return found, deviation


def _grid(context: ClaimContext, sizes: _Sizes) -> tn.dynamics.StableRates:
    net, w, x, y = problem(context.key, sizes.width)
    limit = tn.dynamics.predict(net, w, x, y, 1.0, 1).limit
    rates = [c * limit / 2 for c in sizes.grid]
    return tn.dynamics.stable_rates(net, w, x, y, orders=ORDERS, rates=rates, steps=sizes.steps, key=context.key)


def _title(name: Name) -> str:
    return "network" if name == "full" else f"order {name}"


def _figures(grid: tn.dynamics.StableRates, above: tn.dynamics.Trajectory, sizes: _Sizes) -> tuple[Figure, ...]:
    outcomes = Heatmap(
        "step size in units of $1/λ_0$", "model", [f"{c:g}" for c in sizes.grid], [_title(name) for name in grid.outcome],
        [[SHADES[kind] for kind in kinds] for kinds in grid.outcome.values()],
        "0 converges, 1 catapult, 2 diverges",
    )  # fmt: skip
    losses, sharp = list[Series](), list[Series]()
    for name in above.loss:
        values = np.where(np.isfinite(above.loss[name]), above.loss[name], np.nan)
        shown = values <= 1e3 * above.loss[name][0]
        losses.append(Series(_title(name), above.step[shown], values[shown], kind="line", group=str(name)))
        if name != 1:
            sharp.append(
                Series(_title(name), above.step, above.rate * above.hessian[name], kind="line", group=str(name))
            )
    sharp.append(Series("2", above.step, np.full(len(above.step), 2.0), kind="theory", group="limit"))
    return (
        Figure(
            "dynamics_rates", "Which step sizes each order survives", (outcomes,),
            f"Gradient descent, tanh network of width {sizes.width}, {EXAMPLES} examples, {sizes.steps} steps. Above 2, order "
            "1 diverges; the other orders and the network first raise their loss and then train at a smaller sharpness.",
            highlight=True,
        ),
        Figure(
            "dynamics_catapult", f"A catapult: step size {ABOVE}/λ0",
            (Plot("step", "loss", losses, "linear", "log"), Plot("step", "step size × sharpness", sharp)),
            "Order 1 leaves the figure. The sharpness of the other models falls from 2.6 to below 2, where training is stable.",
        ),
    )  # fmt: skip


def run(context: ClaimContext, sizes: _Sizes | None = None) -> Outcome:
    """Measures the grid, a catapult and the reflection; the sizes default to those of the profile."""
    sizes = sizes or SIZES[context.profile]
    context.progress(0.0, "step sizes")
    grid = _grid(context, sizes)
    context.progress(0.4, f"step size {ABOVE}")
    above, exact = trajectory(context.key, sizes.width, ABOVE, sizes.steps, max(1, sizes.steps // 25), ORDERS)
    context.progress(0.7, f"step size {REFLECTED}")
    near, _ = trajectory(context.key, sizes.wide, REFLECTED, sizes.steps, sizes.steps, ORDERS[:2])
    ends, reflected = final_sharpness(above), final_sharpness(near)
    higher = tuple(name for name in ends if name != 1)
    first = all((kind == "diverges") == (c > 2) for c, kind in zip(sizes.grid, grid.outcome[1], strict=True))
    passed = holds({k: ends[k] for k in higher}, {k: v for k, v in reflected.items() if k != 1})
    control = NegativeControl(
        "order 1, the linearized model, at the same step sizes", "diverges: no catapult, and no sharpness below 2",
        "diverged" if above.status[1] == "diverged" else ends[1], fails=not holds({1: ends[1]}, {1: reflected[1]}),
    )  # fmt: skip
    measured: dict[str, Any] = {f"final ηS from c = {ABOVE}, {_title(k)}": ends[k] for k in higher}
    measured |= {f"final ηS from c = {REFLECTED}, {_title(k)}": v for k, v in reflected.items() if k != 1}
    table = Table(
        "dynamics", "Step sizes in units of 1/λ0: first failure and last success.", ("model", "first failure", "last success"),
        [[_title(k), *(_scaled(v, grid.limit) for v in (grid.first_failure[k], grid.last_success[k]))] for k in grid.outcome],
    )  # fmt: skip
    return Outcome(
        measured=measured,
        holds=passed and first and exact <= EXACT,
        control=control,
        detail={
            "width": sizes.width, "width_of_the_reflection": sizes.wide, "steps": sizes.steps, "grid": sizes.grid,
            "deviation_from_recurrences": exact, "order_1_diverges_iff_above_2": first,
            "peak": {_title(k): above.peak[k] for k in higher},
        },
        figures=_figures(grid, above, sizes),
        tables=(table,),
        explanation=(
            "For a step size η, let c = η λ0 with the largest eigenvalue λ0 of the tangent kernel. The linearized model is "
            "stable up to c = 2. Above, the loss of every higher order grows as well, but the growing error reduces the "
            "sharpness S until ηS < 2, after which it trains. Close to c = 2, the final value is the reflection 4 − c.",
            "Losses agree with the exact recurrences in the projections. A larger order does not survive larger steps.",
        ),
    )  # fmt: skip


def _scaled(rate: float | None, limit: float) -> float | str:
    return "none" if rate is None else round(2 * rate / limit, 6)


register(
    Claim(
        name="dynamics",
        title="Step sizes above the stability limit",
        statement="Above the step size 2/λ0, order 1 diverges, whereas orders 2, 3 and the network catapult: they end at a "
        "sharpness below 2/η, which next to the limit is the reflection (4 − c)/η.",
        source="theory 15; Lewkowycz et al. (2020), Zhu et al. (2022), Damian et al. (2022)",
        predicted=f"order 1 diverges iff c > 2; final ηS < 2 from c = {ABOVE}; 4 − c within {REFLECTION} from c = {REFLECTED}",
        run=run,
        seconds=40,
    )
)
