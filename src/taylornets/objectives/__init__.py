"""Penalized risks as functions of the displacement (theory 3).

    P(W) = (1/n) Σ_i ℓ(f(W; x_i), y_i) + λ ‖W‖_{2,2k}^p

For example weights `s_i ≥ 0`, `s_i/Σ s` replaces `1/n`: a weight of 2 is equivalent to repeating the row, a weight of 0 to
removing it.

`f` is a single term `f^(0) + f^(k)`, the network, or a sum of terms, each with its own displacement and penalty. For the
randomized model, `ℓ` is replaced by its expectation over random signs.
"""

from taylornets.objectives._blocks import ReducedObjective as ReducedObjective
from taylornets.objectives._blocks import SumObjective as SumObjective
from taylornets.objectives._blocks import blocks_objective as blocks_objective
from taylornets.objectives._blocks import eliminates as eliminates
from taylornets.objectives._data import Dataset as Dataset
from taylornets.objectives._entry import in_double as in_double
from taylornets.objectives._entry import in_smaller_blocks as in_smaller_blocks
from taylornets.objectives._entry import objective as objective
from taylornets.objectives._entry import single_objective as single_objective
from taylornets.objectives._objective import Objective as Objective
from taylornets.objectives._orders import ORDERS as ORDERS
from taylornets.objectives._orders import SUM as SUM
from taylornets.objectives._orders import is_sum as is_sum
from taylornets.objectives._orders import orders_of as orders_of
from taylornets.objectives._orders import plain as plain
from taylornets.objectives._orders import powers as powers
from taylornets.objectives._orders import strengths as strengths
from taylornets.objectives._sum import gram_of as gram_of
from taylornets.objectives._sum import linear_outputs as linear_outputs
from taylornets.objectives._sum import optimal_block as optimal_block
from taylornets.objectives._sum import sum_objective as sum_objective
from taylornets.objectives._sum import value_of_sum as value_of_sum
from taylornets.objectives._sum import with_linear_block as with_linear_block
from taylornets.objectives._sum import with_strengths as with_strengths
