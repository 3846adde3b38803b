"""Held-out scores on twelve public tables, of our estimators and of the usual models: scores, likelihood, calibration, ranks.

Every model receives the same prepared features and selects its hyperparameters on the training rows alone; see
`benchmarks._baselines`. Each finished cell (split, table, model) is stored in `benchmarks/results/tables`, and a run that was
interrupted computes only what is missing.
"""

import functools
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _measure
from benchmarks._baselines import OURS, has_xrfm, log_likelihood, models, selected
from benchmarks._bundled import SPLITS, bundled, load, split
from taylornets.sweeps import run_cells

CELLS = Path(__file__).parent / "results" / "tables"
PROTOCOL = 1  # part of the name of a cell; to be raised when data, splits or candidates change
_BINS = 15
_RESAMPLES = 2000

Cell = dict[str, Any]
_table = functools.cache(load)
_split = functools.lru_cache(maxsize=1)(lambda name, index: split(_table(name), index))


def cell(table: str, index: int, model: str, quick: bool = False) -> Cell:
    """Trains one model on one split, and scores it on the held-out rows."""
    classification = _table(table).classification
    x, y, new, wanted = _split(table, index)
    if quick:
        x, y = x[::3], y[::3]
    started = time.perf_counter()
    setting, found = selected(models(classification, index, quick)[model], classification, x, y)
    seconds = time.perf_counter() - started
    result: Cell = {"setting": setting or _setting(found), "seconds": seconds, "rows": len(y), "features": x.shape[1]}
    predicted = found.predict(new)
    if not classification:
        residual = float(np.sum((predicted - wanted) ** 2))
        return result | {"score": 1 - residual / float(np.sum((wanted - np.mean(wanted)) ** 2)), **_gap(found)}
    result |= {"score": float(np.mean(predicted == wanted)), **_gap(found)}
    if hasattr(found, "predict_proba"):
        probabilities = found.predict_proba(new)
        result["log_likelihood"] = log_likelihood(probabilities, wanted)
        result["confidence"] = np.max(probabilities, axis=1).round(5).tolist()
        result["correct"] = (np.argmax(probabilities, axis=1) == wanted).astype(int).tolist()
    return result


def _setting(model: Any) -> str:
    return f"penalty {model.penalty_:g}" if hasattr(model, "penalty_") else getattr(model, "setting_", "")


def _gap(model: Any) -> Cell:
    certificate = getattr(model, "certificate_", None)
    if not hasattr(model, "status_") or certificate is None:
        return {}
    return {"gap": float(certificate.relative_gap), "status": model.status_}


def calibration_error(confidence: Any, correct: Any) -> float:
    """The expected calibration error: |accuracy − confidence| over 15 bins of equal width, weighted by their rows."""
    confidence, correct = np.asarray(confidence, float), np.asarray(correct, float)
    place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return float(sum(abs(np.sum((correct - confidence)[place == i])) for i in range(_BINS)) / len(correct))


def ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks within each row, 1 for the largest score; ties share the mean of their ranks."""
    above = (scores[:, None, :] > scores[:, :, None]).sum(axis=2)
    equal = (scores[:, None, :] == scores[:, :, None]).sum(axis=2)
    return above + (equal + 1) / 2


def mean_with_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean of each column and its 95 % percentile interval over resampled rows."""
    draws = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975], axis=0)
    return values.mean(axis=0), low, high


def measure(names: list[str], splits: int, quick: bool) -> dict[str, dict[str, list[Cell]]]:
    """All cells by table and model, one entry per split; stored ones are read."""
    keys = [
        (table, index, model)
        for index in range(splits)
        for table in names
        for model in models(_table(table).classification, 0, quick)
    ]
    if quick:
        results = [cell(*key, quick=True) for key in keys]
    else:
        cells = {json.dumps([PROTOCOL, *key]): key for key in keys}

        def compute(name: str) -> Cell:
            result = cell(*cells[name])
            print(f"{name} {result['score']:.3f}, {result['seconds']:.1f} s", flush=True)
            return result

        results = run_cells(CELLS, list(cells), compute)
    found: dict[str, dict[str, list[Cell]]] = {}
    for (table, _, model), result in zip(keys, results, strict=True):
        found.setdefault(table, {}).setdefault(model, []).append(result)
    return found


