"""`sharpness`: the largest eigenvalues of the Hessian of any loss, without forming it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import PRNGKeyArray

from taylornets._checks import ArgumentError, integer
from taylornets._devices import require_loops
from taylornets._trees import Line, is_array, refuse_unusable, run
from taylornets.dynamics._lanczos import SETTLED, top


@dataclass(frozen=True)
class Sharpness:
    """The largest eigenvalues of a Hessian.

    Attributes:
        value: the largest eigenvalue (algebraically: of an indefinite Hessian, the largest positive curvature).
        vector: its eigenvector of norm 1, a tree like the parameters, zero for leaves that do not move.
        residual: `‖H u − λ u‖`; some eigenvalue lies within this distance of `value`.
        gap: distance to the second largest eigenvalue; NaN for a single parameter.
        products: number of Hessian-vector products.
        values: the largest eigenvalues, as many as requested, in descending order.
        vectors: their eigenvectors.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> found = tn.dynamics.sharpness(lambda w: w[0] ** 2 - w[1] ** 2, jnp.ones(2), key=jax.random.key(0))
        >>> round(found.value, 5), round(found.gap, 5)
        (2.0, 4.0)
    """

    value: float
    vector: Any
    residual: float
    gap: float
    products: int
    values: tuple[float, ...] = ()
    vectors: tuple[Any, ...] = ()

    @property
    def converged(self) -> bool:
        """Whether the residual is at most 0.1 % of the value."""
        return self.residual <= SETTLED * abs(self.value)

    @property
    def problem(self) -> str:
        """Why the value is unreliable; empty if it is not."""
        if not math.isfinite(self.value):
            return "products with the Hessian are not finite"
        return "" if self.converged else "not converged: raise products"

    def __str__(self) -> str:
        state = f"; {self.problem}" if self.problem else ""
        residual = f"residual {self.residual:.2g} after {self.products} products"
        return f"sharpness {self.value:.6g}, {residual}, gap {self.gap:.3g}{state}"


def sharpness(
    loss: Callable[..., Any], params: Any, *args: Any, key: PRNGKeyArray, products: int = 24, vectors: int = 1
) -> Sharpness:
    """Computes the largest eigenvalue of the Hessian of a loss by the Lanczos method.

    Each product with the Hessian costs about three gradients; the memory is `products` vectors of the size of the parameters.

    Args:
        loss: `loss(params, *args)`, a real number.
        params: the parameters, a pytree; real floating-point arrays are differentiated, all other leaves are settings.
        *args: further arguments of the loss.
        key: JAX random key of the start vector.
        products: number of products with the Hessian.
        vectors: number of eigenvalues and eigenvectors to return.

    Returns:
        A `Sharpness`, with the residual of the eigenvector.

    Raises:
        ArgumentError: for a loss that is not one real number, parameters that cannot move or contain NaN, and counts below 1.

    Source: theory 15; Golub and Van Loan, Matrix Computations, section 10.1 (Lanczos).

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> loss = lambda w, x: jnp.sum(x * w**2) / 2
        >>> found = tn.dynamics.sharpness(loss, jnp.ones(3), jnp.array([1.0, 5.0, 3.0]), key=jax.random.key(0))
        >>> round(found.value, 4), round(found.gap, 4)
        (5.0, 2.0)
    """
    return Solver(loss, params, args, products, vectors)(params, key)


class Solver:
    """The compiled Lanczos method for one loss; parameters of the same structure share the program."""

    def __init__(self, loss: Callable[..., Any], params: Any, args: tuple[Any, ...], products: int, vectors: int):
        self._products, self._vectors = integer("products", products, 1), integer("vectors", vectors, 1)
        refuse_unusable(loss, params, args)
        self._line = line = Line.through(loss, params, None)
        if not line.moving or any(jnp.iscomplexobj(leaf) for leaf in line.start):
            got = "complex leaves" if line.moving else "none"
            raise ArgumentError("params", "at least one leaf that is an array of real floats, and no complex ones", got)
        start, self._back = ravel_pytree(line.start)

        def value(v: Any) -> Any:
            return run(loss, line.with_moved(self._back(v)), args, {})

        found = jax.eval_shape(value, start)
        if getattr(found, "shape", None) != () or not jnp.issubdtype(found.dtype, jnp.floating):
            got = f"shape {getattr(found, 'shape', '?')}, dtype {getattr(found, 'dtype', type(found).__name__)}"
            raise ArgumentError(
                "loss", "a function that returns one real number", got, "Take the mean over the examples."
            )

        @jax.jit
        def solve(v: Any, first: Any) -> Any:
            return top(lambda u: jax.jvp(jax.grad(value), (v,), (u,))[1], first, products, max(vectors, 2))

        self._solve = solve

    def __call__(self, params: Any, key: PRNGKeyArray) -> Sharpness:
        """Computes the eigenvalues at the parameters, which have the structure of the first ones."""
        require_loops()
        line = self._line
        self._line.to(params, "params", "the first parameters")
        leaves = jax.tree_util.tree_leaves(params)
        start, _ = ravel_pytree([jnp.asarray(leaves[i]) for i in line.moving])
        first = jax.random.normal(key, start.shape, start.dtype)
        values, directions, residuals = self._solve(start, first)
        still = [
            jnp.zeros_like(leaf) if is_array(leaf) and i not in line.moving else leaf
            for i, leaf in enumerate(line.leaves)
        ]
        trees = tuple(line.with_moved(self._back(u), still) for u in directions[: self._vectors])
        return Sharpness(
            float(values[0]), trees[0], float(residuals[0]), float(values[0] - values[1]), min(self._products, start.size),
            tuple(map(float, values[: self._vectors])), trees,
        )  # fmt: skip
