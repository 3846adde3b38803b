"""`regime_path`: since when a network has been lazy or quadratic, from its checkpoints."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets import _checkpoints
from taylornets._checks import ArgumentError, gathered, integer, order_of, positive, shown
from taylornets._regime._beyond import summed
from taylornets._regime._orders import measured
from taylornets._regime._programs import Programs, RegimeSettings
from taylornets._regime._since import LIMIT, RegimePath, chosen, followed, probe
from taylornets._regime._summation import ORDERS
from taylornets._trees import Line, refuse_not_finite, refuse_unusable, rows

_UNKNOWN = "a sequence of parameter trees or paths, a mapping from steps to them, or a folder"


def regime_path(
    f: Callable[..., Any],
    checkpoints: Sequence[Any] | Mapping[Any, Any] | str | Path,
    x: Any,
    *,
    like: Any = None,
    max_order: int = 2,
    resum: int | None = None,
    threshold: float = 0.9,
    limit: int = LIMIT,
    batch_size: int | None = None,
    trainable: Any = None,
    custom_vjp: str = "function",
    max_bytes: float | None = None,
) -> "RegimePath":
    """Determines from which checkpoint on a Taylor model of low order explains the rest of training.

    For checkpoints θ_0, …, θ_T, the model of order k around θ_s is evaluated at the end θ_T and at the next checkpoint θ_{s+1}.
    Each of the two needs one series of order `max_order` (or `resum`) and two evaluations of the model. Of more than `limit`
    checkpoints, some are chosen: first on a grid, denser at the beginning, then by bisection at the steps from which on an
    order suffices, assuming that what holds from one checkpoint on holds from all later ones. Changes to the next checkpoint
    are then a sample: the verdict names no transition between checkpoints that do not follow each other, and states the size
    of the sample. Only a few checkpoints are in memory at a time.

    Args:
        f: the model `f(params, x)`; returns one array of shape `(n, ...)`.
        checkpoints: at least two, in the order of training: a sequence, a mapping from steps (ascending numbers), or a folder.
            Each is a parameter tree, a function without arguments that returns one, or the path of a safetensors, NPZ or
            Equinox file or of an Orbax checkpoint, whose arrays have the names of the leaves, such as `layers.0.weight`. The
            paths of a sequence are sorted like those of a folder, by the numbers in their names; the last one is the step.
        x: probe inputs, an array or a tree of arrays of shape `(n, ...)`.
        like: parameters with the structure of the checkpoints; required for paths.
        max_order: the highest order K, at least 1.
        resum: the order, 4, 6 or 8, of a resummation beyond the radius of convergence; by default none.
        threshold: the fraction of the squared output change that an order must explain.
        limit: number of checkpoints to read, at least 4.
        batch_size: probe inputs per batch; all by default.
        trainable: as in `taylor_terms`; frozen leaves stay at the first checkpoint.
        custom_vjp: as in `taylor_terms`.
        max_bytes: as in `taylor_terms`.

    Returns:
        A `RegimePath`. Printing it gives the verdict and a table.

    Raises:
        ArgumentError: for fewer than two checkpoints, a missing one, steps that are not ascending, paths in unclear order or
            without `like`, trees that differ or are not finite (the message names the checkpoint and the leaf), or invalid
            settings.

    Source: theory 14; Fort et al. (2020).

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> path = [jnp.array(w) for w in (0.1, 1.0, 1.9, 2.0)]
        >>> found = tn.regime_path(lambda w, x: x * w**2, path, jnp.ones(2))
        >>> found.verdict
        'quadratic from the start, lazy from step 2 on'
    """
    settings = RegimeSettings(
        order_of("max_order", max_order, 1), threshold, batch_size=batch_size, ntk_inputs=0, resum=resum,
        custom_vjp=custom_vjp, max_bytes=max_bytes,
    )  # fmt: skip
    positive("threshold", threshold)
    integer("limit", limit, 4)
    steps, items = _listed(checkpoints)
    reader = _Reader(f, steps, items, x, like, trainable, settings)
    last = len(items) - 1
    ends: dict[int, dict[str, Any]] = {}
    nexts: dict[int, dict[str, Any]] = {}

    def to_end(s: int) -> dict[str, Any]:
        if s not in ends:
            ends[s] = reader.between(s, last)
        return ends[s]

    if last < limit:  # all are read: while a checkpoint is in memory, the change to the next one is expanded too
        for s in range(last):
            rest = to_end(s)
            nexts[s] = rest if s + 1 == last else reader.between(s, s + 1)
    at = sorted(probe(to_end, last, settings.max_order, threshold, limit - 1))
    for s in followed(at, last, limit - 1):
        if s not in nexts:
            nexts[s] = to_end(s) if s + 1 == last else reader.between(s, s + 1)
    return RegimePath(
        steps=tuple(steps[s] for s in [*at, last]),
        count=len(items),
        max_order=settings.max_order,
        to_end={k: tuple(to_end(s)["explained"][k - 1] for s in at) for k in range(1, settings.max_order + 1)},
        to_next={
            k: tuple(nexts[s]["explained"][k - 1] if s in nexts else math.nan for s in at)
            for k in range(1, settings.max_order + 1)
        },
        resummed={k: tuple(to_end(s)["resummed"].get(k, math.nan) for s in at) for k in ORDERS if resum and k <= resum},
        movement=tuple(to_end(s)["movement"] for s in at),
        threshold=threshold,
        complete=chosen(at, {s: ends[s]["explained"] for s in at}, settings.max_order, threshold),
        next_steps=tuple(steps[s + 1] if s in nexts else None for s in at),
    )


def _listed(checkpoints: Any) -> tuple[list[Any], list[Any]]:
    """Returns steps and checkpoints; the steps of files are the last numbers in their names, if those ascend."""
    if isinstance(checkpoints, str | Path):
        items: list[Any] = list(_checkpoints.series([Path(checkpoints)], _checkpoints.ALL))
        named = [[part for part in _checkpoints.natural(Path(item.stem)) if isinstance(part, int)] for item in items]
        steps: list[Any] = [numbers[-1] if numbers else -1 for numbers in named]
        if any(b <= a for a, b in itertools.pairwise(steps)) or min(steps) < 0:
            steps = list(range(len(items)))
    elif isinstance(checkpoints, Mapping):
        steps, items = list(checkpoints), list(checkpoints.values())
        if any(not isinstance(s, int | float | np.number) for s in steps):
            raise ArgumentError(
                "checkpoints", _UNKNOWN, f"a {type(checkpoints).__name__} with keys {steps[:3]}", "Is it a tree?"
            )
    elif isinstance(checkpoints, Sequence):
        items, steps = list(checkpoints), list(range(len(checkpoints)))
        if items and all(isinstance(item, str | Path) for item in items):
            items, steps = _checkpoints.ordered(list(map(Path, items)))
    else:
        raise ArgumentError("checkpoints", _UNKNOWN, shown(checkpoints))
    if len(items) < 2:
        raise ArgumentError("checkpoints", "at least two", str(len(items)), "For two parameter values use tn.regime.")
    wrong = next(((a, b) for a, b in itertools.pairwise(steps) if not b > a), None)
    if wrong is not None:
        raise ArgumentError("checkpoints", "ascending steps without repetition", f"step {wrong[1]} after {wrong[0]}")
    missing = [step for step, item in zip(steps, items, strict=True) if item is None]
    if missing:
        raise ArgumentError(
            "checkpoints", "a tree or a path for every step", f"None at {missing[0]}", "Leave the step out."
        )
    return steps, items


class _Reader:
    """Reads checkpoints when they are needed, and expands the model around one of them towards another."""

    def __init__(
        self,
        f: Any,
        steps: Sequence[Any],
        items: Sequence[Any],
        x: Any,
        like: Any,
        trainable: Any,
        settings: RegimeSettings,
    ):
        refuse_unusable(f, items[0], (x,))  # before anything is read or called
        self._steps, self._items, self._like, self._settings = steps, items, like, settings
        for step, item in zip(steps, items, strict=True):
            if isinstance(item, str | Path) and not Path(item).exists():
                raise ArgumentError(f"checkpoint {step}", "an existing path", f"{item}, which does not exist")
        if like is None and any(isinstance(item, str | Path) for item in items):
            advice = "Pass the parameters at initialization."
            raise ArgumentError("like", "parameters with the structure of the files", "None", advice)
        first = self._tree(0)
        refuse_unusable(f, first, (x,))
        self._line = Line.through(f, first, trainable)
        if not self._line.moving:
            raise ArgumentError("checkpoints", "at least one trainable leaf, an array of floats", "none")
        self._count = rows("x", x)
        self._programs = Programs(self._line.here(), jax.tree.map(jnp.asarray, gathered(x)), self._count, settings)
        self._held: dict[int, tuple[list[Any], np.ndarray]] = {}

    def between(self, s: int, t: int) -> dict[str, Any]:
        """Explained fractions of all orders around checkpoint `s`, evaluated at checkpoint `t`."""
        (start, first), (end, last) = self._at(s), self._at(t)
        self._held = {i: held for i, held in self._held.items() if i in (s, t, len(self._items) - 1)}
        degree = self._settings.degree
        terms = self._programs.terms(end, degree, start)
        most = self._settings.max_order
        orders = measured(first, terms[: most + 1], last, self._programs.unit, self._settings.threshold)
        more = summed(terms, orders, self._programs.unit, self._settings.resum).resummed if not orders.still else {}
        return {
            "explained": tuple(1 - error**2 for error in orders.error),
            "resummed": more,
            "movement": orders.size / math.sqrt(self._count),
        }

    def _at(self, s: int) -> tuple[list[Any], np.ndarray]:
        """The moving leaves of a checkpoint and its outputs."""
        if s not in self._held:
            name, tree = f"checkpoint {self._steps[s]}", self._tree(s)
            flat = jax.tree_util.tree_leaves(tree)
            self._line.to(tree, name, "the first checkpoint")
            leaves = [jnp.asarray(flat[i]) for i in self._line.moving]
            refuse_not_finite(name, leaves, [self._line.paths[i] for i in self._line.moving])
            self._held[s] = leaves, self._programs.at(leaves, 1.0)
        return self._held[s]

    def _tree(self, s: int) -> Any:
        item = self._items[s]
        if isinstance(item, str | Path):
            return _checkpoints.read(_path(item), self._like)
        # A function is a tree of one leaf, itself; modules that can be called are trees of their arrays.
        is_function = callable(item) and jax.tree_util.tree_leaves(item) == [item]
        return item() if is_function else item


def _path(item: Any) -> Path:
    return _checkpoints.series([Path(item)], _checkpoints.ALL)[0]
