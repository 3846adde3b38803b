"""Learning curves over a grid of dimensions, and the number of examples required for a given error (theory 8)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from taylornets import statistics
from taylornets.learning import Cell, run_cell
from taylornets.reproduction.claims import ClaimContext

GOAL = 0.1


@dataclass(frozen=True)
class Grid:
    """Grid of the number of examples of a model: `n = ratio · d^power` for ascending ratios, padded to the largest.

    The path of penalties is the model's default unless it is given.
    """

    power: int
    ratios: tuple[float, ...]
    padded: bool = True
    penalties: tuple[float, ...] = ()

    def sizes(self, d: int) -> list[int]:
        """The values of `n` for a dimension."""
        return [max(2, round(ratio * d**self.power)) for ratio in self.ratios]


@dataclass(frozen=True)
class Study:
    """A target, a distribution, dimensions, seeds, and a grid for each model.

    The width is `width_per_input` times the dimension, or 256 for 0.
    """

    dimensions: tuple[int, ...]
    seeds: int
    grids: dict[str, Grid]
    target: str = "product"
    decay: float = 0.0
    activation: str = "cubic_relu"
    width_per_input: int = 0

    @property
    def count(self) -> int:
        """The largest number of cells."""
        return len(self.dimensions) * self.seeds * sum(len(grid.ratios) for grid in self.grids.values())


@dataclass
class Curves:
    """Results of a study: errors by model, dimension and seed, as `(n, error)` in ascending order of `n`."""

    study: Study
    points: dict[tuple[str, int, int], list[tuple[int, float]]] = field(
        default_factory=dict[tuple[str, int, int], list[tuple[int, float]]]
    )
    m_op: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    extrapolated: int = 0
    unstopped: int = 0

    def needed(self, model: str) -> np.ndarray:
        """`n*`, shape `(seeds, dimensions)`."""
        seeds = range(self.study.seeds)
        return np.array([[self._crossing(model, d, seed) for d in self.study.dimensions] for seed in seeds])

    def _crossing(self, model: str, d: int, seed: int) -> float:
        return statistics.crossing(self.points[model, d, seed], GOAL)

    def exponent(self, model: str, seed: int) -> tuple[float, tuple[float, float]]:
        """Slope of `log n*` over `log d`, with a 95 % bootstrap interval over the seeds of each dimension."""
        return statistics.bootstrap_independent_slope(np.array(self.study.dimensions, float), self.needed(model), seed)

    def local(self, model: str) -> tuple[np.ndarray, np.ndarray]:
        """Geometric midpoints of neighboring dimensions, and the exponents between them."""
        d, n = np.array(self.study.dimensions, float), np.exp(np.log(self.needed(model)).mean(axis=0))
        return np.sqrt(d[1:] * d[:-1]), np.diff(np.log(n)) / np.diff(np.log(d))


def run_study(study: Study, context: ClaimContext, progress: Callable[[float, str], None]) -> Curves:
    """Runs the cells of a study; a curve ends at the first error below the goal, but not before its second point.

    Args:
        study: the study.
        context: has the seed of the run, from which those of the cells are derived, and keeps finished cells.
        progress: called with the completed fraction.

    Returns:
        The curves.
    """
    curves = Curves(study)
    for done, (model, d, index) in _curves(study):
        grid = study.grids[model]
        sizes, points = grid.sizes(d), list[tuple[int, float]]()
        for n in sizes:
            cell = Cell(
                d=d,
                n=n,
                seed=1000 * context.seed + index,
                target=study.target,
                inputs="anisotropic" if study.decay else "sphere",
                decay=study.decay,
                model=model,
                padded=sizes[-1] if grid.padded else 0,
                penalties=grid.penalties,
                activation=study.activation,
                width=study.width_per_input * d or 256,
            )
            progress(done, f"{model}, d = {d}, n = {n}")
            found = context.kept(cell.name, partial(run_cell, cell))
            points.append((n, found["error"]))
            curves.m_op.setdefault(d, []).append(found["m_op"])
            if found["error"] < GOAL and len(points) > 1:
                break
        curves.points[model, d, index] = points
        curves.extrapolated += points[0][1] < GOAL
        curves.unstopped += points[-1][1] >= GOAL
    return curves


def _curves(study: Study) -> Iterator[tuple[float, tuple[str, int, int]]]:
    """Yields every model, dimension and seed, with the completed fraction of the work (assumed proportional to `n d`)."""
    jobs = [(model, d, s) for d in study.dimensions for model in study.grids for s in range(study.seeds)]
    # A compilation costs about as much as a thousand examples in dimension 60.
    costs = np.array([60_000 + sum(study.grids[model].sizes(d)) * d for model, d, _ in jobs], float)
    shares = np.concatenate([[0.0], np.cumsum(costs)[:-1]]) / costs.sum()
    yield from zip(shares, jobs, strict=True)
