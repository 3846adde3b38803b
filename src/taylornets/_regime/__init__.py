"""The regime of a trained network: which Taylor orders account for its change in function space (theory 10)."""

from taylornets._regime._evaluator import RegimeEvaluator as RegimeEvaluator
from taylornets._regime._programs import RegimeSettings as RegimeSettings
from taylornets._regime._regime import regime as regime
from taylornets._regime._result import Regime as Regime

__all__ = ["Regime", "RegimeEvaluator", "RegimeSettings", "regime"]
