"""The sections of the page of a fit."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from taylornets.estimators import PENALTIES
from taylornets.generalization import percent
from taylornets.records import PageRecord, Section, Table, literal
from taylornets.tabular import _figures as figures
from taylornets.tabular import _wording as wording
from taylornets.tabular._baselines import KERNEL_ROWS, Result
from taylornets.tabular._degrees import degrees
from taylornets.tabular._importance import importance_section
from taylornets.tabular._path import FitSettings, Learned
from taylornets.tabular._prepare import described
from taylornets.tabular._problem import TableProblem
from taylornets.tabular._promise import LEVEL, Promise
from taylornets.tabular._promise import section as new_data
from taylornets.tabular._scores import difference, interval, name_of, score_of

_WORST = 12


@dataclass(frozen=True)
class FitFindings:
    """The results shown on the page.

    Args:
        problem: the learning problem.
        format: description of the file format.
        steps: the fitted preprocessing.
        features: all rows after preprocessing.
        settings: settings of the model.
        learned: the trained model.
        baselines: their results, in the order of the page.
        sizes: numbers of training rows in the learning curve.
        curves: scores of the learning curve, by label; our model on the test rows first.
        promise: the statement on new data.
    """

    problem: TableProblem
    format: str
    steps: Any
    features: np.ndarray
    settings: FitSettings
    learned: Learned
    baselines: list[Result]
    sizes: list[int]
    curves: dict[str, list[float]]
    promise: Promise

    @property
    def model(self) -> Any:
        """The trained estimator."""
        return self.learned.model

    def part(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns inputs and targets of a part of the split."""
        rows = getattr(self.problem.split, name)
        return self.features[rows], self.problem.y[rows]


def scores(findings: FitFindings) -> dict[str, float]:
    """Returns the scores of our model by part of the split."""
    score = score_of(findings.problem.task)
    parts = {name: findings.part(name) for name in ("train", "validation", "test")}
    return {name: score(y, findings.model.predict(x)) for name, (x, y) in parts.items()}


def story(findings: FitFindings, facts: dict[str, Any], command: str) -> PageRecord:
    """Builds the page.

    Args:
        findings: the results.
        facts: settings and environment of the run.
        command: command that reproduces the results.
    """
    problem, model = findings.problem, findings.model
    task, seed = problem.task, findings.settings.seed
    x, y = findings.part("test")
    predictions = model.predict(x)
    found = scores(findings)
    low, high = interval(task, y, predictions, seed)
    score = name_of(task)
    certificate = model.certificate_
    headline = {
        f"{score} on {len(y):,} test rows": f"{wording.signed(found['test'])}  {wording.ends(low, high)}",
        "optimality gap": "unknown" if certificate is None else wording.at_most(float(certificate.relative_gap)),
        **_new(findings.promise),
        "task": f"{task} of {problem.target!r}",
    }
    sections = [
        _data(findings),
        _certificate(findings),
        new_data(problem, findings.promise, findings.sizes, next(iter(findings.curves.values()))),
        _comparison(findings, found, (low, high)),
        importance_section(problem.inputs.iloc[problem.split.test], y, task, findings.steps, model, seed),
        _errors(findings, predictions, x, y),
        degrees(*findings.part("train"), task, seed),
        _model(findings, found),
    ]
    lead = f"{wording.verdict(certificate)} {wording.score_sentence(task, found['test'], len(y), problem.duplicates)}"
    lead = " ".join([lead, findings.promise.sentence, *(f"Warning: {doubt}" for doubt in findings.promise.doubts)])
    title = f"{problem.target} from {problem.source}"
    closing = (
        "The model is saved as `model.safetensors` in the folder of this page. To predict new rows, run `taylornets "
        "predict DIR FILE`; to re-certify the model, run `taylornets certify DIR FILE`."
    )
    return PageRecord("fit", title, lead, headline, sections, facts, command, (closing,))


