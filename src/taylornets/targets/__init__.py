"""Target functions, and how hard each one is to learn (theory sections 6 and 17).

A target depends on `x` through few directions `⟨β_j, x⟩`: a `Polynomial`, any function of them (`from_function`), or a
formula (`from_formula`). On Gaussian inputs (or the sphere of radius `√d`, up to terms of order `1/d`) it has a degree
spectrum, an information exponent, a generative exponent and a leap. `degree_spectrum(x, y)` estimates the first from
examples.

Example:
    >>> import jax.numpy as jnp, taylornets as tn
    >>> square = tn.targets.Polynomial(jnp.array([[1.0, 0.0]]), (2,), jnp.array([3.0]))  # 3 x_1²
    >>> square(jnp.array([[2.0, 5.0]])).tolist()
    [[12.0]]
    >>> product = tn.targets.from_formula("z1 * z2", inputs=10)
    >>> tn.targets.information_exponent(product), tn.targets.leap(product)
    (2, 2)
"""

from taylornets.targets._exponents import information_exponent, leap
from taylornets.targets._formula import Formula as Formula
from taylornets.targets._formula import formula as formula
from taylornets.targets._formula import from_formula as from_formula
from taylornets.targets._function import FunctionTarget as FunctionTarget
from taylornets.targets._function import from_function
from taylornets.targets._generative import generative_exponent
from taylornets.targets._polynomial import Polynomial
from taylornets.targets._requirements import requirements as requirements
from taylornets.targets._sampled import harmonics as harmonics
from taylornets.targets._spectrum import DegreeSpectrum as DegreeSpectrum
from taylornets.targets._spectrum import degree_spectrum

__all__ = [
    "Polynomial",
    "degree_spectrum",
    "from_function",
    "generative_exponent",
    "information_exponent",
    "leap",
]
