"""The model of order k learns degree 3 from n ~ d^{4-k} examples (theory 17)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from taylornets.learning import Cell, run_cell
from taylornets.records import Figure, Plot, Series, Table
from taylornets.reproduction.claims import Claim, ClaimContext, NegativeControl, Outcome, register
from taylornets.reproduction.claims._studies import GOAL, Curves, Grid, Study, run_study

# Fixed beforehand: the interval of the exponent that is accepted for each order, and the growth of the ratio of n*.
ACCEPTED = {"ntk": (2.5, 3.3), "quadratic": (1.8, 2.6), "cubic": (0.7, 1.9)}
PREDICTED = {"ntk": 3, "quadratic": 2, "cubic": 1}
GROWTH = 1.5
NAMES = {"ntk": "order 1 (NTK)", "quadratic": "order 2", "cubic": "order 3"}
# One penalty for each model and no selection: a path would only move the constants.
STUDY = Study(
    (10, 14, 20),
    4,
    {
        "ntk": Grid(3, (0.08, 0.11, 0.15, 0.2, 0.28, 0.4), padded=False, penalties=(1e-6,)),
        "quadratic": Grid(2, (0.7, 0.95, 1.3, 1.75, 2.4, 3.3), penalties=(1e-7,)),
        "cubic": Grid(1, (2, 2.7, 3.8, 5.3, 7.5, 10.5), penalties=(1e-8,)),
    },
    target="z1**3",
    activation="polynomial(0.0, 0.0, 0.0, 0.16666666666666666)",
    width_per_input=12,
)
MARGIN = 1.4  # n of the control over n* of the rank-one target
CONTROL_RATIOS = {"ntk": 0.14, "quadratic": 1.4, "cubic": 5.5}


@dataclass(frozen=True)
class _Sizes:
    """The study, and the number of seeds of the control."""

    study: Study = STUDY
    control_seeds: int = 2


SIZES = {"quick": _Sizes(), "full": _Sizes(replace(STUDY, dimensions=(10, 14, 20, 27), seeds=8), 4)}


def holds(exponents: Mapping[str, float], ratios: tuple[float, float]) -> bool:
    """Whether every exponent lies in its interval and the ratio of n* of orders 1 and 3 grows with the dimension."""
    inside = [low <= exponents[model] <= high for model, (low, high) in ACCEPTED.items()]
    return bool(all(inside) and ratios[1] >= GROWTH * ratios[0])


def error_at(cell: Cell, study: Study, model: str) -> float:
    """The error of one model on a cell with the settings of the study."""
    fields = {"model": model, "penalties": study.grids[model].penalties, "activation": study.activation}
    return run_cell(replace(cell, **fields))["error"]


def control(context: ClaimContext, sizes: _Sizes) -> NegativeControl:
    """Errors on a target of rank d, at 1.4 times the number of examples that the rank-one target needs."""
    study, d = sizes.study, sizes.study.dimensions[-1]
    errors: dict[str, float] = {}
    for i, (model, ratio) in enumerate(CONTROL_RATIOS.items()):
        context.progress(0.85 + 0.05 * i, f"control, {NAMES[model]}")
        n = round(MARGIN * ratio * d ** PREDICTED[model])
        values = [
            error_at(
                Cell(d, n, 1000 * context.seed + seed, "all_cubes", model=model, width=study.width_per_input * d,
                     penalties=study.grids[model].penalties), study, model,
            )
            for seed in range(sizes.control_seeds)
        ]  # fmt: skip
        errors[model] = float(np.mean(values))
    return NegativeControl(
        setting=f"the sum ±z_j³/√d over all d = {d} coordinates instead of z_1³: the same degree, rank d; n = {MARGIN} n*",
        predicted=f"order 3 is left with an error above {GOAL:g}, since its norm grows with the rank; the NTK, to which "
        "rank is "
        "nothing, learns it",
        measured={f"{NAMES[model]}: error": error for model, error in errors.items()},
        fails=errors["cubic"] > GOAL >= errors["ntk"],
    )


def run(context: ClaimContext, sizes: _Sizes | None = None) -> Outcome:
    """Measures n* for orders 1, 2 and 3; the sizes default to those of the profile."""
    sizes = sizes or SIZES[context.profile]
    study = sizes.study
    curves = run_study(study, context, lambda f, text: context.progress(0.85 * f, text))
    fits = {model: curves.exponent(model, context.seed) for model in study.grids}
    needed = {model: np.exp(np.log(curves.needed(model)).mean(axis=0)) for model in study.grids}
    ratio = needed["ntk"] / needed["cubic"]
    exponents = {model: fit[0] for model, fit in fits.items()}
    rows = [[d, *(float(needed[m][i]) for m in needed), float(ratio[i])] for i, d in enumerate(study.dimensions)]
    table = Table(
        "needed", f"Examples required for a relative test error of {GOAL:g}, geometric mean over {study.seeds} seeds.",
        ("d", *(f"n*, {NAMES[m]}" for m in needed), "order 1 / order 3"), rows,
    )  # fmt: skip
    return Outcome(
        measured={f"{NAMES[m]}: exponent of n*": value for m, value in exponents.items()}
        | {"n* of order 1 over order 3, first and last dimension": f"{ratio[0]:.1f}, {ratio[-1]:.1f}"},
        interval=fits["cubic"][1],
        holds=holds(exponents, (float(ratio[0]), float(ratio[-1]))),
        control=control(context, sizes),
        detail={
            "goal": GOAL,
            "accepted": ACCEPTED,
            "dimensions": study.dimensions,
            "exponents": {m: [fit[0], *fit[1]] for m, fit in fits.items()},
            "examples_needed": {m: curves.needed(m) for m in study.grids},
            "curves that begin below the goal": curves.extrapolated,
            "curves that end above the goal": curves.unstopped,
        },
        figures=(_figure(curves, needed),),
        tables=(table,),
        explanation=(
            "The target z_1³ has degree 3 and rank one. With the activation t³/6, the terms of orders 1, 2 and 3 all express "
            "it, and no order is favored by its constants (with the cubic ReLU, order 3 is a step function). The "
            "theory predicts "
            "n* ~ d^{4-k}: each further order saves a factor d, until the order reaches the degree.",
            f"Inputs on the unit sphere, {study.width_per_input} d hidden units, one penalty for each order fixed beforehand. "
            "Single seeds of order 3 scatter widely (exponents from 0.6 to 2.4); the intervals accepted for the means "
            "were fixed "
            "before this run: " + ", ".join(f"{NAMES[m]} {low} to {high}" for m, (low, high) in ACCEPTED.items()) + ".",
            "The interval in the summary is that of the exponent of order 3, from seeds resampled in each dimension.",
        ),
    )


def _figure(curves: Curves, needed: Mapping[str, np.ndarray]) -> Figure:
    d = np.array(curves.study.dimensions, float)
    lines: list[Series] = []
    for model, values in needed.items():
        logs = np.log(curves.needed(model))
        half = 1.96 * logs.std(axis=0, ddof=1) / np.sqrt(len(logs))
        lines.append(Series(NAMES[model], d, values, values * np.exp(-half), values * np.exp(half), group=NAMES[model]))
        guide = values[-1] * (d / d[-1]) ** PREDICTED[model]
        lines.append(Series(f"$d^{PREDICTED[model]}$", d, guide, kind="theory", group=NAMES[model]))
    return Figure(
        "needed", "Each order saves a factor d", (Plot("dimension $d$", "examples needed, $n^*$", lines, "log", "log"),),
        f"Geometric means over {curves.study.seeds} seeds with 95 % intervals. Dashed: the theory's slopes, through the last "
        "point.", highlight=True,
    )  # fmt: skip


register(
    Claim(
        name="degrees",
        title="Order k learns degree 3 from d^(4−k) examples",
        statement="A target of degree 3 and rank one is learned by the models of orders 1, 2 and 3 from about d³, d² and d "
        "examples.",
        source="Bai & Lee (2020), section 5 (orders 1 and 2); theory 17",
        predicted="exponents 3, 2, 1; accepted: " + ", ".join(f"[{low}, {high}]" for low, high in ACCEPTED.values())
        + f"; n* of order 1 over order 3 grows by a factor of {GROWTH:g} or more",
        run=run,
        seconds=95,
    )
)  # fmt: skip
