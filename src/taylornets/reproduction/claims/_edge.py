"""The edge of stability of a deep network, and the sharpness that each order explains, for the claim `dynamics` (theory 15)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

import taylornets as tn
from taylornets.records import Figure, Plot, Series

INPUTS, EXAMPLES = 8, 60
STEP = 0.9  # η λ0, below the limit 2 at initialization
CLOSE = (
    0.05  # relative; theory 15: mean sharpness within 2 % of 2/η, and sharpness of order 2 within 5 % from the edge on
)
HALF = 0.5  # of the sharpness; theory 15: orders 1 and 2 around the initialization explain .13 and 1.13


@dataclass(frozen=True)
class Edge:
    """Measurements of gradient descent at the edge of stability. Keys are the orders and `"full"`.

    Attributes:
        early: the run around the initialization.
        late: the run around the network on the edge.
        hover: mean of ηS over the last two thirds of the steps; NaN if the model diverged.
        explained: the part `uᵀH_k u/S` of the sharpness of the network at the end, around the initialization.
        cosine: alignment of the top eigenvectors there.
        from_edge: as `explained`, around the network on the edge.
        farthest: the largest distance of that part from 1 between the edge and the end.
    """

    early: tn.dynamics.Trajectory
    late: tn.dynamics.Trajectory
    hover: dict[int | str, float]
    explained: dict[int | str, float]
    cosine: dict[int | str, float]
    from_edge: dict[int | str, float]
    farthest: dict[int | str, float]

    @property
    def bound(self) -> float:
        """The largest part of the sharpness at the end that order 1 can explain: its Hessian is constant."""
        return float(self.early.hessian[1][0] / self.early.hessian["full"][-1])


def problem(key: PRNGKeyArray, width: int) -> tuple[Any, list[Array], Array, Array]:
    """A tanh network with two hidden layers, its initialization, Gaussian examples and targets."""
    *weights, data = jax.random.split(key, 4)
    sizes = (INPUTS, width, width, 1)
    shapes = zip(weights, sizes[:-1], sizes[1:], strict=True)
    params = [jax.random.normal(k, (a, b)) / np.sqrt(a) for k, a, b in shapes]
    x = jax.random.normal(data, (EXAMPLES, INPUTS))

    def network(params: Any, x: Any) -> Any:
        for w in params[:-1]:
            x = jnp.tanh(x @ w)
        return (x @ params[-1])[:, 0]

    return network, params, x, x[:, 0] * x[:, 1] + x[:, 2]


def measured(key: PRNGKeyArray, width: int, steps: int, orders: Sequence[int]) -> Edge:
    """Trains the network and its models around the initialization and around the network after a third of the steps."""
    f, params, x, y = problem(key, width)
    rate = STEP / 2 * tn.dynamics.predict(f, params, x, y, 1.0, 1).limit
    every, start = steps // 24, steps // 3
    early = tn.dynamics.run(
        f, params, x, y, orders=orders, rate=rate, steps=steps, every=every, quantities=("hessian", "explained"), key=key
    )  # fmt: skip
    late = tn.dynamics.run(
        f, params, x, y, orders=[k for k in orders if k > 1], rate=rate, steps=steps - start, start=start, every=every,
        quantities=("explained",), key=key,
    )  # fmt: skip
    after = early.step >= start
    return Edge(
        early,
        late,
        {k: float(rate * np.mean(values[after])) for k, values in early.hessian.items()},
        {k: float(early.explained[k][-1]) for k in orders},
        {k: float(early.cosine[k][-1]) for k in orders},
        {k: float(late.explained[k][-1]) for k in orders if k > 1},
        {k: float(np.max(np.abs(late.explained[k] - 1))) for k in orders if k > 1},
    )


def hovers(mean: float) -> bool:
    """Whether the mean of ηS is within 5 % of 2."""
    return abs(mean / 2 - 1) <= CLOSE


def explains(part: float) -> bool:
    """Whether a part of the sharpness is within 5 % of the whole."""
    return abs(part - 1) <= CLOSE


def holds(edge: Edge) -> bool:
    """Whether the network and every order from 2 on hover at 2/η, and which orders explain its sharpness.

    From the edge on, every order from 2 on explains the sharpness at the end; around the initialization, order 2 explains more
    than half of it, and order 1 less.
    """
    hovering = all(hovers(mean) for name, mean in edge.hover.items() if name != 1)
    return hovering and all(map(explains, edge.from_edge.values())) and edge.explained[1] < HALF < edge.explained[2]


def figures(edge: Edge) -> tuple[Figure, ...]:
    """The sharpness of every model, and the part of the sharpness of the network that each order explains."""
    sharp, parts, around = list[Series](), list[Series](), f"around step {int(edge.late.step[0])}"
    for name, values in edge.early.hessian.items():
        label = "network" if name == "full" else f"order {name}"
        sharp.append(Series(label, edge.early.step, edge.early.rate * values, kind="line", group=str(name)))
        if name != "full":
            parts.append(Series(label, edge.early.step, edge.early.explained[name], kind="line", group=str(name)))
        if name in edge.from_edge:
            late = edge.late.explained[name]
            parts.append(Series(f"{label}, {around}", edge.late.step, late, kind="line", group=f"late {name}"))
    ends = [float(edge.early.step[0]), float(edge.early.step[-1])]
    sharp.append(Series("2", ends, [2.0, 2.0], kind="theory", group="limit"))
    return (
        Figure(
            "dynamics_edge", "Edge of stability: the sharpness hovers at 2/η",
            (Plot("step", "step size × sharpness", sharp),),
            f"Tanh network with two hidden layers, step size {STEP}/λ0. The sharpness of the network and of order 2 rises to "
            "2/η and stays there; that of order 1 is constant.",
        ),
        Figure(
            "dynamics_explained", "Which order explains the sharpness of the network",
            (Plot("step", "explained fraction of the sharpness", parts),),
            "Fraction uᵀH_k u/S along the trajectory of the network, with its top eigenvector u, by models around the "
            "initialization unless stated otherwise. The Hessian of order 1 is constant; around a network on the edge, order 2 "
            "explains the sharpness.",
        ),
    )  # fmt: skip
