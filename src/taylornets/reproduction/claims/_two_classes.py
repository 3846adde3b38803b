"""Order 1, order 2 and their sum in one network on bundled tables with two classes, for the claim `real_data`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

import taylornets as tn
from taylornets import kernels, statistics
from taylornets.records import Figure, Plot, Series, Table
from taylornets.reproduction.claims import ClaimContext

WIDTH, ROWS, COLUMNS, POWER = 128, 400, 64, 4
RIDGES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
PENALTIES = (1e-4, 1e-5, 1e-6)
TOLERANCE, STEPS = 1e-3, 300  # relative gap at which a fit counts as certified, and the largest number of steps
NAMES = {"linear": "order 1", "quadratic": "order 2", "sum": "orders 1 and 2"}
INFINITE = "order 1, infinite width"
DIGITS = "digits, even or odd"
# Rows for training, validation and testing; the first is at most `ROWS`.
SPLITS = {DIGITS: (400, 200, 1197), "breast cancer": (200, 100, 269), "wine, second cultivar or not": (60, 40, 78)}


@dataclass(frozen=True)
class Compared:
    """Test errors of certified models on one table, row by row.

    Args:
        name: the table.
        wrong: by model, whether each test row is misclassified.
        gaps: by model, the certified relative gap of the selected fit.
        best: the model of higher order with the lower validation risk.
        infinite: test error of order 1 at infinite width.
    """

    name: str
    wrong: Mapping[str, np.ndarray]
    gaps: Mapping[str, float]
    best: str
    infinite: float

    @property
    def difference(self) -> tuple[float, tuple[float, float]]:
        """Test error of order 1 minus that of the best model, with a 95 % interval over the test rows, which are paired."""
        found = self.wrong["linear"].astype(float) - self.wrong[self.best]
        mean, low, high = (float(part[0]) for part in statistics.spread(found[:, None]))
        return mean, (low, high)


def load(name: str, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training, validation and test rows of a table, on the unit sphere, with targets ±1.

    Measurements are standardized with the training rows and get a constant column; images are only normalized. Columns of
    zeros, which do not change outputs, give all tables one shape.
    """
    source = {DIGITS: load_digits, "breast cancer": load_breast_cancer}.get(name, load_wine)
    x, labels = map(np.asarray, source(return_X_y=True))
    sizes = SPLITS[name]
    order = np.random.default_rng(seed).permutation(len(x))[: sum(sizes)]
    x, labels = x[order].astype(float), labels[order]
    y = 1.0 - 2 * (labels % 2) if name == DIGITS else np.where(labels == 1, 1.0, -1.0)
    if name != DIGITS:
        x = (x - x[: sizes[0]].mean(axis=0)) / x[: sizes[0]].std(axis=0)
        x = np.pad(x, ((0, 0), (0, 1)), constant_values=1.0)
    x = np.pad(x / np.linalg.norm(x, axis=1, keepdims=True), ((0, 0), (0, COLUMNS - x.shape[1])))
    ends = np.cumsum(sizes)[:-1]
    return list(zip(np.split(x, ends), np.split(y, ends), strict=True))


def compare(context: ClaimContext, name: str, shuffled: bool = False, width: int = WIDTH) -> Compared:
    """Trains and certifies the three models, each with its penalty selected by validation.

    Args:
        context: seed of the split and key of the network.
        name: a table of `SPLITS`.
        shuffled: whether to permute the labels of training and validation rows, as a control.
        width: hidden units.
    """
    (x, y), (valid, wanted), (test, truth) = load(name, context.seed)
    if shuffled:
        generator = np.random.default_rng(context.seed)
        y, wanted = generator.permutation(y), generator.permutation(wanted)
    infinite = _infinite(x, y, valid, wanted, test, truth)
    n, rows = len(x), max(ROWS, len(x))
    present = (np.arange(rows) < n).astype(float)
    x, y = np.pad(x, ((0, rows - n), (0, 0))), np.pad(y, (0, rows - n), constant_values=1.0)
    net = tn.TwoLayerNetwork.init(context.key, COLUMNS, width)
    shared: dict[str, Any] = {"tol": TOLERANCE, "max_steps": STEPS, "throw": False, "sample_weight": present}
    paths = {
        "linear": tn.fit_path(net, x, y, RIDGES, model="linear", power=2, **shared),
        "quadratic": tn.fit_path(net, x, y, PENALTIES, power=POWER, **shared),
        "sum": tn.fit_path(net, x, y, PENALTIES, model="linear+quadratic", power=POWER, **shared),
    }
    wrong, gaps, risks = dict[str, np.ndarray](), dict[str, float](), dict[str, float]()
    for model, path in paths.items():
        risk, chosen = min(
            (float(np.mean((np.asarray(r.predict(valid))[:, 0] - wanted) ** 2)), i) for i, r in enumerate(path)
        )
        found = path[chosen]
        assert found.certificate is not None
        wrong[model] = np.asarray(found.predict(test))[:, 0] * truth <= 0
        gaps[model], risks[model] = float(found.certificate.relative_gap), risk
    return Compared(name, wrong, gaps, min(("quadratic", "sum"), key=lambda model: risks[model]), infinite)


def _infinite(
    x: np.ndarray, y: np.ndarray, valid: np.ndarray, wanted: np.ndarray, test: np.ndarray, truth: np.ndarray
) -> float:
    """Test error of ridge regression with the NTK of infinite width."""
    ntk = jax.jit(lambda left, right: kernels.infinite_width_ntk("cubic_relu", left, right))
    gram = kernels.kernel_ridge(ntk(x, x), jnp.asarray(y)[:, None])
    cross = np.asarray(ntk(np.concatenate([valid, test]), x))
    outputs = [cross @ np.asarray(gram.coefficients(ridge))[:, 0] for ridge in RIDGES]
    best = min(outputs, key=lambda values: float(np.mean((values[: len(valid)] - wanted) ** 2)))
    return float(np.mean(best[len(valid) :] * truth <= 0))


def table(found: list[Compared]) -> Table:
    """One row per table."""
    rows: list[list[Any]] = []
    for item in found:
        mean, (low, high) = item.difference
        errors = [100 * float(item.wrong[model].mean()) for model in NAMES]
        rows.append([item.name, len(item.wrong["linear"]), *errors, 100 * item.infinite, NAMES[item.best],
                     100 * mean, 100 * low, 100 * high, max(item.gaps.values())])  # fmt: skip
    return Table(
        "two_classes",
        "Test errors in percent; difference between order 1 and the best certified model of higher order, with its 95 % "
        "interval.",
        (
            "data",
            "test rows",
            *NAMES.values(),
            INFINITE,
            "best by validation",
            "difference",
            "low",
            "high",
            "largest gap",
        ),
        rows,
    )


def figure(found: list[Compared]) -> Figure:
    """The differences with their intervals, one point per table."""
    series: list[Series] = []
    for index, item in enumerate(found):
        mean, (low, high) = item.difference
        series.append(Series(item.name, [index + 1.0], [100 * mean], [100 * low], [100 * high]))
    zero = Series("no difference", [0.5, len(found) + 0.5], [0.0, 0.0], kind="theory")
    return Figure(
        "difference",
        "Test error of order 1 minus that of the best certified model",
        (Plot("data set", "difference in percentage points", (*series, zero), "linear", "linear"),),
        f"One network of {WIDTH} units, penalties by validation; 95 % intervals over the test rows, which are paired.",
    )
