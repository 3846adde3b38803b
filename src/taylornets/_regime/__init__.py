"""The regime of a trained network: which Taylor orders account for its change in function space (theory 10 and 14)."""

from taylornets._regime._evaluations import MOST as MOST
from taylornets._regime._evaluations import UNRELIABLE as UNRELIABLE
from taylornets._regime._evaluations import Terms as Terms
from taylornets._regime._evaluations import assembled as assembled
from taylornets._regime._evaluations import coefficients as coefficients
from taylornets._regime._evaluations import from_values as from_values
from taylornets._regime._evaluations import regime_from_evaluations as regime_from_evaluations
from taylornets._regime._evaluator import RegimeEvaluator as RegimeEvaluator
from taylornets._regime._programs import RegimeSettings as RegimeSettings
from taylornets._regime._regime import regime as regime
from taylornets._regime._result import Regime as Regime
from taylornets._regime._values import Values as Values

__all__ = ["Regime", "RegimeEvaluator", "RegimeSettings", "regime", "regime_from_evaluations"]
