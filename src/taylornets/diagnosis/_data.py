"""Data of a diagnosis, from the factory or a file: training batches and a probe set for evaluation."""

import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from taylornets import _checks
from taylornets._measures import guessed_task
from taylornets.datafiles import LIMITS, Reading, read
from taylornets.diagnosis._user_model import WHERE
from taylornets.training import Batches

_TEST = 0.2  # fraction of test examples if the data come without a split
_FORMS = "(x, y), {'train': (x, y), 'test': (x, y)} or batches (x, y)"
_LEFT_OUT = ("index", "identifier", "text", "empty")  # kinds of columns that say nothing about new rows
_LEAST_SIDE, _GRAY_OR_COLOR = 4, (1, 3)


@dataclass(frozen=True)
class Data:
    """Training batches and probe set of a study.

    Attributes:
        batches: a sequence or an iterable of `(x, y)`.
        x: probe inputs.
        y: probe targets.
        train: number of training examples, or None for batches of a factory.
        image_shape: `(height, width)` or `(height, width, colors)` of an image input.
        classes: class names, if given.
    """

    batches: Any
    x: Any
    y: Any
    train: int | None
    image_shape: tuple[int, ...] | None = None
    classes: tuple[str, ...] = ()


def named(source: str, target: str | None, task: str = "auto") -> dict[str, Any]:
    """Reads the data that the user names: an NPZ file with arrays `x` and `y` of any shape, or a numeric table.

    The columns of a table are standardized (those of the digits, which are images, are divided by the maximum instead).
    `taylornets._measures.guessed_task` infers the task, as in `taylornets fit`.

    Args:
        source: a file, or `sklearn:NAME`.
        target: the target column of a table.
        task: `"auto"`, `"classification"` or `"regression"`.
    """
    if source.lower().endswith(".npz"):
        arrays = _arrays(Path(source))
        if arrays is not None:
            x, y = arrays
            return {"data": (x, _of_task(y, task))}
    table = read(source, Reading(target=target))
    wanted = target if target is not None else table.target
    names = [str(name) for name in table.frame.columns]
    if wanted is None:
        got = f"none; {source} has the columns {', '.join(map(repr, names[:6]))}"
        raise _checks.ArgumentError("target", "the column to predict", got)
    _checks.choice("target", wanted, names)
    left_out = [info.name for info in table.infos if info.kind in _LEFT_OUT and info.name != wanted]
    inputs = table.frame.drop(columns=[wanted, *left_out])
    words = [str(name) for name in inputs.columns if not pd.api.types.is_numeric_dtype(inputs[name])]
    if words:
        raise _checks.ArgumentError("data", "columns of numbers", f"the column {words[0]!r}", "Encode or exclude it.")
    x, y = inputs.to_numpy(np.float64), table.frame[wanted].to_numpy()
    found: dict[str, Any] = {}
    if y.dtype.kind in "OUS":
        if task == "regression":
            raise _checks.ArgumentError("task", "'classification' for a string target", "'regression'")
        names, y = np.unique(y.astype(str), return_inverse=True)
        found["classes"] = tuple(map(str, names))
    else:
        y = _of_task(y, task)
    if source == "sklearn:digits":
        return found | {"data": ((x / np.max(x)).astype(np.float32), y), "image_shape": (8, 8)}
    spread = np.std(x, axis=0)
    return found | {"data": (((x - np.mean(x, axis=0)) / np.where(spread > 0, spread, 1)).astype(np.float32), y)}


def _of_task(y: np.ndarray, task: str) -> np.ndarray:
    """Converts targets to the type of their task: integers for classes, floats for regression."""
    kind = guessed_task(y) if task == "auto" else task
    if kind == "regression":
        return y.astype(np.float32) if y.dtype.kind in "iub" else y
    if y.dtype.kind != "f":
        return y
    if not np.all(y == np.round(y)):
        raise _checks.ArgumentError("task", "'regression' for a non-integer target", "'classification'")
    return y.astype(np.int32)


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Reads the arrays `x` and `y` of an NPZ file; None if it has other names and may be a table."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LIMITS.bytes:
            raise _checks.ArgumentError("data", f"at most {LIMITS.bytes:,} bytes when unpacked", f"{size:,} in {path}")
        with np.load(path, allow_pickle=False) as file:
            if not {"x", "y"} <= set(file.files):
                return None
            return file["x"], file["y"]
    except FileNotFoundError:
        raise _checks.ArgumentError("data", "a file", f"{path}, which does not exist") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, SyntaxError, MemoryError) as error:
        if isinstance(error, _checks.ArgumentError):
            raise
        got = f"{_checks.short(str(path))} ({' '.join(str(error).split())[:120]})"
        raise _checks.ArgumentError("data", "an NPZ file with arrays x and y", got) from None


