"""Reads saved parameters with the tree structure of the initialization: safetensors, Equinox and Orbax checkpoints.

Orbax is an optional extra and slow to import. It is imported lazily, when an Orbax folder is given; this module is therefore
one of the few with a lazy import.
"""

import importlib
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from taylornets import _checks
from taylornets._trees import leaf_name, refuse_other_tree

_ENDINGS = (".safetensors", ".eqx")
_NEEDED = f"files ending in {' or '.join(_ENDINGS)}, Orbax checkpoints, or folders of them"
# Files that Orbax writes into a checkpoint folder, in its current and earlier formats.
_ORBAX = ("_METADATA", "_CHECKPOINT_METADATA", "_sharding", "manifest.ocdbt", "checkpoint")


def series(paths: Iterable[Path]) -> list[Path]:
    """Lists the checkpoints of the given paths in order; those of a folder are sorted by the numbers in their names.

    Args:
        paths: checkpoints, or folders of checkpoints.

    Raises:
        ArgumentError: for a path that is missing, or a folder without checkpoints.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise _checks.ArgumentError("checkpoints", _NEEDED, f"{path}, which does not exist")
        if _is_checkpoint(path):
            found.append(path)
            continue
        inside = sorted(filter(_is_checkpoint, path.iterdir()), key=_natural) if path.is_dir() else []
        if not inside:
            got = f"the folder {path}, which contains none" if path.is_dir() else str(path)
            raise _checks.ArgumentError("checkpoints", _NEEDED, got)
        found += inside
    return found


def steps(paths: Sequence[Path]) -> list[int]:
    """Returns the steps of checkpoints: the last number in each name, if all have one and they increase; else 1, 2, ...

    Args:
        paths: the checkpoints in order.
    """
    numbers = [re.findall(r"\d+", path.stem) for path in paths]
    if all(numbers):
        found = [int(last[-1]) for last in numbers]
        if all(before < after for before, after in itertools.pairwise(found)) and found[-1] < 2**53:
            return found
    return list(range(1, len(paths) + 1))


def _is_checkpoint(path: Path) -> bool:
    return (path.is_file() and path.suffix in _ENDINGS) or orbax_item(path) is not None


def orbax_item(path: Path) -> Path | None:
    """Finds the folder with the arrays: the checkpoint itself, or the item `default` (or the only item) of a manager's step."""
    if not path.is_dir():
        return None
    if (
        any((path / name).exists() for name in _ORBAX if name != "_CHECKPOINT_METADATA")
        and not (path / "default").is_dir()
    ):
        return path
    items = [item for item in path.iterdir() if item.is_dir() and any((item / name).exists() for name in _ORBAX)]
    named = [item for item in items if item.name == "default"] or items
    return named[0] if len(named) == 1 and (path / "_CHECKPOINT_METADATA").exists() else None


