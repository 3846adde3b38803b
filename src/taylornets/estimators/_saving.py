"""Saved models: one safetensors file with a JSON header; loading executes no code.

An object of a known class is written as its class name and attributes; numeric arrays become tensors. The known classes are
the four estimators, their certificates, and the scikit-learn transformers for tables. Loading creates an object of the known
class and restores its attributes, without pickle and without any class that is not in the table below.

The header holds the format version, the versions of taylornets and scikit-learn, and a SHA-256 checksum of everything else, so
that truncated, modified and foreign files are rejected.
"""

import hashlib
import json
import struct
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as pack
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted

from taylornets import _checks, _files
from taylornets.certificates import Certificate
from taylornets.estimators._classifier import TaylorClassifier
from taylornets.estimators._ntk_estimators import NTKClassifier, NTKRegressor
from taylornets.estimators._regressor import TaylorRegressor
from taylornets.generalization import HoldOut, RiskCertificate
from taylornets.records.codec import CodecRule, decode, encode

FORMAT = 1
_OURS = (TaylorRegressor, TaylorClassifier, NTKRegressor, NTKClassifier)
_TRANSFORMERS = (
    ColumnTransformer, FeatureUnion, MinMaxScaler, MissingIndicator, OneHotEncoder, OrdinalEncoder, Pipeline,
    SimpleImputer, StandardScaler,
)  # fmt: skip
_CERTIFICATES = (Certificate, HoldOut, RiskCertificate)
_CLASSES: dict[str, type] = {kind.__name__: kind for kind in (*_OURS, *_TRANSFORMERS, *_CERTIFICATES)}
_SKLEARN = {kind.__name__ for kind in _TRANSFORMERS}
_NEEDED = "a model file written by taylornets.save"
_KEY = "taylornets model"
_LARGEST_HEADER = 100_000_000
_LARGEST_FILE = 2**32
_LARGEST_ARRAY = 2**27  # entries of an array of strings


def save(estimator: Any, path: str | Path) -> Path:
    """Writes a fitted estimator to one file, without pickle.

    Args:
        estimator: a fitted `TaylorRegressor`, `TaylorClassifier`, `NTKRegressor` or `NTKClassifier`, or a scikit-learn
            `Pipeline` of transformers for tables that ends in one.
        path: the file, written atomically.

    Returns:
        The path.

    Raises:
        ArgumentError: for objects that cannot be saved; the message names the attribute.
        NotFittedError: for an unfitted estimator.
        OSError: if the file cannot be written.

    Example:
        >>> import tempfile, numpy as np, taylornets as tn
        >>> x = np.linspace(-1, 1, 20)[:, None]
        >>> model = tn.NTKRegressor().fit(x, x[:, 0] ** 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     again = tn.load(tn.save(model, f"{folder}/parabola.safetensors"))
        >>> bool(np.all(again.predict(x) == model.predict(x)))
        True
    """
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) and estimator.steps else estimator
    if not isinstance(last, _OURS):
        names = ", ".join(kind.__name__ for kind in _OURS)
        raise _checks.ArgumentError("estimator", f"one of {names}, or a Pipeline that ends in one", type(last).__name__)
    check_is_fitted(estimator)
    tensors: dict[str, np.ndarray] = {}
    header = {
        "format": FORMAT,
        "taylornets": metadata.version("taylornets"),
        "scikit-learn": sklearn.__version__,
        "state": encode(estimator, _rules(tensors), "estimator"),
    }
    header["sha256"] = _checksum(header, tensors)
    path = Path(path)
    # A single entry: the order of several is not fixed, and equal models must give equal bytes.
    _files.write_bytes(path, pack(tensors, {_KEY: json.dumps(header, allow_nan=False, ensure_ascii=False)}))
    return path


def load(path: str | Path) -> Any:
    """Loads a model file written by `save`.

    Args:
        path: the file.

    Returns:
        The estimator; its predictions are those of the saved one, bit for bit on the same machine.

    Raises:
        ArgumentError: for a file not written by `save`, a damaged file, a file written by a later version, or a model whose
            table preprocessing belongs to another version of scikit-learn.
        OSError: if the file cannot be read.

    Example:
        >>> import tempfile, numpy as np, taylornets as tn
        >>> x = np.linspace(-1, 1, 8)[:, None]
        >>> model = tn.NTKRegressor().fit(x, x[:, 0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = tn.save(model, f"{folder}/model.safetensors")
        ...     again = tn.load(path)
        >>> bool((again.predict(x) == model.predict(x)).all())
        True
    """
    size = Path(path).stat().st_size
    if size > _LARGEST_FILE:
        raise _checks.ArgumentError("path", f"a model file of at most {_LARGEST_FILE:,} bytes", f"{size:,} in {path}")
    data = Path(path).read_bytes()
    header = _header(path, data)
    if header["format"] > FORMAT:
        came = f"{path} of format {header['format']}, written by taylornets {header.get('taylornets')}"
        raise _checks.ArgumentError("path", f"a model of format {FORMAT} or earlier", came, "Update taylornets.")
    try:
        tensors = parse(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _damaged(path, str(error)) from None
    stated, state = header.pop("sha256", ""), header["state"]
    try:
        changed = stated != _checksum(header, tensors)
        names = _names(state)
    except RecursionError:
        raise _damaged(path, "its header is nested too deeply") from None
    if changed:
        raise _damaged(path, "the checksum differs")
    if header["scikit-learn"] != sklearn.__version__ and _SKLEARN & names:
        came = f"{path}, whose table preprocessing was saved with scikit-learn {header['scikit-learn']}"
        raise _checks.ArgumentError(
            "path",
            f"a model saved with scikit-learn {sklearn.__version__}",
            came,
            "Install that version, or refit the model.",
        )
    try:
        return decode(state, _rules(tensors))
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        RecursionError,
        OverflowError,
        MemoryError,
    ) as error:
        if isinstance(error, _checks.ArgumentError):
            raise _damaged(path, error.got) from None
        raise _damaged(path, _checks.short(f"{type(error).__name__.removesuffix('Error')} {error}".strip())) from None