def settled(given: Any, *, batch_size: int, steps: int, probe: int, seed: int) -> Data:
    """Builds batches and probe set from data in any supported form.

    Args:
        given: `(x, y)`; a dict with `train` and optionally `test`, `image_shape`, `classes`; or batches.
        batch_size: examples per batch.
        steps: number of batches.
        probe: maximum number of probe examples.
        seed: random seed of the split and the batches.

    Raises:
        ArgumentError: for data of any other form, mismatched lengths, or inputs with NaN.
    """
    if given is None:
        raise _checks.ArgumentError(WHERE, f"data, {_FORMS}", "none", "Return data from the factory, or pass `data`.")
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
    """Whether this is a pair of arrays or trees of arrays, rather than two batches."""
    return isinstance(given, tuple) and len(given) == 2 and not isinstance(given[1], tuple | list)


def _pair(given: Any, what: str) -> tuple[Any, Any]:
    """Validates inputs and targets: arrays of equal length without NaN."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise _checks.ArgumentError(WHERE, f"{what} as a pair (x, y)", f"a {type(given).__name__}")
    x, y = (jax.tree.map(_number, part) for part in given)
    lengths: set[int] = set()
    for name, part in (("x", x), ("y", y)):
        leaves = jax.tree.leaves(part)
        if not leaves or any(leaf.ndim == 0 or leaf.dtype.kind not in "biuf" for leaf in leaves):
            got = ", ".join(f"{leaf.dtype} of shape {leaf.shape}" for leaf in leaves) or "nothing"
            raise _checks.ArgumentError(WHERE, f"{name} of {what} as numeric arrays with one example per row", got)
        wrong = sum(int(np.sum(~np.isfinite(leaf))) for leaf in leaves if leaf.dtype.kind == "f")
        if wrong:
            got = f"{wrong} NaN or infinite values in {name}"
            raise _checks.ArgumentError(WHERE, f"finite numbers in {what}", got, "Remove or impute them.")
        lengths |= {len(leaf) for leaf in leaves}
    if len(lengths) != 1 or 0 in lengths:
        got = f"x of {_shapes(x)} and y of {_shapes(y)}"
        raise _checks.ArgumentError(WHERE, f"one target per input in {what}", got)
    return x, y


def _number(leaf: Any) -> np.ndarray:
    return np.asarray(leaf)


def _shapes(part: Any) -> str:
    return ", ".join(str(np.shape(leaf)) for leaf in jax.tree.leaves(part))


def _rows(pair: Any, chosen: np.ndarray) -> tuple[Any, Any]:
    x, y = (jax.tree.map(lambda a: a[chosen], part) for part in pair)
    return x, y


def _batched(given: Any, steps: int, probe: int) -> Data:
    """Uses the batches of the factory; the first one serves as probe set."""
    if not isinstance(given, Iterable):
        raise _checks.ArgumentError(WHERE, f"data, {_FORMS}", f"a {type(given).__name__}")
    batches: list[Any] = []
    for batch in given:  # at most one batch per step, since the factory may return an infinite generator
        batches.append(_pair(batch, f"batch {len(batches)}"))
        if len(batches) == steps:
            break
    if not batches:
        raise _checks.ArgumentError(WHERE, "at least one batch", "none")
    x, y = _rows(batches[0], np.arange(min(probe, len(jax.tree.leaves(batches[0][1])[0]))))
    return Data(batches, x, y, None, image_shape(x))


def image_shape(x: Any) -> tuple[int, ...] | None:
    """Infers the image shape of an input: `(n, H, W)` with `H = W`, or `(n, H, W, C)` or `(n, C, H, W)`, C 1 or 3."""
    shape = np.shape(x) if isinstance(x, np.ndarray | jax.Array) else ()
    sides = shape[1:]
    if len(sides) == 3 and sides[-1] in _GRAY_OR_COLOR and min(sides[:2]) >= _LEAST_SIDE:
        return sides
    if len(sides) == 3 and sides[0] in _GRAY_OR_COLOR and min(sides[1:]) >= _LEAST_SIDE:
        return sides
    return sides if len(sides) == 2 and sides[0] == sides[1] >= _LEAST_SIDE else None


def images(x: Any, shape: tuple[int, ...] | None) -> np.ndarray | None:
    """Converts inputs to gray images, shape `(n, height, width)`; None if they are not images."""
    if shape is None or not isinstance(x, np.ndarray | jax.Array) or np.asarray(x).dtype.kind not in "fiub":
        return None
    array = np.asarray(x, dtype=np.float64)
    if int(np.prod(shape)) != array[0].size:
        got = f"{shape} for inputs of shape {array.shape[1:]}"
        raise _checks.ArgumentError("image_shape", "a shape with as many entries as an input", got)
    array = array.reshape(len(array), *shape)
    if len(shape) == 3:
        array = array.mean(axis=1 if shape[0] in _GRAY_OR_COLOR and shape[-1] not in _GRAY_OR_COLOR else 3)
    return array
