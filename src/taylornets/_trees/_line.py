"""The straight line in parameter space along which a model is expanded, and the model restricted to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from taylornets._checks import ArgumentError, automatic, choice, shown, together
from taylornets._trees._function import inputs_by_name, refuse_unusable, run
from taylornets._trees._leaves import leaf_name, listed, moves, refuse_other_leaf, refuse_other_tree, same

FIXED = ("start", "end")


@dataclass(frozen=True)
class Line:
    """The line θ(t) = params + t (new_params − params), for the leaves that may move.

    Attributes:
        f: the model `f(params, *args, **kwargs)`.
        leaves: leaves of `params`.
        paths: path of each leaf, for messages.
        structure: tree structure of `params`.
        trainable: for each leaf, whether the caller allows it to move.
        fixed: the end that provides the value of a fixed leaf that differs: `"start"`, `"end"`, or `None` to raise.
    """

    f: Callable[..., Any]
    leaves: tuple[Any, ...]
    paths: tuple[str, ...]
    structure: Any
    trainable: tuple[bool, ...]
    fixed: str | None = None

    @staticmethod
    def through(f: Any, params: Any, trainable: Any, argument: str = "trainable", fixed: str | None = None) -> "Line":
        """Validates `f`, `params`, `fixed` and `trainable` (reported as `argument`) and returns the line through `params`."""
        refuse_unusable(f, params)
        if fixed is not None:
            choice("fixed", fixed, FIXED)
        with_paths, structure = jax.tree_util.tree_flatten_with_path(params)
        paths = tuple(leaf_name(path) for path, _ in with_paths)
        leaves = tuple(automatic(leaf) for _, leaf in with_paths)
        _refuse_nan("params", leaves, paths)
        return Line(f, leaves, paths, structure, _mask(params, trainable, len(leaves), argument), fixed)

    @property
    def movable(self) -> tuple[bool, ...]:
        """For each leaf, whether it moves: trainable arrays of floating or complex dtype do."""
        return tuple(m and moves(leaf) for m, leaf in zip(self.trainable, self.leaves, strict=True))

    @property
    def mask(self) -> Any:
        """`movable` as a tree of booleans with the structure of the parameters."""
        return jax.tree_util.tree_unflatten(self.structure, self.movable)

    @property
    def moving(self) -> tuple[int, ...]:
        """Positions of the leaves that move."""
        return tuple(i for i, movable in enumerate(self.movable) if movable)

    @property
    def start(self) -> list[Any]:
        """The moving leaves of `params`."""
        return [jnp.asarray(self.leaves[i]) for i in self.moving]

    def with_moved(self, moved: Sequence[Any], leaves: Sequence[Any] | None = None) -> Any:
        """Returns the parameters with new values for the moving leaves.

        Args:
            moved: values of the moving leaves.
            leaves: all leaves, whose moving ones are replaced; by default those of `params`.
        """
        full = list(self.leaves if leaves is None else leaves)
        for i, value in zip(self.moving, moved, strict=True):
            full[i] = value
        return jax.tree_util.tree_unflatten(self.structure, full)

    def differing(self, new_leaves: Sequence[Any]) -> tuple[list[str], list[str]]:
        """Returns the paths of fixed leaves that differ at the other end: frozen by `trainable`, and unable to move."""
        frozen: list[str] = []
        settings: list[str] = []
        for path, old, new, trainable in zip(self.paths, self.leaves, new_leaves, self.trainable, strict=True):
            if not (trainable and moves(old)) and not same(old, new):
                (settings if trainable else frozen).append(path)
        return frozen, settings

    def to(self, new_params: Any, argument: str = "new_params", reference: str = "params") -> "Segment":
        """Returns the segment to other parameters; raises if the trees do not match or a fixed leaf differs."""
        new_leaves, structure = jax.tree_util.tree_flatten(new_params)
        if structure != self.structure:
            old = jax.tree_util.tree_unflatten(self.structure, self.leaves)
            refuse_other_tree(argument, old, new_params, reference)
            raise ArgumentError(argument, f"the tree structure of {reference}", "another one with the same leaves")
        _, settings = self.differing(new_leaves)
        if settings and self.fixed is None:
            raise ArgumentError(
                argument,
                f"non-moving leaves to equal those of {reference} (only arrays of floating or complex dtype move)",
                f"a different value at {listed(settings)}",
                f'Pass fixed="start" to keep the value of {reference}, fixed="end" to use that of {argument} at both ends, '
                "or store the leaf as a floating-point array to let it move.",
            )
        ends = [self._end(i, new_leaves[i], argument, reference) for i in self.moving]
        _refuse_nan(argument, ends, [self.paths[i] for i in self.moving])
        start = self.start
        together({reference: start, argument: ends})
        still = tuple(new_leaves) if self.fixed == "end" else self.leaves
        return Segment(self, still, start, [end - begin for begin, end in zip(start, ends, strict=True)])

    def here(self) -> "Segment":
        """Returns the segment of length zero, for quantities that depend on `params` alone."""
        start = self.start
        return Segment(self, self.leaves, start, start)

    def _end(self, i: int, new: Any, argument: str, reference: str) -> Any:
        start, at = jnp.asarray(self.leaves[i]), f"{argument} at {self.paths[i]}"
        if not isinstance(new, jax.Array | np.ndarray | np.generic | float | complex | int):
            raise ArgumentError(at, f"an array of shape {start.shape}", f"a {type(new).__name__}")
        refuse_other_leaf(at, start, new, reference)
        return jnp.asarray(new, dtype=start.dtype)


@dataclass(frozen=True)
class Segment:
    """The segment from `params` to other parameters.

    Attributes:
        line: the line that contains the segment.
        still: all leaves; the values of the fixed ones apply at both ends, the moving ones are replaced.
        start: the moving leaves at the initial parameters.
        move: their displacements.
    """

    line: Line
    still: tuple[Any, ...]
    start: list[Any]
    move: list[Any]

    def model(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Callable[[Sequence[Any]], Any]:
        """Returns the model as a function of the moving leaves alone; everything else is closed over unchanged."""
        together({"params": self.still, "new_params": self.move} | inputs_by_name(self.line.f, args, kwargs or {}))

        def along(moved: Sequence[Any]) -> Any:
            return run(self.line.f, self.line.with_moved(moved, self.still), args, kwargs or {})

        return along


def _mask(params: Any, trainable: Any, count: int, argument: str) -> tuple[bool, ...]:
    if trainable is None:
        return (True,) * count
    try:
        mask = jax.tree_util.tree_leaves(
            jax.tree_util.tree_map(lambda m, sub: jax.tree_util.tree_map(lambda _: m, sub), trainable, params)
        )
    except (ValueError, TypeError):
        raise ArgumentError(
            argument,
            "a tree of booleans that is a prefix of params",
            f"a tree of {jax.tree_util.tree_structure(trainable).num_leaves} leaves with other containers or keys",
            "A single True or False applies to a whole subtree.",
        ) from None
    for m in mask:
        if not isinstance(m, bool | np.bool_):
            raise ArgumentError(argument, "booleans as leaves", shown(m), "True selects a leaf, False freezes it.")
    return tuple(map(bool, mask))


def _refuse_nan(argument: str, leaves: Sequence[Any], paths: Sequence[str]) -> None:
    for leaf, path in zip(leaves, paths, strict=True):
        if isinstance(leaf, Tracer) or not moves(leaf):
            continue
        with jax.ensure_compile_time_eval():  # the leaf is concrete, even inside an enclosing `jit`
            count = int(jnp.sum(jnp.isnan(jnp.asarray(leaf))))
        if count:
            raise ArgumentError(
                argument,
                "no NaN in any leaf",
                f"{count} NaN of {np.size(leaf)} in the leaf at {path}",
                "Find the step that produced them: an expansion around NaN is NaN at every order.",
            )
