"""Truncated power series pushed through any JAX program (Taylor mode): one rule a primitive."""

from taylornets.series import (
    _bilinear,
    _composed,
    _control,
    _linalg,
    _linear,
    _piecewise,
    _reductions,
    _slopes,
    _univariate,
)
from taylornets.series._engine import FALL_BACK, RULES, Context, Rule, evaluate_closed
from taylornets.series._series import Series, coefficients, make

__all__ = ["FALL_BACK", "RULES", "Context", "Rule", "Series", "coefficients", "evaluate_closed", "make"]

# Importing a module of rules enters them into the table.
RULE_MODULES = (_linear, _bilinear, _univariate, _slopes, _composed, _reductions, _piecewise, _control, _linalg)
