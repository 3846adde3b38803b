"""The landscape of the quadratic model: curvature inequality, saddles, and stationary points (theory 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import taylornets as tn
from taylornets.certificates import curvature_inequality
from taylornets.records import Figure, Plot, Series, Table
from taylornets.reproduction.claims import Claim, ClaimContext, NegativeControl, Outcome, register
from taylornets.reproduction.claims._stationary_points import (
    BAD,
    EXAMPLES,
    INPUTS,
    PENALTY,
    POWER,
    SCALES,
    FoundPoints,
    hessian,
    problem,
    study,
)

TRIPLE_SIZES = 20, 4, 8  # examples, inputs, width
ROUNDING = 1e-12
EIGENVALUE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class _Sizes:
    """Random triples, widths, starts per width, powers, the width of the slice, and points of the control."""

    triples: int
    widths: tuple[int, ...]
    starts: int
    powers: tuple[int, ...] = (POWER, 4)
    sliced: int = 16
    control: int = 20


SIZES = {
    "quick": _Sizes(5_000, (4, 16), 10),
    "full": _Sizes(10_000, (4, 8, 16, 32, 64, 100, 256, 1024), 200),
}


class _Found(NamedTuple):
    """Smallest relative slack by loss, worst relative error of an eigenvalue, and number of eigenvalues below their bound."""

    slacks: Mapping[str, float]
    eigenvalues: float
    below_claim: int


def holds(found: _Found) -> bool:
    """Whether the inequality holds at every triple and the eigenvalues agree with those of the dense Hessian."""
    inequality = all(value >= -ROUNDING for value in found.slacks.values())
    return inequality and found.eigenvalues <= EIGENVALUE_TOLERANCE and found.below_claim == 0


def _slacks(context: ClaimContext, loss: str, count: int) -> np.ndarray:
    """Slack of the curvature inequality over the sum of its terms' magnitudes, for random problems and points."""
    n, d, m = TRIPLE_SIZES

    def one(key: Any) -> tuple[Array, Array]:
        keys = jax.random.split(key, 6)
        net = tn.TwoLayerNetwork.init(keys[0], d, m, symmetric=False)
        x = jax.random.normal(keys[1], (n, d))
        y = jax.random.normal(keys[2], (n,))
        y = jnp.sign(y) if tn.losses.get(loss).classifies else 3 * y
        scales = 10 ** jax.random.uniform(keys[3], (2,), minval=-2, maxval=0.5)
        points = scales[:, None, None] * jax.random.normal(keys[4], (2, m, d))
        penalty = 10 ** jax.random.uniform(keys[5], minval=-6, maxval=-1)
        risk = tn.objective(net, x, y, loss=loss, penalty=penalty, power=POWER)
        found = curvature_inequality(risk, points[0], points[1])
        size = jnp.abs(found.expected_curvature) + found.objective + found.comparator_objective
        return found.slack / size, found.slack

    keys = jax.random.split(jax.random.fold_in(context.key, 1 if tn.losses.get(loss).quadratic else 2), count)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=250))(keys)[0])


def _control(context: ClaimContext, sizes: _Sizes, found: _Found) -> NegativeControl:
    """The Hessians are those of the study's smallest width, whose programs are compiled."""
    *_, risk = problem(context, sizes.widths[0], POWER)
    slacks = np.zeros(sizes.control)
    for i in range(sizes.control):
        w = risk.natural_point(jax.random.fold_in(context.key, 10_000 + i), scale=SCALES[i % len(SCALES)])
        there, flat = curvature_inequality(risk, w, w), np.ravel(w)
        size = abs(float(there.expected_curvature)) + 2 * float(there.objective)
        slacks[i] = float(there.slack + there.expected_curvature) - flat @ np.asarray(hessian(risk, w)) @ flat
        slacks[i] /= size
    least = {"squared": float(slacks.min())}
    return NegativeControl(
        setting="the curvature in the direction of W* = W without random signs (squared loss)",
        predicted="the inequality is tight at W* = W, so it fails where products of different units add to the curvature",
        measured={
            "least relative slack, squared loss": least["squared"],
            "share of points with negative slack": float(np.mean(slacks < -ROUNDING)),
        },
        fails=not holds(found._replace(slacks=least)),
    )


