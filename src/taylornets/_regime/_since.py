"""The result of `regime_path`, and the choice of checkpoints by bisection."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taylornets._regime._verdict import NAMES, rounded

LIMIT = 40
_GRID, _EARLY = 8, 6  # points of the even grid, and of the one that is denser at the beginning
_NEIGHBORS = 8  # one of so many checkpoints of the budget is kept for the changes to the next checkpoint


@dataclass(frozen=True)
class RegimePath:
    """Explained fractions from checkpoint to checkpoint.

    Mappings have the orders as keys, and one entry per evaluated checkpoint but the last. An order explains a fraction of the
    squared output change on the probe inputs, as in `Regime.explained`; NaN where the outputs do not change.

    Attributes:
        steps: steps of the evaluated checkpoints, with the end.
        count: number of checkpoints given.
        max_order: the highest order.
        to_end: fraction that orders up to k around each checkpoint explain of the change from there to the end.
        to_next: the same for the change to the next of all checkpoints given; NaN also where that one was not read.
        resummed: as `to_end`, for the resummed orders 4, 6, 8; empty if not requested.
        movement: root mean square over inputs of the norm of the output change from each checkpoint to the end.
        threshold: fraction that an order must explain for the verdict.
        complete: whether the steps of the verdict are exact; otherwise they are those of evaluated checkpoints.
        next_steps: step of the next checkpoint, by evaluated checkpoint; None where it was not read.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> path = {step: jnp.array(w) for step, w in {0: -1.0, 10: 0.0, 20: 2.0}.items()}
        >>> found = tn.regime_path(lambda w, x: x * w**2, path, jnp.ones(2))
        >>> found.since(2), found.since(1), found.to_next[1]
        (0, None, (0.0, 0.0))
    """

    steps: tuple[Any, ...]
    count: int
    max_order: int
    to_end: Mapping[int, tuple[float, ...]]
    to_next: Mapping[int, tuple[float, ...]]
    resummed: Mapping[int, tuple[float, ...]]
    movement: tuple[float, ...]
    threshold: float
    complete: bool = True
    next_steps: tuple[Any | None, ...] = ()

    def since(self, order: int) -> Any | None:
        """The first step from which on the orders up to `order` explain the rest of training; None if there is none."""
        rows = list(zip(*(self.to_end[k] for k in range(1, order + 1)), strict=True))
        first = _first([_level(row, self.threshold) for row in rows], order)
        return None if first is None else self.steps[first]

    @property
    def transitions(self) -> tuple[tuple[Any, Any], ...]:
        """Stretches of training, as pairs of steps, that no order explains from one checkpoint to the next.

        Only changes between checkpoints that follow each other in training count. Of many checkpoints, those changes are a
        sample: the verdict states how many were examined.
        """
        found: list[tuple[Any, Any]] = []
        rows = zip(*(self.to_next[k] for k in range(1, self.max_order + 1)), strict=True)
        for begin, end, row in zip(self.steps, self._nexts, rows, strict=False):
            if _level(row, self.threshold) > self.max_order:
                first = found.pop()[0] if found and found[-1][1] == begin else begin
                found.append((first, end))
        return tuple(found)

    @property
    def _nexts(self) -> tuple[Any | None, ...]:
        return self.next_steps or self.steps[1:]

    @property
    def verdict(self) -> str:
        """Since when which order explains the rest of training, in one sentence."""
        if all(math.isnan(v) for v in self.to_end[1]):
            return "no output change: the outputs of all evaluated checkpoints equal those at the end"
        parts: list[str] = []
        before: Any = None
        for order in range(self.max_order, 0, -1):
            since = self.since(order)
            if since is None or since == before:
                # A lower order that holds from the same step on replaces the higher one.
                if since is not None:
                    parts[-1] = self._since(order, since)
                continue
            parts.append(self._since(order, since))
            before = since
        words = (
            ", ".join(parts)
            or f"the rest of training is explained by no order up to {self.max_order}, from any step on"
        )
        gaps = self.transitions
        if gaps:
            listed = ", ".join(f"{_step(a)}–{_step(b)}" for a, b in gaps[:3]) + (", ..." if len(gaps) > 3 else "")
            kind = "are a transition" if len(gaps) == 1 else "are transitions"
            words += f"; steps {listed} {kind} that no order up to {self.max_order} explains"
        if len(self.steps) < self.count:
            examined = sum(step is not None for step in self._nexts)
            words += f"; {examined} of {self.count - 1} changes from one checkpoint to the next were examined"
        return (
            words if self.complete else f"{words} (steps of evaluated checkpoints, {len(self.steps)} of {self.count})"
        )

    def _since(self, order: int, since: Any) -> str:
        name = NAMES.get(order, f"order {order}")
        return f"{name} from the start" if since == self.steps[0] else f"{name} from step {_step(since)} on"

    @property
    def table(self) -> str:
        """The numbers as text, one line per evaluated checkpoint."""
        orders = range(1, self.max_order + 1)
        head = [
            "step",
            *(f"to the end, {k}" for k in orders),
            *(f"resummed {k}" for k in self.resummed),
            *(f"to the next, {k}" for k in orders),
        ]
        rows = [head]
        for i, step in enumerate(self.steps[:-1]):
            values = [
                *(self.to_end[k][i] for k in orders),
                *(v[i] for v in self.resummed.values()),
                *(self.to_next[k][i] for k in orders),
            ]
            rows.append([_step(step), *(rounded(v, self.threshold) for v in values)])
        widths = [max(len(row[j]) for row in rows) for j in range(len(head))]
        return "\n".join("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows)

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.table}"


def _step(step: Any) -> str:
    """Writes whole numbers with all digits."""
    return str(int(step)) if step == int(step) else f"{step:g}"


def _level(row: Sequence[float], threshold: float) -> float:
    """The smallest order that explains a change; 0 if nothing changes, infinite if no order does."""
    if all(map(math.isnan, row)):
        return 0
    return next((k for k, part in enumerate(row, 1) if part >= threshold), math.inf)


def _first(levels: Sequence[float], order: int) -> int | None:
    """The first position from which on all levels are at most `order`; positions without change alone do not count."""
    last_wrong = max((i for i, level in enumerate(levels) if level > order), default=-1)
    return last_wrong + 1 if any(0 < level <= order for level in levels[last_wrong + 1 :]) else None


def probe(
    to_end: Callable[[int], Mapping[str, Any]], last: int, max_order: int, threshold: float, budget: int
) -> set[int]:  # fmt: skip
    """Chooses checkpoints: all if they are few, else a grid and bisection at the transition of every order.

    Args:
        to_end: evaluates a checkpoint and returns its explained fractions.
        last: index of the end.
        max_order: the highest order.
        threshold: fraction that an order must explain.
        budget: number of checkpoints to read, without the end. A part is left for the neighbors of the chosen ones.
    """
    grid = range(last)
    if last > budget:
        budget -= budget // _NEIGHBORS
        even, early = (max(2, min(most, budget // 4)) for most in (_GRID, _EARLY))
        grid = {int(v) for v in (*np.linspace(0, last - 1, even), *(np.geomspace(1, last, early) - 1))}
    levels = {s: _level(to_end(s)["explained"], threshold) for s in sorted(grid)}
    for order in range(1, max_order + 1) if last > budget else ():
        while len(levels) < budget:
            pair = _bracket(levels, order)
            if pair is None or pair[1] - pair[0] < 2:
                break
            middle = sum(pair) // 2
            levels[middle] = _level(to_end(middle)["explained"], threshold)
    return set(levels)


def followed(at: Sequence[int], last: int, budget: int) -> list[int]:
    """Chooses the evaluated checkpoints from which the change to the next checkpoint is examined.

    These are all whose next checkpoint is evaluated too; as far as the budget allows, others far from those are added.

    Args:
        at: evaluated checkpoints.
        last: index of the end.
        budget: number of checkpoints to read, without the end.
    """
    read = {*at, last}
    found = {s for s in at if s + 1 in read}
    rest = [s for s in at if s not in found]
    while rest and len(read) <= budget:
        best = max(rest, key=lambda s: min((abs(s - other) for other in found), default=last))
        rest.remove(best)
        found.add(best)
        read.add(best + 1)
    return sorted(found)


def _bracket(levels: Mapping[int, float], order: int) -> tuple[int, int] | None:
    """The last evaluated checkpoint that an order does not explain, and the next one; None if there is no transition."""
    at = sorted(levels)
    first = _first([levels[s] for s in at], order)
    return None if not first else (at[first - 1], at[first])


def chosen(at: Sequence[int], explained: Mapping[int, Sequence[float]], max_order: int, threshold: float) -> bool:
    """Whether every transition lies between two neighboring checkpoints."""
    levels = {s: _level(explained[s], threshold) for s in at}
    pairs = [_bracket(levels, order) for order in range(1, max_order + 1)]
    return all(pair is None or pair[1] - pair[0] < 2 for pair in pairs)
