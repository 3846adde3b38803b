"""Cases of primitives that move, sum, multiply and select elements."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from edge_case import SINGLE, Case, Generator, apart, between, complex_between
from jax import lax
from jax.experimental import sparse

ONE = jax.sharding.SingleDeviceSharding(jax.devices()[0])
AXES = ((), (0,), (1,), (0, 1), (0, 1, 2))
FULL = (2, 3, 1)


def on(function: Callable[..., Any], *inputs: tuple[int, ...], label: str, **rest: Any) -> Case:
    """A linear or bilinear function of operands of the given shapes."""
    return Case(function, tuple(between(-1, 1, shape, i) for i, shape in enumerate(inputs)), label, **rest)


def reshaped() -> Iterator[Case]:
    for old, new in (((2, 3), (6,)), ((), (1, 1)), ((0, 3), (3, 0)), ((1, 3), (3,))):
        yield on(lambda x, new=new: lax.reshape(x, new), old, label=f"{old} to {new}")
    yield on(lambda x: lax.reshape(x, (6,), dimensions=(1, 0)), (2, 3), label="dimensions permuted")


def broadcast() -> Iterator[Case]:
    for old, new, dims in (((), (2, 3), ()), ((3,), (2, 3), (1,)), ((1, 3), (2, 3), (0, 1)), ((0,), (0, 2), (0,))):
        yield on(lambda x, a=(new, dims): lax.broadcast_in_dim(x, *a), old, label=f"{old} to {new} along {dims}")
    yield on(lambda x: lax.broadcast_in_dim(x, (0, 3), (1,)), (3,), label="to nothing")


def permuted() -> Iterator[Case]:
    for shape, order in (((2, 3, 1), (2, 0, 1)), ((2, 3), (0, 1)), ((0, 2), (1, 0)), ((), ())):
        yield on(lambda x, order=order: lax.transpose(x, order), shape, label=f"{shape} by {order}")


def squeezed() -> Iterator[Case]:
    for shape, dims in (((1, 3), (0,)), ((1, 1), (0, 1)), ((0, 1), (1,)), ((2, 1), (-1,))):
        yield on(lambda x, dims=dims: lax.squeeze(x, dims), shape, label=f"{shape} of {dims}")


def reversed_axes() -> Iterator[Case]:
    for shape, dims in product(((2, 3), (1, 0)), ((), (0,), (1,), (0, 1))):
        yield on(lambda x, dims=dims: lax.rev(x, dims), shape, label=f"{shape} along {dims}")


def slices() -> Iterator[Case]:
    for start, stop, stride in ((0, 5, 1), (1, 4, 2), (0, 5, 3), (2, 2, 1), (4, 5, 2)):
        yield on(lambda x, a=(start, stop, stride): lax.slice_in_dim(x, *a), (5, 2), label=f"{start}:{stop}:{stride}")


def reductions(function: Callable[..., Any], extremum: bool) -> Iterator[Case]:
    values = apart if extremum else partial(between, -1, 1)
    for axes in AXES:
        yield Case(lambda x, axes=axes: function(x, axes), (values(FULL),), f"{FULL} over {axes}")
    for shape, axes in (((0, 3), (0,)), ((0, 3), (1,)), ((3, 0), (0,)), ((1,), (0,)), ((7,), (0,)), ((), ())):
        yield Case(
            lambda x, axes=axes: function(x, axes), (values(shape),), f"{shape} over {axes}", edge=not np.prod(shape)
        )
    if function is not reduce_prod:
        return
    for start in ([0.0, 0.7, 1.2], [0.0, 0.0, 1.1, 0.3], [0.0] * 5, [0.5 + 0.3j, 0.0, 1j]):
        yield Case(lambda x: function(x, (0,)), (np.array(start),), f"of {start}", edge=True)


def reduce_prod(x: Any, axes: tuple[int, ...]) -> Any:
    return lax.reduce_prod(x, axes)


def cumulative(function: Callable[..., Any], extremum: bool, takes_complex: bool) -> Iterator[Case]:
    values = apart if extremum else partial(between, -1, 1)
    for shape, axis, backwards in product(((2, 3), (1, 3), (0, 3)), (0, 1), (False, True)):
        f = partial(function, axis=axis, reverse=backwards)
        yield Case(f, (values(shape),), f"{shape} along {axis}, reverse={backwards}")
    for backwards in (False, True):
        f = partial(function, axis=0, reverse=backwards)
        yield Case(f, (values((5,)),), f"five, reverse={backwards}")
        if takes_complex:
            yield Case(f, (complex_between(-1, 1, (3,)),), f"complex, reverse={backwards}")
        if function is lax.cumprod:
            yield Case(f, (np.array([0.7, 0.0, 1.2, 0.0]),), f"with zeros, reverse={backwards}", edge=True)
        if function is lax.cumlogsumexp:
            yield Case(
                f, (np.array([500.0, -700.0, 1000.0, 999.0]),), f"far apart, reverse={backwards}", SINGLE, edge=True
            )


WINDOWS = (
    ((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1)),
    ((2, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1)),
    ((2, 3), (2, 1), ((1, 0), (1, 2)), (1, 1), (1, 1)),
    ((2, 2), (1, 3), ((0, 1), (1, 1)), (1, 1), (1, 1)),
    ((2, 2), (1, 1), ((0, 0), (1, 1)), (1, 1), (2, 3)),
    ((3, 2), (1, 2), ((1, 1), (0, 0)), (2, 3), (1, 1)),
)


def windows(function: Callable[[Any, Any], Any], extremum: bool) -> Iterator[Case]:
    values = apart if extremum else partial(between, -1, 1)
    for settings in WINDOWS:
        yield Case(lambda x, s=settings: function(x, s), (values((3, 4)),), f"{settings}")
    yield Case(lambda x: function(x, WINDOWS[1]), (values((3, 0)),), "empty")


def window_sum(x: Any, settings: Any) -> Any:
    dims, strides, padding, base, window = settings
    return lax.reduce_window(x, np.zeros((), x.dtype), lax.add, dims, strides, padding, base, window)


def window_max(x: Any, settings: Any) -> Any:
    dims, strides, padding, base, window = settings
    return lax.reduce_window(x, np.array(-np.inf, x.dtype), lax.max, dims, strides, padding, base, window)


def window_min(x: Any, settings: Any) -> Any:
    dims, strides, padding, base, window = settings
    return lax.reduce_window(x, np.array(np.inf, x.dtype), lax.min, dims, strides, padding, base, window)


def chosen(transformed: Callable[[Callable[[Any], Any]], Callable[[Any, Any], Any]]) -> Iterator[Case]:
    """Returns cases of the derivatives of pooling, which select the same elements as pooling."""
    for settings, pool in product(WINDOWS[:3], (window_max, window_min)):

        def f(x: Any, v: Any, settings: Any = settings, pool: Any = pool) -> Any:
            return transformed(lambda y: pool(y, settings))(x, v)

        yield Case(f, (apart((3, 4)), between(-1, 1, (3, 4))), f"{pool.__name__} {settings}", SINGLE)


def forward(f: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda x, v: jax.jvp(f, (x,), (v,))[1]


def backward(f: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def run(x: Any, v: Any) -> Any:
        y, pull = jax.vjp(f, x)
        return pull(y * v.sum())[0]

    return run


def sorted_operands() -> Iterator[Case]:
    for shape, dimension, stable in product(((3, 4), (1, 3), (0, 2)), (0, 1), (True, False)):
        sort = partial(lax.sort, dimension=dimension, is_stable=stable)
        yield Case(sort, (apart(shape),), f"{shape} along {dimension}, stable={stable}")
    for keys in (1, 2):
        sort = partial(lax.sort, num_keys=keys)
        yield Case(lambda *x, sort=sort: sort(x), (apart((4,)), apart((4,), 1), between(-1, 1, (4,))), f"{keys} keys")
        first = np.array([1, 0, 1, 0], np.int32)
        yield Case(lambda *x, sort=sort: sort(x), (first, apart((4,)), between(-1, 1, (4,))), f"{keys} keys, integers")


def best(function: Callable[..., Any], least: int) -> Iterator[Case]:
    for shape, k in product(((4,), (2, 3), (0, 3)), (0, 1, 3)):
        if k >= least:
            yield Case(lambda x, k=k: function(x, k)[0], (apart(shape),), f"{k} of {shape}")


def conversions() -> Iterator[Case]:
    yield on(lambda x: lax.convert_element_type(x, lax.complex(x, x).dtype), (3,), label="to complex", dtypes=SINGLE)
    yield on(
        lambda x: lax.convert_element_type(lax.convert_element_type(x, jnp.int32), x.dtype) * x, (3,), label="to int"
    )


def copies() -> Iterator[Case]:
    yield on(jax.device_put, (2,), label="one")
    yield on(lambda x, y: jax.device_put((x, y, x * y)), (2,), (2,), label="several")
    yield on(lambda x: jax.device_put({"a": x, "b": np.ones(2), "c": x * x}), (2,), label="with a constant")


def barriers() -> Iterator[Case]:
    yield on(lax.optimization_barrier, (2,), label="one")
    yield on(lambda x, y: lax.optimization_barrier((x, y, x * y)), (2,), (2,), label="several")


def placed() -> Iterator[Case]:
    for shape in ((), (2,), (0, 2)):
        yield on(lambda x: lax.with_sharding_constraint(x, ONE), shape, label=f"{shape}")


def precision() -> Iterator[Case]:
    yield on(lambda x: lax.reduce_precision(x, 11, 52), (3,), label="no reduction", dtypes=())


def parts() -> Iterator[Case]:
    for sizes, axis in (((2, 0, 1), 0), ((3,), 0), ((1, 1), 1)):
        yield on(lambda x, a=(sizes, axis): lax.split(x, *a), (3, 2), label=f"{sizes} along {axis}")


def tiled() -> Iterator[Case]:
    for shape, repetitions in (((2, 3), (2, 1)), ((2,), (3,)), ((0, 2), (2, 2)), ((2,), (0,))):
        yield on(lambda x, r=repetitions: lax.tile(x, r), shape, label=f"{shape} by {repetitions}")


def stacked() -> Iterator[Case]:
    for shape, axis in (((2,), 0), ((2,), 1), ((), 0), ((0, 2), 2)):
        yield on(lambda x, y, axis=axis: jnp.stack([x, y, x], axis), shape, shape, label=f"{shape} along {axis}")


def unstacked() -> Iterator[Case]:
    for shape, axis in (((2, 3), 0), ((2, 3), 1), ((1, 2), 0), ((0, 2), 1)):
        yield on(lambda x, axis=axis: jnp.unstack(x, axis=axis), shape, label=f"{shape} along {axis}")


def concatenated() -> Iterator[Case]:
    for first, second, axis in (((2, 3), (1, 3), 0), ((2, 0), (2, 3), 1), ((0,), (0,), 0), ((1, 1), (1, 2), 1)):
        yield on(
            lambda x, y, a=axis: lax.concatenate([x, y], a), first, second, label=f"{first}, {second} along {axis}"
        )


def padded() -> Iterator[Case]:
    for low, high, inner in product((0, 2, -1), (0, 1, -2), (0, 1, 3)):
        yield on(
            lambda x, y, c=((low, high, inner),): lax.pad(x, y, c), (4,), (), label=f"{low}, {high}, interior {inner}"
        )
    yield on(lambda x, y: lax.pad(x, y, ((1, 1, 2), (0, 1, 0))), (0, 2), (), label="empty")


def dynamic_slices() -> Iterator[Case]:
    for start, sizes in (((0, 1), (2, 2)), ((9, -1), (1, 3)), ((0, 0), (0, 1))):
        where = np.array(start, np.int32)
        yield Case(
            lambda x, i, n=sizes: lax.dynamic_slice(x, tuple(i), n), (between(-1, 1, (2, 3)), where), f"{start} {sizes}"
        )


def dynamic_updates() -> Iterator[Case]:
    for start, shape in (((0, 1), (2, 2)), ((9, -1), (1, 3)), ((0, 0), (0, 1))):
        operands = between(-1, 1, (2, 3)), between(-1, 1, shape, 1), np.array(start, np.int32)
        yield Case(lambda x, u, i: lax.dynamic_update_slice(x, u, tuple(i)), operands, f"{start} {shape}")


INDICES = {
    "scalar": np.array(1, np.int32),
    "none": np.zeros(0, np.int32),
    "table": np.array([[1], [2]], np.int32),
    "out of bounds": np.array([0, 7, -9], np.int32),
}
MODES = ("clip", "fill", "promise_in_bounds")


def gathers() -> Iterator[Case]:
    for (name, index), mode in product(INDICES.items(), MODES):
        if name == "out of bounds" and mode == "promise_in_bounds":
            continue
        fill = 0.5 if mode == "fill" else None
        yield Case(
            lambda x, i, m=mode, f=fill: x.at[i].get(mode=m, fill_value=f),
            (between(-1, 1, (3, 2)), index),
            f"{name}, {mode}",
        )
    rows = np.array([[0, 1], [1, 0], [2, 2]], np.int32)
    pick = jax.vmap(lambda row, i: row.at[i].get(mode="clip"))
    yield Case(pick, (between(-1, 1, (3, 3)), rows), "an index for each row")
    yield Case(lambda x, i: jnp.take_along_axis(x, i, 1, mode="clip"), (between(-1, 1, (3, 3)), rows), "along an axis")
    yield Case(lambda x, i: x.at[i].get(mode="clip"), (between(-1, 1, (2, 0)), np.array([1, 1, 0], np.int32)), "empty")


def scatters(method: str, repeats: bool) -> Iterator[Case]:
    spaced = apart((3, 2), 3), partial(apart, salt=1)
    for (name, index), mode in product(INDICES.items(), MODES):
        if name == "out of bounds" and (mode == "promise_in_bounds" or method == "multiply"):
            continue

        def f(x: Any, i: Any, u: Any, mode: str = mode) -> Any:
            return getattr(x.at[i], method)(u, mode=mode, unique_indices=not repeats)

        yield Case(f, (spaced[0], index, spaced[1]((*index.shape, 2))), f"{name}, {mode}", edge=name == "out of bounds")
    if repeats:
        index = np.array([1, 1, 0], np.int32)
        yield Case(lambda x, i, u: getattr(x.at[i], method)(u), (spaced[0], index, spaced[1]((3, 2))), "repeated")
    index = np.array([1, 0, 2], np.int32)
    each = jax.vmap(lambda x, i, u: getattr(x.at[i], method)(u, unique_indices=not repeats))
    yield Case(each, (apart((3, 3), 3), index, apart((3,), 1)), "an index for each row")


def products_into() -> Iterator[Case]:
    yield from scatters("multiply", repeats=False)
    index = np.array([1, 1, 0], np.int32)
    yield Case(
        lambda x: x.at[index].multiply(np.array([2.0, 3.0, 0.5], x.dtype)), (between(-1, 1, (3,)),), "fixed, repeated"
    )


def contractions() -> Iterator[Case]:
    table = (
        ((2, 3), (3, 2), ((1,), (0,)), ((), ())),
        ((2, 3), (2, 3), ((0, 1), (0, 1)), ((), ())),
        ((2, 3), (4,), ((), ()), ((), ())),
        ((2, 3, 2), (2, 2, 3), ((1,), (2,)), ((0,), (0,))),
        ((2, 3, 2), (3, 2), ((), ()), ((1, 2), (0, 1))),
        ((2, 0), (0, 3), ((1,), (0,)), ((), ())),
        ((0, 3), (3, 2), ((1,), (0,)), ((), ())),
        ((1, 1), (1,), ((1,), (0,)), ((), ())),
        ((40, 2), (2, 3), ((1,), (0,)), ((), ())),
        ((0, 2, 2), (0, 2), ((2,), (1,)), ((0,), (0,))),
    )
    for first, second, *dims in table:
        f = partial(lax.dot_general, dimension_numbers=tuple(dims), precision=lax.Precision.HIGHEST)
        yield on(f, first, second, label=f"{first}, {second} {dims}")
    pair = complex_between(-1, 1, (2, 2)), complex_between(-1, 1, (2, 2), 3)
    yield Case(lax.dot, pair, "complex")
    yield on(
        partial(lax.dot, preferred_element_type=jnp.float64), (2, 3), (3, 2), label="accumulated in double", dtypes=()
    )


def convolutions() -> Iterator[Case]:
    moves = (1, (0, 0)), (3, (-1, 2))
    for (stride, padding), lhs, rhs, (features, batches) in product(moves, (1, 2), (1, 2), ((1, 1), (2, 1), (1, 2))):

        def f(x: Any, w: Any, a: Any = (stride, padding, lhs, rhs, features, batches)) -> Any:
            stride, padding, lhs, rhs, features, batches = a
            return lax.conv_general_dilated(
                x, w, (stride,), (padding,), (lhs,), (rhs,), feature_group_count=features, batch_group_count=batches
            )

        label = f"stride {stride}, padding {padding}, dilation {lhs} {rhs}, groups {features} {batches}"
        yield on(f, (2, 2, 5), (2, 2 // features, 2), label=label)
    for first, second, label in (((0, 2, 5), (2, 2, 2), "no rows"), ((1, 1, 1), (1, 1, 1), "one of everything")):
        yield on(lambda x, w: lax.conv_general_dilated(x, w, (1,), "VALID"), first, second, label=label)
    dims = ("NHWC", "HWIO", "NHWC")
    last = partial(lax.conv_general_dilated, window_strides=(2, 1), padding="SAME", dimension_numbers=dims)
    yield on(last, (1, 3, 3, 2), (2, 2, 2, 1), label="channels last")


def ragged() -> Iterator[Case]:
    for sizes in ((2, 2), (0, 4), (1, 2)):
        groups = np.array(sizes, np.int32)
        operands = between(-1, 1, (4, 3)), between(-1, 1, (2, 3, 2)), groups
        yield Case(lax.ragged_dot, operands, f"{sizes}", SINGLE)


def sparse_products(kind: str) -> Iterator[Case]:
    rows, columns = np.array([0, 0, 1], np.int32), np.array([0, 2, 1], np.int32)
    starts, pairs = np.array([0, 2, 3], np.int32), np.stack([rows, columns], 1)
    build = {
        "bcoo": lambda data: sparse.BCOO((data, pairs), shape=(2, 3)),
        "bcsr": lambda data: sparse.BCSR((data, columns, starts), shape=(2, 3)),
        "coo": lambda data: sparse.COO((data, rows, columns), shape=(2, 3)),
        "csr": lambda data: sparse.CSR((data, columns, starts), shape=(2, 3)),
    }[kind.split("_", maxsplit=1)[0]]
    shape = (3,) if kind.endswith("matvec") else (3, 2)
    yield on(lambda data, x: build(data) @ x, (3,), shape, label=kind, dtypes=SINGLE)


STRUCTURE: dict[str, Generator] = {
    "reshape": reshaped,
    "broadcast_in_dim": broadcast,
    "transpose": permuted,
    "squeeze": squeezed,
    "rev": reversed_axes,
    "slice": slices,
    "reduce_sum": partial(reductions, lambda x, axes: lax.reduce_sum(x, axes), False),
    "reduce_prod": partial(reductions, reduce_prod, False),
    "reduce_max": partial(reductions, lambda x, axes: lax.reduce_max(x, axes), True),
    "reduce_min": partial(reductions, lambda x, axes: lax.reduce_min(x, axes), True),
    "cumsum": partial(cumulative, lax.cumsum, False, True),
    "cumprod": partial(cumulative, lax.cumprod, False, True),
    "cumlogsumexp": partial(cumulative, lax.cumlogsumexp, False, False),
    "cummax": partial(cumulative, lax.cummax, True, False),
    "cummin": partial(cumulative, lax.cummin, True, False),
    "reduce_window_sum": partial(windows, window_sum, False),
    "reduce_window_max": partial(windows, window_max, True),
    "reduce_window_min": partial(windows, window_min, True),
    "select_and_gather_add": partial(chosen, forward),
    "select_and_scatter_add": partial(chosen, backward),
    "sort": sorted_operands,
    "top_k": partial(best, lax.top_k, 0),
    "approx_top_k": partial(best, lax.approx_max_k, 1),
    "convert_element_type": conversions,
    "device_put": copies,
    "optimization_barrier": barriers,
    "sharding_constraint": placed,
    "reduce_precision": precision,
    "split": parts,
    "tile": tiled,
    **({"stack": stacked, "unstack": unstacked} if hasattr(lax, "stack") else {}),
    "concatenate": concatenated,
    "pad": padded,
    "dynamic_slice": dynamic_slices,
    "dynamic_update_slice": dynamic_updates,
    "gather": gathers,
    "scatter": partial(scatters, "set", True),
    "scatter-add": partial(scatters, "add", True),
    "scatter-sub": partial(scatters, "subtract", True),
    "scatter-max": partial(scatters, "max", True),
    "scatter-min": partial(scatters, "min", True),
    "scatter-mul": products_into,
    "dot_general": contractions,
    "conv_general_dilated": convolutions,
    "ragged_dot_general": ragged,
    **{
        kind: partial(sparse_products, kind)
        for kind in (
            "bcoo_dot_general", "bcsr_dot_general", "coo_matmat", "coo_matvec", "csr_matmat", "csr_matvec",
        )
    },
}  # fmt: skip
