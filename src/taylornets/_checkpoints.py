"""Reads saved parameters with the tree structure of the initialization: safetensors, NPZ, Equinox and Orbax checkpoints.

Orbax and safetensors are optional extras, imported lazily, when a checkpoint of the kind is given; this module is therefore
one of the few with a lazy import.
"""

import importlib
import itertools
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from taylornets import _checks
from taylornets._trees import leaf_name, refuse_other_tree

_ENDINGS = (".safetensors", ".eqx")
ALL = (*_ENDINGS, ".npz")
# What NumPy and zipfile raise for damaged files; NumPy evaluates a header as a literal, after Python's tokenizer.
_UNREADABLE = (
    OSError, ValueError, EOFError, TypeError, KeyError, SyntaxError, OverflowError, MemoryError, RecursionError, RuntimeError,
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip
# Files that Orbax writes into a checkpoint folder, in its current and earlier formats.
_ORBAX = ("_METADATA", "_CHECKPOINT_METADATA", "_sharding", "manifest.ocdbt", "checkpoint")


def series(paths: Iterable[Path], endings: tuple[str, ...] = _ENDINGS) -> list[Path]:
    """Lists the checkpoints of the given paths in order; those of a folder are sorted by the numbers in their names.

    Args:
        paths: checkpoints, or folders of checkpoints.
        endings: those of files.

    Raises:
        ArgumentError: for a path that is missing, or a folder without checkpoints.
    """
    needed = f"files ending in {', '.join(endings[:-1])} or {endings[-1]}, Orbax checkpoints, or folders of them"
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise _checks.ArgumentError("checkpoints", needed, f"{path}, which does not exist")
        if _is_checkpoint(path, endings):
            found.append(path)
            continue
        entries = path.iterdir() if path.is_dir() else ()
        inside = sorted((entry for entry in entries if _is_checkpoint(entry, endings)), key=natural)
        if not inside:
            got = f"the folder {path}, which contains none" if path.is_dir() else str(path)
            raise _checks.ArgumentError("checkpoints", needed, got)
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


def ordered(paths: Sequence[Path]) -> tuple[list[Path], list[int]]:
    """Sorts single checkpoints by the numbers in their names, as in a folder, and returns their steps.

    Names are those of the innermost files or folders that differ. Names with the same words are sorted by all their numbers,
    others by their last number, which is the step; positions are the steps where these numbers do not increase. Names without
    a number keep the order given, which the numbers of the others must not contradict.

    Args:
        paths: the checkpoints, not folders of them.

    Raises:
        ArgumentError: for names whose numbers contradict the order given, if some have none.
    """
    depth = max(1, min(len(path.parts) for path in paths))
    levels = [[path.parts[-i] for path in paths] for i in range(1, depth + 1)]
    names = next((level for level in levels if len(set(level)) == len(level)), levels[0])
    parts = [re.split(r"(\d+)", Path(name).stem) for name in names]
    words, numbers = [tuple(part[::2]) for part in parts], [tuple(map(int, part[1::2])) for part in parts]
    last = [own[-1] for own in numbers if own]
    if len(last) == len(paths) and (len(set(words)) == 1 or len(set(last)) == len(last)):
        key = (lambda i: numbers[i]) if len(set(words)) == 1 else (lambda i: numbers[i][-1:])
        order = sorted(range(len(paths)), key=key)
        last = [numbers[i][-1] for i in order]
        rising = all(a < b for a, b in itertools.pairwise(last)) and last[-1] < 2**53
        return [paths[i] for i in order], last if rising else list(range(len(paths)))
    wrong = next(((a, b) for a, b in itertools.pairwise(last) if b < a), None)
    if wrong is not None:
        raise _checks.ArgumentError(
            "checkpoints", "paths in the order of training, or a number in each of their names",
            f"step {wrong[1]} after {wrong[0]}", "Pass a mapping from steps to paths.",
        )  # fmt: skip
    return list(paths), list(range(len(paths)))


def _is_checkpoint(path: Path, endings: tuple[str, ...]) -> bool:
    return (path.is_file() and path.suffix in endings) or orbax_item(path) is not None


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


def natural(path: Path) -> list[Any]:
    """Sort key that places `step_9` before `step_10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def read(path: Path, start: Any) -> Any:
    """Reads the parameters of a checkpoint into the tree structure of the initialization.

    safetensors and NPZ: arrays stored under the names of the leaves, written as in `taylornets.expansion`: keys and fields
    joined by dots. Equinox: the output of `equinox.tree_serialise_leaves` for a tree with this structure. Orbax: a tree with
    the same names.

    Args:
        path: the checkpoint.
        start: the initial parameters.

    Raises:
        ArgumentError: for a damaged checkpoint, or one whose leaves do not match; the message names the leaf.
    """
    if path.suffix == ".safetensors":
        return _from_names(path, _safetensors(path), start)
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except _UNREADABLE as error:
            raise _damaged(path, error) from None
        return _from_names(path, arrays, start)
    if path.suffix == ".eqx":
        return _from_equinox(path, start)
    return _from_names(path, _orbax(path), start)


def _extra(name: str, package: str, extra: str, kind: str) -> Any:
    """Imports an optional package; raises an error that says how to install it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        expected = f"{package} to be installed, to read {kind} checkpoints"
        advice = f"pip install 'taylornets[{extra}]'"
        raise _checks.ArgumentError("checkpoints", expected, "no installation", advice) from None


def _safetensors(path: Path) -> dict[str, Any]:
    """Reads the tensors of a safetensors file, by name."""
    library = _extra("safetensors.numpy", "safetensors", "sklearn", "safetensors")
    try:
        return library.load_file(path)
    except Exception as error:
        if not isinstance(error, OSError | ValueError) and type(error).__name__ != "SafetensorError":
            raise
        raise _damaged(path, error) from None


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
            except _UNREADABLE as error:
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
    orbax = _extra("orbax.checkpoint", "orbax-checkpoint", "orbax", "Orbax")
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
