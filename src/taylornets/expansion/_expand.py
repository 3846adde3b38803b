"""`taylor_terms`, `taylor_expand`, `linearize`: Taylor models of any function of a parameter tree."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from taylornets._checks import choice, order_of
from taylornets._trees import Line, inputs_by_name, refuse_nan
from taylornets.expansion._memory import refuse_too_large
from taylornets.expansion._pure import refuse_impure
from taylornets.series import RuleContext, coefficients, evaluate_closed, make

MODES = ("auto", "taylor", "nested")
CUSTOM_VJP = ("function", "rule")
# A model whose Python code branches on parameter values cannot be traced; nested `jvp` can evaluate it, outside `jit`.
_UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.TracerBoolConversionError,
)


def taylor_terms(
    f: Callable[..., Any],
    params: Any,
    degree: int | Any,
    *,
    trainable: Any = None,
    mode: str = "auto",
    fixed: str | None = None,
    custom_vjp: str = "function",
    max_bytes: float | None = None,
) -> Callable[..., tuple[Any, ...]]:
    """Returns the individual Taylor terms of a model in its parameters.

    For Δ = new_params − params, the term of order k is

        f_k = (1/k!) d^k/dt^k f(params + t Δ, *args, **kwargs) at t = 0,

    so that f_0 + .. + f_K approximates f(new_params, ...) with an error of order ‖Δ‖^(K+1). Truncated power series are
    propagated through the model once ("Taylor mode"): the number of matrix products grows linearly in the degree.

    Args:
        f: any function `f(params, *args, **kwargs)` of pytrees that returns a pytree of arrays.
        params: the parameters around which to expand. Only arrays with a floating or complex dtype move; integers, masks,
            random keys, NumPy scalars and Python numbers are settings.
        degree: the highest order K, from 0 to 256.
        trainable: a tree of booleans, or a prefix of one, that selects the leaves that may move. The other leaves stay at
            `params`, regardless of `new_params`. All by default.
        mode: "taylor" propagates series; "nested" nests `jax.jvp`, a reference whose cost doubles with each order; "auto"
            is "taylor", except for a model that cannot be traced because Python branches on parameter values.
        fixed: for settings that differ between `params` and `new_params`, the end whose value is used: "start" or "end"
            ("end" also takes frozen leaves from `new_params`). By default, a difference raises if it is detectable; values
            traced by an enclosing `jit` are not compared.
        custom_vjp: derivatives of a `jax.custom_vjp` function: "function" differentiates the function itself, "rule" uses
            the author's reverse rule (as for a straight-through estimator).
        max_bytes: limit on the estimated memory, in bytes; by default the memory of the device.

    Returns:
        A function of `(new_params, *args, **kwargs)` that returns the tuple (f_0, .., f_K). It can be transformed by
        `jit`, `grad` and `vmap`; wrap it in `jax.jit` if it runs more than once. For integer and boolean outputs, f_0 is
        the value and all other terms are zero.

    Raises:
        ArgumentError: for a degree that is not an integer from 0 to 256, trees that do not match, settings that differ, NaN
            in the parameters or in the outputs at `params`, a model that is not a pure function or returns something other
            than arrays, or a degree whose coefficients do not fit into memory.

    Source: theory 10; Griewank and Walther, Evaluating Derivatives, chapter 13 (Taylor coefficients).

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> terms = tn.taylor_terms(lambda w, x: jnp.sum(w * x) ** 2, jnp.array([1.0, 2.0]), degree=2)
        >>> [float(t) for t in terms(jnp.array([2.0, 2.0]), jnp.array([1.0, 1.0]))]  # (3 + t)² = 9 + 6 t + t²
        [9.0, 6.0, 1.0]
    """
    order = order_of("degree", degree, 0, "The degree is the highest order of derivatives.")
    choice("mode", mode, MODES)
    choice("custom_vjp", custom_vjp, CUSTOM_VJP)
    line = Line.through(f, params, trainable, fixed=fixed)
    checked: list[bool] = []  # the first call traces the function twice, to check that it is pure

    def terms(new_params: Any, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        way = line.to(new_params)
        model = way.model(args, kwargs)
        expand = Expansion(order, custom_vjp=custom_vjp, max_bytes=max_bytes, check=not checked)
        if mode == "nested":
            found = nested_terms(model, way.start, way.move, order)
        else:
            try:
                found = series_terms(model, way.start, way.move, expand)
            except _UNTRACEABLE:
                if mode == "taylor":
                    raise
                found = nested_terms(model, way.start, way.move, order)
        checked.append(True)
        refuse_nan(found[0], inputs_by_name(f, args, kwargs))
        return found

    return terms


def taylor_expand(
    f: Callable[..., Any],
    params: Any,
    degree: int | Any,
    *,
    trainable: Any = None,
    mode: str = "auto",
    fixed: str | None = None,
    custom_vjp: str = "function",
    max_bytes: float | None = None,
) -> Callable[..., Any]:
    """Returns the Taylor model of order `degree` of `f` around `params`: the sum of `taylor_terms`.

    The signature is compatible with `neural_tangents.taylor_expand`; errors are those of `taylor_terms`.

    Args:
        f: a function `f(params, *args, **kwargs)`.
        params: the parameters around which to expand, a pytree.
        degree: the order, an integer from 0 to 256.
        trainable: as in `taylor_terms`.
        mode: as in `taylor_terms`.
        fixed: as in `taylor_terms`.
        custom_vjp: as in `taylor_terms`.
        max_bytes: as in `taylor_terms`.

    Returns:
        A function of `(new_params, *args, **kwargs)` whose value is a polynomial of the given degree in `new_params`.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> model = tn.taylor_expand(lambda w, x: jnp.exp(w * x), jnp.array(0.0), degree=3)
        >>> float(model(jnp.array(1.0), jnp.array(1.0)))  # 1 + 1 + 1/2 + 1/6
        2.6666667461395264
    """
    terms = taylor_terms(
        f, params, degree, trainable=trainable, mode=mode, fixed=fixed, custom_vjp=custom_vjp, max_bytes=max_bytes
    )

    def expansion(new_params: Any, *args: Any, **kwargs: Any) -> Any:
        first, *rest = terms(new_params, *args, **kwargs)
        return jax.tree.map(lambda *parts: _total(parts), first, *rest)

    return expansion


def linearize(
    f: Callable[..., Any],
    params: Any,
    *,
    trainable: Any = None,
    mode: str = "auto",
    fixed: str | None = None,
    custom_vjp: str = "function",
    max_bytes: float | None = None,
) -> Callable[..., Any]:
    """Returns the first-order Taylor model (the linearized or NTK model) of `f` around `params`.

    The signature is compatible with `neural_tangents.linearize`; errors are those of `taylor_terms`.

    Args:
        f: a function `f(params, *args, **kwargs)`.
        params: the parameters around which to expand, a pytree.
        trainable: as in `taylor_terms`.
        mode: as in `taylor_terms`.
        fixed: as in `taylor_terms`.
        custom_vjp: as in `taylor_terms`.
        max_bytes: as in `taylor_terms`.

    Returns:
        A function of `(new_params, *args, **kwargs)`, affine in `new_params`.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> tangent = tn.linearize(lambda w, x: (w * x) ** 2, jnp.array(1.0))
        >>> float(tangent(jnp.array(3.0), jnp.array(1.0)))  # 1 + 2 · 2
        5.0
    """
    return taylor_expand(
        f, params, 1, trainable=trainable, mode=mode, fixed=fixed, custom_vjp=custom_vjp, max_bytes=max_bytes
    )


def _total(parts: Sequence[Any]) -> Any:
    total = parts[0]
    if jnp.issubdtype(jnp.result_type(total), jnp.inexact):
        for part in parts[1:]:
            total = total + part
    return total


@dataclass(frozen=True)
class Expansion:
    """Options of an expansion.

    Attributes:
        order: the highest order.
        record: called with each primitive and the family of its rule, or `None`.
        custom_vjp: as in `taylor_terms`.
        max_bytes: as in `taylor_terms`.
        check: whether to trace the model a second time to check that it is a pure function.
    """

    order: int
    record: Any = None
    custom_vjp: str = "function"
    max_bytes: float | None = None
    check: bool = True


def series_terms(
    model: Callable[..., Any], start: Sequence[Any], move: Sequence[Any], expand: Expansion
) -> tuple[Any, ...]:
    """Computes the terms from series: parameters enter with two coefficients, everything else with one."""
    order = expand.order
    closed, shapes = jax.make_jaxpr(model, return_shape=True)(list(start))
    if expand.check:
        refuse_impure(model, list(start), closed)
    refuse_too_large(closed.jaxpr, order, expand.max_bytes)
    context = RuleContext(order, expand.record, expand.custom_vjp)
    structure = jax.tree_util.tree_structure(shapes)
    operands = [make([a, b, *[None] * (order - 1)]) if order else a for a, b in zip(start, move, strict=True)]
    outs = [coefficients(v, order) for v in evaluate_closed(context, closed, operands)]
    # An output that is a constant of the program is a literal of a type internal to JAX.
    filled = [[jnp.zeros_like(row[0]) if c is None else jnp.asarray(c) for c in row] for row in outs]
    return tuple(jax.tree_util.tree_unflatten(structure, [row[k] for row in filled]) for k in range(order + 1))


def nested_terms(model: Callable[..., Any], start: Sequence[Any], move: Sequence[Any], order: int) -> tuple[Any, ...]:
    """Computes the terms from their definition, by repeated directional derivatives."""
    structures: list[Any] = []

    def numbers(moved: list[Any]) -> list[Any]:
        leaves, structure = jax.tree_util.tree_flatten(model(moved))
        structures.append(structure)
        return [jnp.asarray(leaf) for leaf in leaves]

    start, move = list(start), list(move)
    first = numbers(start)
    smooth = [i for i, leaf in enumerate(first) if jnp.issubdtype(leaf.dtype, jnp.inexact)]

    def stack(k: int) -> Callable[[list[Any]], list[list[Any]]]:
        """Returns all directional derivatives up to order k, as a function of the moving leaves."""
        if k == 0:
            return lambda moved: [[numbers(moved)[i] for i in smooth]]
        below = stack(k - 1)

        def derivatives(moved: list[Any]) -> list[list[Any]]:
            known, slopes = jax.jvp(below, (moved,), (move,))
            return [*known, slopes[-1]]

        return derivatives

    rows = stack(order)(start) if start else [[first[i] for i in smooth]]
    terms: list[Any] = []
    factorial = 1
    for k in range(order + 1):
        factorial *= max(k, 1)
        leaves = list(first) if k == 0 else [jnp.zeros_like(leaf) for leaf in first]
        for position, i in enumerate(smooth):
            if k < len(rows):
                leaves[i] = rows[k][position] / factorial if k > 1 else rows[k][position]
        terms.append(jax.tree_util.tree_unflatten(structures[0], leaves))
    return tuple(terms)
