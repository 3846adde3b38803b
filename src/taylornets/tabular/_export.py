"""Export of a model to a Python program of about thirty lines that needs NumPy alone, with its numbers in a file next to it."""

import io
import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from taylornets import _checks, _files, activations, losses, models
from taylornets.activations import ReluPower
from taylornets.datafiles import CERTAIN_WORDS, POSSIBLE_WORDS
from taylornets.estimators import TaylorClassifier, TaylorRegressor, load
from taylornets.objectives import orders_of
from taylornets.tabular._model_table import MODEL, Columns, open_model
from taylornets.tabular._prepare import MISSING

_NEEDED = "a TaylorRegressor or TaylorClassifier whose model has a single order ≥ 1, or is a sum of orders"

_HEAD = """\"\"\"Predicts with a Taylor model of taylornets {version}; needs NumPy and the .npz file next to it.

{use}
\"\"\"
import csv, json, math, sys
from pathlib import Path
import numpy as np

M = np.load(Path(__file__).with_suffix(".npz"), allow_pickle=False)
META = json.loads(str(M["meta"]))

"""
_ARRAY_USE = "Call predict(x) with an array x of shape (n, d)."
_TABLE_USE = (
    "Run `python predict.py new.csv > predictions.csv`, or call predict({column: values}) with lists of values."
)
_TABLE = """def features(table):
    def gap(v, words):
        return v is None or str(v).strip().lower() in META[words]
{dates}    x = [[math.nan if gap(v, "more") else float(v) for v in table[name]] for name in META["numbers"]]
    x = np.array(x, float).reshape(len(x), len(table[META["columns"][0]])).T
    parts = [np.where(np.isnan(x), M["median"], x), np.isnan(x[:, M["flagged"]])]
{categories}    return np.hstack(parts)

"""
_CATEGORIES = """    for name, known, rare, lower in META["categories"]:
        values = [META["missing"] if gap(v, "gaps") else str(v).strip() for v in table[name]]
        values = [v.lower() for v in values] if lower else values
        parts.append(np.array([[v == k for k in known] + [v not in known] * rare for v in values], float))
"""
_DATES = """    table = {name: [None if gap(v, "gaps") else v for v in values] for name, values in table.items()}
    for name in META["dates"]:  # written as 2024-05-01 or 2024-05-01T12:30
        t = np.array(["NaT" if v is None else str(v).strip() for v in table[name]], "datetime64[us]")
        day, month = t.astype("datetime64[D]"), t.astype("datetime64[M]").astype(float)
        late = (t - np.datetime64("2000-01-01")) / np.timedelta64(1, "D")
        parts = np.floor(month / 12) + 1970, month % 12 + 1, np.floor(late + 5) % 7, (t - day) / np.timedelta64(1, "h"), late
        for part, values in zip(("year", "month", "weekday", "hour", "days"), parts):
            table[f"{name} ({part})"] = [None if np.isnat(s) else v for s, v in zip(t, values)]
"""
_OUTPUTS = """def outputs(x):
    x = (np.asarray(x, float) - M["offset"]) / M["spread"]
    x = np.hstack([x, np.full((len(x), 1), M["bias"])])
    x = x / (M["radius"] or np.linalg.norm(x, axis=1, keepdims=True))
    u, p, total = x @ M["w0"].T, META["power"], 0.0
    for k in META["orders"]:  # a_r σ^(k)(<w0_r, x>) / k! <w_r, x>^k, summed over units and copies; σ(t) = relu(t)^p / p!
        slope = (u > 0) * np.maximum(u, 0) ** (p - k) / math.factorial(p - k) / math.factorial(k)
        total = total + slope * (np.einsum("nd,mcd->nmc", x, M[f"w{k}"]) ** k).sum(axis=2) @ M["a"]
    return total

"""
_REGRESSION = """def predict(data):
    return (outputs({data}) * M["target_scale"] + M["target_offset"]){column}

"""
_CLASSES = """def probabilities(data):
    z = outputs({data}) / M["temperature"]
    {link}
    return e / e.sum(axis=1, keepdims=True)

def predict(data):
    return np.array(META["classes"])[np.argmax(probabilities(data), axis=1)]

"""
_SIGMOID = "e = 0.5 * (1 + np.tanh({z} / 2))"
_LINKS = {
    "softmax": "e = np.exp(z - z.max(axis=1, keepdims=True))",
    "binary": _SIGMOID.format(z="np.hstack([-z, z])"),
    "separate": _SIGMOID.format(z="z"),
}
_MAIN = """if __name__ == "__main__":
    with open(sys.argv[1], newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    print("prediction", *predict({name: [row[name] for row in rows] for name in META["columns"]}), sep="\\n")
"""