def run(context: ClaimContext, sizes: _Sizes | None = None) -> Outcome:
    """Tests inequality, eigenvalues and stationary points; the sizes default to those of the profile."""
    sizes = sizes or SIZES[context.profile]
    slacks: dict[str, np.ndarray] = {}
    for i, loss in enumerate(("squared", "logistic")):
        context.progress(0.1 * i, f"curvature inequality, {loss} loss")
        slacks[loss] = _slacks(context, loss, sizes.triples // 2)
    points = study(context, sizes.widths, sizes.powers, sizes.starts, sizes.sliced)
    converged = [row for row in points.eigenvalues if row[6]]
    least = {loss: float(values.min()) for loss, values in slacks.items()}
    found = _Found(least, max(row[4] for row in converged), points.below_claim)
    measured: dict[str, Any] = {
        "least relative slack, squared loss": least["squared"],
        "least relative slack, logistic loss": least["logistic"],
        "worst relative error of the smallest eigenvalue": found.eigenvalues,
    }
    for power in sizes.powers:
        clean = [row[1] for row in points.rows if row[0] == power and row[6] == 0]
        measured[f"widths without a bad point, power {power}"] = ", ".join(map(str, clean)) or "none"
    return Outcome(
        measured=measured,
        holds=holds(found),
        control=_control(context, sizes, found),
        detail={
            "triples": sizes.triples,
            "eigenvalues_compared": len(points.eigenvalues),
            "eigenvalues_not_converged": len(points.eigenvalues) - len(converged),
            "points_with_eigenvalue_below_their_claim": points.below_claim,
            "median_relative_slack": {loss: float(np.median(values)) for loss, values in slacks.items()},
        },
        figures=(_excess_figure(sizes, points.excesses), points.figure),
        tables=_tables(points),
        explanation=_explanation(points.rows, sizes.powers),
    )


def _tables(points: FoundPoints) -> tuple[Table, Table]:
    return Table(
        "stationary_points",
        "Second-order stationary points from random initializations: relative excess over the certified lower bound, "
        f"fraction above the best point by more than {BAD:g}, and the bound of the curvature inequality on the excess of "
        "the best point.",
        (
            "power", "width", "points", "least excess", "median excess", "worst excess",
            "fraction above the best", "bound of the inequality",
        ),
        points.rows,
    ), Table(
        "eigenvalues",
        "Smallest Hessian eigenvalue: Lanczos compared with the dense Hessian.",
        ("width", "point", "dense", "Lanczos", "relative error", "uncertainty", "converged", "products"),
        points.eigenvalues,
    )  # fmt: skip


def _excess_figure(sizes: _Sizes, excesses: dict[int, list[np.ndarray]]) -> Figure:
    panels: list[Plot] = []
    for power, found in excesses.items():
        x = np.concatenate([np.full(values.size, width) for width, values in zip(sizes.widths, found, strict=True)])
        worst = [values.max() for values in found]
        points = Series("second-order stationary points", x, np.concatenate(found), group="a")
        line = Series("worst point by width", sizes.widths, worst, kind="line", group="b")
        y_label = "relative excess over the certified lower bound"
        panels.append(
            Plot("width $m$ (hidden units)", y_label, (points, line), "log2", "log", title=f"power $p = {power}$")
        )
    return Figure(
        "stationary_points",
        "Excess of second-order stationary points",
        tuple(panels),
        f"All second-order stationary points found from {sizes.starts} random initializations of five scales, n = "
        f"{EXAMPLES}, d = {INPUTS}, penalty {PENALTY:g}. The lower bound is the optimum over all ranks; if even "
        "the best point lies above it, that optimum has units of rank above one. Excesses below 1e-12 are drawn at 1e-12.",
        highlight=True,
    )


def _explanation(rows: list[list[Any]], powers: tuple[int, ...]) -> tuple[str, ...]:
    def seen(power: int) -> str:
        bad = [row for row in rows if row[0] == power and row[6] > 0]
        if not bad:
            return f"With power {power}, all initializations reach the same objective at every width."
        widths = ", ".join(str(row[1]) for row in bad)
        return f"With power {power}, some initializations end above the best point at widths {widths}."

    return (
        "The curvature inequality states that the expected curvature in the direction of any comparator, with random signs, is "
        "at most twice the difference of the objectives plus a gradient term and a curvature term that decays as one over the "
        "width. It holds at every point and was tested on random problems; its slack is twice that of the convexity of the "
        "loss.",
        "It excludes bad local minima only if the width is large enough. " + " ".join(map(seen, powers)) + " A point "
        "that remains above the best one is a true local minimum: the method certifies the absence of negative curvature "
        "there.",
        "The bound that follows from the inequality is weak compared with the dual certificate, since its penalty term "
        "does not decrease with the width.",
    )


register(
    Claim(
        name="landscape",
        title="Optimization landscape",
        statement="The curvature inequality holds everywhere, W = 0 is a strict saddle, and points reported as second-order "
        "stationary are second-order stationary.",
        source="Bai & Lee (2020), section 4; theory 4",
        predicted="slack ≥ 0; Lanczos eigenvalues within 1e-6 of the dense ones and none below its claimed bound; reported, "
        "but not part of the verdict: the widths with bad second-order stationary points (none at large width)",
        run=run,
        seconds=65,
    )
)
