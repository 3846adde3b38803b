"""`explain`: reports how each primitive of a model is expanded."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from taylornets._trees import Line, inputs_by_name, refuse_nan_inputs, refuse_unusable
from taylornets.expansion._expand import Expansion, series_terms
from taylornets.series import FALL_BACK


@dataclass(frozen=True)
class Coverage:
    """The rules that apply to the primitives of a model in Taylor mode.

    Attributes:
        rows: (primitive, path, number of equations), sorted by path and name. The path is a family of rules, or
            "fall-back" for a primitive without a rule, which is expanded by its derivative along the input curve.
    """

    rows: tuple[tuple[str, str, int], ...]

    @property
    def fall_backs(self) -> tuple[str, ...]:
        """The primitives without a rule."""
        return tuple(name for name, path, _ in self.rows if path == FALL_BACK)

    def __str__(self) -> str:
        lines = [("primitive", "path", "equations"), *((a, b, str(c)) for a, b, c in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(3)]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines
        )


def explain(f: Callable[..., Any], params: Any, *args: Any, trainable: Any = None, **kwargs: Any) -> Coverage:
    """Reports which rule each primitive of a model uses when the model is expanded.

    The model is only traced. It is evaluated once if an input contains NaN, to check its outputs for NaN.

    Only equations that depend on a moving parameter are counted; all others are evaluated unchanged.

    Args:
        f: the model `f(params, *args, **kwargs)`.
        params: the parameters around which to expand.
        *args: arguments of the model.
        trainable: as in `taylor_terms`.
        **kwargs: keyword arguments of the model.

    Returns:
        A `Coverage`, which prints as a table.

    Raises:
        ArgumentError: as in `taylor_terms`.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> print(tn.explain(lambda w, x: jnp.tanh(x @ w), jnp.ones((3, 2)), jnp.ones((4, 3))))
        primitive    path        equations
        dot_general  bilinear    1
        tanh         univariate  1
    """
    refuse_unusable(f, params, args, kwargs)
    here = Line.through(f, params, trainable).here()
    model = here.model(args, kwargs)
    refuse_nan_inputs(model, here.start, inputs_by_name(f, args, kwargs))
    seen: Counter[tuple[str, str]] = Counter()

    def record(primitive: str, family: str) -> None:
        seen[family, primitive] += 1

    expand = Expansion(2, record, max_bytes=math.inf)
    jax.eval_shape(lambda move: series_terms(model, here.start, move, expand), here.start)
    return Coverage(tuple((name, family, count) for (family, name), count in sorted(seen.items())))
