"""Data of a diagnosis, from the factory or a file: batches to train on and a probe set to measure on."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from taylornets import _checks
from taylornets._measures import guessed_task
from taylornets.datafiles import Reading, read
from taylornets.diagnosis._user_model import WHERE
from taylornets.training import Batches

_TEST = 0.2  # of the examples, where the data are not split
_FORMS = "(x, y), {'train': (x, y), 'test': (x, y)} or batches (x, y)"
_LEAST_SIDE, _GRAY_OR_COLOR = 4, (1, 3)


@dataclass(frozen=True)
class Data:
    """What a study trains and measures on.

    Attributes:
        batches: a sequence or an iterable of `(x, y)`.
        x: probe inputs.
        y: probe targets.
        train: number of training examples, or None for batches of a factory.
        image_shape: `(height, width)` or `(height, width, colors)` of an input that is an image.
        classes: names of the classes, where they had names.
    """

    batches: Any
    x: Any
    y: Any
    train: int | None
    image_shape: tuple[int, ...] | None = None
    classes: tuple[str, ...] = ()


def named(source: str, target: str | None, task: str = "auto") -> dict[str, Any]:
    """Data that the user names: an NPZ file with arrays `x` and `y` of any shape, or a table of numbers.

    The columns of a table are standardized (those of the digits, which are images, divided by their largest value). Which
    targets are classes, `taylornets._measures.guessed_task` decides, as for `taylornets fit`.

    Args:
        source: a file, or `sklearn:NAME`.
        target: the column to predict of a table.
        task: `"auto"`, `"classification"` or `"regression"`.
    """
    if source.lower().endswith(".npz"):
        arrays = _arrays(Path(source))
        if arrays is not None:
            x, y = arrays
            return {"data": (x, _of_task(y, task))}
    table = read(source, Reading())
    wanted = target if target is not None else table.target
    names = [str(name) for name in table.frame.columns]
    if wanted is None:
        came = f"none, and {source} has the columns {', '.join(map(repr, names[:6]))}"
        raise _checks.ArgumentError("target", "the column to predict", came)
    _checks.choice("target", wanted, names)
    inputs = table.frame.drop(columns=[wanted])
    words = [str(name) for name in inputs.columns if not pd.api.types.is_numeric_dtype(inputs[name])]
    if words:
        raise _checks.ArgumentError(
            "data", "columns of numbers", f"the column {words[0]!r}", "Encode it, or leave it out."
        )
    x, y = inputs.to_numpy(np.float64), table.frame[wanted].to_numpy()
    found: dict[str, Any] = {}
    if y.dtype.kind in "OUS":
        if task == "regression":
            raise _checks.ArgumentError("task", "'classification' for a target of strings", "'regression'")
        names, y = np.unique(y.astype(str), return_inverse=True)
        found["classes"] = tuple(map(str, names))
    else:
        y = _of_task(y, task)
    if source == "sklearn:digits":
        return found | {"data": ((x / np.max(x)).astype(np.float32), y), "image_shape": (8, 8)}
    spread = np.std(x, axis=0)
    return found | {"data": (((x - np.mean(x, axis=0)) / np.where(spread > 0, spread, 1)).astype(np.float32), y)}


def _of_task(y: np.ndarray, task: str) -> np.ndarray:
    """Targets in the type of their task: integers for classes, floating-point numbers for a regression."""
    kind = guessed_task(y) if task == "auto" else task
    if kind == "regression":
        return y.astype(np.float32) if y.dtype.kind in "iub" else y
    if y.dtype.kind != "f":
        return y
    if not np.all(y == np.round(y)):
        raise _checks.ArgumentError("task", "'regression' for a target of fractions", "'classification'")
    return y.astype(np.int32)


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Arrays `x` and `y` of an NPZ file, or None where it holds other names and may be a table."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if not {"x", "y"} <= set(file.files):
                return None
            return file["x"], file["y"]
    except FileNotFoundError:
        raise _checks.ArgumentError("data", "a file", f"{path}, which does not exist") from None
    except (OSError, ValueError, EOFError, KeyError) as error:
        came = f"{_checks.short(str(path))} ({' '.join(str(error).split())[:120]})"
        raise _checks.ArgumentError("data", "an NPZ file with arrays x and y", came) from None


def settled(given: Any, *, batch_size: int, steps: int, probe: int, seed: int) -> Data:
    """Batches and probe set of data in any of their forms.

    Args:
        given: `(x, y)`; a dict with `train`, and perhaps `test`, `image_shape`, `classes`; or batches.
        batch_size: examples of a batch.
        steps: number of batches.
        probe: examples of the probe set at most.
        seed: of the split and of the batches.

    Raises:
        ArgumentError: for data of no such form, lengths that differ, and inputs with NaN.
    """
    if given is None:
        raise _checks.ArgumentError(
            WHERE, f"data, {_FORMS}", "none", "Return them from the factory, or name them with `data`."
        )
    extra: dict[str, Any] = {}
    test: Any = None
    if isinstance(given, dict):
        unknown = set(given) - {"train", "test", "data", "image_shape", "classes"}
        if unknown or not {"train", "data"} & set(given):
            raise _checks.ArgumentError(
                WHERE, f"data, {_FORMS}", f"a dict of {', '.join(map(repr, given)) or 'nothing'}"
            )
        extra = {"image_shape": given.get("image_shape"), "classes": tuple(given.get("classes", ()))}
        train, test = given.get("train", given.get("data")), given.get("test")
    elif _is_pair(given):
        train = given
    else:
        return _batched(given, steps, probe)
    x, y = _pair(train, "the training data")
    order = np.random.default_rng(seed).permutation(len(jax.tree.leaves(y)[0]))
    if test is None:
        held = max(1, round(_TEST * len(order)))
        if held >= len(order):
            raise _checks.ArgumentError(WHERE, "at least 2 examples", str(len(order)))
        test = _rows((x, y), order[:held])
        x, y = _rows((x, y), order[held:])
    else:
        test = _pair(test, "the test data")
    count = len(jax.tree.leaves(test[1])[0])
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:probe])
    x_probe, y_probe = _rows(test, chosen)
    size = len(jax.tree.leaves(y)[0])
    key = jax.random.key(seed)
    batches = Batches(x, y, batch_size=min(batch_size, size), steps=steps, key=key)
    found = Data(batches, x_probe, y_probe, size, **extra)
    return found if found.image_shape is not None else replace(found, image_shape=image_shape(x_probe))


def _is_pair(given: Any) -> bool:
    """Two arrays, or trees of arrays; a pair of batches holds pairs."""
    return isinstance(given, tuple) and len(given) == 2 and not isinstance(given[1], tuple | list)


def _pair(given: Any, what: str) -> tuple[Any, Any]:
    """Inputs and targets as arrays of equal lengths without NaN."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise _checks.ArgumentError(WHERE, f"{what} as a pair (x, y)", f"a {type(given).__name__}")
    x, y = (jax.tree.map(_number, part) for part in given)
    lengths: set[int] = set()
    for name, part in (("x", x), ("y", y)):
        leaves = jax.tree.leaves(part)
        if not leaves or any(leaf.ndim == 0 or leaf.dtype.kind not in "biuf" for leaf in leaves):
            came = ", ".join(f"{leaf.dtype} of shape {leaf.shape}" for leaf in leaves) or "nothing"
            raise _checks.ArgumentError(WHERE, f"{name} of {what} as arrays of numbers, an example a row", came)
        wrong = sum(int(np.sum(~np.isfinite(leaf))) for leaf in leaves if leaf.dtype.kind == "f")
        if wrong:
            came = f"{wrong} NaN or infinite in {name}"
            raise _checks.ArgumentError(WHERE, f"finite numbers in {what}", came, "Remove or impute them.")
        lengths |= {len(leaf) for leaf in leaves}
    if len(lengths) != 1 or 0 in lengths:
        came = f"x of {_shapes(x)} and y of {_shapes(y)}"
        raise _checks.ArgumentError(WHERE, f"as many targets as inputs in {what}", came)
    return x, y


