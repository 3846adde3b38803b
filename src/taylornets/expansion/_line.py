"""The straight line in parameter space along which a model is expanded, and the program that runs along it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from taylornets._checks import ArgumentError

_ADVICE = "Build new_params from params, for example by jax.tree.map or an optimizer's update."


@dataclass(frozen=True)
class Line:
    """θ(t) = params + t (new_params − params), for the leaves that may move.

    Attributes:
        f: the model `f(params, *args, **kwargs)`.
        leaves: leaves of `params`.
        paths: where each leaf sits, for messages.
        structure: tree structure of `params`.
        movable: which leaves may move: trainable, and real or complex numbers.
    """

    f: Callable[..., Any]
    leaves: tuple[Any, ...]
    paths: tuple[str, ...]
    structure: Any
    movable: tuple[bool, ...]

    @staticmethod
    def through(f: Any, params: Any, trainable: Any, argument: str = "trainable") -> "Line":
        """The lines through `params`; checks `f`, `params` and `trainable`, which the caller knows as `argument`."""
        if not callable(f):
            raise ArgumentError("f", "a function f(params, *args, **kwargs)", f"a {type(f).__name__}")
        with_paths, structure = jax.tree_util.tree_flatten_with_path(params)
        paths = tuple(jax.tree_util.keystr(path) or "the only leaf" for path, _ in with_paths)
        leaves = tuple(leaf for _, leaf in with_paths)
        mask = _mask(params, trainable, len(leaves), argument)
        movable = tuple(bool(m) and _inexact(leaf) for m, leaf in zip(mask, leaves, strict=True))
        _refuse_nan("params", leaves, paths)
        return Line(f, leaves, paths, structure, movable)

    def moves_to(self, new_params: Any) -> tuple[list[int], list[Any], list[Any]]:
        """Which leaves move, where they start, and by how much.

        A Python number that is the same on both sides stays a constant, so that settings stored beside the weights (a
        dropout rate) can still steer Python's own control flow.
        """
        new_leaves, structure = jax.tree_util.tree_flatten(new_params)
        if structure != self.structure:
            raise ArgumentError(
                "new_params", f"the tree structure of params, {self.structure}", f"{structure}", _ADVICE
            )
        moving = [
            i
            for i, (old, new, movable) in enumerate(zip(self.leaves, new_leaves, self.movable, strict=True))
            if movable and not (isinstance(old, float | complex) and type(old) is type(new) and old == new)
        ]
        starts = [jnp.asarray(self.leaves[i]) for i in moving]
        ends = [self._end(i, start, new_leaves[i]) for i, start in zip(moving, starts, strict=True)]
        _refuse_nan("new_params", [new_leaves[i] for i in moving], [self.paths[i] for i in moving])
        return moving, starts, [end - start for start, end in zip(starts, ends, strict=True)]

    def _end(self, i: int, start: Any, new: Any) -> Any:
        at = f"new_params at {self.paths[i]}"
        if not isinstance(new, jax.Array | np.ndarray | np.generic | float | complex | int):
            raise ArgumentError(at, f"an array of shape {start.shape}", f"a {type(new).__name__}", _ADVICE)
        end = jnp.asarray(new, dtype=start.dtype) if isinstance(new, float | complex | int) else jnp.asarray(new)
        if end.shape != start.shape:
            raise ArgumentError(at, f"shape {start.shape} as in params", f"shape {end.shape}", _ADVICE)
        if end.dtype != start.dtype:
            advice = "Cast one side: nothing is cast silently."
            raise ArgumentError(at, f"dtype {start.dtype} as in params", f"dtype {end.dtype}", advice)
        return end

    def model(
        self, moving: Sequence[int], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[Sequence[Any]], Any]:
        """The model as a function of the moving leaves alone; everything else is closed over as it came."""

        def run(moved: Sequence[Any]) -> Any:
            leaves = list(self.leaves)
            for i, value in zip(moving, moved, strict=True):
                leaves[i] = value
            out = self.f(jax.tree_util.tree_unflatten(self.structure, leaves), *args, **kwargs)
            _check_outputs(out)
            return out

        return run


def _inexact(leaf: Any) -> bool:
    if isinstance(leaf, jax.Array | np.ndarray | np.generic):
        return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))
    return isinstance(leaf, float | complex)


def _mask(params: Any, trainable: Any, count: int, argument: str) -> list[Any]:
    if trainable is None:
        return [True] * count
    try:
        mask = jax.tree_util.tree_leaves(
            jax.tree_util.tree_map(lambda m, sub: jax.tree_util.tree_map(lambda _: m, sub), trainable, params)
        )
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            argument,
            f"a tree of booleans that is a prefix of params, {jax.tree_util.tree_structure(params)}",
            f"{jax.tree_util.tree_structure(trainable)} ({error})",
            "True or False for a whole subtree is enough.",
        ) from None
    for m in mask:
        if not isinstance(m, bool | np.bool_):
            raise ArgumentError(argument, "booleans as leaves", repr(m), "True chooses a leaf, False does not.")
    return mask


def _refuse_nan(argument: str, leaves: Sequence[Any], paths: Sequence[str]) -> None:
    for leaf, path in zip(leaves, paths, strict=True):
        if isinstance(leaf, Tracer) or not _inexact(leaf):
            continue
        with jax.ensure_compile_time_eval():  # the leaf is known, even where an enclosing `jit` is being traced
            count = int(jnp.sum(jnp.isnan(jnp.asarray(leaf))))
        if count:
            raise ArgumentError(
                argument,
                "numbers in every leaf",
                f"{count} NaN of {np.size(leaf)} in the leaf at {path}",
                "Look for the step that made them: an expansion around NaN is NaN at every order.",
            )


def _check_outputs(out: Any) -> None:
    needed = "a model that returns arrays (or a tree of them)"
    leaves = jax.tree_util.tree_flatten_with_path(out)[0]
    if not leaves:
        raise ArgumentError("f", needed, f"{out!r}, which holds none", "Does the function end with a return?")
    for path, leaf in leaves:
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
            where = jax.tree_util.keystr(path) or "its only output"
            raise ArgumentError(
                "f",
                needed,
                f"a {type(leaf).__name__} at {where}",
                "Return the arrays and keep the rest outside of the model.",
            )
