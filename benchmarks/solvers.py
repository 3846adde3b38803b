"""Time to a certified relative gap of 1e-6 on isotropic inputs: `tn.fit` compared with SciPy, Optimistix and Adam."""

from typing import Any

from benchmarks import _gap

_SIZES: dict[str, dict[str, Any]] = {
    "small": {"data": "noisy product", "n": 200, "d": 10, "m": 256, "penalty": 1e-6, "power": 8},
    "large": {"data": "noisy product", "n": 1000, "d": 20, "m": 512, "penalty": 1e-6, "power": 8},
}
_QUICK: dict[str, dict[str, Any]] = {
    "toy": {"data": "noisy product", "n": 20, "d": 3, "m": 16, "penalty": 1e-3, "power": 8}
}


def main(quick: bool) -> dict[str, Any]:
    return _gap.report(_QUICK if quick else _SIZES, quick)