def _number(leaf: Any) -> np.ndarray:
    return np.asarray(leaf)


def _shapes(part: Any) -> str:
    return ", ".join(str(np.shape(leaf)) for leaf in jax.tree.leaves(part))


def _rows(pair: Any, chosen: np.ndarray) -> tuple[Any, Any]:
    x, y = (jax.tree.map(lambda a: a[chosen], part) for part in pair)
    return x, y


def _batched(given: Any, steps: int, probe: int) -> Data:
    """Batches of the factory; the probe set is the first one."""
    if not isinstance(given, Iterable):
        raise _checks.ArgumentError(WHERE, f"data, {_FORMS}", f"a {type(given).__name__}")
    batches: list[Any] = []
    for batch in given:  # at most as many as there are steps: what a factory gives may have no end
        batches.append(_pair(batch, f"batch {len(batches)}"))
        if len(batches) == steps:
            break
    if not batches:
        raise _checks.ArgumentError(WHERE, "at least one batch", "none")
    x, y = _rows(batches[0], np.arange(min(probe, len(jax.tree.leaves(batches[0][1])[0]))))
    return Data(batches, x, y, None, image_shape(x))


def image_shape(x: Any) -> tuple[int, ...] | None:
    """The shape of one input where it is an image: `(n, H, W)` with `H = W`, or `(n, H, W, C)` or `(n, C, H, W)`, C 1 or 3."""
    shape = np.shape(x) if isinstance(x, np.ndarray | jax.Array) else ()
    sides = shape[1:]
    if len(sides) == 3 and sides[-1] in _GRAY_OR_COLOR and min(sides[:2]) >= _LEAST_SIDE:
        return sides
    if len(sides) == 3 and sides[0] in _GRAY_OR_COLOR and min(sides[1:]) >= _LEAST_SIDE:
        return sides
    return sides if len(sides) == 2 and sides[0] == sides[1] >= _LEAST_SIDE else None


def images(x: Any, shape: tuple[int, ...] | None) -> np.ndarray | None:
    """Inputs as gray images, shape `(n, height, width)`, or None where they are none."""
    if shape is None or not isinstance(x, np.ndarray | jax.Array) or np.asarray(x).dtype.kind not in "fiub":
        return None
    array = np.asarray(x, dtype=np.float64)
    if int(np.prod(shape)) != array[0].size:
        came = f"{shape} for inputs of shape {array.shape[1:]}"
        raise _checks.ArgumentError("image_shape", "a shape with as many numbers as an input", came)
    array = array.reshape(len(array), *shape)
    if len(shape) == 3:
        array = array.mean(axis=1 if shape[0] in _GRAY_OR_COLOR and shape[-1] not in _GRAY_OR_COLOR else 3)
    return array
