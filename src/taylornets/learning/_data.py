"""Inputs and targets of a learning problem, by name."""

import math
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from taylornets import _checks
from taylornets.targets import Formula, formula

Target = Callable[[np.ndarray], np.ndarray]


def _sphere(key: PRNGKeyArray, n: int, d: int, decay: float) -> Array:
    return _anisotropic(key, n, d, 0.0 * decay)


def _anisotropic(key: PRNGKeyArray, n: int, d: int, decay: float) -> Array:
    """Draws `Λ^{1/2} g` scaled to unit norm, with `Λ_jj = j^{-decay}`."""
    x = jax.random.normal(key, (n, d)) * jnp.arange(1, d + 1) ** (-decay / 2)
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def _cube(key: PRNGKeyArray, n: int, d: int, decay: float) -> Array:
    del decay
    return jax.random.rademacher(key, (n, d), float) / math.sqrt(d)


def _gaussian(key: PRNGKeyArray, n: int, d: int, decay: float) -> Array:
    del decay
    return jax.random.normal(key, (n, d)) / math.sqrt(d)


# Each takes a key, n, d and the decay of the spectrum, and returns n points of norm 1 (Gaussian: in root mean square).
INPUTS: dict[str, Callable[[PRNGKeyArray, int, int, float], Array]] = {
    "sphere": _sphere,
    "cube": _cube,
    "gaussian": _gaussian,
    "anisotropic": _anisotropic,
}
ON_SPHERE = ("sphere", "cube", "anisotropic")


def _product(x: np.ndarray) -> np.ndarray:
    return x[:, 0] * x[:, 1]


def _product3(x: np.ndarray) -> np.ndarray:
    return x[:, 0] * x[:, 1] * x[:, 2]


def _square(x: np.ndarray) -> np.ndarray:
    return (math.sqrt(x.shape[1]) * x[:, 0]) ** 2 - 1


def _hermite3(x: np.ndarray) -> np.ndarray:
    t = math.sqrt(x.shape[1]) * x[:, 0]
    return t**3 - 3 * t


def _hermite4(x: np.ndarray) -> np.ndarray:
    t = math.sqrt(x.shape[1]) * x[:, 0]
    return t**4 - 6 * t**2 + 3


def _hermite5(x: np.ndarray) -> np.ndarray:
    t = math.sqrt(x.shape[1]) * x[:, 0]
    return t**5 - 10 * t**3 + 15 * t


# Functions of few directions: name -> (function of x of shape (n, d), number of directions).
TARGETS: dict[str, tuple[Target, int]] = {
    "product": (_product, 2),
    "square": (_square, 1),
    "hermite3": (_hermite3, 1),
    "hermite4": (_hermite4, 1),
    "hermite5": (_hermite5, 1),
    "product3": (_product3, 3),
}


def _alternating(values: np.ndarray) -> np.ndarray:
    """`Σ_j ±v_j/√d` with alternating signs."""
    d = values.shape[1]
    return values @ (np.where(np.arange(d) % 2, -1, 1) / math.sqrt(d)).astype(values.dtype)


def _cubes(x: np.ndarray) -> np.ndarray:
    return _alternating((math.sqrt(x.shape[1]) * x) ** 3)


def _fourths(x: np.ndarray) -> np.ndarray:
    t = math.sqrt(x.shape[1]) * x
    return _alternating(t**4 - 6 * t**2 + 3)


# Functions of all directions, controls of claims about functions of few: `Σ ±z_j³/√d` and `Σ ±He_4(z_j)/√d`.
DENSE: dict[str, tuple[Target, int]] = {"all_cubes": (_cubes, 1), "all_hermite4": (_fourths, 1)}


def target_of(name: str) -> tuple[Target, int]:
    """Returns the function of `x` and the smallest dimension, for a name of `TARGETS` or a formula in `z_j = √d x_j`.

    Raises:
        ArgumentError: for an unknown name or an invalid formula.
    """
    for known in (TARGETS, DENSE):
        if name in known:
            return known[name]
    word = str(name)
    if word != name or (word.isidentifier() and not re.fullmatch(r"z\d+", word)):  # a misspelled name
        _checks.choice(
            "target", name, TARGETS, "Formulas are written in z1, z2, …, where z_j = √d x_j: 'z1*z2 + he3(z3)'."
        )
    parsed: Formula = formula(name, "target")

    def values(x: np.ndarray) -> np.ndarray:
        z = math.sqrt(x.shape[1]) * x
        return np.asarray(parsed(*(z[:, j - 1] for j in parsed.variables)), x.dtype)

    return values, parsed.variables[-1]
