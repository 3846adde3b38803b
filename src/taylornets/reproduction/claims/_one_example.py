"""Gradient descent on one example, for the claim `dynamics`: lazy change of sharpness, and the bound c = 4 (theory 15)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

import taylornets as tn
from taylornets.records import Figure, Plot, Series

Name = int | str
LAZY = (0.2, 1.0, 4 / 3, 1.7)  # step sizes c = η λ0 below the limit 2
FINE = np.linspace(0.1, 1.75, 34)
UPDATES = 200  # the slowest mode shrinks by 0.8 per update
LAZY_TOLERANCE = 0.05  # from theory 15: m times the change differs from the formula by up to 0.03 at m = 8000
SLOPE_TOLERANCE = 0.25  # half of the distance between the exponents -1 and -1/2 of the width
BOUND = 4.0  # of the catapult on one example
MARGIN = 0.05  # step sizes next to the limits 2 and 4 are left out: there, neither outcome shows within the updates


@dataclass(frozen=True)
class Change:
    """`κ_end/κ0 − 1` of the tangent kernel κ on one example, by step size."""

    measured: np.ndarray
    formula: np.ndarray
    curve: np.ndarray  # the formula at `FINE`
    width: int

    @property
    def deviation(self) -> float:
        """The largest difference between measurement and formula, times the width."""
        return float(self.width * np.max(np.abs(self.measured - self.formula)))


def changes(key: PRNGKeyArray, width: int, name: Name, steps: Sequence[float]) -> Change:
    """Measures the change of the kernel of a symmetric tanh network, `y = 1`, by the exact recurrence in the projections.

    To leading order, `κ_end/κ0 − 1 = (y²/κ0³) [μ2 (4 − 3c)/(2 − c) + ∇³f[∇f, ∇f, ∇f]]` with `μ2 = ‖∇²f ∇f‖²`; order 2 lacks
    the last term, and order 1 has no change.
    """
    net = tn.TwoLayerNetwork.init(key, 2, width, activation="tanh")
    x, y, w = jnp.array([[1.0, 0.0]]), jnp.ones(1), jnp.zeros_like(net.w0)
    u, signs = np.asarray(net.w0[:, 0], np.float64), np.asarray(net.a[:, 0], np.float64)
    first, second, third = (np.asarray(net.activation.derivative(j)(u), np.float64) for j in (1, 2, 3))

    def slope(z: np.ndarray) -> np.ndarray:
        if name == "full":
            return 1 - np.tanh(u + z) ** 2
        return sum((s * z**j / max(j, 1) for j, s in enumerate((first, second, third)[: int(name)])), np.zeros_like(z))

    start = float(np.mean(signs**2 * first**2))
    bends = float(np.mean(signs**4 * first**2 * second**2)) / width if name != 1 else 0.0
    cubic = float(np.mean(signs**4 * first**3 * third)) / width if name not in (1, 2) else 0.0
    measured = list[float]()
    for c in steps:
        system = tn.dynamics.predict(net, w, x, y, c / start, name)
        state = system.begin
        for _ in range(UPDATES):
            state = system.advance(state)
        measured.append(float(np.mean(signs**2 * slope(np.asarray(state)[0]) ** 2)) / start - 1)
    formula, curve = ((bends * (4 - 3 * c) / (2 - c) + cubic) / start**3 for c in (np.array(steps), FINE))
    return Change(np.array(measured), formula, curve, width)


def exponent(narrow: Change, wide: Change) -> float:
    """The exponent of the width in the change at c = 1, the only step size of the narrow network; NaN without a change."""
    first, last = narrow.measured[0], wide.measured[LAZY.index(1.0)]
    if not first or not last:
        return float("nan")
    return float(np.log(abs(last / first)) / np.log(wide.width / narrow.width))


def lazy_holds(change: Change, slope: float) -> bool:
    """Whether the change is that of the formula, and of order 1/m in the width m."""
    return change.deviation <= LAZY_TOLERANCE and abs(slope + 1) <= SLOPE_TOLERANCE


def trained(
    key: PRNGKeyArray, widths: Sequence[int], order: int, draws: int, updates: int
) -> tuple[np.ndarray, np.ndarray]:
    """Trains linear networks of several widths; returns the results of `one_width` one after the other."""
    each = [one_width(key, width, order, draws, updates) for width in widths]
    return np.concatenate([c for c, _ in each]), np.concatenate([success for _, success in each])


def one_width(key: PRNGKeyArray, width: int, order: int, draws: int, updates: int) -> tuple[np.ndarray, np.ndarray]:
    """Trains linear two-layer networks `Σ v_r u_r/√m` on one example with target 0, each from another initialization.

    The network is its own order-2 model. Step sizes are spread evenly over `c` in (0.25, 6).

    Returns:
        The step sizes `c`, and whether the loss stays finite and falls throughout the last tenth of the updates.
    """
    c = np.linspace(0.25, 6, draws)

    def network(params: Any, x: Any) -> Any:
        return x * jnp.sum(params[0] * params[1]) / jnp.sqrt(width)

    def falls(key: PRNGKeyArray, c: Any) -> Any:
        start = jax.random.normal(key, (2, width))
        rate = c / (jnp.sum(start**2) / width)
        model = tn.taylor_expand(network, start, order)
        loss = jax.value_and_grad(lambda p: jnp.sum(model(p, jnp.ones((1,))) ** 2) / 2)

        def step(p: Any, _: None) -> tuple[Any, Any]:
            value, slope = loss(p)
            return p - rate * slope, value

        losses = jax.lax.scan(step, start, None, length=updates)[1]
        steps = jnp.diff(losses[-updates // 10 :])
        return jnp.isfinite(losses[-1]) & jnp.all(steps <= 1e-12 * losses[0])  # up to rounding at the minimum

    return c, np.asarray(jax.jit(jax.vmap(falls))(jax.random.split(key, draws), jnp.asarray(c)))


def fractions(c: np.ndarray, success: np.ndarray) -> tuple[float, float]:
    """The fractions of networks that train for `2 < c < 4` and for `c > 4`."""
    below = (c > 2 + MARGIN) & (c < BOUND - MARGIN)
    return float(np.mean(success[below])), float(np.mean(success[c > BOUND + MARGIN]))


def bound_holds(below: float, above: float) -> bool:
    """Whether every network trains for `2 < c < 4` and none for `c > 4`."""
    return below == 1 and above == 0


def figures(lazy: Mapping[Name, Change], outcomes: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> tuple[Figure, ...]:
    """The change of sharpness by step size, and the fraction of networks that train.

    Args:
        lazy: changes by model.
        outcomes: step sizes and successes by order.
    """
    points, shares = list[Series](), list[Series]()
    for name, change in lazy.items():
        label = "network" if name == "full" else f"order {name}"
        points.append(Series(f"{label}, formula", FINE, change.width * change.curve, kind="theory", group=str(name)))
        points.append(Series(label, LAZY, change.width * change.measured, group=str(name)))
    edges = np.arange(0.25, 6.01, 0.25)
    for order, (c, success) in outcomes.items():
        inside = [success[(c >= low) & (c <= low + 0.25)] for low in edges[:-1]]
        label = "order 1" if order == 1 else "order 2, the network itself"
        shares.append(Series(label, edges[:-1] + 0.125, [float(np.mean(s)) for s in inside], group=str(order)))
    return (
        Figure(
            "dynamics_lazy", "Change of sharpness below the stability limit",
            (Plot("step size in units of $1/λ_0$", "width × relative change of the kernel", points),),
            "One example. Dashed: the formula of theory 15. Order 2 sharpens up to c = 4/3, but the tanh network flattens; "
            "the change decays like 1/width.",
        ),
        Figure(
            "dynamics_bound", "One example: every catapult up to c = 4 succeeds",
            (Plot("step size in units of $1/λ_0$", "fraction of networks that train", shares),),
            "Linear two-layer networks from many initializations, which are their own order-2 models. Below c = 2, order 1 "
            "trains as well.",
        ),
    )  # fmt: skip
