"""The regime of a trained network: which Taylor orders account for its change in function space (theory 10 and 14)."""

from taylornets._regime._evaluations import MOST as MOST
from taylornets._regime._evaluations import UNRELIABLE as UNRELIABLE
from taylornets._regime._evaluations import Terms as Terms
from taylornets._regime._evaluations import assembled as assembled
from taylornets._regime._evaluations import coefficients as coefficients
from taylornets._regime._evaluations import from_values as from_values
from taylornets._regime._evaluations import regime_from_evaluations as regime_from_evaluations
from taylornets._regime._evaluator import RegimeEvaluator as RegimeEvaluator
from taylornets._regime._groups import LayerGroups as LayerGroups
from taylornets._regime._path import regime_path as regime_path
from taylornets._regime._pieces import MOST_PIECES as MOST_PIECES
from taylornets._regime._programs import RegimeSettings as RegimeSettings
from taylornets._regime._regime import regime as regime
from taylornets._regime._result import Regime as Regime
from taylornets._regime._since import RegimePath as RegimePath
from taylornets._regime._summation import Singularities as Singularities
from taylornets._regime._values import Values as Values
from taylornets._regime._verdict import rounded as rounded

__all__ = [
    "LayerGroups",
    "Regime",
    "RegimeEvaluator",
    "RegimePath",
    "RegimeSettings",
    "Singularities",
    "regime",
    "regime_from_evaluations",
    "regime_path",
]
