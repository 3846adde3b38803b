"""Cases of elementwise primitives."""

import operator
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from edge_case import ALL, SINGLE, Case, Generator, apart, between, complex_between, shapes
from jax import lax
from jax.ad_checkpoint import checkpoint_name

# Primitive: where it is expanded, and whether it takes complex numbers. The singularities are at least 1 away.
UNARY: dict[str, tuple[Callable[[Any], Any], float, float, bool]] = {
    "exp": (lax.exp, -1, 1, True),
    "exp2": (lax.exp2, -1, 1, True),
    "expm1": (lax.expm1, -1, 1, True),
    "tanh": (lax.tanh, -0.4, 0.4, True),
    "logistic": (lax.logistic, -1, 1, True),
    "tan": (lax.tan, -0.3, 0.3, True),
    "log": (lax.log, 1.5, 3, True),
    "log1p": (lax.log1p, 0.5, 2, True),
    "sin": (lax.sin, -1, 1, True),
    "cos": (lax.cos, -1, 1, True),
    "sinh": (lax.sinh, -1, 1, True),
    "cosh": (lax.cosh, -1, 1, True),
    "sqrt": (lax.sqrt, 1.5, 3, True),
    "rsqrt": (lax.rsqrt, 1.5, 3, True),
    "cbrt": (lax.cbrt, 1.5, 3, False),
    "erf": (lax.erf, -1, 1, False),
    "erfc": (lax.erfc, -1, 1, False),
    "atan": (lax.atan, -0.4, 0.4, True),
    "asin": (lax.asin, -0.3, 0.3, True),
    "acos": (lax.acos, -0.3, 0.3, True),
    "asinh": (lax.asinh, -0.4, 0.4, True),
    "acosh": (lax.acosh, 2.5, 4, True),
    "atanh": (lax.atanh, -0.3, 0.3, True),
    "erf_inv": (lax.erf_inv, -0.3, 0.3, False),
    "lgamma": (lax.lgamma, 1.5, 3, False),
    "digamma": (lax.digamma, 1.5, 3, False),
    "square": (lax.square, -1, 1, True),
    "abs": (lax.abs, 0.5, 1, True),
    "sign": (lambda x: lax.mul(lax.sign(x), x), 0.5, 1, True),
    "floor": (lambda x: lax.mul(lax.floor(x), x), 2.4, 2.6, False),
    "ceil": (lambda x: lax.mul(lax.ceil(x), x), -0.6, -0.4, False),
    "neg": (lax.neg, -1, 1, True),
    "real": (lax.real, -1, 1, True),
    "imag": (lax.imag, -1, 1, True),
    "conj": (lax.conj, -1, 1, True),
    "copy": (jnp.copy, -1, 1, True),
    "name": (lambda x: checkpoint_name(x, "x"), -1, 1, True),
}
if hasattr(lax, "log2"):
    UNARY["log2"] = (lax.log2, 1.5, 3, True)  # pyright: ignore[reportAttributeAccessIssue]
if hasattr(lax, "one_minus_square"):
    UNARY["one_minus_square"] = (lax.one_minus_square, -1, 1, True)  # pyright: ignore[reportAttributeAccessIssue]
ONLY_COMPLEX = ("real", "imag", "conj")


def unary(name: str) -> Iterator[Case]:
    function, low, high, takes_complex = UNARY[name]
    for shape in shapes((3,), (0, 2)):
        if name not in ONLY_COMPLEX:
            yield Case(function, (between(low, high, shape),), f"{shape}")
    for shape in shapes((2,)) if takes_complex else ():
        yield Case(function, (complex_between(low, high, shape),), f"complex {shape}", SINGLE)
    if name == "conj":
        yield Case(function, (between(low, high, (3,)),), "real", SINGLE)
    # Far out, where the functions saturate or cancel: their coefficients are small, not undefined.
    if name in ("tanh", "logistic", "erf", "erfc", "exp", "sin"):
        yield Case(function, (np.array([-30.0, 25.0]),), "large", edge=True)


def rounding() -> Iterator[Case]:
    for method in lax.RoundingMethod:
        yield Case(lambda x, m=method: lax.mul(lax.round(x, m), x), (np.array([2.2, -1.3]),), f"{method}")


