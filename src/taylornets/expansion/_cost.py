"""`cost`: estimates the cost of an expansion before it runs."""

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
    """The cost of one evaluation of a Taylor model, counted from its program.

    Attributes:
        operations: floating-point operations of the Taylor model.
        bytes: estimated peak memory in bytes, not counting results that a compiler fuses.
        ratio: `operations` divided by `model_operations`.
        model_operations: floating-point operations of the original model.
        model_bytes: estimated peak memory of the original model in bytes.
    """

    operations: int
    bytes: int
    ratio: float
    model_operations: int
    model_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.operations / 1e9:.4g} Gflop, {self.ratio:.2f} times the original model; "
            f"peak memory about {self.bytes / 1e6:.4g} MB, original model {self.model_bytes / 1e6:.4g} MB"
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
    """Estimates the cost of `taylor_expand(f, params, degree)(new_params, x, *args, **kwargs)` without evaluating it.

    A matrix product counts 2 operations per multiply-add; any other operation counts 1 per element of its result. A `while`
    loop counts as a single iteration.

    Args:
        f: the model `f(params, x, *args, **kwargs)`.
        params: the parameters around which to expand.
        x: the first argument of the model; `jax.ShapeDtypeStruct` leaves are sufficient.
        degree: the order of the Taylor model.
        *args: further arguments of the model.
        trainable: as in `taylor_terms`.
        mode: as in `taylor_terms`.
        **kwargs: keyword arguments of the model.

    Returns:
        A `Cost`, which prints as one line.

    Raises:
        ArgumentError: as in `taylor_terms`.

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
