"""The compiled programs of one model: its Taylor terms, its outputs along lines from the initialization, its kernel."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets._checks import ArgumentError, choice, host, integer, order_of, positive, shown
from taylornets._evaluator import KernelDrift, chunks
from taylornets._measures import TASKS
from taylornets._regime._summation import ORDERS
from taylornets._trees import Segment, refuse_batch_axis, refuse_nan, refuse_outputs
from taylornets.expansion import refuse_impure, taylor_terms
from taylornets.series import contains, precision

BLOCKS = "blocks"
_LOCAL = 2  # order of expansions along the line


@dataclass(frozen=True)
class RegimeSettings:
    """Settings of `regime`, which documents them."""

    max_order: int = 4
    threshold: float = 0.9
    tolerance: float = 0.1
    task: str = "auto"
    ntk_inputs: int | None = None
    batch_size: int | None = None
    mode: str = "auto"
    custom_vjp: str = "function"
    max_bytes: float | None = None
    resum: int | None = None
    groups: str | Callable[[str], str] | None = None

    def __post_init__(self):
        order_of("max_order", self.max_order, 1)
        for name, value in (("threshold", self.threshold), ("tolerance", self.tolerance)):
            positive(name, value)
            if value >= 1:
                raise ArgumentError(name, "a number between 0 and 1", str(value))
        choice("task", self.task, TASKS)
        if self.ntk_inputs is not None:
            integer("ntk_inputs", self.ntk_inputs, 0)
        if self.batch_size is not None:
            integer("batch_size", self.batch_size, 1)
        if self.resum not in (None, *ORDERS):
            raise ArgumentError("resum", "4, 6, 8 or None", shown(self.resum), "The highest order of the resummation.")
        if self.groups is not None and self.groups != BLOCKS and not callable(self.groups):
            expected = f'"{BLOCKS}" or a function of the name of a leaf'
            raise ArgumentError(
                "groups", expected, shown(self.groups), "For example groups=lambda name: name.split('.')[0]."
            )

    @property
    def degree(self) -> int:
        """The highest order of the series, for the orders and the resummation."""
        # Nested derivatives double their cost with every order.
        return self.max_order if self.resum is None or self.mode == "nested" else max(self.max_order, self.resum)


class Programs:
    """Compiled programs of a model whose fixed leaves have set values.

    Args:
        segment: any segment that begins at the initialization; it supplies the values of the fixed leaves.
        x: probe inputs, arrays.
        count: number of probe inputs.
        settings: settings of the analysis.

    Attributes:
        first: the outputs at the initialization in float64, shape `(n, ...)`.
        classes: whether predictions are classes.
        unit: the largest unit roundoff in the computation.
        loops: whether the model contains a loop of data-dependent length.
        drift: kernel drift from the initialization to an end point.

    Raises:
        ArgumentError: if the outputs are not one array with one example per row, or not finite at the initialization.
    """

    def __init__(self, segment: Segment, x: Any, count: int, settings: RegimeSettings):
        self.segment, self._settings = segment, settings
        self._start: list[Any] = segment.start
        self._chunks = chunks(x, settings.batch_size)

        def model(moved: Any, x: Any) -> Any:
            return segment.model((x,))(moved)

        # The initialization is an argument of every program; a constant would be compiled into each of them.
        closed, outputs = jax.make_jaxpr(model, return_shape=True)(self._start, x)
        refuse_outputs("f", outputs, count)
        refuse_impure(lambda both: model(*both), (self._start, x), closed)
        refuse_batch_axis("f", lambda x: model(self._start, x), x, outputs)
        several = outputs.ndim > 1 and outputs.shape[-1] > 1
        auto = several or outputs.size == count
        self.classes = settings.task == "classification" or (settings.task == "auto" and auto)
        self.unit, self.loops = precision(closed), contains(closed, "while")

        def expand(start: Any, end: Any, x: Any, degree: int) -> Any:
            how: dict[str, Any] = {
                "mode": settings.mode,
                "custom_vjp": settings.custom_vjp,
                "max_bytes": settings.max_bytes,
            }
            return taylor_terms(model, start, degree, **how)(end, x)

        def local(start: Any, end: Any, t: Any, x: Any) -> Any:
            here = [_point(a, b, t) for a, b in zip(start, end, strict=True)]
            ahead = [(h + (b - a)).astype(h.dtype) for a, b, h in zip(start, end, here, strict=True)]
            return expand(here, ahead, x, _LOCAL)

        self._terms = jax.jit(expand, static_argnums=3)
        self._local = jax.jit(local)
        self._at = jax.jit(
            lambda start, end, t, x: model([_point(a, b, t) for a, b in zip(start, end, strict=True)], x)
        )
        self.first = self.at(self._start, 0.0)
        if np.isnan(self.first).any():
            refuse_nan(self.first, {"x": x})
        infinite = int(np.sum(np.isinf(self.first)))
        if infinite:
            expected, got = "finite outputs at the initialization", f"{infinite} infinite of {self.first.size}"
            raise ArgumentError("f", expected, got, "Drop masked outputs, or mask with a large finite number.")
        self.drift = KernelDrift(
            lambda _, moved, x: model(moved, x), None, self._start, x, outputs, settings.ntk_inputs,
            {"custom_vjp": settings.custom_vjp, "max_bytes": settings.max_bytes},
        )  # fmt: skip

    def terms(self, end: Sequence[Any], degree: int | None = None, start: Sequence[Any] | None = None) -> np.ndarray:
        """Returns the Taylor terms at an end point, shape `(degree + 1, n, ...)`.

        Args:
            end: trainable leaves at the end point.
            degree: the highest order, by default `max_order`.
            start: trainable leaves at the point of expansion, by default the initialization.
        """
        last = self._settings.max_order if degree is None else degree
        begin = self._start if start is None else list(start)
        try:
            parts = [self._terms(begin, list(end), chunk, last) for chunk in self._chunks]
        except ArgumentError as error:
            if error.argument != "degree":
                raise
            advice = "Lower max_order or batch_size, or pass max_bytes=float('inf')."
            raise ArgumentError("max_order", "an order whose series fit into memory", error.got, advice) from None
        return np.stack([_joined(rows) for rows in zip(*parts, strict=True)])

    def local(self, end: Sequence[Any], t: float) -> np.ndarray:
        """Returns the terms of orders 0 to 2 in `s` of the outputs at `θ0 + (t + s)(θ1 − θ0)`, shape `(3, n, ...)`."""
        part = jnp.asarray(t, jnp.result_type(float))
        parts = [self._local(self._start, list(end), part, chunk) for chunk in self._chunks]
        return np.stack([_joined(rows) for rows in zip(*parts, strict=True)])

    def at(self, end: Sequence[Any], t: float) -> np.ndarray:
        """Returns the outputs at `θ0 + t (θ1 − θ0)`, shape `(n, ...)`; `t = 0` and `t = 1` give the end points exactly."""
        part = jnp.asarray(t, jnp.result_type(float))
        return _joined([self._at(self._start, list(end), part, chunk) for chunk in self._chunks])


def _point(a: Any, b: Any, t: Any) -> Any:
    """Interpolates two leaves; `t = 1` gives the second exactly. 8- and 16-bit floats are interpolated in float32."""
    wide = a.dtype if jnp.finfo(a.dtype).bits >= 32 else jnp.float32
    first, last = a.astype(wide), b.astype(wide)
    return jnp.where(t == 1, b, (first + t.astype(wide) * (last - first)).astype(a.dtype))


def _joined(parts: Sequence[Any]) -> np.ndarray:
    """Concatenates chunks of the probe inputs into one float64 array."""
    return np.concatenate([host(part, np.float64) for part in parts])