def integer_powers() -> Iterator[Case]:
    for n in (*range(-4, 6), 10, 17):
        yield Case(partial(lax.integer_pow, y=n), (np.array([0.7, -1.2]),), f"n={n}")
        if n >= 0:
            yield Case(partial(lax.integer_pow, y=n), (np.zeros(2),), f"n={n} at 0", edge=True)
    for n in (-3, 0, 1, 4):
        for start in (np.array([0.8 + 0.3j]), np.zeros((0, 2)), np.array(0.9)):
            dtypes = SINGLE if np.iscomplexobj(start) else ALL
            yield Case(partial(lax.integer_pow, y=n), (start,), f"n={n} from {start.dtype}{start.shape}", dtypes)


def powers() -> Iterator[Case]:
    positive, negative, zero = np.array([0.8, 1.5]), np.array([-0.8, -1.5]), np.zeros(2)
    whole, others = (0.0, 1.0, 2.0, 3.0, 7.0), (0.5, 1.7, -0.3, -1.0, -2.0)

    def fixed(r: Any) -> Callable[[Any], Any]:
        return lambda x: lax.pow(x, lax.full_like(x, r))

    for r in (*whole, *others):
        yield Case(fixed(r), (positive,), f"r={r}")
    for r in (0.0, 2.0, 1.7, -1.0):
        yield Case(fixed(r), (positive[:1] * (1 + 0.3j),), f"r={r} complex", SINGLE)
    for r in (*whole, -1.0, -2.0):
        yield Case(fixed(r), (negative,), f"r={r} at negative numbers")
    for r in whole:
        yield Case(fixed(r), (zero,), f"r={r} at 0", edge=True)
        yield Case(
            lambda x, r=r: lax.pow(x, jnp.asarray(r, x.dtype)), (np.array(0.0),), f"scalar r={r} at 0", edge=True
        )
    for kind in (np.int32, np.int8, np.uint8):
        r = np.array([0, 1, 2, 5], kind)
        yield Case(lax.pow, (np.zeros(4), r), f"exponents {kind.__name__} at 0", edge=True)
        yield Case(lax.pow, (np.full(4, -1.1), r), f"exponents {kind.__name__}")
    yield Case(lax.pow, (np.full(3, 1.3), np.array([-1, -3, 4], np.int32)), "negative exponents int32")
    yield Case(lax.pow, (np.full((0, 2), 1.3), np.zeros((0, 2), np.int32)), "empty")
    yield Case(lax.pow, (positive, np.array([1.3, -0.7])), "moving exponent")


def binary(
    function: Callable[[Any, Any], Any], symbol: Callable[[Any, Any], Any], low: float, high: float
) -> Iterator[Case]:
    for shape in shapes():
        yield Case(function, (between(low, high, shape), between(low, high, shape, 1)), f"{shape}")
        # A number is a scalar in the program, whatever the shape of the other operand.
        yield Case(lambda x: symbol(x, 2.0), (between(low, high, shape),), f"{shape} and a number")
        yield Case(lambda x: symbol(2.0, x), (between(low, high, shape),), f"a number and {shape}")
    pair = complex_between(low, high, (2,)), complex_between(low, high, (2,), 1)
    yield Case(function, pair, "complex", SINGLE)
    yield Case(lambda x: function(x, x), (between(low, high, (2,)),), "with itself")


def stopped() -> Iterator[Case]:
    for shape in shapes():
        yield Case(
            lambda x: lax.mul(lax.stop_gradient(x), x),
            (between(-1, 1, shape),),
            f"{shape}",
            expected=lambda x, start: lax.mul(x, start),
        )


def sums_of_gradients() -> Iterator[Case]:
    for shape in shapes():
        yield Case(
            lambda x: jax.vjp(lambda v: v * v * lax.sin(v), x)[1](lax.full_like(x, 1.0))[0],
            (between(-1, 1, shape),),
            f"{shape}",
        )


def angles() -> Iterator[Case]:
    around = np.array([1.0, 1.0, -1.0, -1.0, 1.2, 0.0]), np.array([1.0, -1.0, 1.0, -1.0, 0.0, 1.2])
    yield Case(lax.atan2, around, "four quadrants and two axes")
    yield Case(lax.atan2, (np.array(-1.1), np.array(0.7)), "scalars")
    yield Case(lax.atan2, (np.zeros((0, 2)), np.zeros((0, 2))), "empty")
    yield Case(lax.atan2, (np.array([0.3 + 0.1j]), np.array([1.5 + 0.2j])), "complex", SINGLE)


