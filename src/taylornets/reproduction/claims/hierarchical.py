"""A quadratic model on a representation learns degree 4 where the quadratic model on the inputs does not (theory 16)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import taylornets as tn
from taylornets import statistics
from taylornets.learning import Cell, draw, padded_objective, penalty_path, run_cell
from taylornets.records import Figure, Plot, Series, Table
from taylornets.reproduction.claims import Claim, ClaimContext, NegativeControl, Outcome, register

GOAL, FAILS = 0.1, 0.7  # errors over the variance: learned, and nothing or little learned
PENALTIES = (1e-6, 1e-7, 1e-8, 1e-9)
WIDTH = 32
NAMES = {"hierarchical": "hierarchical", "quadratic": "quadratic model on the inputs", "ntk": "NTK"}
# Ratios to d² ~ 2K and to d³ of the numbers of examples of the learning curves, by profile; the short ones are for the map.
Ratios = dict[str, tuple[float, ...]]
POWERS = {"hierarchical": 2, "quadratic": 3}
CURVES: Ratios = {"hierarchical": (1.5, 2.1, 2.9, 4.0, 5.6), "quadratic": (0.5, 0.7, 1.0, 1.4, 2.0)}
SHORT: Ratios = {"hierarchical": (2.2, 3.2, 4.6), "quadratic": (0.8, 1.2, 1.8)}


@dataclass(frozen=True)
class _Sizes:
    """Dimension, examples and seeds of the comparison, and dimensions and seeds of the growth of the ratio of n*."""

    d: int = 12
    n: int = 620
    seeds: int = 3
    growth: tuple[int, ...] = ()
    growth_seeds: int = 1
    curves: Ratios = field(default_factory=lambda: SHORT)


SIZES = {
    "quick": _Sizes(growth=(7, 10)),
    "full": _Sizes(seeds=8, growth=(8, 11, 15), growth_seeds=2, curves=CURVES),
}


def holds(errors: Mapping[str, float]) -> bool:
    """Whether the hierarchical learner has learned the target and the other two have not."""
    return bool(errors["hierarchical"] <= GOAL and min(errors["quadratic"], errors["ntk"]) >= FAILS)


def harmonic(d: int) -> str:
    """Returns the harmonic of degree 4 of one coordinate, `He_4` as `d → ∞`: on the sphere, `He_4` has a part of degree 2."""
    return f"z1**4 - {6 * d / (d + 4)!r}*z1**2 + {3 * d * d / ((d + 2) * (d + 4))!r}"


def hierarchical_error(cell: Cell) -> float:
    """Trains the hierarchical learner on the data of a cell; the penalty is selected by validation."""
    data = {role: draw(cell, role, n) for role, n in (("train", cell.n), ("validation", 500), ("test", cell.test))}
    key = cell.key("d", "width")
    x, y = data["train"]
    h = tn.learners.hierarchical(key, x, width=cell.d * (cell.d + 1), covariance="sphere")
    net = h.network(jax.random.fold_in(key, 1), WIDTH)
    scale = float(np.std(data["test"][1]))
    best = (np.inf, np.inf)
    z = {role: np.asarray(h(inputs)) for role, (inputs, _) in data.items()}
    risk = padded_objective(net, z["train"], y / scale, model="quadratic", power=4)
    for step in penalty_path(risk, PENALTIES, key=key, max_steps=600):
        found = [_error(net, step.w, z[role], data[role][1] / scale) for role in ("validation", "test")]
        best = min(best, (found[0], found[1]))
    return best[1]


def _error(net: tn.TwoLayerNetwork, w: Any, z: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean((np.asarray(net.term(2, w, jnp.asarray(z)))[:, 0] - y) ** 2) / np.var(y))


def error_of(context: ClaimContext, model: str, cell: Cell) -> float:
    """The test error of one learner on a cell."""
    if model == "hierarchical":
        return context.kept(f"hierarchical {cell.name}", lambda: {"error": hierarchical_error(cell)})["error"]
    return context.kept(cell.name, lambda: run_cell(cell))["error"]


def _cell(context: ClaimContext, model: str, d: int, n: int, seed: int, target: str = "") -> Cell:
    kind = "quadratic" if model == "hierarchical" else model
    padded = n if kind == "quadratic" else 0
    return Cell(d, n, 1000 * context.seed + seed, target or harmonic(d), model=kind, width=40 * d, padded=padded)


def _control(context: ClaimContext, sizes: _Sizes) -> NegativeControl:
    context.progress(0.9, "controls")
    cell = partial(_cell, context, "hierarchical", sizes.d, sizes.n, 0)
    dense, odd = (hierarchical_error(cell(target)) for target in ("all_hermite4", "hermite3"))
    x, _ = draw(cell("hermite3"), "train", sizes.n)
    h = tn.learners.hierarchical(context.key, x, width=sizes.d * (sizes.d + 1), covariance="sphere")
    said = h.wrong_parity(tn.targets.from_formula("he3(z1)", inputs=sizes.d)) is not None
    return NegativeControl(
        setting="the sum ±He_4(z_j)/√d over all coordinates (rank d), and He_3 of one coordinate (odd)",
        predicted="neither is learned: the nuclear norm grows with the rank, and every function of an even representation is "
        "even, which is said before training",
        measured={"rank d: error": dense, "odd: error": odd, "odd: said before training": str(said)},
        fails=dense > GOAL and odd > FAILS and said,
    )


def _growth(context: ClaimContext, sizes: _Sizes) -> dict[str, list[float]]:
    """Geometric means of n* by dimension, and their ratio."""
    needed: dict[str, list[float]] = {model: [] for model in POWERS}
    for i, d in enumerate(sizes.growth):
        for model, power in POWERS.items():
            logs: list[float] = []
            for seed in range(sizes.growth_seeds):
                context.progress(0.4 + 0.5 * i / len(sizes.growth), f"growth, {NAMES[model]}, d = {d}")
                points: list[tuple[float, float]] = []
                for ratio in sizes.curves[model]:
                    n = round(ratio * d**power)
                    points.append((n, error_of(context, model, _cell(context, model, d, n, seed))))
                    if points[-1][1] < GOAL and len(points) > 1:
                        break
                logs.append(np.log(statistics.crossing(points, GOAL)))
            needed[model].append(float(np.exp(np.mean(logs))))
    return needed | {"ratio": [a / b for a, b in zip(needed["quadratic"], needed["hierarchical"], strict=True)]}


def _grown(sizes: _Sizes, growth: Mapping[str, list[float]]) -> str:
    """Returns the ratios that this run measures, as a sentence."""
    ratios = zip(sizes.growth, growth.get("ratio", ()), strict=False)
    said = ", ".join(f"{ratio:.1f} at d = {d}" for d, ratio in ratios)
    seeds = "1 seed" if sizes.growth_seeds == 1 else f"{sizes.growth_seeds} seeds"
    return f" This run ({seeds}) measures {said}." if said else ""


def run(context: ClaimContext, sizes: _Sizes | None = None) -> Outcome:
    """Compares three learners at a fixed number of examples; the sizes default to those of the profile."""
    sizes = sizes or SIZES[context.profile]
    errors: dict[str, list[float]] = {model: [] for model in NAMES}
    share = 0.4 if sizes.growth else 0.9
    for seed in range(sizes.seeds):
        for i, model in enumerate(NAMES):
            context.progress(share * (seed + i / 3) / sizes.seeds, f"{NAMES[model]}, seed {seed}")
            errors[model].append(error_of(context, model, _cell(context, model, sizes.d, sizes.n, seed)))
    means = {model: float(np.exp(np.mean(np.log(values)))) for model, values in errors.items()}
    growth = _growth(context, sizes) if sizes.growth else {}
    return Outcome(
        measured={f"{NAMES[model]}: error / variance": mean for model, mean in means.items()},
        interval=(min(errors["hierarchical"]), max(errors["hierarchical"])),
        holds=holds(means),
        control=_control(context, sizes),
        detail={"d": sizes.d, "n": sizes.n, "errors": errors, "growth": {"dimensions": sizes.growth, **growth}},
        figures=(_figure(sizes, errors),),
        tables=(
            Table(
                "errors", f"The harmonic of degree 4 of one coordinate, d = {sizes.d}, n = {sizes.n}: test error over "
                "the variance of the target.",
                ("learner", *(f"seed {seed}" for seed in range(sizes.seeds)), "geometric mean"),
                [(NAMES[model], *values, means[model]) for model, values in errors.items()],
            ),
        ),
        explanation=(
            "The hierarchical learner trains the quadratic model, with activation t²/2, on whitened random quadratic "
            "features of "
            "the inputs. He_4 is then a quadratic form of rank two, and n ~ d² examples are enough, up to logarithms; "
            "the quadratic "
            "model on the inputs needs d³ and the NTK d⁴.",
            "The exponent 2 itself is not visible at these dimensions. In the study of docs/learners.md, n* is 162, 463, 949 "
            "and 2515 at d = 8, 12, 16 and 22, a slope of 2.6 to 2.7 (on the inputs: 3.4 instead of 3). What is visible is "
            "the error at "
            "a fixed n, which this claim tests, and the ratio of the two numbers of examples, which grows from 2.8 at "
            "d = 8 to 4.8 "
            "at d = 15." + _grown(sizes, growth),
            f"Penalties by validation on 500 examples. The range in the summary is that of the hierarchical learner over "
            f"{sizes.seeds} seeds.",
        ),
    )  # fmt: skip


def _figure(sizes: _Sizes, errors: Mapping[str, list[float]]) -> Figure:
    seeds = np.arange(sizes.seeds) + 1.0
    lines = [Series(NAMES[model], seeds, values) for model, values in errors.items()]
    return Figure(
        "errors", "Degree 4 from few examples", (Plot("seed", "test error / variance", lines, "linear", "log"),),
        f"He_4 of one coordinate on the sphere, d = {sizes.d}, n = {sizes.n}.",
    )  # fmt: skip


register(
    Claim(
        name="hierarchical",
        title="The hierarchical learner learns degree 4",
        statement="On whitened quadratic features, the quadratic model learns a target of degree 4 and low rank from "
        "examples that "
        "teach the quadratic model on the inputs and the NTK nothing.",
        source="Chen et al. (2020); theory 16",
        predicted=f"d = 12, n = 620: error at most {GOAL:g} against at least {FAILS:g} for the other two",
        run=run,
        seconds=60,
    )
)  # fmt: skip