def _new(promise: Promise) -> dict[str, str]:
    """The headline of the statement on new data."""
    if promise.error is not None:
        return {"error on new data": f"at most {percent(promise.error.bound)} (95 % confidence)"}
    return {} if promise.width is None else {f"{100 * LEVEL:g} % interval": f"±{promise.width:.3g}"}


def _data(findings: FitFindings) -> Section:
    problem = findings.problem
    split = problem.split
    rows = [len(split.train), len(split.validation), len(split.test)]
    how = f"at random (seed {findings.settings.seed})"
    how += ", stratified by class" if problem.task == "classification" and problem.group is None else ""
    how += "" if problem.group is None else f", with the rows of each {literal(repr(problem.group))} kept together"
    how = "by time, the last rows for the test" if problem.division == "time" else how
    paragraphs = [
        f"The task is {problem.task} of {literal(repr(problem.target))}: {problem.reason}. The {sum(rows):,} rows were split "
        f"{how}: {rows[0]:,} for training, {rows[1]:,} for selecting hyperparameters "
        f"(validation), and {rows[2]:,} for the scores on this page (test). The test rows were not used for any selection.",
        *map(literal, problem.notes),
    ]
    paragraphs.append(
        "Medians, means and categories are computed on the training rows and saved with the model, so that new rows are "
        "preprocessed in the same way. An unknown category is treated as rare, or ignored if the column has no rare category."
    )
    plan = Table(
        "inferred",
        "The inferred table: how each column of the file was read, and what was done with it.",
        ("column", "kind", "missing", "read as", "used as"),
        [
            (literal(row.column), row.kind, wording.share(row.missing), literal(row.read), literal(row.done))
            for row in problem.plan
        ],
    )
    table = Table(
        "columns",
        f"The {len(problem.inputs.columns)} input columns, encoded as {findings.features.shape[1]} features.",
        ("column", "type", "missing values", "distinct values", "preprocessing"),
        [(literal(name), *rest) for name, *rest in described(problem, findings.steps)],
    )
    facts = {"file": literal(problem.source), "format": findings.format}
    return Section("data", "Data", paragraphs, facts, (), (plan, table))


def _certificate(findings: FitFindings) -> Section:
    model = findings.model
    certificate = model.certificate_
    paragraphs = wording.certificate_paragraphs(certificate, len(findings.problem.split.train), model.status_)
    facts: dict[str, Any] = {}
    if certificate is not None:
        facts = {
            "objective": float(certificate.primal),
            "lower bound": float(certificate.dual),
            "gap": float(certificate.gap),
            "relative gap": float(certificate.relative_gap),
        }
    figure = figures.proof(model.history_) if certificate is not None else None
    return Section("certificate", "Interpreting the certificate", paragraphs, facts, (figure,) if figure else ())


def _comparison(findings: FitFindings, found: dict[str, float], ends: tuple[float, float]) -> Section:
    task, seed = findings.problem.task, findings.settings.seed
    _, y = findings.part("test")
    score = score_of(task)
    ours = f"Taylor, order {findings.settings.order}"
    tests = [score(y, result.predictions) for result in findings.baselines]
    every = [ends, *(interval(task, y, result.predictions, seed) for result in findings.baselines)]
    learned = findings.learned
    mine = (
        f"penalty {findings.model.penalty_:g}",
        len(findings.problem.split.train),
        found["train"],
        found["validation"],
    )
    rows = [_row(ours, *mine, found["test"], ends, learned.fit_seconds, learned.seconds)] + [
        _row(r.name, r.setting, r.rows, r.train, r.validation, test, end, r.fit_seconds, r.seconds)
        for r, test, end in zip(findings.baselines, tests, every[1:], strict=True)
    ]
    columns = (
        "model",
        "hyperparameters",
        "training rows",
        "training",
        "validation",
        "test",
        "95 % interval",
        "fit (s)",
        "search (s)",
    )
    others = [(r, test) for r, test in zip(findings.baselines, tests, strict=True) if r.name != "no inputs"]
    best, _ = max(others, key=lambda pair: pair[1])
    predictions = findings.model.predict(findings.part("test")[0])
    apart = difference(task, y, predictions, best.predictions, seed)
    names = [ours, *(r.name for r, _ in others)]
    paragraphs = [wording.ranking(names, [found["test"], *(test for _, test in others)], 0, apart, task, len(y))]
    if any(r.rows < len(findings.problem.split.train) for r in findings.baselines):
        paragraphs.append(
            f"Models with quadratic cost in the number of rows were trained on a random subset of {KERNEL_ROWS:,} rows."
        )
    kept = [end for end, r in zip(every[1:], findings.baselines, strict=True) if r.name != "no inputs"]
    drawn = figures.comparison(task, names, [found["test"], *(test for _, test in others)], [every[0], *kept])
    caption = (
        f"{name_of(task)} on the training, validation and test rows. `fit` is the training time at the selected "
        "hyperparameters, `search` the time for all candidates."
    )
    table = Table("comparison", caption, columns, rows)
    return Section("comparison", "Comparison with baselines", paragraphs, {}, (drawn,), (table,))


