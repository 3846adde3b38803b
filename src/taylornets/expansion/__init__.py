"""Taylor models of any function `f(params, *args, **kwargs)` with respect to its parameters."""

from taylornets.expansion._cost import Cost, cost
from taylornets.expansion._custom import warn_of_other_slopes as warn_of_other_slopes
from taylornets.expansion._expand import CUSTOM_VJP as CUSTOM_VJP
from taylornets.expansion._expand import MODES as MODES
from taylornets.expansion._expand import linearize, taylor_expand, taylor_terms
from taylornets.expansion._explain import Coverage, explain
from taylornets.expansion._pure import refuse_impure as refuse_impure

__all__ = ["Cost", "Coverage", "cost", "explain", "linearize", "taylor_expand", "taylor_terms"]
