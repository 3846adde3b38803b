"""The sections of the page of a fit."""

from typing import Any

import numpy as np

from taylornets._checks import counted
from taylornets.generalization import percent
from taylornets.records import PageRecord, Section, Table, literal
from taylornets.tabular import _figures as figures
from taylornets.tabular import _wording as wording
from taylornets.tabular._baselines import KERNEL_ROWS
from taylornets.tabular._degrees import degrees
from taylornets.tabular._findings import FitFindings, facts_of, scores
from taylornets.tabular._importance import importance_section
from taylornets.tabular._metrics import Metric, Outputs, outputs_of
from taylornets.tabular._model_sections import errors_section, model_section, some_rows
from taylornets.tabular._prepare import described
from taylornets.tabular._promise import LEVEL, Promise
from taylornets.tabular._promise import section as new_data
from taylornets.tabular._scores import difference, interval, name_of, score_of


def page_record(findings: FitFindings, facts: dict[str, Any], command: str) -> PageRecord:
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
        f"{score} on {wording.rows_of(len(y), 'test')}": f"{wording.signed(found['test'])}  {wording.ends(low, high)}",
        **_chosen(findings),
        "optimality gap": "unknown" if certificate is None else wording.at_most(float(certificate.relative_gap)),
        **_new(findings.promise),
        "task": f"{task} of {problem.target!r}",
    }
    sections = [
        _data(findings),
        _certificate(findings),
        new_data(problem, findings.promise, findings.sizes, next(iter(findings.curves.values()), [])),
        *([_comparison(findings, found, (low, high))] if findings.baselines else []),
        importance_section(problem.inputs.iloc[problem.split.test], y, task, findings.steps, model, seed),
        errors_section(findings, predictions, x, y),
        degrees(*findings.part("train"), task, seed),
        model_section(findings, found),
    ]
    lead = f"{wording.verdict(certificate)} {wording.score_sentence(task, found['test'], len(y), problem.duplicates)}"
    lead = " ".join(
        [
            lead + some_rows(findings),
            findings.promise.sentence,
            *(f"Warning: {doubt}" for doubt in findings.promise.doubts),
        ]
    )
    title = f"{problem.target} from {problem.source}"
    closing = (
        "The model is saved as `model.safetensors` in the folder of this page. To predict new rows, run `taylornets "
        "predict DIR FILE`; to re-certify the model, run `taylornets certify DIR FILE`."
    )
    return PageRecord("fit", title, lead, headline, sections, facts, command, (closing,))


def _chosen(findings: FitFindings) -> dict[str, str]:
    """The headline of the metric of the request, and of the cross-validated score."""
    facts, found = facts_of(findings), dict[str, str]()
    own, cv = facts.get("metric_scores"), findings.learned.cv
    if own is not None:
        found[f"{own['name']} on the test rows"] = f"{wording.signed(own['test'])}  {wording.ends(*own['interval'])}"
    if cv is not None:
        name = name_of(findings.problem.task) if own is None else own["name"]
        found[f"{name}, {len(cv.scores)}-fold cross-validation"] = (
            f"{wording.signed(cv.mean)}  {wording.ends(*facts['cross_validation']['interval'])}"
        )
    return found


def _new(promise: Promise) -> dict[str, str]:
    """The headline of the statement on new data."""
    if promise.error is not None:
        return {"error on new data": f"at most {percent(promise.error.bound)} (95 % confidence)"}
    if promise.width is None or not np.isfinite(promise.width):
        return {}
    return {f"{100 * LEVEL:g} % interval": f"±{wording.quantity(promise.width)}"}


def _data(findings: FitFindings) -> Section:
    problem = findings.problem
    split = problem.split
    rows = [len(split.train), len(split.validation), len(split.test)]
    how = f"at random (seed {findings.settings.seed})"
    how += ", stratified by class" if problem.task == "classification" and problem.group is None else ""
    how += "" if problem.group is None else f", with rows of equal {literal(repr(problem.group))} kept together"
    how = "by time, with the last rows as test rows" if problem.division == "time" else how
    paragraphs = [
        f"The task is {problem.task} of {literal(repr(problem.target))}: {problem.reason}. The "
        f"{wording.rows_of(sum(rows))} were split {how}: {rows[0]:,} for training{_selecting(findings)}, "
        f"and {rows[2]:,} for the scores on this page (test). The test rows were not used for any selection.",
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
        f"The {counted(len(problem.inputs.columns), 'input column')}, encoded as "
        f"{counted(findings.features.shape[1], 'feature')}.",
        ("column", "type", "missing values", "distinct values", "preprocessing"),
        [(literal(name), *rest) for name, *rest in described(problem, findings.steps)],
    )
    facts = {"file": literal(problem.source), "format": findings.format}
    return Section("data", "Data", paragraphs, facts, (), (plan, table))


