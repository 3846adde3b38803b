"""The figures of a fit, as data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taylornets import statistics
from taylornets.records import Figure, Heatmap, Plot, Series, literal
from taylornets.tabular._scores import name_of
from taylornets.tabular._selection import PenaltyStep

_POINTS = 1000
_MOST_CONFUSED = 20
_BINS, _ROWS_PER_BIN, _RESAMPLES = 10, 8, 400


def comparison(task: str, names: Sequence[str], scores: Sequence[float], ends: Sequence[tuple[float, float]]) -> Figure:
    """Test scores of all models with intervals; our model has its own color."""
    series = [
        Series("this model", names[:1], scores[:1], [ends[0][0]], [ends[0][1]]),
        Series("baselines", names[1:], scores[1:], [low for low, _ in ends[1:]], [high for _, high in ends[1:]]),
    ]
    caption = "Hyperparameters were selected on the validation rows. Error bars: 95 % intervals of the test score."
    label = f"{name_of(task)} on the test rows"
    return Figure("comparison", "Comparison with baselines", [Plot("model", label, series)], caption)


def penalties(task: str, path: Sequence[PenaltyStep], chosen: float, held: str = "validation") -> Figure:
    """Scores along the regularization path."""
    x = [step.penalty for step in path]
    picked = next(step for step in path if step.penalty == chosen)
    series = [
        Series("training rows", x, [step.train for step in path], kind="line"),
        Series("validation rows" if held == "validation" else held, x, [step.validation for step in path], kind="line"),
        Series("selected", [chosen], [picked.validation]),
    ]
    caption = (
        "A strong penalty (right) keeps the weights small and the model simple; with a weak one (left), the model fits the "
        "training rows closely. The penalty with the best score on held-out rows is selected"
        + ("; ties are broken by the likelihood." if task == "classification" else ".")
    )
    plot = Plot("penalty λ", name_of(task), series, "log")
    return Figure("penalty", "Selection of the penalty", [plot], caption)


def learning_curve(task: str, sizes: Sequence[int], curves: Mapping[str, Sequence[float]], test_rows: int) -> Figure:
    """Scores by the number of training rows; the first curve is that of our model on the test rows."""
    series: list[Series] = []
    for index, (label, values) in enumerate(curves.items()):
        low = high = None
        if index == 0 and task == "classification":
            ends = [statistics.wilson(value * test_rows, test_rows) for value in values]
            low, high = [end[0] for end in ends], [end[1] for end in ends]
        series.append(Series(label, sizes, values, low, high, kind="line"))
    caption = "If the test score still rises at the right end, more training rows are likely to improve the model."
    caption += " Band: 95 % interval." if task == "classification" else ""
    plot = Plot("training rows", name_of(task), series, "log")
    return Figure("learning_curve", "Learning curve", [plot], caption)


def _calibration_error(stated: np.ndarray, happened: np.ndarray) -> tuple[float, list[np.ndarray]]:
    """The expected calibration error over bins of equally many rows, and the bins."""
    count = len(stated)
    bins = np.array_split(np.argsort(stated, kind="stable"), max(1, min(_BINS, count // _ROWS_PER_BIN)))
    return float(sum(len(rows) * abs(stated[rows].mean() - happened[rows].mean()) for rows in bins) / count), bins


def _calibration_ends(stated: np.ndarray, happened: np.ndarray) -> tuple[float, float]:
    """A 95 % percentile bootstrap interval of the expected calibration error."""
    generator, draws = np.random.default_rng(0), list[float]()
    for _ in range(_RESAMPLES):
        rows = generator.integers(len(stated), size=len(stated))
        draws.append(_calibration_error(stated[rows], happened[rows])[0])
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def calibration(classes: Sequence[str], probabilities: Any, y: np.ndarray) -> tuple[Figure, float, tuple[float, float]]:
    """Observed frequencies by predicted probability, and the expected calibration error with a 95 % interval."""
    if len(classes) == 2:
        stated, happened = probabilities[:, 1], y == classes[1]
        x_label, y_label = (
            f"predicted probability of {literal(repr(classes[1]))}",
            f"observed fraction of {literal(repr(classes[1]))}",
        )
    else:
        picked = np.argmax(probabilities, axis=1)
        stated, happened = probabilities[np.arange(len(y)), picked], np.asarray(classes)[picked] == y
        x_label, y_label = "probability of the predicted class", "fraction of correct predictions"
    error, bins = _calibration_error(stated, happened)
    x = [float(stated[rows].mean()) for rows in bins]
    shares = [float(happened[rows].mean()) for rows in bins]
    ends = [statistics.wilson(float(happened[rows].sum()), len(rows)) for rows in bins]
    measured = Series(f"test rows, bins of about {len(bins[0])}", x, shares, [e[0] for e in ends], [e[1] for e in ends])
    panels: list[Any] = [
        Plot(
            x_label,
            y_label,
            [measured, Series("perfect calibration", [0.0, 1.0], [0.0, 1.0], kind="theory")],
            title="Calibration",
        )
    ]
    if len(classes) <= _MOST_CONFUSED:
        panels.append(_confusion(classes, np.asarray(classes)[np.argmax(probabilities, axis=1)], y))
    caption = "On the dashed line, predicted probabilities equal observed frequencies. Error bars: 95 % intervals."
    caption += " Right: number of test rows by true class (row) and predicted class (column)." if panels[1:] else ""
    return (
        Figure("calibration", "Calibration of the predicted probabilities", panels, caption),
        error,
        _calibration_ends(stated, happened),
    )


def _confusion(classes: Sequence[str], predicted: np.ndarray, y: np.ndarray) -> Heatmap:
    counts = np.array([[int(np.sum((y == a) & (predicted == b))) for b in classes] for a in classes])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [literal(name if len(name) <= 16 else name[:15] + "…") for name in classes]
    return Heatmap(
        "predicted class", "true class", names, names, shares, "fraction of the row", counts, title="Confusion"
    )


def residuals(target: str, predictions: np.ndarray, y: np.ndarray) -> Figure:
    """Predictions against true values, and residuals."""
    rows = np.linspace(0, len(y) - 1, min(len(y), _POINTS)).astype(int)
    predictions, y = predictions[rows], y[rows]
    both = np.concatenate([predictions, y])
    line = [float(both.min()), float(both.max())]
    name = literal(target if len(target) <= 40 else target[:39] + "…")
    panels = [
        Plot(
            f"predicted {name}",
            f"true {name}",
            [Series("test rows", predictions, y), Series("predicted = true", line, line, kind="theory")],
            title="Predictions",
        ),
        Plot(
            f"predicted {name}",
            f"true minus predicted {name}",
            [
                Series("test rows", predictions, y - predictions),
                Series("no error", [float(predictions.min()), float(predictions.max())], [0.0, 0.0], kind="theory"),
            ],
            title="Residuals",
        ),
    ]
    caption = (
        "All axes are in the unit of the target column. Residuals that fan out or bend indicate a systematic error."
        + (f" The figure shows {len(rows):,} of the test rows." if len(rows) == _POINTS else "")
    )
    return Figure("residuals", "Prediction errors", panels, caption)


def proof(history: dict[str, list[float]]) -> Figure | None:
    """The gap between the objective and its lower bound during training."""
    pairs = [
        (step, gap)
        for step, gap in zip(history["steps"], history["relative_gap"], strict=False)
        if np.isfinite(gap) and gap > 0
    ]
    if len(pairs) < 2:
        return None
    plot = Plot(
        "training steps",
        "relative duality gap",
        [Series("gap", [step for step, _ in pairs], [gap for _, gap in pairs], kind="line")],
        y_scale="log",
    )
    caption = "At each point, no other weights can lower the objective by more than this fraction."
    return Figure("proof", "Duality gap during training", [plot], caption)
