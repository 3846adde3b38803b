"""The regime of a trained network: which Taylor orders account for its change in function space (theory 10)."""

from taylornets._regime._evaluator import RegimeEvaluator as RegimeEvaluator
from taylornets._regime._groups import LayerGroups as LayerGroups
from taylornets._regime._path import regime_path as regime_path
from taylornets._regime._programs import RegimeSettings as RegimeSettings
from taylornets._regime._regime import regime as regime
from taylornets._regime._result import Regime as Regime
from taylornets._regime._since import RegimePath as RegimePath
from taylornets._regime._summation import Singularities as Singularities

__all__ = [
    "LayerGroups",
    "Regime",
    "RegimeEvaluator",
    "RegimePath",
    "RegimeSettings",
    "Singularities",
    "regime",
    "regime_path",
]
