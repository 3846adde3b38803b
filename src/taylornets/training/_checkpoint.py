"""The checkpoint file from which a run resumes bit for bit: states, history, and the identity of the run."""

import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from taylornets import _checks, _files
from taylornets._trees import is_array, leaf_name
from taylornets.training._lockstep import LockstepProblem, State
from taylornets.training._result import FULL, History, Name

_FORMAT = "taylornets.training/1"
_NEEDED = "a checkpoint of this run"


def identity(study: LockstepProblem, batch: Any, probe: Any, states: Any) -> dict[str, str]:
    """Returns the values that a checkpoint and the resuming run must share, by name."""
    key = study.settings.key
    found = {"models": ", ".join(map(str, study.names)), "key": "none" if key is None else _digest(_plain(key))}
    for path, leaf in jax.tree_util.tree_flatten_with_path(study.start)[0]:
        found[f"initial parameters at {leaf_name(path)}"] = _digest(_plain(leaf)) if is_array(leaf) else _setting(leaf)
    for name, data in (("first batch", batch), ("probe set", probe)):
        digests = "".join(_digest(_plain(leaf)) for leaf in jax.tree.leaves(data))
        found[name] = hashlib.sha256(digests.encode()).hexdigest()
    # Shapes and dtypes of all leaves, including those of the optimizer state.
    shapes = [
        (leaf_name(p), leaf.shape, str(leaf.dtype)) for p, leaf in jax.tree_util.tree_flatten_with_path(states)[0]
    ]
    found["optimizer"] = hashlib.sha256(repr(shapes).encode()).hexdigest()
    return found


def _setting(leaf: Any) -> str:
    """Returns a process-independent string for a non-array leaf: numbers and strings by value, other objects by type."""
    plain = isinstance(leaf, bool | int | float | complex | str | bytes | np.generic)
    return f"{type(leaf).__name__} {leaf!r}" if plain else type(leaf).__name__


def _digest(leaf: Any) -> str:
    array = np.asarray(leaf)
    return hashlib.sha256(f"{array.shape} {array.dtype} ".encode() + np.ascontiguousarray(array).tobytes()).hexdigest()


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and bool(jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _plain(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def save(path: Path, same: Mapping[str, str], step: int, states: Mapping[Name, State], history: History) -> None:
    """Writes the checkpoint atomically."""
    # A plain list: model names are integers and strings, and JAX cannot sort dictionaries with keys of two types.
    tree = jax.tree.map(_plain, list(states.values()))
    # The dtypes of an optimizer state can change in the first step (a float16 sum combined with float32 values).
    types = [str(leaf.dtype) for leaf in jax.tree.leaves(tree)]
    written = dataclasses.asdict(history)
    head = {"format": _FORMAT, "step": step, "same": dict(same), "types": types, "history": written}
    buffer = io.BytesIO()
    buffer.write(json.dumps(head).encode() + b"\n")
    eqx.tree_serialise_leaves(buffer, tree)
    _files.write_bytes(path, buffer.getvalue())


def load(path: Path, same: Mapping[str, str], states: Mapping[Name, State]) -> tuple[int, dict[Name, State], History]:
    """Reads the step, the states and the history of a checkpoint.

    Args:
        path: path of the file.
        same: `identity` of the run.
        states: initial states of the run, for their structure.

    Raises:
        ArgumentError: for a file that is not a checkpoint, is damaged, or belongs to another run.
    """
    buffer = io.BytesIO(path.read_bytes())
    try:
        head = json.loads(buffer.readline())
        known = head["format"] == _FORMAT and isinstance(head["same"], dict)
    except (ValueError, KeyError, TypeError):
        known = False
        head = {}
    if not known:
        raise _checks.ArgumentError(
            "checkpointing", _NEEDED, f"{path}, which is not a checkpoint", "Choose another file."
        )
    for name, value in same.items():
        if head["same"].get(name) != value:
            advice = "Restart with resume=False, or choose another file."
            raise _checks.ArgumentError("checkpointing", _NEEDED, f"{path}, which differs in the {name}", advice)
    like = list(states.values())
    leaves, structure = jax.tree.flatten(jax.tree.map(_plain, like))
    try:
        kept = [jax.ShapeDtypeStruct(leaf.shape, kind) for leaf, kind in zip(leaves, head["types"], strict=True)]
        read = eqx.tree_deserialise_leaves(buffer, jax.tree.unflatten(structure, kept))
    except (KeyError, TypeError, ValueError, EOFError, RuntimeError, OSError) as error:
        came = f"{path}, which is damaged ({type(error).__name__})"
        raise _checks.ArgumentError("checkpointing", _NEEDED, came, "Restart with resume=False.") from None
    back = jax.tree.map(
        lambda old, new: jax.random.wrap_key_data(new, impl=jax.random.key_impl(old)) if _is_key(old) else new,
        like,
        read,
    )
    return head["step"], dict(zip(states, back, strict=True)), _history(head["history"])


def _history(written: dict[str, Any]) -> History:
    """Converts orders, which are strings in JSON, back to integers."""

    def named(value: Any, depth: int) -> Any:
        if not isinstance(value, dict) or not depth:
            return value
        return {(name if name == FULL else int(name)): item for name, item in value.items()}

    return History(**{kind: named(value, 1) for kind, value in written.items()})