def export(model: str, out: Path) -> tuple[Path, Path]:
    """Writes a model as a Python program that needs NumPy alone, and its numbers as NPZ next to it.

    Args:
        model: model file or folder.
        out: the program, with the extension `.py`.

    Returns:
        The program and the file of numbers.

    Raises:
        ArgumentError: for a file that is not a model, a model that the program cannot express, or another ending.
        WriteError: if a file cannot be written.
    """
    if out.suffix != ".py":
        raise _checks.ArgumentError("out", "a file with the extension .py", repr(str(out)))
    pipeline, columns = _opened(model)
    estimator = pipeline[-1] if columns is not None else pipeline
    arrays, meta = _weights(estimator)
    if columns is not None:
        steps, facts = _steps(pipeline[0], columns, arrays)
        arrays, meta = arrays | steps, meta | facts
    arrays["meta"] = np.array(json.dumps(meta))
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    _files.write_bytes(out.with_suffix(".npz"), buffer.getvalue())
    _files.write_bytes(out, _program(estimator, meta).encode())
    return out, out.with_suffix(".npz")


def _opened(model: str) -> tuple[Any, Columns | None]:
    """Loads a model of a table, or an estimator that was saved in Python."""
    path = Path(model)
    if path.is_file() and path.name != MODEL:
        try:
            found = load(path)
        except _checks.ArgumentError as error:
            raise error.renamed("model") from None
        if not isinstance(found, Pipeline):
            return found, None
    return open_model(model)


