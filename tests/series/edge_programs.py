"""Cases of linear algebra, of the Fourier transform, of collective operations and of loops."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np
from edge_case import SINGLE, Case, Generator, between, complex_between
from jax import lax


def plain(x: Any) -> Any:
    """Applies a function without complex differentiation, for factorizations of a Hermitian matrix."""
    return jnp.swapaxes(x, -1, -2)


def square_shapes() -> tuple[tuple[int, ...], ...]:
    return ((3, 3), (1, 1), (0, 0), (2, 2, 2), (0, 2, 2))


def regular(shape: tuple[int, ...], salt: int = 0, kind: str = "real") -> np.ndarray:
    """Returns a well-conditioned matrix with distinct eigenvalues."""
    values = between if kind == "real" else complex_between
    return values(-0.4, 0.4, shape, salt) + np.diag(2.0 + 1.5 * np.arange(shape[-1]))


def definite(a: Any) -> Any:
    eye = jnp.broadcast_to(jnp.diag(3 + 2 * jnp.arange(a.shape[-1], dtype=a.dtype)), a.shape)
    return lax.batch_matmul(a, jnp.conj(plain(a)), precision=lax.Precision.HIGHEST) / 9 + eye


def matrices(function: Callable[[Any], Any], *kinds: str, given: Any = None) -> Iterator[Case]:
    for shape, kind in product(given or square_shapes(), kinds):
        yield Case(
            function, (regular(shape, kind=kind),), f"{kind} {shape}", SINGLE, edge=kind == "real" and shape == (3, 3)
        )


def triangular() -> Iterator[Case]:
    flags = ("left_side", "lower", "transpose_a", "conjugate_a", "unit_diagonal")
    for values, kind in product(product((False, True), repeat=5), ("real", "complex")):
        settings = dict(zip(flags, values, strict=True))
        if settings["conjugate_a"] != (kind == "complex"):
            continue
        right = (2, 1) if settings["left_side"] else (1, 2)
        operands = regular((2, 2), kind=kind), regular((2, 2), 1, kind)[: right[0], : right[1]]
        yield Case(partial(lax.linalg.triangular_solve, **settings), operands, f"{kind} {settings}", SINGLE)
    for shape in square_shapes():
        f = partial(lax.linalg.triangular_solve, left_side=True)
        yield Case(f, (regular(shape), regular(shape, 1)), f"{shape}", SINGLE)


def eigenvalues(a: Any) -> tuple[Any, Any]:
    """Returns the eigenvalues and a matrix independent of the signs or phases of the eigenvectors."""
    vectors, values = lax.linalg.eigh(a, symmetrize_input=False)
    scaled = vectors * jnp.expand_dims(jnp.exp(-values).astype(a.dtype), -2)
    return values, lax.batch_matmul(scaled, jnp.conj(plain(vectors)), precision=lax.Precision.HIGHEST)


def hermitian() -> Iterator[Case]:
    yield from matrices(lambda a: eigenvalues(definite(a)), "real")
    yield from matrices(lambda a: eigenvalues(definite(a)), "complex", given=((2, 2),))
    upper = partial(lax.linalg.eigh, lower=False, symmetrize_input=False)
    yield from matrices(lambda a: upper(definite(a))[1], "real", given=((3, 3),))


def orthogonal(a: Any, full: bool) -> tuple[Any, Any]:
    """Returns the two factors in a form independent of the signs or phases of their rows and columns."""
    q, r = lax.linalg.qr(a, full_matrices=full)
    size = min(r.shape[-2:])
    left, top = q[..., :size], r[..., :size, :]
    times = partial(lax.batch_matmul, precision=lax.Precision.HIGHEST)
    return times(left, jnp.conj(plain(left))), times(jnp.conj(plain(top)), top)


def orthogonal_factors() -> Iterator[Case]:
    yield from matrices(partial(orthogonal, full=False), "real", given=((3, 3), (1, 1), (2, 2, 2)))
    yield from matrices(partial(orthogonal, full=False), "complex", given=((2, 2),))
    yield from matrices(partial(orthogonal, full=True), "real", given=((2, 2),))
    tall = np.concatenate([regular((2, 2)), between(-1, 1, (1, 2))])
    yield Case(partial(orthogonal, full=False), (tall,), "tall", SINGLE)
    yield Case(partial(orthogonal, full=False), (np.zeros((0, 2, 2)),), "no matrices", SINGLE)


def solves() -> Iterator[Case]:
    for shape in ((3, 3), (1, 1), (2, 2, 2)):
        yield Case(jnp.linalg.solve, (regular(shape), regular(shape, 1)), f"{shape}", SINGLE)
    yield Case(jnp.linalg.solve, (regular((2, 2), kind="complex"), regular((2, 2), 1, "complex")), "complex", SINGLE)
    for symmetric in (False, True):

        def f(a: Any, b: Any, symmetric: bool = symmetric) -> Any:
            matrix = definite(a)
            return lax.custom_linear_solve(
                lambda x: matrix @ x, b, lambda _, y: jnp.linalg.inv(matrix) @ y, None, symmetric=symmetric
            )

        yield Case(f, (regular((3, 3)), between(-1, 1, (3,))), f"own solver, symmetric={symmetric}", SINGLE)


def transforms() -> Iterator[Case]:
    for kind, shape in product(("fft", "ifft"), ((3,), (1,), (2, 4))):
        f = partial(lax.fft, fft_type=kind, fft_lengths=shape[-1:])
        yield Case(f, (complex_between(-1, 1, shape),), f"{kind} {shape}", SINGLE)
    yield Case(
        partial(lax.fft, fft_type="rfft", fft_lengths=(2, 5)), (between(-1, 1, (2, 5)),), "rfft of two axes", SINGLE
    )
    for n in (4, 5):
        f = partial(lax.fft, fft_type="irfft", fft_lengths=(n,))
        yield Case(f, (complex_between(-1, 1, (3,)),), f"irfft to {n}", SINGLE)
    yield Case(partial(lax.fft, fft_type="fft", fft_lengths=(3,)), (np.zeros((0, 3), complex),), "empty", SINGLE)


def together(across: str, *functions: tuple[str, Callable[[Any], Any]]) -> Iterator[Case]:
    """Collective operations between rows of the operand, or between devices."""
    for label, f in functions:
        yield Case(f, (between(-1, 1, (2, 2, 4)),), label, SINGLE, across=across)


COLLECTIVES = {
    "psum": (
        ("one", lambda x: lax.psum(x * x, "i")),
        ("several", lambda x: lax.psum((x, x * x, {"a": x[0]}), "i")),
        ("mean", lambda x: lax.pmean(x, "i")),
    ),
    "all_gather": (
        ("new axis", lambda x: lax.all_gather(x, "i", axis=1)),
        ("tiled", lambda x: lax.all_gather(x, "i", axis=0, tiled=True)),
    ),
    "all_to_all": (
        ("first", lambda x: lax.all_to_all(x, "i", 0, 0)),
        ("tiled", lambda x: lax.all_to_all(x, "i", 1, 0, tiled=True)),
    ),
    "ppermute": (
        ("exchange", lambda x: lax.ppermute(x, "i", [(0, 1), (1, 0)])),
        ("stay", lambda x: lax.ppermute(x * x, "i", [(0, 0), (1, 1)])),
    ),
    "reduce_scatter": (
        ("one row each", lambda x: lax.psum_scatter(x, "i")),
        ("tiled", lambda x: lax.psum_scatter(x, "i", scatter_dimension=1, tiled=True)),
    ),
}

# Between devices, JAX keeps account of which values differ between them.
BETWEEN_DEVICES = {
    "psum_invariant": (("one", lambda x: x * lax.psum(x * x, "i")),),
    "pvary": (("a value that is everywhere the same", lambda x: x * lax.psum(x, "i")),),
}


def loops() -> Iterator[Case]:
    for backwards, unroll, length in product((False, True), (1, 2), (0, 1, 3)):

        def f(x: Any, xs: Any, backwards: bool = backwards, unroll: int | bool = unroll) -> Any:
            def step(carry: Any, a: Any) -> Any:
                return carry * a + x, (carry, carry * carry)

            return lax.scan(step, x, xs, reverse=backwards, unroll=unroll)

        label = f"reverse={backwards}, unroll={unroll}, length {length}"
        yield Case(f, (between(-1, 1, (2,)), between(-1, 1, (length, 2))), label, SINGLE)


PROGRAMS: dict[str, Generator] = {
    "triangular_solve": triangular,
    "cholesky": lambda: matrices(lambda a: lax.linalg.cholesky(definite(a)), "real", "complex"),
    "eigh": hermitian,
    "qr": orthogonal_factors,
    "custom_linear_solve": solves,
    "fft": transforms,
    "scan": loops,
    **{name: partial(together, "row", *functions) for name, functions in COLLECTIVES.items()},
    **{name: partial(together, "device", *functions) for name, functions in BETWEEN_DEVICES.items()},
}
