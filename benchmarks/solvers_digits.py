"""Time to a certified relative gap of 1e-6 on strongly anisotropic inputs: scikit-learn's digits, ten outputs."""

from typing import Any

from benchmarks import _gap

_SIZES: dict[str, dict[str, Any]] = {"digits": {"data": "digits", "n": 500, "m": 256, "penalty": 1e-6, "power": 8}}
_QUICK: dict[str, dict[str, Any]] = {"toy": {"data": "digits", "n": 30, "m": 16, "penalty": 1e-1, "power": 8}}


def main(quick: bool) -> dict[str, Any]:
    return _gap.report(_QUICK if quick else _SIZES, quick)
