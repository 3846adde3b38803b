"""Reference implementations in arbitrary precision, independent of the library."""

from collections.abc import Callable
from typing import Any

import mpmath as mp
import pytest

REFERENCES: dict[str, Callable[[Any], Any]] = {
    "tanh": mp.tanh,
    "sigmoid": lambda t: 1 / (1 + mp.exp(-t)),
    "softplus": lambda t: mp.log(1 + mp.exp(t)),
    "erf": mp.erf,
    "gelu": lambda t: t * mp.erfc(-t / mp.sqrt(2)) / 2,
    "silu": lambda t: t / (1 + mp.exp(-t)),
    "square": lambda t: t**2,
    "sin": mp.sin,
    "exp": mp.exp,
    "polynomial(1.0, -2.0, 0.5, 0.25)": lambda t: 1 - 2 * t + t**2 / 2 + t**3 / 4,
}
RELU_POWERS = {"relu": 1, "relu_power_2": 2, "cubic_relu": 3, "relu_power_4": 4, "relu_power_7": 7}


def reference(name: str) -> Callable[[Any], Any]:
    """Returns the reference for a name; every registered activation needs one."""
    assert name in REFERENCES, f"add {name!r} to REFERENCES"
    return REFERENCES[name]


@pytest.fixture(scope="session")
def taylor_values() -> Callable[[str, float, int], list[Any]]:
    """Computes `σ(t), σ'(t), ..., σ^{(highest)}(t)` with 60 digits."""

    def values(name: str, t: float, highest: int) -> list[Any]:
        with mp.workdps(60):
            if name in RELU_POWERS:
                p = RELU_POWERS[name]
                return [
                    mp.mpf(t) ** (p - k) / mp.factorial(p - k) if t > 0 and k <= p else mp.mpf(0)
                    for k in range(highest + 1)
                ]
            coefficients = mp.taylor(reference(name), mp.mpf(t), highest)
            return [c * mp.factorial(k) for k, c in enumerate(coefficients)]

    return values


@pytest.fixture(scope="session")
def complex_values() -> Callable[[str, Any, int], list[Any]]:
    """Computes `σ(z), σ'(z), ..., σ^{(highest)}(z)` for complex `z` with 60 digits."""

    def values(name: str, z: Any, highest: int) -> list[Any]:
        with mp.workdps(60):
            return [c * mp.factorial(k) for k, c in enumerate(mp.taylor(reference(name), mp.mpc(z), highest))]

    return values


@pytest.fixture(scope="session")
def smooth_reference() -> Callable[[str], Callable[[Any], Any]]:
    """Returns the reference for a name, for arbitrary-precision arguments."""
    return reference
