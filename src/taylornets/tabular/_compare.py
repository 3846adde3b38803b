"""Two fits side by side: settings, data and scores that differ, and whether the scores can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taylornets import _checks, records
from taylornets.tabular._wording import quantity

_SETTINGS = ("target", "task", "order", "width", "rank", "penalty", "seed", "group", "cv", "metric", "version")


@dataclass(frozen=True)
class Comparison:
    """Two fits side by side.

    Args:
        rows: names of what is compared, with the value of each run.
        notes: full sentences on whether the scores can be compared.
    """

    rows: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]


def compare_runs(first: Path, second: Path) -> Comparison:
    """Compares two output folders of a fit.

    Args:
        first: a folder.
        second: another folder.

    Returns:
        Scores, gaps and times of both, the settings in which they differ, and whether both were scored on the same rows.

    Raises:
        ArgumentError: for a folder that holds no finished fit.
    """
    runs = (_run(first, "first"), _run(second, "second"))
    rows: list[tuple[str, str, str]] = []
    for name in _SETTINGS:
        one, other = (_shown(run.get(name)) for run in runs)
        if one != other or name in ("target", "order", "penalty"):
            rows.append((name, one, other))
    score = "accuracy" if runs[0].get("task") == "classification" else "R²"
    scores = [_part(run, "scores") for run in runs]
    for part in ("train", "validation", "test"):
        one, other = (_shown(values.get(part)) for values in scores)
        rows.append((f"{score}, {part} rows", one, other))
    for name, part, key in (("relative gap", "certificate", "relative_gap"), ("seconds", "timings", "all")):
        one, other = (_shown(_part(run, part).get(key)) for run in runs)
        rows.append((name, one, other))
    return Comparison(tuple(rows), tuple(_notes(*runs)))


def _notes(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    same = _part(first, "data").get("sha256") == _part(second, "data").get("sha256")
    split = all(first.get(name) == second.get(name) for name in ("target", "seed", "split", "division", "group"))
    if first.get("target") != second.get("target") or first.get("task") != second.get("task"):
        return ["The targets or the tasks differ: the scores cannot be compared."]
    if not same:
        return ["The inputs or the rows differ: compare the scores only if the test rows are alike."]
    if not split:
        return ["The splits differ, so the models were scored on different rows of the same table."]
    return ["Both models were fitted and scored on the same rows."]


def _run(folder: Path, argument: str) -> dict[str, Any]:
    found = records.load_page_run(folder, ("fit",)) if folder.is_dir() else None
    if found is None or "scores" not in found:
        got = f"{folder}, which contains no finished fit" if folder.is_dir() else f"{folder}, which is not a folder"
        raise _checks.ArgumentError(argument, "an output folder of a finished fit", got, "Fit a model first.")
    return found


def _part(run: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = run.get(name)
    return found if isinstance(found, Mapping) else {}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return quantity(value, 4)
    return "none" if value is None else str(value)
