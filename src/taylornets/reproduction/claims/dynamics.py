"""Step sizes at the stability limit: catapults, the lazy change of sharpness, and the edge of stability (theory 15)."""

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
from taylornets.reproduction.claims import Claim, ClaimContext, NegativeControl, Outcome, _edge, register
from taylornets.reproduction.claims import _one_example as one

INPUTS, EXAMPLES, ORDERS = 8, 60, (1, 2, 3)
REFLECTED, ABOVE = 2.1, 2.6  # step sizes c = ηλ0
REFLECTION = 0.05  # from theory 15: differences of 0.03 at c = 2.1 with n = 60 and m = 4096
STRETCH = 1.5  # of the first coordinate: one mode of the kernel is then well separated from the others
EXACT = 1e-10
SHADES = {"converges": 0.0, "catapult": 1.0, "diverges": 2.0}


@dataclass(frozen=True)
class _Sizes:
    """Sizes of the parts of the claim.

    Attributes:
        width, grid, steps: width, step sizes in units of 1/λ0, and updates of the catapults.
        wide: width of the reflection.
        lazy: two widths for the change of sharpness below the limit.
        linear, draws: widths and number of linear networks on one example.
        deep, updates, orders: width, updates and orders at the edge of stability.
    """

    width: int
    grid: tuple[float, ...]
    steps: int
    wide: int
    lazy: tuple[int, int] = (500, 8000)
    linear: tuple[int, ...] = (8, 64)
    draws: int = 1000
    deep: int = 24
    updates: int = 600
    orders: tuple[int, ...] = (1, 2)


GRID = (0.5, 1.0, 1.5, 1.9, 2.1, 2.6, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 8.0)
SIZES = {
    "quick": _Sizes(256, GRID, 200, 2048),
    "full": _Sizes(1024, GRID, 1000, 4096, (500, 64000), (8, 64, 512), 4000, 48, 1200, (1, 2, 3)),
}
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


@dataclass(frozen=True)
class _Found:
    """All measurements; `deviation` is the largest one from the recurrences, `lazy` is by width and model."""

    grid: tn.dynamics.StableRates
    above: tn.dynamics.Trajectory
    near: tn.dynamics.Trajectory
    deviation: float
    lazy: tuple[Mapping[Name, one.Change], Mapping[Name, one.Change]]
    linear: Mapping[int, tuple[np.ndarray, np.ndarray]]
    edge: _edge.Edge

    @property
    def exponents(self) -> dict[Name, float]:
        """Exponents of the width in the lazy change at c = 1."""
        narrow, wide = self.lazy
        return {name: one.exponent(narrow[name], wide[name]) for name in wide}