def _natural(path: Path) -> list[Any]:
    """Sort key that places `step_9` before `step_10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def read(path: Path, start: Any) -> Any:
    """Reads the parameters of a checkpoint into the tree structure of the initialization.

    safetensors: tensors stored under the names of the leaves, written as in `taylornets.expansion`: keys and fields joined by
    dots. Equinox: the output of `equinox.tree_serialise_leaves` for a tree with this structure. Orbax: a tree with the same
    names.

    Args:
        path: the checkpoint.
        start: the initial parameters.

    Raises:
        ArgumentError: for a damaged checkpoint, or one whose leaves do not match; the message names the leaf.
    """
    if path.suffix == ".safetensors":
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise _damaged(path, error) from None
        return _from_names(path, tensors, start)
    if path.suffix == ".eqx":
        return _from_equinox(path, start)
    return _from_names(path, _orbax(path), start)


def _damaged(path: Path, error: Exception) -> _checks.ArgumentError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    why = f"{type(error).__name__}{': ' + lines[-1][:200] if lines else ''}"
    return _checks.ArgumentError("checkpoints", "a readable checkpoint", f"{path} ({why})")


def _from_names(path: Path, tensors: dict[str, Any], start: Any) -> Any:
    """Replaces the array leaves of the initialization by the tensors of the same names; other leaves are kept."""
    flat, structure = jax.tree_util.tree_flatten_with_path(start)
    names = {leaf_name(key) for key, leaf in flat if isinstance(leaf, jax.Array | np.ndarray)}
    for name in sorted(set(tensors) - names):
        advice = f"The initialization has {', '.join(sorted(names)[:6])}."
        raise _checks.ArgumentError(str(path), "only leaves of the initialization", f"the leaf {name}", advice)
    leaves: list[Any] = []
    for key, leaf in flat:
        name = leaf_name(key)
        if name in names and name not in tensors:
            advice = f"The checkpoint has {', '.join(sorted(tensors)[:6]) or 'no leaves'}."
            raise _checks.ArgumentError(
                str(path), f"the leaf {name} of the initialization", "a checkpoint without it", advice
            )
        leaves.append(tensors.get(name, leaf) if name in names else leaf)
    found = jax.tree_util.tree_unflatten(structure, leaves)
    refuse_other_tree(str(path), start, found, "the initialization")
    return found


def _from_equinox(path: Path, start: Any) -> Any:
    """Reads an Equinox file, which stores leaves in order without names; each leaf is compared before the next is read."""
    flat, structure = jax.tree_util.tree_flatten_with_path(start)
    leaves: list[Any] = []
    with path.open("rb") as file:
        for key, leaf in flat:
            try:
                read_leaf = eqx.default_deserialise_filter_spec(file, leaf)
            except (ValueError, EOFError, OSError) as error:
                lines = str(error).splitlines() or [""]
                got = f"{path}, which cannot be read at this leaf ({type(error).__name__}: {lines[0][:120]})"
                raise _checks.ArgumentError(
                    "checkpoints", f"the leaf {leaf_name(key)} of the initialization", got
                ) from None
            shapes = [
                (np.shape(value), str(getattr(value, "dtype", type(value).__name__))) for value in (leaf, read_leaf)
            ]
            if isinstance(leaf, jax.Array | np.ndarray) and shapes[0] != shapes[1]:
                expected, got = ("{1} of shape {0}".format(*shape) for shape in shapes)
                raise _checks.ArgumentError(f"{path} at {leaf_name(key)}", f"{expected} as in the initialization", got)
            leaves.append(read_leaf)
        if file.read(1):
            raise _checks.ArgumentError(str(path), "only leaves of the initialization", "additional leaves")
    return jax.tree_util.tree_unflatten(structure, leaves)


def _orbax(path: Path) -> dict[str, Any]:
    """Reads the arrays of an Orbax checkpoint, by name."""
    try:
        orbax = importlib.import_module("orbax.checkpoint")
    except ModuleNotFoundError:
        advice = "pip install 'taylornets[orbax]'"
        raise _checks.ArgumentError(
            "checkpoints", "orbax-checkpoint to be installed, to read Orbax checkpoints", "no installation", advice
        ) from None
    item = orbax_item(path)
    assert item is not None
    try:
        with orbax.PyTreeCheckpointer() as reader:
            # Restored as NumPy arrays, since the checkpoint may have been written on other devices.
            shapes = reader.metadata(item.resolve()).item_metadata.tree
            how = jax.tree.map(lambda _: orbax.RestoreArgs(restore_type=np.ndarray), shapes)
            tree = reader.restore(item.resolve(), restore_args=how)
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from None
    # Flax NNX wraps every array: {"kernel": {"value": array}}.
    names = {leaf_name(key): leaf for key, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}
    wrapped = all(name.endswith(".value") for name in names)
    return {name.removesuffix(".value") if wrapped else name: leaf for name, leaf in names.items()}
