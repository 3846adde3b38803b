"""From a table to the problem that is solved: repeated rows merged, inputs scaled, shapes filled up to few sizes.

**Merging.** Rows that are equal in inputs and targets become one with the sum of their weights, rows of weight 0 go, and the
rest is sorted. So a weight of 2 is the row twice to the last bit, and the order of the rows does not matter.

**Scaling.** Columns are centered and divided by their (weighted) standard deviation, a constant `b √d` is appended, and
each row is divided by its norm ("sphere") or all of them by the largest norm ("ball"). With the constant the map to
the sphere is one to one: nothing is lost but scale.

**Filling up.** Programs are compiled for shapes. Rows of weight 0 and columns of zeros, which no weight ever leaves 0 in, bring
data to one of few shapes, so that the next fit finds its programs compiled.
"""

from typing import NamedTuple

import numpy as np

from taylornets._trees import padded_size

Table = np.ndarray


class TrainingData(NamedTuple):
    """Examples, encoded targets and weights, row by row.

    Attributes:
        x: inputs, shape `(n, d)`.
        y: targets as numbers, shape `(n, outputs)`, or labels from 0, shape `(n, 1)`.
        weight: shape `(n,)`, above 0 (0 for rows that fill up).
    """

    x: Table
    y: Table
    weight: Table


def merged(problem: TrainingData) -> TrainingData:
    """Equal rows as one, with the sum of their weights; sorted; without the rows of weight 0."""
    present = problem.weight > 0
    x, y, weight = (part[present] for part in problem)
    # A zero of either sign is the same number.
    table = np.concatenate([x, y.astype(np.float64)], axis=1) + 0.0
    order = np.lexsort(table.T[::-1])
    table = table[order]
    first = np.concatenate([[True], np.any(table[1:] != table[:-1], axis=1)])
    weight = np.bincount(np.cumsum(first) - 1, weights=weight[order])
    return TrainingData(x[order][first], y[order][first], weight)


class Scaling(NamedTuple):
    """How inputs become points of the sphere or the ball.

    Attributes:
        offset: of each column, shape `(d,)`.
        scale: of each column, shape `(d,)`.
        bias: the constant that is appended, `b √d`.
        radius: what all rows are divided by; 0 for each row's own norm.
    """

    offset: Table
    scale: Table
    bias: float
    radius: float

    @classmethod
    def of(cls, problem: TrainingData, kind: str, bias: float) -> "Scaling":
        """Of the training examples, each with its weight."""
        offset, scale = center_and_spread(problem.x, problem.weight)
        scaling = cls(offset, scale, bias * problem.x.shape[1] ** 0.5, 1.0)
        if kind == "sphere":
            return scaling._replace(radius=0.0)
        return scaling._replace(radius=float(np.linalg.norm(scaling(problem.x), axis=1).max()))

    def __call__(self, x: Table) -> Table:
        """Scaled inputs, shape `(n, d + 1)`, the constant last."""
        scaled = (x - self.offset) / self.scale
        scaled = np.concatenate([scaled, np.full((len(x), 1), self.bias)], axis=1)
        radius = self.radius or np.linalg.norm(scaled, axis=1, keepdims=True)
        return (scaled / radius).astype(x.dtype)


def center_and_spread(values: Table, weight: Table) -> tuple[Table, Table]:
    """Weighted mean and standard deviation of each column, in float64; 1 for columns that are constant."""
    values = values.astype(np.float64)
    center = np.average(values, axis=0, weights=weight)
    spread = np.sqrt(np.average((values - center) ** 2, axis=0, weights=weight))
    # Below, what looks like spread is the rounding of the mean.
    constant = spread <= 10 * np.finfo(np.float64).eps * np.abs(center)
    return center, np.where(constant, 1.0, spread)


def rows_for(examples: int) -> int:
    """The number of rows that examples are padded to."""
    return padded_size(examples, least=256, doubled=4096, multiple=1024)


def columns_for(inputs: int) -> int:
    """The number of columns that inputs are padded to."""
    return padded_size(inputs, least=16, doubled=64, multiple=16)


def filled(values: Table, rows: int, columns: int | None = None) -> Table:
    """`values` with zeros behind its rows and, if asked for, behind its last axis."""
    last = 0 if columns is None else columns - values.shape[-1]
    padding = [(0, rows - len(values)), *[(0, 0)] * (values.ndim - 2), (0, last)][: values.ndim]
    return np.pad(values, padding)


def folds_of(problem: TrainingData, count: int, generator: np.random.Generator, labels: Table | None) -> Table:
    """The fold of every row, shape `(n,)`; each class is spread evenly over the folds."""
    order = generator.permutation(len(problem.x))
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(order), int)
    fold[order] = np.arange(len(order)) % count
    return fold
