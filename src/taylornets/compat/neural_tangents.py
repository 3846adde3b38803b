"""The names of the archived `neural_tangents` package that this library covers.

Code written for that package runs after `from taylornets.compat import neural_tangents as nt`. Differences: an integer
or boolean leaf of `params` stays where it is instead of raising, trees and shapes that do not match are named, and
`taylor_expand` costs a number of products linear in `degree`.
"""

from collections.abc import Callable
from typing import Any

from taylornets import expansion

__all__ = ["linearize", "taylor_expand"]


def linearize(f: Callable[..., Any], params: Any) -> Callable[..., Any]:
    """The first-order Taylor model `f_lin(new_params, *args, **kwargs)`; see `taylornets.linearize`.

    Args:
        f: a function `f(params, *args, **kwargs)`.
        params: where to expand.

    Returns:
        A function affine in its first argument.
    """
    return expansion.linearize(f, params)


def taylor_expand(f: Callable[..., Any], params: Any, degree: int) -> Callable[..., Any]:
    """The Taylor model of order `degree`, `f_tayl(new_params, *args, **kwargs)`; see `taylornets.taylor_expand`.

    Args:
        f: a function `f(params, *args, **kwargs)`.
        params: where to expand.
        degree: the order, an integer ≥ 0.

    Returns:
        A polynomial of its first argument.
    """
    return expansion.taylor_expand(f, params, degree)