def _measured(context: ClaimContext, sizes: _Sizes) -> _Found:
    context.progress(0.0, "step sizes")
    grid = _grid(context, sizes)
    context.progress(0.2, f"step size {ABOVE}")
    above, exact = trajectory(context.key, sizes.width, ABOVE, sizes.steps, max(1, sizes.steps // 25), ORDERS)
    context.progress(0.4, f"step size {REFLECTED}")
    near, _ = trajectory(context.key, sizes.wide, REFLECTED, sizes.steps, sizes.steps, ORDERS[:2])
    context.progress(0.5, "one example")
    by_width = zip(sizes.lazy, ((1.0,), one.LAZY), strict=True)
    narrow, wide = ({k: one.changes(context.key, m, k, steps) for k in (1, 2, "full")} for m, steps in by_width)
    widths = {1: sizes.linear[:1], 2: sizes.linear}  # order 1 does not depend on the width
    linear = {k: one.trained(context.key, m, k, sizes.draws, sizes.steps * 3) for k, m in widths.items()}
    context.progress(0.6, "edge of stability")
    edge = _edge.measured(context.key, sizes.deep, sizes.updates, sizes.orders)
    return _Found(grid, above, near, exact, (narrow, wide), linear, edge)


def _lazy(found: _Found, name: Name) -> bool:
    return one.lazy_holds(found.lazy[1][name], found.exponents[name])


def _control(found: _Found) -> NegativeControl:
    """Order 1, to which the same rules apply."""
    ends, reflected = final_sharpness(found.above), final_sharpness(found.near)
    share, _ = one.fractions(*found.linear[1])
    edge = found.edge
    held = (
        holds({1: ends[1]}, {1: reflected[1]}), _lazy(found, 1), one.bound_holds(*one.fractions(*found.linear[1])),
        _edge.hovers(edge.hover[1]), _edge.explains(edge.explained[1]),
    )  # fmt: skip
    return NegativeControl(
        "order 1, the linearized model, at the same step sizes",
        "diverges above the limit; its sharpness is constant, so that it neither catapults nor hovers at 2/η",
        {
            f"status from c = {ABOVE}": found.above.status[1],
            "fraction that trains for 2 < c < 4": share,
            "lazy change × width at c = 1": float(found.lazy[1][1].width * found.lazy[1][1].measured[one.LAZY.index(1.0)]),
            "mean ηS at the edge": edge.hover[1],
            "explained sharpness at the end": edge.explained[1],
        },
        fails=not any(held),
    )  # fmt: skip


def _numbers(found: _Found, higher: Sequence[Name]) -> dict[str, Any]:
    """The measured values of the record."""
    ends, reflected, edge = final_sharpness(found.above), final_sharpness(found.near), found.edge
    at = one.LAZY.index(1.0)
    below, above = one.fractions(*found.linear[2])
    measured: dict[str, Any] = {f"final ηS from c = {ABOVE}, {_title(k)}": ends[k] for k in higher}
    measured |= {f"final ηS from c = {REFLECTED}, {_title(k)}": v for k, v in reflected.items() if k != 1}
    for name, change in found.lazy[1].items():
        if name != 1:
            measured[f"lazy change × width at c = 1, {_title(name)}"] = float(change.width * change.measured[at])
            measured[f"formula, {_title(name)}"] = float(change.width * change.formula[at])
    measured["exponent of the width, network"] = found.exponents["full"]
    measured |= {"fraction that trains for 2 < c < 4": below, "fraction that trains for c > 4": above}
    measured |= {f"mean ηS at the edge, {_title(k)}": v for k, v in edge.hover.items() if k != 1}
    measured |= {f"explained sharpness at the end, {_title(k)}": v for k, v in edge.explained.items()}
    return measured | {f"the same around the network on the edge, {_title(k)}": v for k, v in edge.from_edge.items()}


def _verdict(found: _Found, sizes: _Sizes, higher: Sequence[Name]) -> dict[str, bool]:
    """Whether each part of the claim holds."""
    ends, reflected = final_sharpness(found.above), final_sharpness(found.near)
    first = all((kind == "diverges") == (c > 2) for c, kind in zip(sizes.grid, found.grid.outcome[1], strict=True))
    return {
        "order_1_diverges_iff_above_2": first,
        "catapults": holds({k: ends[k] for k in higher}, {k: v for k, v in reflected.items() if k != 1}),
        "recurrences": found.deviation <= EXACT,
        "lazy_change": all(_lazy(found, name) for name in found.lazy[1] if name != 1),
        "bound_of_one_example": one.bound_holds(*one.fractions(*found.linear[2])),
        "edge_of_stability": _edge.holds(found.edge),
    }


def run(context: ClaimContext, sizes: _Sizes | None = None) -> Outcome:
    """Measures all parts of the claim; the sizes default to those of the profile."""
    sizes = sizes or SIZES[context.profile]
    found = _measured(context, sizes)
    grid, edge = found.grid, found.edge
    higher = tuple(name for name in found.above.hessian if name != 1)
    parts = _verdict(found, sizes, higher)
    table = Table(
        "dynamics", "Step sizes in units of 1/λ0: first failure and last success.", ("model", "first failure", "last success"),
        [[_title(k), *(_scaled(v, grid.limit) for v in (grid.first_failure[k], grid.last_success[k]))] for k in grid.outcome],
    )  # fmt: skip
    return Outcome(
        measured=_numbers(found, higher),
        holds=all(parts.values()),
        control=_control(found),
        detail={
            "width": sizes.width, "width_of_the_reflection": sizes.wide, "steps": sizes.steps, "grid": sizes.grid,
            "deviation_from_recurrences": found.deviation, **parts,
            "peak": {_title(k): found.above.peak[k] for k in higher},
            "deviation_of_the_lazy_change": {_title(k): v.deviation for k, v in found.lazy[1].items()},
            "cosine": {_title(k): v for k, v in edge.cosine.items()},
            "bound_on_order_1": edge.bound,
            "farthest_from_1_on_the_edge": {_title(k): v for k, v in edge.farthest.items()},
        },
        figures=(
            *_figures(grid, found.above, sizes), *one.figures(found.lazy[1], found.linear), *_edge.figures(edge),
        ),
        tables=(table,),
        explanation=(
            "For a step size η, let c = η λ0 with the largest eigenvalue λ0 of the tangent kernel. The linearized model is "
            "stable up to c = 2. Above, the loss of every higher order grows as well, but the growing error reduces the "
            "sharpness S until ηS < 2, after which it trains. Close to c = 2, the final value is the reflection 4 − c.",
            "Losses agree with the exact recurrences in the projections. A larger order does not survive larger steps.",
            "Below the limit, the sharpness of a network of width m changes by O(1/m), as a closed formula predicts for one "
            "example. On one example with target 0, a linear two-layer network trains for every c < 4 and for no c > 4.",
            "In deeper networks, the sharpness rises to 2/η and hovers there; order 2 is enough for this. Around a network on "
            "the edge, order 2 explains the sharpness of the network to 5 %; around the initialization, order 1 explains less "
            "than half of it and order 2 more.",
        ),
    )  # fmt: skip


def _scaled(rate: float | None, limit: float) -> float | str:
    return "none" if rate is None else round(2 * rate / limit, 6)


register(
    Claim(
        name="dynamics",
        title="Step sizes above the stability limit",
        statement="Above the step size 2/λ0, order 1 diverges, whereas orders 2, 3 and the network catapult: they end at a "
        "sharpness below 2/η, which next to the limit is the reflection (4 − c)/η. Below it, the sharpness changes by O(1/m); "
        "in deeper networks it rises to 2/η and hovers there, which takes order 2.",
        source="theory 15; Lewkowycz et al. (2020), Zhu et al. (2022), Damian et al. (2022)",
        predicted=f"order 1 diverges iff c > 2; final ηS < 2 from c = {ABOVE}; 4 − c within {REFLECTION} from c = {REFLECTED}; "
        f"lazy change × width within {one.LAZY_TOLERANCE} of the formula, exponent −1 within {one.SLOPE_TOLERANCE}; one "
        f"example: all train for 2 < c < 4, none for c > 4; mean ηS within {100 * _edge.CLOSE:g} % of 2 at the edge, where "
        f"order 2 explains the sharpness to {100 * _edge.CLOSE:g} %",
        run=run,
        seconds=60,
    )
)
