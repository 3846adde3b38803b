"""Preparation of the training data: merging of repeated rows, scaling of inputs, padding to few shapes.

**Merging.** Rows with equal inputs and targets are merged and their weights added; rows of weight 0 are dropped and the rest is
sorted. A weight of 2 is therefore equivalent to repeating the row, bit for bit, and the order of the rows does not matter.

**Scaling.** Columns are centered and divided by their (weighted) standard deviation, a constant `b √d` is appended, and
each row is divided by its own norm ("sphere") or by the largest norm of all rows ("ball"). Because of the constant, the map
to the sphere is injective.

**Padding.** Programs are compiled per shape. Rows of weight 0 and columns of zeros, whose weights remain 0, pad the data to one
of few shapes, so that later fits reuse compiled programs.
"""

from typing import NamedTuple

import numpy as np

from taylornets._trees import padded_size

Table = np.ndarray


class TrainingData(NamedTuple):
    """Examples, encoded targets and weights, one example per row.

    Attributes:
        x: inputs, shape `(n, d)`.
        y: numeric targets, shape `(n, outputs)`, or labels from 0, shape `(n, 1)`.
        weight: weights, shape `(n,)`, positive (0 for padded rows).
    """

    x: Table
    y: Table
    weight: Table


def merged(problem: TrainingData) -> TrainingData:
    """Merges equal rows, adding their weights; drops rows of weight 0 and sorts the rest."""
    present = problem.weight > 0
    x, y, weight = (part[present] for part in problem)
    # Zeros of either sign compare equal.
    table = np.concatenate([x, y.astype(np.float64)], axis=1) + 0.0
    order = np.lexsort(table.T[::-1])
    table = table[order]
    first = np.concatenate([[True], np.any(table[1:] != table[:-1], axis=1)])
    weight = np.bincount(np.cumsum(first) - 1, weights=weight[order])
    return TrainingData(x[order][first], y[order][first], weight)


class Scaling(NamedTuple):
    """The map from inputs to the sphere or the ball.

    Attributes:
        offset: offset of each column, shape `(d,)`.
        scale: scale of each column, shape `(d,)`.
        bias: the appended constant, `b √d`.
        radius: common divisor of all rows; 0 to divide each row by its own norm.
    """

    offset: Table
    scale: Table
    bias: float
    radius: float

    @classmethod
    def of(cls, problem: TrainingData, kind: str, bias: float) -> "Scaling":
        """Fits the scaling to the weighted training examples."""
        offset, scale = center_and_spread(problem.x, problem.weight)
        scaling = cls(offset, scale, bias * problem.x.shape[1] ** 0.5, 1.0)
        if kind == "sphere":
            return scaling._replace(radius=0.0)
        return scaling._replace(radius=float(np.linalg.norm(scaling(problem.x), axis=1).max()))

    def __call__(self, x: Table) -> Table:
        """Scales inputs; returns shape `(n, d + 1)` with the constant in the last column."""
        scaled = (x - self.offset) / self.scale
        scaled = np.concatenate([scaled, np.full((len(x), 1), self.bias)], axis=1)
        radius = self.radius or np.linalg.norm(scaled, axis=1, keepdims=True)
        return (scaled / radius).astype(x.dtype)


def center_and_spread(values: Table, weight: Table) -> tuple[Table, Table]:
    """Computes the weighted mean and standard deviation of each column in float64; the deviation of constant columns is 1."""
    values = values.astype(np.float64)
    center = np.average(values, axis=0, weights=weight)
    spread = np.sqrt(np.average((values - center) ** 2, axis=0, weights=weight))
    # Below this threshold, the deviation is rounding of the mean.
    constant = spread <= 10 * np.finfo(np.float64).eps * np.abs(center)
    return center, np.where(constant, 1.0, spread)


def rows_for(examples: int) -> int:
    """Returns the number of rows after padding."""
    return padded_size(examples, least=256, doubled=4096, multiple=1024)


def columns_for(inputs: int) -> int:
    """Returns the number of columns after padding."""
    return padded_size(inputs, least=16, doubled=64, multiple=16)


def filled(values: Table, rows: int, columns: int | None = None) -> Table:
    """Pads `values` with zeros along the rows and, if `columns` is set, along the last axis."""
    last = 0 if columns is None else columns - values.shape[-1]
    padding = [(0, rows - len(values)), *[(0, 0)] * (values.ndim - 2), (0, last)][: values.ndim]
    return np.pad(values, padding)


def folds_of(problem: TrainingData, count: int, generator: np.random.Generator, labels: Table | None) -> Table:
    """Assigns a fold to every row, shape `(n,)`; folds are stratified by class."""
    order = generator.permutation(len(problem.x))
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(order), int)
    fold[order] = np.arange(len(order)) % count
    return fold
