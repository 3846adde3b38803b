"""Penalized risks as functions of the displacement (theory 3).

    P(W) = (1/n) Σ_i ℓ(f(W; x_i), y_i) + λ ‖W‖_{2,2k}^p

With weights `s_i ≥ 0` of the examples, `s_i/Σ s` stands in place of `1/n`: a weight of 2 is the row twice, a weight of 0 a row
that is absent.

`f` is a single term `f^(0) + f^(k)`, the network, or, for the randomized model, `ℓ` is replaced by its expectation over
random signs.
"""

from taylornets.objectives._data import Dataset as Dataset
from taylornets.objectives._entry import objective as objective
from taylornets.objectives._objective import Objective as Objective
