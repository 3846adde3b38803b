"""What the claim `sample_complexity` states about p = 3, which is not part of its verdict."""

import numpy as np

from taylornets import statistics
from taylornets.reproduction.claims._studies import Curves

Fit = tuple[float, tuple[float, float]]

APART = 0.6  # the goal for the difference of the exponents
# The study of the full profile: d = 10, 14, 20 and 28, five seeds.
KNOWN: dict[str, Fit] = {"ntk": (2.87, (2.82, 2.92)), "quadratic": (2.24, (2.16, 2.33))}
KNOWN_APART: Fit = (0.63, (0.53, 0.72))


def difference(curves: Curves, seed: int) -> Fit:
    """Returns the difference of the exponents with its interval: the slope of the logarithm of the ratio of the two `n*`."""
    ratio = curves.needed("ntk") / curves.needed("quadratic")
    return statistics.bootstrap_independent_slope(np.array(curves.study.dimensions, float), ratio, seed)


def sentences(curves: Curves, seed: int) -> str:
    """Returns what this run and the larger study measure for p = 3, and the goal that they miss or reach."""
    fits = {model: curves.exponent(model, seed) for model in KNOWN}
    apart, study = difference(curves, seed), curves.study
    met = "reached" if apart[0] >= APART else "missed"
    dimensions = ", ".join(map(str, study.dimensions))
    return (
        f"For p = 3 (He_3 of one coordinate, width {study.width_per_input} d), not part of the verdict, this run measures "
        f"{_shown(fits['ntk'])} for the NTK and {_shown(fits['quadratic'])} for the quadratic model over d = {dimensions} "
        f"({study.seeds} seeds), {_shown(apart)} apart. The goal of {APART:g} is {met}. "
        f"The full profile (five seeds, d = 10, 14, 20, 28) gives {_shown(KNOWN['ntk'])} and {_shown(KNOWN['quadratic'])}, "
        f"{_shown(KNOWN_APART)} apart; the theory predicts 1, up to logarithms."
    )


def _shown(fit: Fit) -> str:
    return f"{fit[0]:.2f} [{fit[1][0]:.2f}, {fit[1][1]:.2f}]"
