"""Shared code of the studies of real networks: two parametrizations, the grid of runs, tables and the figure.

A study trains a network and its Taylor models of several orders in lockstep, for each parametrization, learning rate, width
and seed (a *cell*), and measures the final distance of each order to the full model. Results are stored in a database, so an
interrupted study resumes (`taylornets.sweeps`: `pip install 'taylornets[dask]'`). The examples `digits_cnn.py`, `digits_mlp.py`
and `sequence_transformer.py` use this module.
"""

import argparse
import csv
import itertools
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
from matplotlib.figure import Figure

import taylornets as tn
from taylornets.sweeps import run_cells


def _standardized(function: Callable[[Any], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """An activation with mean 0 and variance 1 for inputs N(0, 1).

    A nonzero mean gives the kernel one large eigenvalue, with a constant eigenfunction: all other components are learned slowly
    and require a large displacement of the weights.
    """
    nodes = np.linspace(-8, 8, 4001)
    weights = np.exp(-(nodes**2) / 2)
    values = np.asarray(function(nodes), float)
    mean = np.average(values, weights=weights)
    scale = 1 / math.sqrt(np.average((values - mean) ** 2, weights=weights))
    return lambda x: scale * (function(x) - mean)


ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    name: _standardized(function)
    for name, function in {
        "softplus": jax.nn.softplus,
        "tanh": jnp.tanh,
        "gelu": jax.nn.gelu,
        "relu": jax.nn.relu,
    }.items()
}
PARAMETRIZATIONS = ("standard", "ntk")
BATCH_SIZE, MOMENTUM = 64, 0.9
NEAR = 0.1  # an order suffices if its distance to the full model is below this fraction of the full model's change
TOP = 10.0  # upper end of the figure, where larger values are drawn
FULL = "full"
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#b0559a", "#e69f00", "#3d9bd9")  # after Okabe and Ito
_MARKERS = "os^DvP"

Data = dict[str, tuple[np.ndarray, np.ndarray]]


# --- Networks in two parametrizations --------------------------------------------------------------------------------


class Network(NamedTuple):
    """A network without a choice of parametrization.

    Attributes:
        f: the model `f(weights, x)` for a batch.
        draws: a tree of weights with entries N(0, 1); biases are 0, gains of norms 1.
        factors: a tree of the same structure: 1/√fan_in for the weights of a layer, 1 for all other leaves.
    """

    f: Callable[[Any, Any], jax.Array]
    draws: Any
    factors: Any

    def parametrized(self, parametrization: str) -> tuple[Callable[[Any, Any], jax.Array], Any]:
        """The model and its initial parameters; both parametrizations define the same initial function.

        Standard: the factors belong to the initialization. NTK: they belong to the forward pass, so that the change of the
        outputs in a step of the optimizer does not grow with the width.
        """
        if parametrization == "standard":
            return self.f, jax.tree.map(jnp.multiply, self.draws, self.factors)
        return lambda params, x: self.f(jax.tree.map(jnp.multiply, params, self.factors), x), self.draws


def drawn(f: Any, weights: Any, key: jax.Array, fan_in: Callable[[str, jax.Array], int | None]) -> Network:
    """A network with redrawn weights.

    Args:
        f: the model `f(weights, x)`.
        weights: as initialized by a framework.
        key: random key of the draws.
        fan_in: number of inputs of a leaf, from its path and array; None for leaves that are kept: biases and gains.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(weights)
    draws: list[jax.Array] = []
    factors: list[float] = []
    for i, (path, leaf) in enumerate(leaves):
        inputs = fan_in(jax.tree_util.keystr(path), leaf)
        draws.append(leaf if inputs is None else jax.random.normal(jax.random.fold_in(key, i), leaf.shape, leaf.dtype))
        factors.append(1.0 if inputs is None else 1 / math.sqrt(inputs))
    return Network(f, jax.tree.unflatten(structure, draws), jax.tree.unflatten(structure, factors))


@cache
def digits() -> Data:
    """scikit-learn's digits: 1497 training and 300 test images, shape (8, 8, 1), with mean 0 and variance 1."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - the sequence study does not need it

    found: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    x, y = found.images[order][..., None], found.target[order].astype("int32")
    x = ((x - x[:-300].mean()) / x[:-300].std()).astype("float32")
    return {"train": (x[:-300], y[:-300]), "test": (x[-300:], y[-300:])}


# --- An example and its command line ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """A network and its data.

    Attributes:
        name: stem of the file names.
        title: title of the figure.
        about: description for `--help`.
        build: `build(width, activation, key)`.
        data: training and test data, labels as integers.
        rates: the small and the large learning rate by parametrization.
        activation: the default activation.
        steps: number of training steps.
        widths: the default widths.
    """

    name: str
    title: str
    about: str
    build: Callable[[int, str, jax.Array], Network]
    data: Callable[[], Data]
    rates: Mapping[str, tuple[float, float]]
    activation: str = "softplus"
    steps: int = 250
    widths: tuple[int, ...] = (16, 64)

    def factory(self, width: int = 64, parametrization: str = "ntk", large: bool = False) -> tuple[Any, ...]:
        """The factory for `taylornets diagnose`: model, initial parameters, data, optimizer, loss."""
        f, start = self.build(width, self.activation, jax.random.key(0)).parametrized(parametrization)
        return f, start, self.data(), optax.sgd(self.rates[parametrization][large], momentum=MOMENTUM), "softmax"


class Cell(NamedTuple):
    """One training run of the full model and its Taylor models."""

    parametrization: str
    rate: float
    width: int
    seed: int


@dataclass(frozen=True)
class Settings:
    """Settings that all cells of a study share.

    Attributes:
        activation: name of the activation.
        orders: orders of the Taylor models.
        steps: number of training steps.
    """

    activation: str
    orders: tuple[int, ...]
    steps: int


def options(example: Example, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=example.about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--widths", type=int, nargs="+", default=list(example.widths), help="default %(default)s; meant for 16 to 1024")
    rates = "; ".join(f"{name} {' '.join(f'{r:g}' for r in pair)}" for name, pair in example.rates.items())
    add("--rates", type=float, nargs="+", help=f"learning rates; default, a small and a large one: {rates}")
    add("--parametrization", nargs="+", choices=PARAMETRIZATIONS, default=list(PARAMETRIZATIONS))
    add("--activation", choices=list(ACTIVATIONS), default=example.activation)
    add("--orders", type=int, nargs="+", default=[1, 2, 3, 4])
    add("--seeds", type=int, default=5, help="number of seeds; default %(default)s")
    add("--steps", type=int, default=example.steps, help=f"minibatches of {BATCH_SIZE}; default %(default)s")
    add("--out", type=Path, default=Path(f"{example.name}_study"), help="folder of the results; default %(default)s")
    return parser.parse_args(arguments)


def main(example: Example, arguments: Sequence[str] | None = None) -> None:
    """Runs the whole study from the command line."""
    asked = options(example, arguments)
    # Seeds and learning rates share compiled programs, which are cached on disk.
    jax.config.update("jax_compilation_cache_dir", str((asked.out / "compiled").resolve()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    cells = [
        Cell(*cell)
        for parametrization in asked.parametrization
        for cell in itertools.product(
            [parametrization], asked.rates or example.rates[parametrization], asked.widths, range(asked.seeds)
        )
    ]
    settings = Settings(asked.activation, tuple(sorted(asked.orders)), asked.steps)
    print(f"{example.title}: {len(cells)} cells on {jax.devices()[0].device_kind}")
    report(example, settings, run(example, settings, cells, asked.out), asked.out)


# --- The runs --------------------------------------------------------------------------------------------------------


def run(
    example: Example, settings: Settings, cells: Sequence[Cell], out: Path, say: Callable[[str], Any] = print
) -> list[dict[str, Any]]:
    """The records of all cells, computed or read from the database in the folder; prints a line per computed cell."""
    names = {_name(example, settings, cell): cell for cell in cells}

    def compute(name: str) -> dict[str, Any]:
        cell = names[name]
        record = measure(example, settings, cell)
        distances = " ".join(f"{record['distance'][str(k)]:.2g}" for k in settings.orders)
        ends = f"accuracy {record['accuracy'][FULL]:.3f}, distances of the orders {distances}, {record['verdict']}"
        which = f"{cell.parametrization} rate {cell.rate:g} width {cell.width} seed {cell.seed}"
        say(f"{which}: {ends} ({record['seconds']:.1f} s)")
        return record

    return run_cells(out, list(names), compute)


def _name(example: Example, settings: Settings, cell: Cell) -> str:
    """All inputs that determine the result of a cell."""
    fixed = {"example": example.name, "batch_size": BATCH_SIZE, "momentum": MOMENTUM}
    return json.dumps(fixed | asdict(settings) | cell._asdict(), sort_keys=True)


def measure(example: Example, settings: Settings, cell: Cell) -> dict[str, Any]:
    """Trains the models of one cell and compares them on the test data.

    Returns:
        Test accuracies of all models; distances of the orders to the full model, relative to the change of the full model's
        outputs; agreement of predicted classes; the step in which a model diverged; the verdict of `tn.regime`.
    """
    began = time.perf_counter()
    key = jax.random.key(cell.seed)
    data = example.data()
    # Matrix products in full single precision on every device: lower precision does not resolve distances of higher orders.
    with jax.default_matmul_precision("float32"):
        network = example.build(cell.width, settings.activation, jax.random.fold_in(key, 0))
        f, start = network.parametrized(cell.parametrization)
        batches = tn.training.Batches(
            *data["train"], batch_size=BATCH_SIZE, steps=settings.steps, key=jax.random.fold_in(key, 1)
        )
        # The learning rate is part of the optimizer's state, not a constant of the program, so all rates share one program.
        optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=cell.rate, momentum=MOMENTUM)
        trained = tn.taylorized_training(
            f, start, batches, orders=settings.orders, loss="softmax", optimizer=optimizer,
            probe=tn.training.Probe(*data["test"], every=settings.steps, ntk_inputs=0),
        )  # fmt: skip
        after_training = time.perf_counter()
        finite = FULL not in trained.diverged
        found = (
            tn.regime(f, start, trained.params[FULL], data["test"][0], max_order=max(settings.orders), ntk_inputs=2)
            if finite
            else None
        )
    history = trained.history
    return {
        "example": example.name,
        "activation": settings.activation,
        "steps": settings.steps,
        **cell._asdict(),
        "accuracy": {str(name): values[-1] for name, values in history.accuracy.items()},
        "accuracy_before": history.accuracy[FULL][0],
        "distance": {str(name): values[-1] for name, values in history.relative_distance.items()},
        "agreement": {str(name): values[-1] for name, values in history.agreement.items()},
        "diverged": {str(name): trained.steps[name] + 1 for name in trained.diverged},
        "train_loss": {str(name): float(np.mean(losses[-20:])) for name, losses in history.train_loss.items()},
        "verdict": found.verdict if found else "the full model diverged",
        "regime_order": found.order if found else None,
        "explained": list(found.explained) if found else [],
        "movement": found.movement if found else None,
        "ntk_drift": found.ntk_drift if found else None,
        "seconds": time.perf_counter() - began,
        "seconds_training": after_training - began,
    }


# --- Tables ----------------------------------------------------------------------------------------------------------


class Statistic(NamedTuple):
    """Mean and standard deviation over the seeds, and their range."""

    mean: float
    deviation: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> "Statistic":
        """Statistics of the values; NaN without values, and no deviation for a single one."""
        if not values:
            return Statistic(math.nan, math.nan, math.nan, math.nan)
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        return Statistic(float(np.mean(values)), spread, min(values), max(values))

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "–"
        return f"{self.mean:.3g}" + ("" if math.isnan(self.deviation) else f" ± {self.deviation:.1g}")


@dataclass(frozen=True)
class Line:
    """One model for one (parametrization, rate, width), over the seeds for which neither it nor the full model diverged."""

    parametrization: str
    rate: float
    width: int
    model: str
    accuracy: Statistic
    distance: Statistic
    agreement: Statistic
    seeds: int
    diverged: tuple[int, ...]  # the step of divergence, one entry per diverged seed


def _groups(records: Iterable[Mapping[str, Any]]) -> dict[tuple[str, float, int], list[Mapping[str, Any]]]:
    groups: dict[tuple[str, float, int], list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["parametrization"], record["rate"], record["width"]), []).append(record)
    return groups


def table(records: Sequence[Mapping[str, Any]]) -> list[Line]:
    """The lines of the table, in the order of the cells."""
    lines: list[Line] = []
    for group, members in _groups(records).items():
        for model in members[0]["accuracy"]:
            alive = [r for r in members if model not in r["diverged"] and FULL not in r["diverged"]]
            accuracy, distance, agreement = (
                Statistic.of([r[kind][model] for r in alive] if model in members[0][kind] else [])
                for kind in ("accuracy", "distance", "agreement")
            )
            steps = tuple(r["diverged"][model] for r in members if model in r["diverged"])
            lines.append(Line(*group, model, accuracy, distance, agreement, len(members), steps))
    return lines


def needed(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, int, str, str, str]]:
    """The required order for each learning rate.

    Returns:
        Parametrization, rate, width; the smallest order that diverged for no seed and whose mean distance to the full model
        is below `NEAR`; then the verdicts of `tn.regime` and the kernel drift, over the seeds. The order and the verdict answer
        different questions: whether the order-k model *trains* like the network, and whether the Taylor polynomial
        *approximates* the trained network.
    """
    found: list[tuple[str, float, int, str, str, str]] = []
    lines = table(records)
    for group, members in _groups(records).items():
        own = [line for line in lines if (line.parametrization, line.rate, line.width) == group and line.model != FULL]
        enough = [line.model for line in own if not line.diverged and line.distance.mean < NEAR]
        verdicts = Counter(r["verdict"].split(":")[0] for r in members)
        drift = Statistic.of([r["ntk_drift"] for r in members if r["ntk_drift"] is not None])
        said = ", ".join(f"{name} ({count} of {len(members)})" for name, count in verdicts.most_common())
        found.append((*group, min(enough, key=int) if enough else f"above {own[-1].model}", said, str(drift)))
    return found


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as aligned columns; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _shown(line: Line) -> tuple[str, ...]:
    steps = ", ".join(map(str, line.diverged))
    died = f"{len(line.diverged)} of {line.seeds} (in step {steps})" if line.diverged else "none"
    name = line.model if line.model == FULL else f"order {line.model}"
    numbers = (str(line.accuracy), *(("–",) * 2 if line.model == FULL else (str(line.distance), str(line.agreement))))
    return line.parametrization, f"{line.rate:g}", str(line.width), name, *numbers, died


def report(
    example: Example,
    settings: Settings,
    records: Sequence[Mapping[str, Any]],
    out: Path,
    say: Callable[[str], Any] = print,
) -> None:
    """Prints the tables and writes `table.csv`, `orders_needed.csv` and the figure."""
    lines, orders = table(records), needed(records)
    count, steps = len(example.data()["test"][1]), settings.steps
    say(f"\nMean ± standard deviation over seeds, {count} test examples ({settings.activation}, {steps} steps)")
    head = ("parametrization", "rate", "width", "model", "accuracy", "distance to full", "agreement", "diverged")
    say(aligned([head, *map(_shown, lines)]))
    say(f"\nRequired order: the smallest whose mean distance to the full model is below {NEAR:g}; verdict of tn.regime")
    head = ("parametrization", "rate", "width", "required order", "verdict", "kernel drift")
    say(aligned([head, *((p, f"{rate:g}", str(width), *rest) for p, rate, width, *rest in orders)]))
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "table.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        kinds = ("accuracy", "distance", "agreement")
        columns = [f"{kind}_{part}" for kind in kinds for part in Statistic._fields]
        writer.writerow(
            ["parametrization", "rate", "width", "model", *columns, "seeds", "diverged", "diverged_in_step"]
        )
        for line in lines:
            numbers = [number for kind in kinds for number in getattr(line, kind)]
            died = [line.seeds, len(line.diverged), " ".join(map(str, line.diverged))]
            writer.writerow([line.parametrization, line.rate, line.width, line.model, *numbers, *died])
    with open(out / "orders_needed.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("parametrization", "rate", "width", "order_needed", "verdict", "ntk_drift"), *orders]
        )
    path = out / f"{example.name}.svg"
    draw(example, settings, lines).savefig(path, metadata={"Date": None})
    say(f"\nWritten: {out / 'table.csv'}, {out / 'orders_needed.csv'}, {path}")


# --- The figure ------------------------------------------------------------------------------------------------------


def draw(example: Example, settings: Settings, lines: Sequence[Line]) -> Figure:
    """Distance to the full model against the width: one line per order, one panel per rate, one row per parametrization."""
    panels: dict[str, list[float]] = {}
    for line in lines:
        rates = panels.setdefault(line.parametrization, [])
        if line.rate not in rates:
            rates.append(line.rate)
    columns = max(map(len, panels.values()))
    widths = sorted({line.width for line in lines})
    with mpl.rc_context(
        {"font.size": 9, "svg.hashsalt": example.name, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure = Figure(figsize=(3.6 * columns + 0.6, 2.9 * len(panels) + 1), layout="constrained")
        axes = figure.subplots(len(panels), columns, squeeze=False, sharey=True)
        for row, (parametrization, rates) in enumerate(panels.items()):
            for column in range(columns):
                if column >= len(rates):
                    axes[row, column].set_axis_off()
                    continue
                own = [l for l in lines if (l.parametrization, l.rate) == (parametrization, rates[column])]
                _panel(axes[row, column], own, settings.orders, widths)
                kind = "NTK" if parametrization == "ntk" else "Standard"
                axes[row, column].set_title(f"{kind} parametrization, learning rate {rates[column]:g}", fontsize=9)
            axes[row, 0].set_ylabel("distance to the full model\n(relative to its change)")
        spread = [l.distance for l in lines if l.distance.low > 0]
        if spread:
            axes[0, 0].set_ylim(min(d.low for d in spread) / 1.5, 1.3 * min(max(d.high for d in spread), TOP))
        for axis in axes[-1]:
            axis.set_xlabel("width (units or channels of a layer)")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        seeds = max(line.seeds for line in lines)
        said = f"{example.title}, {settings.activation}, {seeds} seeds"
        figure.suptitle(
            f"{said}\nmean; bars: lowest to highest seed; open: some seeds diverged; upper edge: above {TOP:g}",
            fontsize=9,
        )
    return figure


def _panel(axis: Any, lines: Sequence[Line], orders: Sequence[int], widths: Sequence[int]) -> None:
    axis.set(xscale="log", yscale="log")
    for place, order in enumerate(orders):
        points = [l for l in lines if l.model == str(order) and math.isfinite(l.distance.mean) and l.distance.mean > 0]
        x = [l.width for l in points]
        y, low, high = (
            np.minimum([getattr(l.distance, part) for l in points], TOP) for part in ("mean", "low", "high")
        )
        # At least 0: a mean of equal numbers can be off by rounding.
        bars = [np.maximum(y - low, 0).tolist(), np.maximum(high - y, 0).tolist()]
        color, marker = _COLORS[place % len(_COLORS)], _MARKERS[place % len(_MARKERS)]
        axis.errorbar(
            x, y, bars if points else None, color=color, marker=marker, markersize=4, linewidth=1.3, capsize=2,
            label=f"order {order}",
        )  # fmt: skip
        some = [l for l in points if l.diverged]
        axis.plot(
            [l.width for l in some], [min(l.distance.mean, TOP) for l in some], marker, color=color, markersize=4.5,
            markerfacecolor="white", zorder=3,
        )  # fmt: skip
    axis.axhline(NEAR, color="#59636e", linewidth=0.8, linestyle=":")
    axis.set_xticks(widths, [str(width) for width in widths])
    axis.set_xticks([], minor=True)
    axis.grid(axis="y", color="#e4e7eb", linewidth=0.6)