def _weights(estimator: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The numbers of an estimator, and what the program must know of them."""
    if not isinstance(estimator, TaylorRegressor | TaylorClassifier):
        raise _checks.ArgumentError("model", _NEEDED, type(estimator).__name__)
    orders, blocks = _orders(estimator)
    activation = activations.get(estimator.activation_)
    if not isinstance(activation, ReluPower):
        advice = "Fit with a ReLU power, such as `activation='cubic_relu'`."
        raise _checks.ArgumentError(
            "model", "a model whose activation is a ReLU power", repr(estimator.activation_), advice
        )
    if getattr(estimator, "representation_", None) is not None:
        raise _checks.ArgumentError("model", "a model without a representation", repr(estimator.representation))
    arrays: dict[str, Any] = {
        "w0": estimator.initial_weights_, "a": estimator.signs_, "offset": estimator.input_offset_,
        "spread": estimator.input_scale_, "bias": estimator.input_bias_, "radius": estimator.input_radius_,
    }  # fmt: skip
    copies = {k: block if block.ndim == 3 else block[:, None, :] for k, block in zip(orders, blocks, strict=True)}
    power, zeros = activation.power, np.zeros_like(copies[orders[0]])
    copies = {k: block for k, block in copies.items() if k <= power} or {power: zeros}
    arrays |= {f"w{k}": block for k, block in copies.items()}
    arrays = {name: np.asarray(value, np.float64) for name, value in arrays.items()}
    arrays["a"] = arrays["a"] / np.sqrt(len(arrays["w0"]))
    meta: dict[str, Any] = {"orders": list(copies), "power": power}
    if isinstance(estimator, TaylorRegressor):
        arrays |= {
            "target_scale": np.asarray(estimator.target_scale_),
            "target_offset": np.asarray(estimator.target_offset_),
        }
        return arrays, meta
    arrays["temperature"] = np.float64(getattr(estimator, "temperature_", 1.0))
    outputs = estimator.signs_.shape[1]
    softmax = not losses.get(estimator.loss_).separable
    return arrays, meta | {"classes": estimator.classes_.tolist(), "softmax": softmax and outputs > 1}


def _orders(estimator: Any) -> tuple[Sequence[int], Sequence[np.ndarray]]:
    """The orders of the model, and the displacement of each."""
    orders = orders_of(estimator.model_)
    if orders is not None:
        return orders, estimator.displacement_
    term = models.get(estimator.model_).term
    if term is None or term < 1:
        raise _checks.ArgumentError("model", _NEEDED, f"the model {estimator.model_!r}")
    return (term,), (estimator.displacement_,)


def _steps(prepare: Any, columns: Columns, arrays: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The numbers of the preprocessing, whose scaling is composed with that of the inputs, and the columns."""
    steps: dict[str, np.ndarray] = {"median": np.zeros(0), "flagged": np.zeros(0, int)}
    found: dict[str, Any] = dict(prepare.named_transformers_)
    kinds = dict(columns.recipes)
    if columns.numbers:
        impute, scale = found["numbers"][0], found["numbers"][1]
        flagged = np.zeros(0, int) if impute.indicator_ is None else np.asarray(impute.indicator_.features_, int)
        mean, deviation = np.zeros_like(arrays["offset"]), np.ones_like(arrays["offset"])
        mean[: len(scale.mean_)], deviation[: len(scale.mean_)] = scale.mean_, scale.scale_
        steps = {"median": impute.statistics_, "flagged": flagged}
        steps |= {"offset": mean + deviation * arrays["offset"], "spread": deviation * arrays["spread"]}
    categories: list[Any] = []
    if columns.categories:
        encoder = found["categories"][1]
        for name, known, rare in zip(
            columns.categories, encoder.categories_, encoder.infrequent_categories_, strict=True
        ):
            few = set() if rare is None else set(rare)
            frequent = [str(word) for word in known if word not in few]
            categories.append([name, frequent, bool(few), kinds.get(name) == "boolean"])
    gaps = {*CERTAIN_WORDS, *(word.strip().lower() for word in columns.missing)}
    meta = {
        "columns": columns.columns, "numbers": columns.numbers, "categories": categories, "missing": MISSING,
        "dates": [name for name in columns.columns if kinds.get(name) == "date"],
        "gaps": sorted(gaps), "more": sorted({*gaps, *POSSIBLE_WORDS}),
    }  # fmt: skip
    return steps, meta


def _program(estimator: Any, meta: dict[str, Any]) -> str:
    """The text of the program, put together from its parts; no word of the data is in it."""
    table = "columns" in meta
    data = "features(data)" if table else "data"
    parts = [_filled(_HEAD, version=metadata.version("taylornets"), use=_TABLE_USE if table else _ARRAY_USE)]
    if table:
        dates, categories = _DATES if meta["dates"] else "", _CATEGORIES if meta["categories"] else ""
        parts.append(_filled(_TABLE, dates=dates, categories=categories))
    parts.append(_OUTPUTS)
    if isinstance(estimator, TaylorRegressor):
        parts.append(_filled(_REGRESSION, data=data, column="" if estimator.target_columns_ else "[:, 0]"))
    else:
        link = "softmax" if meta["softmax"] else "separate" if estimator.signs_.shape[1] > 1 else "binary"
        parts.append(_filled(_CLASSES, data=data, link=_LINKS[link]))
    return "".join([*parts, *([_MAIN] if table else [])])


def _filled(template: str, **words: str) -> str:
    """The template with words in the place of their names in braces."""
    for name, word in words.items():
        template = template.replace("{" + name + "}", word)
    return template
