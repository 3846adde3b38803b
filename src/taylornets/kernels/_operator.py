"""The neural tangent kernel of any model as a linear operator (theory 10).

`K = Re(J Jᴴ)` for the Jacobian `J` of all outputs. A product `K v = J (Jᵀ v)` costs one reverse and one forward pass, whatever
the size of the kernel. The entries are computed in blocks of examples, and only for one of two symmetric blocks:

- **Contraction**: the Jacobian rows of both blocks, multiplied with each other, `2 P` operations per entry.
- **Columns**: the Jacobian rows of one block, pushed forward through the model on the other one. A forward pass yields all
  outputs of an example at once, so that a row costs one pass over the block instead of `2 P` operations per output.
- **Closed form** for two-layer networks: `K_{ic,jc'} = m^{-1} Σ_r a_rc a_rc' σ'_ir σ'_jr ⟨x_i, x_j⟩`.

Operations are counted by the compiler, and the cheaper way is taken. Examples that are sharded over several devices stay
there (`_ring`). Blocks require that the model treats examples one by one, which is checked on outputs of single examples; a
model that does not, one that cannot be vectorized, and traced arguments take two passes over the batch per row.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from scipy.sparse.linalg import LinearOperator, eigsh

from taylornets._checks import ArgumentError, array, choice, host, integer
from taylornets._trees import Line, refuse_other_tree
from taylornets.expansion import CUSTOM_VJP
from taylornets.kernels._blocks import Blocks
from taylornets.kernels._gram import gram
from taylornets.kernels._products import Products
from taylornets.kernels._ring import Ring
from taylornets.kernels._sides import ask, memory_of, side_of
from taylornets.kernels._storage import SymmetricMatrix

_DENSE = 64  # up to this many rows, all eigenvalues are computed


@dataclasses.dataclass(frozen=True)
class Memory:
    """Estimated memory of an NTK, in bytes.

    Attributes:
        gram: the kernel, `n² c²` numbers.
        jacobian: the Jacobian, `n c P` numbers, which is never stored as a whole unless it fits.
        block: the Jacobian rows of two blocks and their products, alive at one time.
    """

    gram: int
    jacobian: int
    block: int


class NTK:
    """The empirical NTK `K(x, x')[a, b] = ⟨∂f_a(x)/∂θ, ∂f_b(x')/∂θ⟩` of any model on a batch, as a linear operator.

    Nothing is computed at construction; the model is only traced. Rows and columns are the pairs of an example and an output,
    output last. `K` is symmetric and positive semidefinite.

    Args:
        f: a model `f(params, x)` that returns one real array of shape `(n, ...)`; the `c` outputs of an example are flattened.
            A `TwoLayerNetwork` (with `params` its displacement) has a closed form.
        params: the parameters, a pytree.
        x: examples along the first axis, shape `(n, ...)`, an array or a tree of arrays.
        trainable: the parameters to differentiate, as in `taylornets.taylor_terms`.
        batch_size: rows computed at a time; by default as many as take a sixteenth of the memory.
        custom_vjp: see `model_ntk`.
        max_bytes: limit on the estimated memory, in bytes; by default the memory of the device.
        name: name of the batch in messages.

    Attributes:
        shape: `(n c, n c)`.
        dtype: dtype of the outputs.

    Raises:
        ArgumentError: as in `model_ntk`.

    Source: theory 10; Jacot, Gabriel and Hongler (2018).

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> op = tn.kernels.NTK(lambda w, x: jnp.tanh(x @ w), 0.1 * jnp.ones((3, 2)), jnp.eye(3))
        >>> op.shape, (op @ jnp.ones(6)).shape, op.gram().shape
        ((6, 6), (6,), (3, 2, 3, 2))
        >>> bool(jnp.isclose(op.trace(), op.eigenvalues(6).sum()))
        True
    """

    def __init__(
        self,
        f: Callable[..., Any],
        params: Any,
        x: Any,
        *,
        trainable: Any = None,
        batch_size: int | None = None,
        custom_vjp: str = "rule",
        max_bytes: float | None = None,
        name: str = "x",
    ):
        choice("custom_vjp", custom_vjp, CUSTOM_VJP)
        self._size = None if batch_size is None else integer("batch_size", batch_size, 1)
        self._here = Line.through(f, params, trainable).here()
        if not self._here.start:
            raise ArgumentError("params", "a leaf that may move, an array of floats", "none", "Is trainable all False?")
        self._side = side_of(self._here, name, x)
        self._custom_vjp, self._name = custom_vjp, name
        self._limit = memory_of(self._side) if max_bytes is None else max_bytes
        self._made: Products | None = None
        self._found: tuple[Blocks | Ring | None] | None = None
        self._product: Callable[[Array], Array] | None = None
        self.dtype = jnp.dtype(self._side.dtype)

    @property
    def shape(self) -> tuple[int, int]:
        """`(n c, n c)`."""
        rows = math.prod(self._side.shape)
        return rows, rows

    @property
    def examples(self) -> tuple[int, int]:
        """The number of examples `n` and of outputs `c` of each."""
        return self._side.shape[0], math.prod(self._side.shape[1:])

    def memory(self) -> Memory:
        """Estimates the memory before anything is allocated.

        Returns:
            Bytes of the kernel, of the Jacobian, and of the blocks that exist at one time.
        """
        (rows, _), (n, c) = self.shape, self.examples
        parameters = sum(leaf.size * leaf.dtype.itemsize for leaf in self._here.start)
        block = Blocks.size_of(n, c, parameters, self._limit, self._size) * c
        return Memory(
            rows**2 * self.dtype.itemsize, rows * parameters, 2 * block * parameters + block**2 * self.dtype.itemsize
        )

    def __matmul__(self, v: ArrayLike) -> Array:
        """Multiplies the kernel with a vector `(n c,)` or with columns `(n c, j)`: one reverse and one forward pass each."""
        rows = self.shape[0]
        v = array("v", v, (rows, "columns") if jnp.ndim(v) == 2 else (rows,), "One row for every output of an example.")
        product = self._multiply()
        if product is None:
            return jnp.asarray(self.gram()).reshape(self.shape) @ v.astype(self.dtype)
        return product(v.astype(self.dtype)) if v.ndim == 1 else jax.lax.map(product, v.astype(self.dtype).T).T

    def gram(
        self, out: str | Path | None = None, progress: Callable[[float], None] | None = None
    ) -> Float[Array | np.ndarray, "n c n c"]:
        """Computes all entries, in blocks, each pair of symmetric blocks once.

        Args:
            out: an `.npy` file for a kernel that does not fit into memory. An interrupted computation continues from its
                last complete row of blocks; `FILE.rows` next to it records them until the kernel is complete.
            progress: called with the finished fraction after every row of blocks.

        Returns:
            The kernel, shape `(n, c, n, c)`: an array, or with `out` a read-only memory map.

        Raises:
            ArgumentError: for a kernel that does not fit into memory, or `out` on several hosts, of other shape, or not `.npy`.
        """
        shape = self.examples + self.examples
        if out is not None:
            blocks = self._to_file(out)
            with SymmetricMatrix.opened(out, self.shape, self.dtype) as store:
                blocks.fill(store, progress)
            return np.load(out, mmap_mode="r").reshape(shape)
        ask(self._name, shape, self._size or 1, self._here.start, self.dtype, self._limit)
        blocks = self._blocks()
        if blocks is None:
            made = self._products()
            return self._placed(gram(made, made, self._size, self._limit).reshape(shape))
        return self._placed(blocks.gram(progress).reshape(shape))

    def cross(self, x2: Any) -> Float[Array, "n2 c n c"]:
        """Computes the kernel between other examples and those of the operator.

        Args:
            x2: examples, shape `(n2, ...)`, a tree like `x`.

        Returns:
            The kernel, shape `(n2, c, n, c)`.

        Raises:
            ArgumentError: for other trees or shapes, NaN, or a kernel that does not fit into memory.
        """
        return jnp.moveaxis(self.across(x2, "x2"), (2, 3), (0, 1))

    def across(self, x2: Any, name: str) -> Float[Array, "n c n2 c"]:
        """Computes `cross` with the examples of the operator first; `name` is that of `x2` in messages."""
        theirs, mine = (jax.tree_util.tree_map(lambda _: 0, x) for x in (self._side.x, x2))
        refuse_other_tree(name, theirs, mine, self._name)
        other, here = side_of(self._here, name, x2), self._side
        if other.shape[1:] != here.shape[1:]:
            got = f"shape {other.shape}"
            raise ArgumentError(name, f"outputs whose shape ends in {here.shape[1:]} as for {self._name}", got)
        shape = (*self.examples, other.shape[0], self.examples[1])
        ask(self._name, shape, self._size or 1, self._here.start, other.dtype, self._limit)
        blocks = self._blocks()
        if blocks is not None:
            other.check_values(self._here.start)
            return self._placed(blocks.across(other).reshape(shape))
        made = other.products(self._here.start, self._custom_vjp)
        return self._placed(gram(self._products(), made, self._size, self._limit).reshape(shape))

    def diagonal(self) -> Float[Array, "rows"]:
        """Computes the diagonal `‖∂f_a(x_i)/∂θ‖²`, shape `(n c,)`, without the other entries."""
        blocks = self._blocks()
        if blocks is not None:
            return blocks.diagonal()
        made = self._products()
        if made.backward is None:
            return jnp.diagonal(self.gram().reshape(self.shape))
        return made.squared_rows(self._size)

    def trace(self) -> Float[Array, ""]:
        """Computes the trace, a scalar."""
        return jnp.sum(self.diagonal())

    def eigenvalues(self, k: int) -> Float[Array, "k"]:
        """Computes the `k` largest eigenvalues by Lanczos (ARPACK), from products with the operator.

        Args:
            k: number of eigenvalues, from 1 to `n c`.

        Returns:
            Eigenvalues in descending order, shape `(k,)`.

        Raises:
            ArgumentError: for any other `k`.
        """
        k, rows = integer("k", k, 1), self.shape[0]
        if k > rows:
            raise ArgumentError("k", f"at most the number of rows, {rows}", str(k))
        if rows <= _DENSE or 2 * k >= rows:
            return jnp.linalg.eigvalsh(self.gram().reshape(self.shape))[::-1][:k]
        products: Any = LinearOperator(self.shape, matvec=self._matvec, dtype=float)  # pyright: ignore[reportCallIssue]
        start = np.random.default_rng(0).normal(size=rows)
        tolerance: Any = 10 * float(jnp.finfo(self.dtype).eps)
        found = eigsh(products, k, which="LA", v0=start, tol=tolerance, return_eigenvectors=False)
        return jnp.asarray(np.sort(found)[::-1].copy(), self.dtype)

    def _matvec(self, v: np.ndarray) -> np.ndarray:
        return host(self @ jnp.asarray(v.ravel(), self.dtype), float)

    def _multiply(self) -> Callable[[Array], Array] | None:
        """The product with one vector as a compiled program, or None if a direction of differentiation is missing."""
        if self._product is not None:
            return self._product
        blocks = self._blocks() if self._side.spread is not None else None
        if isinstance(blocks, Ring):
            self._product = blocks.product(lambda leaves, x: self._here.model((x,))(leaves), self._custom_vjp)
            return self._product
        made = self._products()
        if made.forward is None or made.backward is None:
            return None
        if self._side.closed is None or isinstance(made.values, Tracer):
            return made.round_trip
        # The passes are traced again inside the program, which then holds no intermediate values of this process.
        side, custom_vjp = self._side, self._custom_vjp
        program = jax.jit(lambda start, v: side.products(start, custom_vjp).round_trip(v))
        self._product = functools.partial(program, self._here.start)
        return self._product

    def _products(self) -> Products:
        """The Jacobian products on the whole batch."""
        if self._made is not None:
            return self._made
        made = self._side.products(self._here.start, self._custom_vjp)
        if not isinstance(made.values, Tracer):
            self._made = made
        return made

    def _placed(self, kernel: Array) -> Array:
        """Divides a kernel like the examples, if it is not yet divided."""
        spread = self._side.spread
        whole = not isinstance(kernel, Tracer) and len(kernel.sharding.device_set) == 1
        return spread.place(kernel) if spread is not None and whole else kernel

    def _to_file(self, out: str | Path) -> Blocks | Ring:
        """Returns the blocks; raises if the kernel cannot be written to a file."""
        blocks = self._blocks()
        if blocks is None:
            raise ArgumentError("out", "None for a model whose kernel cannot be computed in blocks", repr(str(out)))
        if isinstance(blocks, Ring) and not blocks.spread.is_local:
            advice = "Each process holds the rows of its own examples: save gram().addressable_shards."
            raise ArgumentError("out", "None for examples on several processes", repr(str(out)), advice)
        return blocks

    def _blocks(self) -> Blocks | Ring | None:
        """The model in blocks of examples, or None if it needs the whole batch."""
        if self._found is None:
            self._found = (Blocks.of(self._here, self._side, self._limit, self._size, self._custom_vjp),)
        return self._found[0]
