"""What `tn.regime` and `tn.regime_path` say beyond the radius of convergence, on eight networks, against brute force.

`python -m benchmarks beyond_radius` runs everything, `python -m benchmarks.beyond_radius --networks GRU --seeds 0 1` a part.
Each network and seed takes about a minute on one core and is stored; stored runs are not repeated. Prints a Markdown table.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import taylornets as tn
from benchmarks import _brute_force as brute
from benchmarks import _measure
from benchmarks._line_networks import TASKS, trained

FOLDER = Path(__file__).parent / "results" / "beyond_radius"
SEEDS = (0, 1, 2)
PLAIN, RESUMMED = (1, 2, 4, 8), (4, 6, 8)
RAISED = 1.1  # a group limits the radius if that grows by a tenth without the group
COLUMNS = (
    "network", "seed", "orders 1, 2, 4, 8", "resummed 4, 6, 8", "error", "midpoint", "pieces of order 1, 2", "radius",
    "limited by", "quadratic, lazy since", "differs",
)  # fmt: skip


def measured(name: str, seed: int, steps: int | None = None, probe: int | None = None) -> dict[str, Any]:
    """One network and seed: what the library says, what values of the model say, and how far they are apart."""
    with jax.enable_x64(True):
        started, task = time.perf_counter(), TASKS[name]
        run = trained(task, seed, steps)
        trained_after = time.perf_counter() - started
        x = jnp.asarray(task.data()[2][:probe])
        first, last = min(run.checkpoints), max(run.checkpoints)
        ends = run.checkpoints[first], run.checkpoints[last]
        found = tn.regime(task.f, *ends, x, max_order=8, groups="blocks", ntk_inputs=0)
        path = tn.regime_path(task.f, run.checkpoints, x)
        said_after = time.perf_counter() - started
        said = _said(found, path)
        values = brute.compiled(task.f)
        truth = _along(lambda at: values(*ends, x, at))
        truth |= _groups(values, *ends, x) | _since(values, run.checkpoints, last, x)
        truth |= _resummed(tn.taylor_terms(task.f, ends[0], 8)(ends[1], x), found, truth.pop("series"))
        four = tn.regime(task.f, *ends, x, ntk_inputs=0)
        return {
            "network": name,
            "seed": seed,
            "accuracy": run.accuracy,
            "jump": run.jump,
            "plateau": run.plateau,
            "said": said,
            "truth": truth,
            "verdict": four.verdict,
            "path": path.verdict,
            "seconds": {"training": trained_after, "library": said_after - trained_after},
            "differs": differences(said, truth),
        }


def _said(found: tn.Regime, path: Any) -> dict[str, Any]:
    groups, nearest = found.groups, found.singularities
    return {
        "plain": {str(k): found.explained[k - 1] for k in PLAIN},
        "resummed": {str(k): part for k, part in found.resummed.items()},
        "resummed_error": found.resummed_error,
        "midpoint": found.midpoint,
        "pieces": [found.pieces.get(k) for k in (1, 2)],
        "radius": math.nan if nearest is None else nearest.median,
        "kind": "" if nearest is None else nearest.kind,
        "limiting": groups and groups.limiting,
        "since": [path.since(2), path.since(1)],
        "transitions": [list(pair) for pair in path.transitions],
    }


def _along(line: Any) -> dict[str, Any]:
    """Plain orders, midpoint and pieces from values on the line; and the terms, with the error of the last one."""
    series, error = brute.terms(line, 8)
    moved = np.subtract(*line([1.0, 0.0]))
    return {
        "series": (series, moved),
        "term_error": float(error[8]),
        "plain": {str(k): brute.explained(moved, series[1 : k + 1].sum(axis=0)) for k in PLAIN},
        "midpoint": brute.explained(moved, brute.local(line, 0.5)[1]),
        "pieces": [brute.pieces(line, k) for k in (1, 2)],
        "radius": brute.radius(series),
    }


def _resummed(own: Sequence[Any], found: tn.Regime, known: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """The resummation: an example has the mapped or the plain sum of its terms by brute force, whichever the library chose."""
    from taylornets._regime._summation import resummed  # noqa: PLC0415 - its choice by example is not public

    series, moved = known
    exact = np.stack(own).reshape(len(own), len(moved), -1)
    fractions: dict[str, float] = {}
    for k in RESUMMED:
        chosen = resummed(exact, k, found.singularities)  # pyright: ignore[reportArgumentType]
        plain = np.all(np.isclose(chosen, exact[1 : k + 1].sum(axis=0), rtol=1e-12, atol=0), axis=1)
        sums = np.where(plain[:, None], series[1 : k + 1].sum(axis=0), brute.mapped(series, k))
        fractions[str(k)] = brute.explained(moved, sums)
    return {"resummed": fractions}


def _groups(values: Any, start: Any, end: Any, x: Any) -> dict[str, Any]:
    """The radius without each group, by the root test on orders 8 to 10, and the group that limits it."""
    flat, structure = jax.tree_util.tree_flatten_with_path(start)
    names = [_block(path) for path, _ in flat]
    last = jax.tree.leaves(end)

    def without(name: str | None) -> float:
        ends = [a if group == name else b for (_, a), b, group in zip(flat, last, names, strict=True)]
        moved = jax.tree.unflatten(structure, ends)
        return brute.radius(brute.terms(lambda at: values(start, moved, x, at), 10)[0])

    whole, others = without(None), {name: without(name) for name in dict.fromkeys(names)}
    best = max(others, key=lambda name: others[name])
    return {"without": others, "whole": whole, "limiting": best if others[best] > RAISED * whole else None}


def _block(path: Any) -> str:
    """`layer0`, `blocks.1`: the path up to its first number."""
    parts = [str(getattr(key, "key", getattr(key, "idx", key))) for key in path]
    first = next((i for i, part in enumerate(parts) if part[-1].isdigit()), 0)
    return ".".join(parts[: first + 1])


def _since(values: Any, checkpoints: Mapping[int, Any], last: int, x: Any) -> dict[str, Any]:
    fractions: dict[int, list[float]] = {}
    for step, start in checkpoints.items():
        if step == last:
            continue
        line = lambda at, start=start: values(start, checkpoints[last], x, at)  # noqa: E731
        moved, (_, one, two) = np.subtract(*line([1.0, 0.0])), brute.local(line, 0.0)
        fractions[step] = [brute.explained(moved, one), brute.explained(moved, one + two)]
    return {"since": [brute.since(fractions, 2), brute.since(fractions, 1)]}


def differences(said: Mapping[str, Any], truth: Mapping[str, Any]) -> dict[str, Any]:
    """Largest differences of the fractions, relative to 1 or to their size, and the other fields that differ."""
    found: dict[str, Any] = {}
    for field in ("plain", "resummed"):
        pairs = [(said[field][k], truth[field][k]) for k in truth[field]]
        found[field] = max(abs(a - b) / max(1, abs(b)) for a, b in pairs)
    found["midpoint"] = abs(said["midpoint"] - truth["midpoint"])
    for field in ("pieces", "since", "limiting"):
        if said[field] != truth[field]:
            found[field] = [said[field], truth[field]]
    return found


# --- The table -------------------------------------------------------------------------------------------------------


def row(run: Mapping[str, Any]) -> list[str]:
    """The cells of one network and seed."""
    said, apart = run["said"], run["differs"]
    other = [f"{name}: {apart[name][1]}" for name in ("pieces", "since", "limiting") if name in apart]
    size = max(apart[name] for name in ("plain", "resummed", "midpoint"))
    return [
        run["network"],
        str(run["seed"]),
        ", ".join(_number(said["plain"][str(k)]) for k in PLAIN),
        ", ".join(_number(said["resummed"][str(k)]) for k in RESUMMED),
        _number(said["resummed_error"]),
        _number(said["midpoint"]),
        ", ".join("> 16" if n is None else str(n) for n in said["pieces"]),
        f"{said['radius']:.2f}, {said['kind']}",
        said["limiting"] or "none",
        ", ".join("never" if step is None else str(step) for step in said["since"]),
        "; ".join([f"{size:.0e}", *other]),
    ]


def _number(value: float) -> str:
    digits = 3 if 0.9 < value < 1 or 0 < value < 0.1 else 2
    digits = 0 if abs(value) >= 10 else digits
    shown = f"{value:.{digits}f}" if abs(value) < 1e3 else f"{value:.0e}".replace("e+0", "e")
    return shown.replace("-", "−")


def markdown(runs: Sequence[Mapping[str, Any]]) -> str:
    """The table in Markdown, the networks in their order."""
    ordered = sorted(runs, key=lambda run: (list(TASKS).index(run["network"]), run["seed"]))
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *map(row, ordered)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def stored(name: str, seed: int, folder: Path = FOLDER) -> dict[str, Any]:
    """The result of one network and seed, from its file if there is one."""
    path = folder / f"{name.replace(',', '').replace(' ', '_')}-{seed}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        result = json.dumps(measured(name, seed), indent=1)
        path.write_text(result + "\n")
    return json.loads(path.read_text())


def targets(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Agreement with brute force, and the resummation of the residual networks."""
    fractions = [max(run["differs"][name] for name in ("plain", "resummed", "midpoint")) for run in runs]
    worst = max(fractions)
    counts = sum(any(name in run["differs"] for name in ("pieces", "since")) for run in runs)
    found = [
        _measure.target("fractions within 1e-4 of brute force", f"{worst:.1e}", worst < 1e-4, "see the table"),
        _measure.target("pieces and steps equal brute force", f"{counts} runs differ", not counts, "see the table"),
    ]
    residual = [run["said"]["resummed"]["6"] for run in runs if run["network"].startswith("residual")]
    if residual:
        low = min(residual)
        text = "residual MLPs with LayerNorm: order 6, resummed, explains at least .90"
        found.append(_measure.target(text, f"{low:.3f}", low >= 0.9, "see the table"))
    return found


def main(quick: bool) -> dict[str, Any]:
    if quick:
        runs = [measured("perceptron, tanh", 0, steps=10, probe=3)]
    else:
        runs = [stored(name, seed) for name in TASKS for seed in SEEDS]
    return {
        "title": "Beyond the radius of convergence: eight networks against brute force",
        "floors": ["brute force: values of the model along the line in float64; no derivative by JAX"],
        "tables": [
            {
                "title": "Fraction of the output change that is explained",
                "columns": list(COLUMNS),
                "rows": [row(run) for run in runs],
            }
        ],
        "targets": targets(runs),
        "runs": runs,
    }


def part(arguments: Sequence[str]) -> None:
    """Runs the selected networks and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    options = parser.parse_args(arguments)
    runs = [stored(name, seed) for seed in options.seeds for name in options.networks]
    print(markdown(runs))
    for run in runs:
        print(
            f"\n{run['network']}, seed {run['seed']}: accuracy {run['accuracy']:.3f}; {100 * run['jump']:.0f} % of the fall "
            f"of the loss within a tenth of the steps, which begins after {100 * run['plateau']:.0f} % of them; "
            f"{run['verdict']}; {run['path']}"
        )


if __name__ == "__main__":
    part(sys.argv[1:])
