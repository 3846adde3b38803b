"""The degree spectrum of a table, as advice on the order of the model (theory 17)."""

import math

import jax
import numpy as np

from taylornets._checks import counted
from taylornets.records import Section, Table
from taylornets.targets import degree_spectrum, harmonics

_ROWS = 3000  # the estimate visits all pairs
_LEAST = 40  # rows
_DEGREES = 3
_RANK = 1e-6  # principal components below this share of the largest variance are dropped
# `N_2 E P_2²` is 1 for uniform directions. Where it is larger than this, degrees mix too much to be told apart.
_UNIFORM = 1.5


def degrees(x: np.ndarray, y: np.ndarray, task: str, seed: int) -> Section:
    """Builds the section on the degree spectrum of the training rows.

    Args:
        x: features, shape `(n, D)`.
        y: targets, shape `(n,)`.
        task: `"classification"` or `"regression"`.
        seed: random seed of the subset, the permutations and the bootstrap.

    Returns:
        The section; without a table if the inputs do not allow an estimate.
    """
    title = "Polynomial degrees of the target"
    rows = np.random.default_rng(seed).permutation(len(x))[:_ROWS]
    points, kept = directions_of(x[rows])
    y = y[rows][kept]
    values = (y[:, None] == np.unique(y)[None, :]).astype(float) if task == "classification" else y.astype(float)
    if len(points) < _LEAST or points.shape[1] < 2 or not np.ptp(values, axis=0).any():
        size = f"{counted(len(points), 'row')} of {counted(points.shape[1], 'independent feature')}"
        reason = f"{size} {'is' if len(points) == 1 else 'are'} too few for an estimate."
        return Section("degrees", title, (reason,), {})
    uniform = uniformity(points)
    if not 1 / _UNIFORM < uniform < _UNIFORM:
        reason = (
            "The degree spectrum is not estimated: after whitening, the directions of the inputs are not close enough to "
            f"uniform (a second moment that should be 1 is {uniform:.2g}), so degrees would mix."
        )
        return Section("degrees", title, (reason,), {})
    found = degree_spectrum(points, values, degrees=_DEGREES, key=jax.random.key(seed))
    assert found.intervals is not None
    assert found.p_values is not None
    lines = [
        (k, round(share, 3), f"{low:.3f} to {high:.3f}", p, "yes" if present else "no")
        for k, share, (low, high), p, present in zip(
            found.degrees, found.shares, found.intervals, found.p_values, found.significant, strict=True
        )
    ]
    caption = (
        f"Estimated shares of the variance by polynomial degree, {len(points):,} training rows. The rest is noise and "
        "higher degrees. The test permutes the targets, at level 0.05 over all degrees."
    )
    columns = ("degree", "share of the variance", "95 % interval", "p-value", "significant")
    facts = {"rows": len(points), "independent features": points.shape[1]}
    paragraphs = (_advice(found.degree, points.shape[1]), _limits(found.unresolved))
    return Section("degrees", title, paragraphs, facts, (), (Table("degrees", caption, columns, lines),))


def directions_of(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whitens the features and projects the rows on the unit sphere; also returns which rows were kept."""
    centered = np.asarray(x, float) - np.mean(x, axis=0, dtype=float)
    left, values, _ = np.linalg.svd(centered, full_matrices=False)
    white = left[:, values > math.sqrt(_RANK) * max(float(values[0]), 1e-300)]
    norms = np.linalg.norm(white, axis=1)
    kept = norms > 1e-9 * max(float(norms.max(initial=0.0)), 1e-300)
    return white[kept] / norms[kept, None], kept


def uniformity(points: np.ndarray) -> float:
    """Returns `N_2` times the mean of `P_2²` over pairs of up to 1000 rows; 1 in expectation for uniform directions."""
    some = points[:1000]
    d = some.shape[1]
    square = (some @ some.T) ** 2
    values = ((d * square - 1) / (d - 1)) ** 2
    np.fill_diagonal(values, 0.0)
    return harmonics(d, 2) * float(values.sum()) / (len(some) * (len(some) - 1))


def _advice(degree: int | None, d: int) -> str:
    if degree is None:
        return (
            "No degree up to 3 is significant: the target is mostly noise, or of higher degree, or there are too few "
            "rows. The spectrum gives no advice on the order."
        )
    if degree == 1:
        return "Only degree 1 is significant, the linear part: order 1 is enough to learn it."
    return (
        f"The largest significant degree is {degree}. Order 1 (the NTK) needs about d^{degree} rows, and order 2 about "
        f"d^{degree - 1}, with d = {d} independent features, provided that the part of degree {degree} "
        "depends on few directions. Order 2 is therefore worth trying."
    )


def _limits(unresolved: tuple[int, ...]) -> str:
    few = ""
    if unresolved:
        few = f" With these rows, degree {unresolved[0]} and higher ones cannot be detected (fewer rows than √N_k)."
    return (
        "This is advice, not a prediction. The estimate is exact for uniform directions; here features are whitened and rows "
        "normalized, which mixes degrees when the inputs are not uniform. The number of rows that a model needs also "
        "depends on the rank of the target, which the spectrum does not show." + few
    )
