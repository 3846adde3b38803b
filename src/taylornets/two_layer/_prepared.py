"""Features of a data set, prepared once, and the pass over its blocks, shared by all models.

**Layout** (`taylornets._devices`). On a CPU, arrays of size `n × m` are split into blocks of examples that fit into the cache,
with the units on the first axis. Each product `W X_bᵀ` is consumed (activation, residual, gradient) before the next block, so
that the features are the only arrays of size `n × m` in memory. On an accelerator, and for data on several devices, all
examples form one block (or as few as memory allows): two large products, with the elementwise part fused. Several orders are
then computed from the stored pre-activations, since reading memory is slower than evaluating the activation. Paired units
share their features, which halves them.

**Shapes** inside a block of `b` examples: pre-activations `u` and features `(h, b)` with `h = m/2` distinct units
(`h = m` without pairs); projections `v = ⟨w_r, x⟩`, one array `(h, R, b)` for each unit of a pair, where `R` is the rank.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from taylornets import _checks, _devices, _programs, _trees
from taylornets.two_layer._passes import RowBlocks, map_blocks
from taylornets.two_layer._responses import BlockFeatures, Full, Network, Projections, Response, Taylor, Term
from taylornets.two_layer._rows import HostRows, rows_per_read

# On a CPU, a block of projections should fit into the L2 cache; a heuristic, insensitive to a factor of two.
_BLOCK_BYTES = 2**21
_BLOCK_EXAMPLES = (32, 512)
# On an accelerator, the units of a pair have separate products from this size of a result on.
_SEPARATE_BYTES = 2**26


class Block(NamedTuple):
    """One block of the prepared data: `x` of shape `(b, d)`; all blocks: an array `(blocks, b, d)`, or rows on the host."""

    x: Any
    stored: BlockFeatures | None


class Prepared(_trees.HashableModule):
    """The features of a network on a data set; created by `TwoLayerNetwork.prepare`.

    Attributes:
        net: the network.
        examples: number of examples `n`.
        orders: the prepared orders.
        layout: `"cache"` or `"whole"`.
        shards: number of parts into which devices divide the rows; a block takes equally many rows of each part.
        blocks: the data and, unless chunked, the features, in blocks of equal size (padded with zero rows).
    """

    net: Network
    blocks: Block
    examples: int = eqx.field(static=True)
    orders: tuple[int, ...] = eqx.field(static=True)
    layout: str = eqx.field(static=True, default=_devices.CACHE)
    shards: int = eqx.field(static=True, default=1)

    @property
    def x(self) -> Float[Array, "n d"]:
        """The examples, shape `(n, d)`."""
        x = self.blocks.x
        if isinstance(x, RowBlocks):
            x = map_blocks(lambda block: block, x)
        return self.joined(x)

    def term(self, k: int, w: ArrayLike) -> Array:
        """Evaluates `f^(k)(w; x)` for the prepared `x`; see `TwoLayerNetwork.term`. Shape `(n, outputs)`."""
        return self.apply(Term(self._order(k)), w)

    def taylor(self, k: int, w: ArrayLike) -> Array:
        """Evaluates the sum of the terms of orders `0..k`; see `TwoLayerNetwork.taylor`. Shape `(n, outputs)`."""
        return self.apply(Taylor(self._order(k)), w)

    def full(self, w: ArrayLike) -> Array:
        """Evaluates the network at `w0 + w`. Shape `(n, outputs)`."""
        return self.apply(Full(), w)

    def apply(self, response: Response, w: ArrayLike) -> Any:
        """Evaluates a response on all examples; moves the examples from the last axis to the first."""
        return _apply(self, response, self.displacement(w, response))

    def displacement(self, w: ArrayLike, response: Response) -> Array:
        """Validates the shape of `w`: `(m, d)` or, for responses that allow copies, `(m, R, d)`."""
        m, d = self.net.width, self.net.inputs
        if not isinstance(self.blocks.x, RowBlocks):
            _checks.together({"x": self.blocks.x, "w": w})
        if response.copies and jnp.ndim(w) == 3:
            return _checks.array("w", w, (m, "R", d))
        advice = "" if response.copies else "Copies (m, R, d) are supported for single terms of order ≥ 1 only."
        return _checks.array("w", w, (m, d), advice if jnp.ndim(w) == 3 else "")

    def project(self, response: Response, w: Array, x: Float[Array, "b d"], direction: bool = False) -> Projections:
        """Computes the projections `⟨w_r, x_i⟩` of a block, one array `(h, R, b)` for each unit of a pair.

        A term of order 1 depends on the difference of paired units only, which are then projected together: half the product.
        Large blocks have one product for each unit, so that no array of all units is split or joined.

        Args:
            response: the response, which states whether its projections are those of `w0 + w`.
            w: displacement, shape `(m, d)` or `(m, R, d)`.
            x: the examples.
            direction: whether `w` is a change of the displacement, to which `w0` is not added.
        """
        net = self.net
        if response.shifted and not direction:
            w = net.w0 + w
        units = w.reshape(net.halves, -1, net.inputs)
        if self._paired(response):
            units = (units[0] - units[1])[None]
        if self._apart(x):
            return tuple(_devices.product(unit, x.T).reshape(net.pairs, -1, x.shape[0]) for unit in units)
        product = _devices.product(units.reshape(-1, net.inputs), x.T)
        return tuple(product.reshape(len(units), net.pairs, -1, x.shape[0]))

    def collect(self, response: Response, slopes: Projections, x: Float[Array, "b d"]) -> Float[Array, "rows d"]:
        """Computes the transpose of `project`, `Σ_i (∂/∂v_ri) x_i`, in the precision of the data."""
        rows = [slope.reshape(-1, x.shape[0]).astype(x.dtype) for slope in slopes]
        if self._apart(x):
            found = jnp.concatenate([_devices.product(row, x) for row in rows])
        else:
            found = _devices.product(jnp.concatenate(rows), x)
        return jnp.concatenate([found, -found]) if self._paired(response) else found

    def _apart(self, x: Array) -> bool:
        # XLA merges smaller products with a common factor, and copies the parts of the result.
        size = self.net.pairs * x.shape[0] * _devices.wide(x.dtype).itemsize
        return self.layout == _devices.WHOLE and size >= _SEPARATE_BYTES

    def _paired(self, response: Response) -> bool:
        return self.net.symmetric and isinstance(response, Term) and response.k == 1

    def features(self, block: Block, response: Response) -> BlockFeatures:
        """Returns the features of a block, stored or computed from its examples."""
        stored = block.stored
        if stored is not None and (stored.u is not None or not response.preactivations):
            if set(response.orders) <= set(stored.scaled):
                return stored
            if stored.u is not None:
                return BlockFeatures(stored.u, scaled_derivatives(self.net, stored.u, response.orders))
        return form_features(self.net, block.x, response.orders, response.preactivations)

    def eigvalsh(self, matrices: Float[Array, "... d d"]) -> Float[Array, "... d"]:
        """Computes eigenvalues on the devices of the data, see `taylornets._devices.eigvalsh`."""
        return _devices.eigvalsh(matrices, self.layout)

    def per_example(self, values: Array) -> Array:
        """Splits an array `(n, ...)` like the data: `(blocks, b, ...)`, padded with zeros."""
        return _split(values, self.shards, *self.blocks.x.shape[:2])

    def joined(self, values: Array) -> Array:
        """Joins an array `(blocks, b, ...)` to shape `(n, ...)`, the inverse of `per_example`."""
        count, size, *rest = values.shape
        if self.shards == 1:
            return values.reshape(-1, *rest)[: self.examples]
        parts = jnp.swapaxes(values.reshape(count, self.shards, size // self.shards, *rest), 0, 1)
        own = self.examples // self.shards
        return parts.reshape(self.shards, -1, *rest)[:, :own].reshape(-1, *rest)

    def unblock(self, values: Array) -> Array:
        """Joins outputs of shape `(blocks, ..., b)` to shape `(n, ...)`."""
        return self.joined(jnp.moveaxis(values, -1, 1))

    def _order(self, k: int) -> int:
        k = _checks.integer("k", k, 0)
        if k not in self.orders:
            raise _checks.ArgumentError(
                "k", f"one of the prepared orders {self.orders}", str(k), "Prepare more orders."
            )
        return k


# Compiled once per shape: an eager loop would be recompiled in every call.
@_programs.program
def _apply(prepared: Prepared, response: Response, w: Array) -> Any:
    def outputs(block: Block) -> Any:
        v = prepared.project(response, w, block.x)
        return response(prepared.net, prepared.features(block, response), v)

    # Without stored features, the backward pass recomputes them instead of storing n × m numbers.
    body = outputs if prepared.blocks.stored is not None else jax.checkpoint(outputs)
    return jax.tree.map(prepared.unblock, map_blocks(body, prepared.blocks))


# Features are computed once, and certificates rely on them: always at the highest precision.
@_devices.exact
@_programs.program
def _store_features(
    net: Network, blocks: Float[Array, "blocks b d"], orders: tuple[int, ...], preactivations: bool
) -> BlockFeatures:
    return map_blocks(lambda block: form_features(net, block, orders, preactivations), blocks)


def form_features(net: Network, x: Float[Array, "b d"], orders: tuple[int, ...], preactivations: bool) -> BlockFeatures:
    """Computes features of examples: `u = ⟨w0_r, x⟩` of the distinct units and the scaled derivatives."""
    if not orders and not preactivations:
        return BlockFeatures(None, {})
    u = _devices.product(net.w0[: net.pairs], x.T)
    return BlockFeatures(u if preactivations else None, scaled_derivatives(net, u, orders))


def scaled_derivatives(net: Network, u: Float[Array, "h b"], orders: tuple[int, ...]) -> dict[int, Array]:
    """Computes `σ^{(k)}(u)/(k! √m)` for each order."""
    values = net.activation.derivatives(u, orders) if orders else ()
    return {
        k: value * (1 / (math.factorial(k) * math.sqrt(net.width))) for k, value in zip(orders, values, strict=True)
    }


def prepare(
    net: Network,
    x: ArrayLike,
    order: int | tuple[int, ...],
    chunk_size: int | None,
    preactivations: bool = False,
    layout: str | None = None,
) -> Prepared:
    """See `TwoLayerNetwork.prepare`; `preactivations` also stores `u`, for responses that use it."""
    x = _checks.array("x", x, ("n", net.inputs))
    orders = tuple(range(_checks.integer("order", order, 0) + 1)) if not isinstance(order, tuple) else order
    orders = tuple(sorted({_checks.integer("order", k, 0) for k in orders}))
    layout = None if layout is None else _devices.checked(layout)
    return prepare_checked(net, x, orders, chunk_size, preactivations=preactivations, layout=layout)


def prepare_checked(
    net: Network,
    x: Float[Array, "n d"] | HostRows,
    orders: tuple[int, ...],
    chunk_size: int | None,
    preactivations: bool = False,
    layout: str | None = None,
) -> Prepared:
    """Applies `prepare` to validated examples; `orders` are distinct and ascending. Features of rows are not stored."""
    _devices.require_loops()
    net = jax.tree.map(_checks.automatic, net)
    if isinstance(x, HostRows):
        return _prepare_rows(net, x, orders, chunk_size)
    _checks.together({"net": net, "x": x})
    examples, bytes_per_example = x.shape[0], net.width * _devices.wide(x.dtype).itemsize
    layout = _devices.layout(x, net.w0) if layout is None else layout
    shards = _devices.row_shards(x)
    own = examples // shards
    if chunk_size is not None:
        part = min(max(_checks.integer("chunk_size", chunk_size, 1) // shards, 1), own)
    elif layout == _devices.WHOLE:
        most = _devices.block_limit(x, net.w0, bytes_per_example=bytes_per_example)
        part = _balanced(own, most // shards)
    else:
        part = _balanced(own, _cache_examples(bytes_per_example))
    blocks_x = _split(x, shards, -(-own // part), part * shards)
    stored = None
    if chunk_size is None:
        if layout == _devices.WHOLE and (preactivations or len(orders) > 1):
            stored = _store_features(net, blocks_x, (), preactivations=True)
        else:
            stored = _store_features(net, blocks_x, orders, preactivations)
    return Prepared(net, Block(blocks_x, stored), examples, orders, layout, shards)


def _split(values: Array, shards: int, count: int, size: int) -> Array:
    """Splits the rows of an array into blocks `(count, size, ...)`, padded with zeros.

    Of rows that devices divide into `shards` parts, each block takes `size/shards` of every part, so that all devices work on
    every block and no row is moved.
    """
    rest, own, part = values.shape[1:], values.shape[0] // shards, size // shards
    padding = count * part - own
    if shards == 1:
        padded = jnp.pad(values, [(0, padding)] + [(0, 0)] * len(rest)) if padding else values
        return padded.reshape(count, size, *rest)
    parts = jnp.pad(values.reshape(shards, own, *rest), [(0, 0), (0, padding)] + [(0, 0)] * len(rest))
    return jnp.swapaxes(parts.reshape(shards, count, part, *rest), 0, 1).reshape(count, size, *rest)


def _prepare_rows(net: Network, rows: HostRows, orders: tuple[int, ...], chunk_size: int | None) -> Prepared:
    """Prepares rows on the host: `chunk_size` rows are read at a time, and on a CPU processed in blocks for the cache."""
    layout, bytes_per_example = _devices.layout(net.w0), net.width * _devices.wide(rows.dtype).itemsize
    most = rows_per_read(net.inputs, rows.dtype.itemsize)
    if layout == _devices.WHOLE:
        most = min(most, _devices.block_limit(net.w0, bytes_per_example=bytes_per_example))
    read = min(most if chunk_size is None else _checks.integer("chunk_size", chunk_size, 1), rows.shape[0])
    size = read if layout == _devices.WHOLE else _balanced(read, _cache_examples(bytes_per_example))
    blocks = RowBlocks.of(rows, size, -(-read // size))
    return Prepared(net, Block(blocks, None), rows.shape[0], orders, layout)


def _cache_examples(bytes_per_example: int) -> int:
    """The number of examples whose projections fit into the cache of a CPU."""
    low, high = _BLOCK_EXAMPLES
    return min(max(_BLOCK_BYTES // bytes_per_example, low), high)


def _balanced(examples: int, most: int) -> int:
    """Returns the number of examples per block: at most `most`, balanced over the blocks."""
    return -(-examples // -(-examples // max(most, 1)))
