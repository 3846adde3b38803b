"""`regime`: the orders of the Taylor series in the movement of a network from a start to an end."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from taylornets import _checks
from taylornets._regime._result import Regime
from taylornets.expansion import taylor_terms
from taylornets._measures import TASKS, classes, one_minus_cosine
from taylornets._trees import Line, leaf_name, refuse_not_finite, refuse_other_tree, refuse_outputs, rows
from taylornets.kernels import model_ntk

_LIMIT = 4.0  # parts of the displacement up to which radii are looked for,
_STEPS_PER_OCTAVE = 4  # on a geometric grid,
_OCTAVES = 10  # down to 1/256
_ROUNDING = 4.0  # a distance of outputs below this many units in the last place of their norm is rounding


def regime(
    f: Callable[..., Any],
    params0: Any,
    params1: Any,
    x: Any,
    *,
    max_order: int = 4,
    threshold: float = 0.9,
    tolerance: float = 0.1,
    task: str = "auto",
    ntk_inputs: int = 8,
    batch_size: int | None = None,
    trainable: Any = None,
    mode: str = "auto",
) -> Any:
    """Says which order of a network's Taylor series around `params0` explains its movement to `params1`.

    Args:
        f: the model `f(params, x)`; returns one array of shape `(n, ...)`, logits or predictions.
        params0: the start θ0, a pytree.
        params1: the end θ1, a tree like it; or a list of such trees (checkpoints).
        x: probe inputs, `(n, ...)` on the first axis, an array or a tree of arrays.
        max_order: the highest order K ≥ 1.
        threshold: the part of the movement's square, between 0 and 1, that an order must explain for the verdict.
        tolerance: relative error that bounds the radius of an order.
        task: "classification" (predicted classes are compared), "regression", or "auto": classes where there are several
            outputs, the sign where there is one.
        ntk_inputs: first probe inputs for the drift of the kernel; 0 for none.
        batch_size: probe inputs at the same time; all by default.
        trainable: as in `taylor_terms`.
        mode: as in `taylor_terms`.

    Returns:
        A `Regime`; a list of them for a list of ends. Printing one gives the verdict and a table.

    Raises:
        ArgumentError: for trees that differ or hold NaN (it names the leaf), outputs that are not one array with an example
            a row, arguments out of range.

    Source: theory 10.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> found = tn.regime(lambda w, x: (x @ w) ** 2, jnp.ones((2, 1)), 1.5 * jnp.ones((2, 1)), jnp.eye(2), max_order=2)
        >>> [round(part, 6) for part in found.share]  # (1 + t/2)² = 1 + t + t²/4: 1 and 1/4 of 5/4
        [0.8, 0.2]
        >>> found.verdict
        'lazy: order 1 explains 96 % of the movement'
    """
    meter = Meter(
        f, params0, x, max_order=max_order, threshold=threshold, tolerance=tolerance, task=task, ntk_inputs=ntk_inputs,
        batch_size=batch_size, trainable=trainable, mode=mode,
    )  # fmt: skip
    # A list of trees is a list of checkpoints, unless the parameters are such a list themselves.
    whole = jax.tree.structure(params0)
    if isinstance(params1, list | tuple) and params1 and jax.tree.structure(params1) != whole:
        arrays = any(isinstance(end, jax.Array | np.ndarray) for end in params1)
        if not arrays or jax.tree.structure(params1[0]) == whole:
            return [meter(end, f"params1[{i}]") for i, end in enumerate(params1)]
    return meter(params1)


class Meter:
    """What `regime` does for one end, prepared for any number of them: the start, the probe inputs, compiled programs.

    Args:
        f: as in `regime`, and so are the others.
        params0: the start.
        x: probe inputs.
        max_order: the highest order.
        threshold: for the verdict.
        tolerance: for the radius.
        task: what predictions are.
        ntk_inputs: for the drift of the kernel.
        batch_size: probe inputs at the same time.
        trainable: leaves that may move.
        mode: of `taylor_terms`.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        params0: Any,
        x: Any,
        *,
        max_order: int = 4,
        threshold: float = 0.9,
        tolerance: float = 0.1,
        task: str = "auto",
        ntk_inputs: int = 8,
        batch_size: int | None = None,
        trainable: Any = None,
        mode: str = "auto",
    ):
        self._order = _checks.integer("max_order", max_order, 1)
        for name, value in (("threshold", threshold), ("tolerance", tolerance)):
            _checks.positive(name, value)
            if value >= 1:
                raise _checks.ArgumentError(name, "a number between 0 and 1", str(value))
        _checks.choice("task", task, TASKS)
        _checks.integer("ntk_inputs", ntk_inputs, 0)
        self._threshold, self._tolerance = float(threshold), float(tolerance)
        _refuse_not_finite("params0", params0)
        line = Line.through(f, params0, trainable)
        self._start = params0
        self._mask = line.mask
        if not any(jax.tree.leaves(self._mask)):
            raise _checks.ArgumentError(
                "params0", "a leaf that may move, an array of floats", "none", "Is trainable all False?"
            )
        self._moving, fixed = eqx.partition(params0, self._mask)
        count = rows("x", x)
        size = count if batch_size is None else _checks.integer("batch_size", batch_size, 1)
        x = jax.tree.map(jnp.asarray, x)
        self._chunks = [jax.tree.map(lambda a, i=i: a[i : i + size], x) for i in range(0, count, size)]

        def model(params: Any, x: Any) -> Any:
            return f(eqx.combine(params, fixed), x)

        outputs = jax.eval_shape(model, self._moving, x)
        refuse_outputs("f", outputs, count)
        several = outputs.ndim > 1 and outputs.shape[-1] > 1
        self._classes = task == "classification" or (task == "auto" and (several or outputs.size == count))

        # The start is an argument of every program: as a constant it would be compiled into each one.
        def terms(start: Any, end: Any, x: Any) -> Any:
            expanded = taylor_terms(f, eqx.combine(start, fixed), self._order, trainable=self._mask, mode=mode)
            return jnp.stack(expanded(eqx.combine(end, fixed), x))

        self._terms = jax.jit(terms)
        nodes = _LIMIT * 2.0 ** (-np.arange(_STEPS_PER_OCTAVE * _OCTAVES + 1)[::-1] / _STEPS_PER_OCTAVE)
        # The end and its mirror image, then the grid; the limit is a power of two, so that 1 lies on the grid too.
        self._nodes = np.concatenate([[1.0, -1.0], nodes])

        def along(start: Any, end: Any, x: Any) -> Any:
            def at(t: Any) -> Any:
                return model(jax.tree.map(lambda a, b: a + t.astype(a.real.dtype) * (b - a), start, end), x)

            return jax.lax.map(at, jnp.asarray(self._nodes, jnp.result_type(float)))

        self._along = jax.jit(along)
        self._exact = jax.jit(model)
        few = jax.tree.map(lambda a: a[:ntk_inputs], x)
        self._kernel = jax.jit(lambda params: model_ntk(model, params, few)) if ntk_inputs else None
        self._first_kernel = None if self._kernel is None else self._kernel(self._moving)

    def __call__(self, params1: Any, argument: str = "params1") -> Regime:
        """The regime of the movement to one end.

        Args:
            params1: the end, a tree like the start.
            argument: its name in messages.
        """
        refuse_other_tree(argument, self._start, params1)
        _refuse_not_finite(argument, params1)
        end = eqx.filter(params1, self._mask)
        terms = self._joined_terms(end)
        along = _joined([self._along(self._moving, end, chunk) for chunk in self._chunks])
        last = _joined([self._exact(end, chunk)[None] for chunk in self._chunks])[0]
        drift = math.nan
        if self._kernel is not None and self._first_kernel is not None:
            drift = float(one_minus_cosine(self._first_kernel, self._kernel(end)))
        return self._read(terms, along, last, end, drift)

    def models(self, params1: Any) -> np.ndarray:
        """Outputs at one end of the Taylor models of orders 0 to `max_order`, then of the model itself.

        Args:
            params1: the end, a tree like the start.

        Returns:
            Shape `(max_order + 2, n, ...)`, double precision.
        """
        end = eqx.filter(params1, self._mask)
        last = _joined([self._exact(end, chunk)[None] for chunk in self._chunks])
        return np.concatenate([np.cumsum(self._joined_terms(end), axis=0), last])

    def _joined_terms(self, end: Any) -> np.ndarray:
        return _joined([self._terms(self._moving, end, chunk) for chunk in self._chunks])

    def _read(self, terms: np.ndarray, along: np.ndarray, last: np.ndarray, end: Any, drift: float) -> Regime:
        """The numbers, in double precision on the host: outputs are small beside what made them."""
        first, mirror, count = terms[0], along[1], len(terms[0])
        moved = last - first
        square = float(np.sum(moved**2))
        unit = float(jnp.finfo(self._dtype()).eps)
        displacement = self._displacement(end)
        still = not any(way for way, _ in displacement.values())
        still |= math.sqrt(square) <= _ROUNDING * unit * float(np.linalg.norm(first))
        sums = np.cumsum(terms[1:], axis=0)

        def part(a: np.ndarray) -> float:
            return math.nan if still else float(np.sum(a * moved)) / square

        error = [math.nan if still else float(np.linalg.norm(moved - s)) / math.sqrt(square) for s in sums]
        share = [part(term) for term in terms[1:]]
        even = part((last + mirror) / 2 - first)
        return Regime(
            max_order=self._order,
            movement=math.sqrt(square / count),
            share=tuple(share),
            remainder=1 - sum(share),
            error=tuple(error),
            explained=tuple(1 - e**2 for e in error),
            term=tuple(math.nan if still else float(np.linalg.norm(term)) / math.sqrt(square) for term in terms[1:]),
            odd=1 - even,
            even=even,
            radius=tuple(
                math.nan if still else self._radius(terms[: k + 1], along[2:], unit) for k in range(1, len(terms))
            ),
            radius_limit=_LIMIT,
            agreement=tuple(_agreement(first + s, last) for s in sums) if self._classes else (),
            ntk_drift=drift,
            displacement=displacement,
            threshold=self._threshold,
            tolerance=self._tolerance,
        )

    def _dtype(self) -> Any:
        return jax.tree.leaves(self._moving)[0].real.dtype

    def _radius(self, terms: np.ndarray, along: np.ndarray, unit: float) -> float:
        """Where the error first crosses the tolerance on the grid, between two of its points by a power law."""
        nodes = self._nodes[2:]
        before: tuple[float, float] | None = None
        for t, outputs in zip(nodes, along, strict=True):
            model = sum(t**k * term for k, term in enumerate(terms))
            distance = float(np.linalg.norm(outputs - model))
            rounding = _ROUNDING * unit * float(np.linalg.norm(outputs))
            moved = float(np.linalg.norm(outputs - terms[0]))
            error = distance / moved if moved else math.inf
            if distance > rounding and not error <= self._tolerance:  # NaN too
                if before is None:
                    return 0.0
                if not math.isfinite(error) or before[1] <= 0:
                    return before[0]
                slope = math.log(error / before[1]) / math.log(t / before[0])
                return before[0] * (self._tolerance / before[1]) ** (1 / slope)
            before = (float(t), min(error, self._tolerance))
        return _LIMIT

    def _displacement(self, end: Any) -> dict[str, tuple[float, float]]:
        found: dict[str, tuple[float, float]] = {}
        start = jax.tree_util.tree_flatten_with_path(self._moving)[0]
        for (path, a), b in zip(start, jax.tree.leaves(end), strict=True):
            own, way = (float(np.linalg.norm(np.asarray(v).ravel())) for v in (a, np.asarray(b) - np.asarray(a)))
            found[leaf_name(path)] = (way, way / own if own else (math.inf if way else 0.0))
        return found


def _refuse_not_finite(argument: str, params: Any) -> None:
    with_paths = jax.tree_util.tree_flatten_with_path(params)[0]
    refuse_not_finite(argument, [leaf for _, leaf in with_paths], [leaf_name(path) for path, _ in with_paths])


def _joined(parts: Sequence[Any]) -> np.ndarray:
    """Chunks of the probe inputs, whose axis is the second, as one array in double precision."""
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts], axis=1)


def _agreement(model: np.ndarray, outputs: np.ndarray) -> float:
    return float(np.mean(np.asarray(classes(jnp.asarray(model))) == np.asarray(classes(jnp.asarray(outputs)))))