def score_rows(found: dict[str, dict[str, list[Cell]]]) -> list[list[Any]]:
    """One row per table and model: score, likelihood, calibration, seconds."""
    rows: list[list[Any]] = []
    for table, by_model in found.items():
        for model, cells in by_model.items():
            scores = [one["score"] for one in cells]
            likelihood = calibration = None
            if "confidence" in cells[0]:
                likelihood = float(np.mean([one["log_likelihood"] for one in cells]))
                both = ([value for one in cells for value in one[name]] for name in ("confidence", "correct"))
                calibration = calibration_error(*both)
            deviation = float(np.std(scores, ddof=1)) if len(scores) > 1 else math.nan
            seconds = float(np.median([one["seconds"] for one in cells]))
            rows.append([table, model, f"{np.mean(scores):.3f}", f"{deviation:.3f}", likelihood, calibration, seconds])
    return rows


def rank_rows(found: dict[str, dict[str, list[Cell]]], classification: bool) -> list[list[Any]]:
    """Mean rank over the tables of one task, and the score relative to the best model of each table, with intervals."""
    tables = [name for name in found if _table(name).classification is classification]
    if not tables:
        return []
    names = list(found[tables[0]])
    means = np.array([[np.mean([one["score"] for one in found[t][name]]) for name in names] for t in tables])
    behind = means.max(axis=1, keepdims=True) - means
    rank, short = mean_with_interval(ranks(means)), mean_with_interval(behind)
    order = np.argsort(rank[0], kind="stable")
    return [
        [names[i], *(f"{part[0][i]:.{digits}f} ({part[1][i]:.{digits}f}–{part[2][i]:.{digits}f})"
                     for part, digits in ((rank, 1), (short, 3))), int(np.sum(behind[:, i] == 0))]
        for i in order
    ]  # fmt: skip


def _targets(found: dict[str, dict[str, list[Cell]]]) -> list[dict[str, Any]]:
    lost: list[str] = []
    for table, by_model in found.items():
        means = {name: float(np.mean([one["score"] for one in cells])) for name, cells in by_model.items()}
        best = max(means, key=lambda name: means[name])
        # The splits of a cross-validation: differences are paired.
        gap = np.array([b["score"] - o["score"] for b, o in zip(by_model[best], by_model[OURS[0]], strict=True)])
        error = float(np.std(gap, ddof=1)) / len(gap) ** 0.5 if len(gap) > 1 else 0.0
        if gap.mean() > 2 * error and best not in OURS:
            lost.append(f"{table} ({best}, by {gap.mean():.3f})")
    measured = ", ".join(lost) or "none"
    items = [_measure.target("within two standard errors of the best model on every table: behind on", measured, not lost,
                             "see the scores")]  # fmt: skip
    if "digits" in found:
        value = float(np.mean([one["score"] for one in found["digits"][OURS[0]]]))
        items.append(_measure.target("digits: accuracy ≥ 0.982", f"{value:.3f}", value >= 0.982))
    return items


def main(quick: bool) -> dict[str, Any]:
    names, missing = bundled()
    if quick:
        names = [name for name in names if name in ("iris", "diabetes")]
    notes = [missing] * bool(missing) + ["xrfm is not installed: without it."] * (not has_xrfm())
    for note in notes:
        print(note, flush=True)
    found = measure(names, 1 if quick else SPLITS, quick)
    columns = ["table", "model", "score", "std", "log-likelihood", "calibration error", "s"]
    tables = [{"title": "Accuracy or R² on held-out rows", "columns": columns, "rows": score_rows(found)}]
    for task, classification in (("classification", True), ("regression", False)):
        head = ["model", "mean rank", "behind the best model", "best on"]
        rows = rank_rows(found, classification)
        title = f"Ranks, {task}, with 95 % intervals over the tables"
        tables += [{"title": title, "columns": head, "rows": rows}] * bool(rows)
    return {
        "title": "Estimators on public tables",
        "tables": tables,
        "floors": ["The models share folds and features, so differences between them are paired.", *notes],
        "targets": _targets(found),
        "cells": found,
    }
