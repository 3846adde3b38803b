"""The runner of `taylornets fit`: validates and trains before it writes any file."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from taylornets import _checks, records
from taylornets.datafiles import DataTable, Reading, scan
from taylornets.estimators import save
from taylornets.records import environment
from taylornets.records.folders import check_folder, prepare_folder
from taylornets.records.progress import Progress, stage
from taylornets.tabular._baselines import compare
from taylornets.tabular._budget import COMPARING, CURVE, budget
from taylornets.tabular._card import CARD, card
from taylornets.tabular._curve import learning_curve
from taylornets.tabular._findings import FitFindings, facts_of, scores
from taylornets.tabular._folds import folds_of
from taylornets.tabular._metrics import check_metric
from taylornets.tabular._model_table import MODEL, describe, whole
from taylornets.tabular._path import FitSettings, learn
from taylornets.tabular._prepare import prepared
from taylornets.tabular._problem import TableProblem, pose
from taylornets.tabular._promise import promise_of
from taylornets.tabular._retarget import not_dropped
from taylornets.tabular._scores import score_of
from taylornets.tabular._sections import page_record

_OWN = ("records", "figures", "tables", "report.html", CARD, MODEL)
_LIBRARIES = ("scikit-learn", "pandas", "pyarrow", "safetensors")
_LARGEST_SEED, _MOST_FOLDS = 2**32 - 1, 20


@dataclass(frozen=True)
class FitRequest:
    """A request for a fit.

    Args:
        data: file or `sklearn:NAME`.
        target: target column, or None for that of the source.
        reading: how the file is read.
        settings: settings of the model.
        out: output folder.
        command: the request as a shell command.
        task: `"auto"`, `"classification"` or `"regression"`.
        drop_constant: has no effect, since empty and constant columns are always left out.
        rare: what is done with classes of fewer than 3 rows: `"drop"`, `"merge"`, or None to reject them.
        split: `"random"` or `"time"`.
        group: column whose groups are kept in one part of the split, or None.
        no_compare: whether to train neither baselines nor the models of the learning curve.
        worded: rewrites sentences that name arguments in backticks, such as notes and warnings, in the words of the user.
    """

    data: str
    target: str | None
    reading: Reading
    settings: FitSettings
    out: Path
    command: str
    task: str = "auto"
    drop_constant: bool = False
    rare: str | None = None
    split: str = "random"
    group: str | None = None
    no_compare: bool = False
    worded: Callable[[str], str] = str


@dataclass(frozen=True)
class Fitted:
    """The result of a fit.

    Args:
        record: the page.
        folder: the output folder.
    """

    record: records.PageRecord
    folder: Path


@dataclass(frozen=True)
class Posed:
    """A table that was read, and the learning problem on it."""

    table: DataTable
    problem: TableProblem


def pose_request(request: FitRequest) -> Posed:
    """Reads and validates the table of a request, and trains nothing.

    Args:
        request: the request.

    Returns:
        The table and the problem, with the inferred table and notes.

    Raises:
        ArgumentError: all defects at once.
    """
    check_settings(request.settings)
    try:
        table = scan(request.data, replace(request.reading, target=request.target))
    except _checks.ArgumentError as error:
        raise not_dropped(error, request.target) from None
    kept = (*request.reading.categorical, *request.reading.numeric)
    problem = pose(
        table, request.target, request.task, request.settings.seed, rare=request.rare, division=request.split, kept=kept,
        group=request.group, cv=request.settings.cv,
    )  # fmt: skip
    classes = len(np.unique(problem.y)) if problem.task == "classification" else None
    check_metric(request.settings.metric, problem.task, classes)
    if problem.cv:
        folds_of(problem, problem.cv, request.settings.seed)
    return Posed(table, replace(problem, notes=tuple(map(request.worded, problem.notes))))


def fit(
    request: FitRequest,
    progress: Progress,
    saved: Callable[[Path], None],
    posed: Callable[[TableProblem], None] | None = None,
) -> Fitted:
    """Reads and validates the table, trains and saves the model, compares it with baselines, and saves the records.

    No result is written before training has finished; the model file is then written atomically.

    Args:
        request: the request.
        progress: receives the stages `reading`, `training`, `comparing` and `learning curve`.
        saved: called with the path of the model file once it is written.
        posed: called with the problem before training.

    Returns:
        The records, from which `taylornets.report.write_report` builds the page.

    Raises:
        ArgumentError: for invalid data, columns or settings, or a folder with other contents.
        WriteError: if a file cannot be written.
    """
    start = environment.now()
    begin = time.perf_counter()
    settings = request.settings
    check_settings(settings)
    check_out(request.out)
    with stage(progress, "reading"):
        found = pose_request(request)
        table, problem = found.table, found.problem
        steps, features = prepared(problem)
    if posed is not None:
        posed(problem)
    parts: Any = tuple(
        (features[rows], problem.y[rows])
        for rows in (problem.split.train, problem.split.validation, problem.split.test)
    )
    read_seconds = time.perf_counter() - begin
    with stage(progress, "training") as tell:
        folds = folds_of(problem, settings.cv, settings.seed) if settings.cv else None
        learned = learn(problem.task, settings, parts[0], parts[1], tell, folds)
    promise = promise_of(problem, learned.model, features)
    promise = replace(promise, doubts=[*map(request.worded, promise.doubts)])
    columns = describe(problem, table, settings.seed, request.reading, settings.metric)
    facts = _facts(request, problem, start, columns.digest)
    prepare_folder(request.out, _OWN)
    records.save_page_run(request.out, "fit", {"status": "running"} | facts)
    path = save(whole(steps, learned.model, columns), request.out / MODEL)
    saved(path)
    baselines, (sizes, curves) = [], ([], {})
    if not request.no_compare:
        with stage(progress, "comparing") as tell:
            limit = budget(learned.seconds, COMPARING)
            baselines = compare(problem.task, settings.seed, parts, score_of(problem.task), tell, folds, limit)
        ntk = next(result.setting for result in baselines if result.name == "NTK ridge")
        with stage(progress, "learning curve") as tell:
            limit = budget(learned.seconds, CURVE)
            sizes, curves = learning_curve(problem, settings, learned, ntk, parts, tell, limit)
    findings = FitFindings(problem, table.format, steps, features, settings, learned, baselines, sizes, curves, promise)
    timings = {"reading": read_seconds, "training": learned.seconds, "all": time.perf_counter() - begin}
    record = page_record(findings, _shown(facts, timings), request.command)
    records.save_page(request.out, record)
    facts |= _results(findings, timings, path)
    records.write_text(request.out / CARD, card(problem, record, facts))
    # The report, once written, marks the run as finished.
    records.save_page_run(request.out, "fit", {"status": "computed"} | facts)
    return Fitted(record, request.out)


def check_out(out: Path) -> None:
    """Rejects an output folder with contents that no fit has written."""
    check_folder(out, "fit", lambda out: records.load_page_run(out, ("fit",)))


def _results(findings: FitFindings, timings: dict[str, float], path: Path) -> dict[str, Any]:
    """The fields of run.json that are known after the comparison."""
    model = findings.learned.model
    certificate = model.certificate_
    proof = None if certificate is None else {
        name: float(getattr(certificate, name)) for name in ("primal", "dual", "gap", "relative_gap")
    }  # fmt: skip
    return {
        "end": environment.now(), "timings": timings, "scores": scores(findings), "certificate": proof,
        "error_bound": None if findings.promise.error is None else findings.promise.error.bound,
        **facts_of(findings), "penalty": float(model.penalty_), "model_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }  # fmt: skip


def check_settings(settings: FitSettings) -> None:
    """Rejects invalid settings before a file is read."""
    _checks.integer("order", settings.order, 1)
    _checks.integer("width", settings.width, 2)
    rank = 1 if settings.rank is None else _checks.integer("rank", settings.rank, 1)
    _checks.integer("seed", settings.seed, 0)
    if settings.width % 2:
        raise _checks.ArgumentError("width", "an even number, since hidden units come in pairs", str(settings.width))
    if rank > 1 and settings.order == 1:
        raise _checks.ArgumentError("rank", "1 for order 1", str(rank), "Ranks above 1 help only for orders ≥ 2.")
    for argument, value, limit in (
        ("order", settings.order, 12), ("width", settings.width, 2**20), ("rank", rank, 64),
        ("seed", settings.seed, _LARGEST_SEED),
    ):  # fmt: skip
        if value > limit:
            raise _checks.ArgumentError(argument, f"an integer ≤ {limit}", str(value))
    check_metric(settings.metric)
    if settings.cv is not None and _checks.integer("cv", settings.cv, 2) > _MOST_FOLDS:
        raise _checks.ArgumentError("cv", f"an integer ≤ {_MOST_FOLDS}", str(settings.cv))
    if settings.time_limit is not None:
        _checks.positive("time_limit", settings.time_limit, "It is the training time in seconds.")
    if settings.penalty is not None:
        _checks.positive("penalty", settings.penalty, "If omitted, it is selected on the validation rows.")


def _facts(request: FitRequest, problem: TableProblem, start: str, digest: str) -> dict[str, Any]:
    """The fields of run.json that are known before training."""
    settings, split = request.settings, problem.split
    return {
        "command": request.command,
        "data": {"source": request.data, "sha256": digest, "rows": len(problem.y), "without_target": problem.left_out,
                 "test_rows_equal_to_training_rows": problem.duplicates},
        "target": problem.target,
        "group": problem.group,
        "task": problem.task,
        "division": problem.division,
        "columns": {"numbers": problem.numbers, "categories": problem.categories},
        "notes": list(problem.notes),
        "split": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        "cv": settings.cv, "metric": settings.metric,
        "order": settings.order, "width": settings.width, "rank": settings.rank, "seed": settings.seed,
    } | environment.facts(start, *_LIBRARIES)  # fmt: skip


def _shown(facts: dict[str, Any], timings: dict[str, float]) -> dict[str, Any]:
    """Settings and environment of the run, for the end of the page."""
    spent = {f"seconds, {name}" if name != "all" else "seconds in total": value for name, value in timings.items()}
    return environment.shown(facts, **{"SHA-256 of the data": facts["data"]["sha256"]}, **spent)