def _damaged(path: str | Path, why: str) -> _checks.ArgumentError:
    return _checks.ArgumentError("path", _NEEDED, f"{path}, which is damaged ({why})", "Save the model again.")


def _header(path: str | Path, data: bytes) -> dict[str, Any]:
    """Returns the taylornets entry of the metadata; rejects foreign files before reading further."""
    if len(data) < 8:
        raise _checks.ArgumentError("path", _NEEDED, f"{path} of {len(data)} bytes")
    (length,) = struct.unpack("<Q", data[:8])
    try:
        if length > min(len(data) - 8, _LARGEST_HEADER):
            raise ValueError
        found = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        if not isinstance(found["format"], int) or not isinstance(found["scikit-learn"], str) or "state" not in found:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        if f'"{_KEY}":'.encode() in data[:4096]:
            raise _damaged(path, "its header cannot be read") from None
        raise _checks.ArgumentError("path", _NEEDED, f"{path}, which is not a model file") from None
    return found


def _checksum(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def _names(state: Any) -> set[str]:
    """Returns the classes that occur in a state."""
    if isinstance(state, dict):
        own = {state["$class"]} if "$class" in state else set[str]()
        return own.union(*map(_names, state.values()))
    return set[str]().union(*map(_names, state)) if isinstance(state, list) else set()


def _rules(tensors: dict[str, np.ndarray]) -> tuple[CodecRule, ...]:
    """Encodes the parts of a model; numeric arrays are added to `tensors` under the names of their attributes."""
    numbers = partial(_encode_numbers, tensors)
    return (
        CodecRule("$items", _holds_objects, _encode_items, _decode_items),
        CodecRule(
            "$array", lambda value: isinstance(value, np.ndarray | np.generic), numbers, partial(_numbers, tensors)
        ),
        CodecRule(
            "$tuple",
            lambda value: isinstance(value, tuple),
            lambda value, name, inner: {"$tuple": [inner(item, f"{name}.{i}") for i, item in enumerate(value)]},
            lambda written, inner: tuple(inner(written["$tuple"])),
        ),
        CodecRule(
            "$slice",
            lambda value: isinstance(value, slice),
            lambda value, name, inner: {"$slice": inner([value.start, value.stop, value.step], name)},
            lambda written, inner: slice(*inner(written["$slice"])),
        ),
        CodecRule(
            "$dtype",
            lambda value: isinstance(value, np.dtype),
            lambda value, *_: {"$dtype": value.str},
            lambda written, _: np.dtype(written["$dtype"]),
        ),
        CodecRule(
            "$scalar_type",
            lambda value: isinstance(value, type) and issubclass(value, np.generic),
            lambda value, *_: {"$scalar_type": np.dtype(value).str},
            lambda written, _: np.dtype(written["$scalar_type"]).type,
        ),
        CodecRule(
            "$dict",
            lambda value: isinstance(value, dict),
            lambda value, name, inner: {
                "$dict": [[inner(key, name), inner(item, f"{name}.{key}")] for key, item in value.items()]
            },
            lambda written, inner: dict(inner(written["$dict"])),
        ),
        CodecRule("$class", lambda value: _CLASSES.get(type(value).__name__) is type(value), _encode_object, _restored),
    )


def _holds_objects(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "OU"


def _encode_items(value: Any, name: str, inner: Callable[[Any, str], Any]) -> dict[str, Any]:
    array = np.asarray(value)
    items = [inner(item.item() if isinstance(item, np.generic) else item, name) for item in array.ravel()]
    return {"$items": items, "dtype": array.dtype.str, "shape": list(array.shape)}


def _decode_items(written: dict[str, Any], inner: Callable[[Any], Any]) -> np.ndarray:
    kind = np.dtype(written["dtype"])
    if kind.kind not in "OU" or len(written["$items"]) * max(kind.itemsize, 8) > 8 * _LARGEST_ARRAY:
        raise ValueError(f"an array of {len(written['$items'])} items of type {kind}")
    found = np.empty(len(written["$items"]), kind)
    for i, item in enumerate(written["$items"]):
        found[i] = inner(item)
    return found.reshape(written["shape"])


def _encode_numbers(tensors: dict[str, np.ndarray], value: Any, name: str, _: Any) -> dict[str, Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise _checks.ArgumentError(name, "arrays of numbers or strings", f"dtype {array.dtype}")
    tensors[name] = np.ascontiguousarray(array)
    return {"$array": name, "shape": list(array.shape), "scalar": isinstance(value, np.generic)}


def _numbers(tensors: dict[str, np.ndarray], written: dict[str, Any], _: Any) -> Any:
    found = tensors[written["$array"]].reshape(written["shape"])
    return found[()] if written["scalar"] else found.copy()


def _encode_object(value: Any, name: str, inner: Callable[[Any, str], Any]) -> dict[str, Any]:
    state = {key: inner(item, f"{name}.{key}") for key, item in vars(value).items()}
    return {"$class": type(value).__name__, "attributes": state}


def _restored(written: dict[str, Any], inner: Callable[[Any], Any]) -> Any:
    made = object.__new__(_CLASSES[written["$class"]])
    for key, item in written["attributes"].items():
        object.__setattr__(made, key, inner(item))  # certificates are frozen
    return made