def _selecting(findings: FitFindings) -> str:
    """The rows that select hyperparameters, as the middle of a sentence."""
    cv, rows = findings.problem.cv, len(findings.problem.split.validation)
    return (
        f", in {cv} folds that select hyperparameters"
        if cv
        else f", {rows:,} for selecting hyperparameters (validation)"
    )


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
        _held(findings),
    )
    rows = [_row(ours, *mine, found["test"], ends, learned.fit_seconds, learned.seconds)] + [
        _row(r.name, r.setting, r.rows, r.train, r.validation, test, end, r.fit_seconds, r.seconds)
        for r, test, end in zip(findings.baselines, tests, every[1:], strict=True)
    ]
    columns = (
        "model",
        "hyperparameters",
        "rows",
        "training",
        "validation",
        "test",
        "95 % interval",
        "fit (s)",
        "search (s)",
    )
    if findings.metric is not None:
        columns = (*columns, f"{findings.metric.words}, test")
        rows = [(*row, value) for row, value in zip(rows, _by_metric(findings, findings.metric), strict=True)]
    others = [(r, test) for r, test in zip(findings.baselines, tests, strict=True) if r.name != "no inputs"]
    best, _ = max(others, key=lambda pair: pair[1])
    predictions = findings.model.predict(findings.part("test")[0])
    apart = difference(task, y, predictions, best.predictions, seed)
    names = [ours, *(r.name for r, _ in others)]
    paragraphs = [wording.ranking(names, [found["test"], *(test for _, test in others)], 0, apart, task, len(y))]
    if len(findings.problem.split.train) > KERNEL_ROWS:
        paragraphs.append(
            "Models with quadratic cost in the number of rows were trained on a random subset of at most "
            f"{KERNEL_ROWS:,} rows."
        )
    paragraphs += wording.cut(findings.baselines)
    kept = [end for end, r in zip(every[1:], findings.baselines, strict=True) if r.name != "no inputs"]
    drawn = figures.comparison(task, names, [found["test"], *(test for _, test in others)], [every[0], *kept])
    name = name_of(task)
    caption = (
        f"{name[:1].upper()}{name[1:]} on the training, validation and test rows; `rows` counts training rows. "
        "`fit` is the training time at the selected hyperparameters, `search` the time for all candidates."
    )
    table = Table("comparison", caption, columns, rows)
    return Section("comparison", "Comparison with baselines", paragraphs, {}, (drawn,), (table,))


def _by_metric(findings: FitFindings, metric: Metric) -> list[Any]:
    """The metric of our model and of the baselines on the test rows; baselines have no probabilities."""
    x, y = findings.part("test")
    classes = tuple(map(str, getattr(findings.model, "classes_", ())))
    found = [metric(y, outputs_of(findings.model, x))]
    found += [metric(y, Outputs(result.predictions, None, classes)) for result in findings.baselines]
    return ["–" if np.isnan(value) else round(metric.shown(value), 3) for value in found]


def _held(findings: FitFindings) -> float:
    """The score on the validation rows, or its mean over the folds at the selected penalty; NaN if it is not known."""
    cv, penalty = findings.learned.cv, float(findings.model.penalty_)
    if cv is None:
        return scores(findings)["validation"]
    at = [step.validation for step in findings.learned.path if step.penalty == penalty]
    return at[0] if at else cv.mean if findings.metric is None else float("nan")


def _row(
    name: str, setting: str, rows: int, train: float, validation: float, test: float, ends: tuple[float, float],
    fit_seconds: float, seconds: float,
) -> tuple[Any, ...]:  # fmt: skip
    """A row of the comparison table, rounded to significant digits."""
    parts = tuple("–" if np.isnan(value) else round(value, 3) for value in (train, validation, test))
    return (name, setting, rows, *parts, wording.ends(*ends), round(fit_seconds, 3), round(seconds, 2))