def remainders() -> Iterator[Case]:
    yield Case(lax.rem, (np.array([1.5, -1.5, 2.4]), np.array([1.0, 1.0, -1.0])), "signs")
    yield Case(lax.rem, (np.array(2.5), np.array(1.0)), "scalars")
    yield Case(lax.rem, (np.zeros((2, 0)), np.ones((2, 0))), "empty")


def extrema(function: Callable[[Any, Any], Any], symbol: Callable[[Any, Any], Any]) -> Iterator[Case]:
    for shape in shapes():
        yield Case(function, (apart(shape), apart(shape, 1)), f"{shape}")
        yield Case(lambda x: symbol(x, 0.22), (apart(shape),), f"{shape} and a number")
    yield Case(function, (np.array([0.3 + 1j, 1.0]), np.array([1.3 + 0j, 0.4 + 1j])), "complex", SINGLE)


def clamped() -> Iterator[Case]:
    x = np.array([[-1.0, 0.1], [0.4, 1.1]])
    yield Case(lax.clamp, (np.array(-0.5), x, np.array(0.7)), "scalar bounds")
    yield Case(lax.clamp, (np.full((2, 2), -0.5), x, np.array([[0.8, 0.8], [0.1, 0.8]])), "array bounds")
    yield Case(lax.clamp, (np.zeros((0,)), np.zeros((0,)), np.ones((0,))), "empty")
    yield Case(lambda x: lax.clamp(jnp.array(-0.5, x.dtype), x, jnp.array(0.7, x.dtype)), (x,), "fixed bounds")


def choices() -> Iterator[Case]:
    for shape in shapes():
        for count in (2, 3, 4):
            which = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape) % count
            cases = tuple(between(-1, 1, shape, i) for i in range(count))
            yield Case(lax.select_n, (which, *cases), f"{count} of {shape}")
        one = np.array(2, np.int32), *(between(-1, 1, shape, i) for i in range(3))
        yield Case(lax.select_n, one, f"a scalar chooses among three of {shape}")
    yield Case(lax.select_n, (np.array([True, False]), np.ones(2) + 1j, np.ones(2) + 2j), "complex", SINGLE)


def complex_numbers() -> Iterator[Case]:
    for shape in shapes():
        yield Case(lax.complex, (between(-1, 1, shape), between(-1, 1, shape, 1)), f"{shape}", ("float32",))


def polygammas() -> Iterator[Case]:
    for n in (0, 1, 2, 5):
        yield Case(lambda x, n=n: lax.polygamma(lax.full_like(x, n), x), (between(1.5, 3, (3,)),), f"n={n}")
    yield Case(lambda x: lax.polygamma(lax.full_like(x, 1), x), (np.zeros((0, 2)),), "empty")


def polynomials() -> Iterator[Case]:
    for count in (2, 3, 9):
        terms = tuple(np.array(c) for c in np.linspace(0.5, -0.4, count))
        yield Case(lambda x, *c: lax.polynomial(x, c), (between(-1, 1, (2, 1)), *terms), f"{count} terms")  # pyright: ignore[reportAttributeAccessIssue]
    spread = between(-1, 1, (1, 3)), between(-1, 1, (2, 1)), between(-1, 1, (1, 1))
    yield Case(lambda x, *c: lax.polynomial(x, c), spread, "terms of different shapes")  # pyright: ignore[reportAttributeAccessIssue]


ELEMENTWISE: dict[str, Generator] = {
    **{name: partial(unary, name) for name in UNARY},
    "stop_gradient": stopped,
    "round": rounding,
    "integer_pow": integer_powers,
    "pow": powers,
    "add": partial(binary, lax.add, operator.add, -1, 1),
    "sub": partial(binary, lax.sub, operator.sub, -1, 1),
    "mul": partial(binary, lax.mul, operator.mul, -1, 1),
    "div": partial(binary, lax.div, operator.truediv, 1.5, 3),
    "add_any": sums_of_gradients,
    "atan2": angles,
    "rem": remainders,
    "max": partial(extrema, lax.max, jnp.maximum),
    "min": partial(extrema, lax.min, jnp.minimum),
    "clamp": clamped,
    "select_n": choices,
    "complex": complex_numbers,
    "polygamma": polygammas,
    **({"polynomial": polynomials} if hasattr(lax, "polynomial") else {}),
}
