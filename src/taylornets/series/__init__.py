"""Truncated power series propagated through any JAX program (Taylor mode), with one rule per primitive."""

from taylornets.series import (
    _bilinear,
    _composed,
    _control,
    _custom,
    _linalg,
    _linear,
    _parallel,
    _piecewise,
    _reductions,
    _slopes,
    _univariate,
)
from taylornets.series._count import live_bytes, memory_limit, operations, precision
from taylornets.series._engine import FALL_BACK, RULES, Rule, RuleContext, evaluate_closed
from taylornets.series._reverse import push_forward, transpose
from taylornets.series._series import TaylorSeries, coefficients, make
from taylornets.series._versions import TESTED, contains, is_tracing, is_untested, programs, warn_of_untested

__all__ = [
    "FALL_BACK",
    "RULES",
    "TESTED",
    "Rule",
    "RuleContext",
    "TaylorSeries",
    "coefficients",
    "contains",
    "evaluate_closed",
    "is_tracing",
    "is_untested",
    "live_bytes",
    "make",
    "memory_limit",
    "operations",
    "precision",
    "programs",
    "push_forward",
    "transpose",
]

# Importing a rule module registers its rules.
RULE_MODULES = (
    _linear,
    _bilinear,
    _univariate,
    _slopes,
    _composed,
    _reductions,
    _piecewise,
    _control,
    _custom,
    _parallel,
    _linalg,
)

warn_of_untested()  # once per process, on the first import of version-dependent code
