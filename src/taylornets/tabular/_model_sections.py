"""The sections of the page on errors, probabilities and the model."""

from typing import Any

import numpy as np

from taylornets.estimators import PENALTIES
from taylornets.records import Section, Table, literal
from taylornets.tabular import _figures as figures
from taylornets.tabular import _wording as wording
from taylornets.tabular._findings import FitFindings
from taylornets.tabular._metrics import log_loss, outputs_of
from taylornets.tabular._path import Learned
from taylornets.tabular._scores import name_of
from taylornets.tabular._selection import LIMIT, WORSE

_WORST = 12


def errors_section(findings: FitFindings, predictions: np.ndarray, x: np.ndarray, y: np.ndarray) -> Section:
    problem, model = findings.problem, findings.model
    places = problem.rows if problem.rows is not None else np.arange(len(problem.y))

    def row_of(i: Any) -> int:
        return int(places[problem.split.test[i]]) + 1

    paragraphs: list[str] = []
    if problem.task == "classification":
        outputs = outputs_of(model, x)
        figure, error, ends = figures.calibration([str(name) for name in model.classes_], outputs.probabilities, y)
        facts = {
            "expected calibration error": error, "95 % interval of the calibration error": wording.ends(*ends),
            "log loss on the test rows": log_loss(y, outputs), "temperature": float(model.temperature_),
        }  # fmt: skip
        paragraphs = calibration_paragraphs(findings, error, ends)
        wrong = np.flatnonzero(predictions != y)[:_WORST]
        lines = [(row_of(i), literal(y[i]), literal(predictions[i])) for i in wrong]
        table = Table(
            "wrong", f"{_listed(len(lines), int(np.sum(predictions != y)))}. Row numbers count the "
            "rows of the data, without the header.", ("row", "true", "predicted"), lines,
        )  # fmt: skip
    else:
        figure = figures.residuals(problem.target, predictions, y)
        off = np.abs(y - predictions)
        facts = {
            "root mean square error": float(np.sqrt(np.mean(off**2))),
            "mean absolute error": float(np.mean(off)),
            "median absolute error": float(np.median(off)),
            "standard deviation of the target": float(np.std(y)),
        }
        order = np.argsort(-off)[:_WORST]
        lines = [(row_of(i), float(y[i]), float(predictions[i])) for i in order]
        table = Table(
            "wrong", f"The {'largest error' if len(lines) == 1 else f'{len(lines)} largest errors'}. Row numbers count the "
            "rows of the data, without the header.", ("row", "true", "predicted"), lines,
        )  # fmt: skip
    tables = (table,) if lines else ()
    if not findings.sizes:
        return Section("errors", "Errors", paragraphs, facts, (figure,), tables)
    curve = figures.learning_curve(problem.task, findings.sizes, findings.curves, len(y))
    return Section("errors", "Errors and learning curve", paragraphs, facts, (figure, curve), tables)


def _listed(shown: int, count: int) -> str:
    """The caption of a table of wrong predictions."""
    if shown < count:
        return f"The first {shown} of {count:,} wrong predictions"
    return "The only wrong prediction" if count == 1 else f"All {count} wrong predictions"


def calibration_paragraphs(findings: FitFindings, error: float, ends: tuple[float, float]) -> list[str]:
    """States the calibration error on the test rows, and whether the probabilities were scaled."""
    temperature = findings.learned.temperature
    assert temperature is not None
    measured = (
        f"Predicted probabilities and observed frequencies on the test rows differ by {wording.share(error)} on average (the "
        f"expected calibration error; 95 % interval {wording.share(ends[0])} to {wording.share(ends[1])}). With few test rows, "
        "even a perfectly calibrated model has an error above 0."
    )
    return [measured, temperature.sentence]


def model_section(findings: FitFindings, found: dict[str, float]) -> Section:
    model, settings, learned = findings.model, findings.settings, findings.learned
    facts = {
        "model": f"Taylor model of order {settings.order} of a two-layer network",
        "hidden units": settings.width,
        "penalty": float(model.penalty_),
        "loss": model.loss_,
        "training status": model.status_.lower().replace("_", " "),
        "final training steps": model.n_iter_,
        "scores": {f"{name} rows": value for name, value in found.items()},
    }
    task, metric = findings.problem.task, findings.metric
    drawn = (figures.penalties(task, learned.path, float(model.penalty_), held_name(learned)),) if learned.path else ()
    extra = () if metric is None else (f"{metric.words}, {held_name(learned)}",)
    path = Table(
        "penalty",
        "The regularization path, from strong to weak; each fit is warm-started from the previous one.",
        ("penalty", "training rows", f"{name_of(task)}, training", held_name(learned), *extra),
        [
            (step.penalty, step.rows, step.train, step.validation, *((metric.shown(step.rank_key[0]),) if metric else ()))
            for step in learned.path
        ],
    )  # fmt: skip
    tables = ((path,) if learned.path else ()) + ((_folds(findings),) if learned.cv is not None else ())
    return Section("model", "Model", (_choice(findings),), facts, drawn, tables)


def held_name(learned: Learned) -> str:
    """The rows that scored the path."""
    return "validation" if learned.cv is None else "held-out folds"


def _folds(findings: FitFindings) -> Table:
    """The scores of the folds."""
    cv, metric = findings.learned.cv, findings.metric
    assert cv is not None
    name = name_of(findings.problem.task) if metric is None else metric.words
    caption = (
        "Cross-validation: the score of each held-out fold, at the penalty that is best on the other folds. The interval of "
        "the mean is approximate, since the folds share training rows."
    )
    rows = [(i, *row) for i, row in enumerate(zip(cv.rows, cv.penalties, cv.scores, strict=True), 1)]
    return Table("folds", caption, ("fold", "held-out rows", "penalty", name), rows)


def _choice(findings: FitFindings) -> str:
    """States how the penalty was selected; notes a selection at an end of the path."""
    learned, metric = findings.learned, findings.metric
    by = "" if metric is None else f" by {metric.words} (`{metric.name}`)"
    if not learned.path:
        return "The penalty was specified by the user."
    chosen, ends = float(learned.model.penalty_), (learned.path[0].penalty, learned.path[-1].penalty)
    hint = {ends[0]: " A stronger penalty", ends[1]: " A weaker penalty"}.get(chosen, "")
    hint += ", outside the path, may give a better score." if hint else ""
    ended = LIMIT if learned.cv is not None and len(learned.path) < len(PENALTIES) else learned.ended
    early = {
        LIMIT: " The time limit ended the path early.",
        WORSE: " The path ended after two consecutive penalties that were worse than the best one.",
    }.get(ended or "", "")
    return f"The penalty was selected on the {findings.selection}{by}.{some_rows(findings)}{early}{hint}"


def some_rows(findings: FitFindings) -> str:
    """States that a part of the training rows selected the penalty; empty if all did."""
    path, rows = findings.learned.path, len(findings.problem.split.train)
    most = max((step.rows for step in path), default=rows)
    if findings.learned.cv is not None or most >= rows:
        return ""
    return (
        f" To save time, the path was trained on {most:,} of the {rows:,} training rows; the final training used all of "
        "them and was warm-started from the selected solution."
    )
