"""`cost`: what an expansion will take, before it runs."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from taylornets._trees import Line, inputs_by_name, refuse_nan_inputs, refuse_unusable
from taylornets.expansion._expand import taylor_expand
from taylornets.expansion._pure import refuse_impure
from taylornets.series import live_bytes, operations


@dataclass(frozen=True)
class Cost:
    """What one evaluation of a Taylor model takes, counted from its program.

    Attributes:
        operations: floating-point operations of the Taylor model.
        bytes: estimate of the bytes of its largest live set, in which results that a compiler fuses are not stored.
        ratio: `operations` over those of the model itself.
        model_operations: floating-point operations of the model itself.
        model_bytes: bytes of the largest live set of the model itself.
    """

    operations: int
    bytes: int
    ratio: float
    model_operations: int
    model_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.operations / 1e9:.4g} Gflop, {self.ratio:.2f} times the model's; "
            f"at most {self.bytes / 1e6:.4g} MB alive, the model {self.model_bytes / 1e6:.4g} MB"
        )


def cost(
    f: Callable[..., Any],
    params: Any,
    x: Any,
    degree: int,
    *args: Any,
    trainable: Any = None,
    mode: str = "auto",
    **kwargs: Any,
) -> Cost:
    """Estimates the cost of `taylor_expand(f, params, degree)(new_params, x, *args, **kwargs)`; nothing is computed.

    A product of matrices counts 2 operations for each multiply-add, everything else 1 for each element of the result; a
    `while` loop counts as one pass.

    Args:
        f: the model `f(params, x, *args, **kwargs)`.
        params: where to expand.
        x: its first argument; `jax.ShapeDtypeStruct` leaves do.
        degree: the order.
        *args: further arguments of the model.
        trainable: as in `taylor_terms`.
        mode: as in `taylor_terms`.
        **kwargs: keyword arguments of the model.

    Returns:
        A `Cost`; printing it gives one line.

    Raises:
        ArgumentError: as `taylor_terms`.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> weights = [jnp.ones((64, 64))] * 3
        >>> def model(params, x):
        ...     for w in params:
        ...         x = jnp.tanh(x @ w)
        ...     return x
        >>> bool(1 < tn.cost(model, weights, jnp.ones((32, 64)), degree=2).ratio <= 5)  # 2 K + 1 at most
        True
    """
    refuse_unusable(f, params, (x, *args), kwargs)
    line = Line.through(f, params, trainable)
    here = line.here()
    refuse_nan_inputs(here.model((x, *args), kwargs), here.start, inputs_by_name(f, (x, *args), kwargs))
    expanded = taylor_expand(f, params, degree, trainable=trainable, mode=mode, max_bytes=math.inf)

    def plain(arguments: tuple[list[Any], Any]) -> Any:
        moved, x = arguments
        return here.model((x, *args), kwargs)(moved)

    def taylor(arguments: tuple[list[Any], Any]) -> Any:
        moved, x = arguments
        return expanded(line.with_moved(moved), x, *args, **kwargs)

    arguments = (here.start, x)
    closed = jax.make_jaxpr(plain)(arguments)
    refuse_impure(plain, arguments, closed)
    model, program = closed.jaxpr, jax.make_jaxpr(taylor)(arguments).jaxpr
    own, total = operations(model), operations(program)
    return Cost(total, live_bytes(program), total / max(own, 1), own, live_bytes(model))