def _row(
    name: str, setting: str, rows: int, train: float, validation: float, test: float, ends: tuple[float, float],
    fit_seconds: float, seconds: float,
) -> tuple[Any, ...]:  # fmt: skip
    """A row of the comparison table, rounded to significant digits."""
    parts = tuple(round(value, 3) for value in (train, validation, test))
    return (name, setting, rows, *parts, wording.ends(*ends), round(fit_seconds, 3), round(seconds, 2))


def _errors(findings: FitFindings, predictions: np.ndarray, x: np.ndarray, y: np.ndarray) -> Section:
    problem, model = findings.problem, findings.model
    places = problem.rows if problem.rows is not None else np.arange(len(problem.y))

    def row_of(i: Any) -> int:
        return int(places[problem.split.test[i]]) + 1

    curve = figures.learning_curve(problem.task, findings.sizes, findings.curves, len(y))
    if problem.task == "classification":
        figure, error = figures.calibration([str(name) for name in model.classes_], model.predict_proba(x), y)
        facts = {"expected calibration error": error}
        wrong = np.flatnonzero(predictions != y)[:_WORST]
        lines = [(row_of(i), literal(y[i]), literal(predictions[i])) for i in wrong]
        table = Table(
            "wrong", f"The first {len(lines)} of {int(np.sum(predictions != y))} wrong predictions. Row numbers count the "
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
            "wrong", f"The {len(lines)} largest errors. Row numbers count the rows of the data, without the "
            "header.", ("row", "true", "predicted"), lines,
        )  # fmt: skip
    tables = (table,) if lines else ()
    return Section("errors", "Errors and learning curve", (), facts, (figure, curve), tables)


def _model(findings: FitFindings, found: dict[str, float]) -> Section:
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
    drawn = (figures.penalties(findings.problem.task, learned.path, float(model.penalty_)),) if learned.path else ()
    tables = (
        Table(
            "penalty",
            "The regularization path, from strong to weak; each fit is warm-started from the previous one.",
            ("penalty", f"{name_of(findings.problem.task)}, training", "validation"),
            [(step.penalty, step.train, step.validation) for step in learned.path],
        ),
    )
    return Section("model", "Model", (_choice(learned),), facts, drawn, tables if learned.path else ())


def _choice(learned: Learned) -> str:
    """States how the penalty was selected; notes a selection at an end of the path."""
    if not learned.path:
        return "The penalty was specified by the user."
    chosen, ends = float(learned.model.penalty_), (learned.path[0].penalty, learned.path[-1].penalty)
    hint = {ends[0]: " A stronger penalty", ends[1]: " A weaker penalty"}.get(chosen, "")
    hint += ", outside the path, may give a better score." if hint else ""
    early = " The time limit ended the path early." if len(learned.path) < len(PENALTIES) else ""
    return f"The penalty was selected on the validation rows.{early}{hint}"
