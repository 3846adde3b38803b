"""Timers, description of the machine, and plain-text tables."""

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import jax

_PACKAGES = (
    "taylornets",
    "jax",
    "jaxlib",
    "numpy",
    "scipy",
    "optax",
    "equinox",
    "optimistix",
    "cvxpy",
    "clarabel",
    "scs",
)


def seconds(function: Callable[[], Any]) -> float:
    """Seconds of one call, device work included."""
    started = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - started


def interleaved(functions: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, list[float]]:
    """Seconds of every function, called in turn, so that a slow period of the machine affects all of them.

    Two calls of each function precede the measurement, one for compilation and one for warm-up.
    """
    for function in functions.values():
        seconds(function)
        seconds(function)
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repetitions):
        for name, function in functions.items():
            times[name].append(seconds(function))
    return times


def spread(values: list[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(times: Mapping[str, list[float]], name: str, reference: str) -> dict[str, float]:
    """Median and range of the ratios of two functions, repetition by repetition."""
    return spread([a / b for a, b in zip(times[name], times[reference], strict=True)])


def show(values: Mapping[str, float], digits: int = 2) -> str:
    """`median (min–max)`."""
    return f"{values['median']:.{digits}f} ({values['min']:.{digits}f}–{values['max']:.{digits}f})"


def environment() -> dict[str, Any]:
    """The environment of the measurement."""
    versions: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "usable_processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "device": str(jax.devices()[0]),
        "x64": bool(jax.config.read("jax_enable_x64")),
        "versions": versions,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def target(target: str, measured: str, met: bool, why: str = "") -> dict[str, Any]:
    """One entry of `"targets"`."""
    return {"target": target, "measured": measured, "met": bool(met), "why": "" if met else why}


def render(result: Mapping[str, Any]) -> str:
    """The result as plain text."""
    lines = [result.get("title", result["benchmark"]), "=" * len(result.get("title", result["benchmark"]))]
    if result["quick"]:
        lines.append("QUICK: toy sizes; the numbers are meaningless.")
    machine = result["environment"]
    lines.append(
        f"{machine['processor']}, {machine['usable_processors']} processors, {machine['device']}, {machine['date']}"
    )
    for table in result.get("tables", []):
        lines += ["", table["title"], *_grid(table["columns"], table["rows"])]
    lines += ["", *(f"Floor: {sentence}" for sentence in result.get("floors", []))]
    for item in result.get("targets", []):
        lines.append(f"{'met   ' if item['met'] else 'MISSED'} {item['target']}: {item['measured']}")
        if item["why"]:
            lines.append(f"       {item['why']}")
    return "\n".join(lines)


def _grid(columns: list[str], rows: list[list[Any]]) -> list[str]:
    cells = [columns, *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    aligned = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return [aligned[0], "  ".join("-" * width for width in widths), *aligned[1:]]


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
