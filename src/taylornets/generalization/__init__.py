"""Generalization: norms, exact Rademacher complexities, their bounds, and certificates for classifiers (theory 7).

Over the ball `‖W‖_{2,2k} ≤ B` the linear functional of the term `f^(k)` splits over the units, and by Cauchy-Schwarz

    sup_W (1/n) Σ_i ⟨ε_i, f^(k)(W; x_i)⟩ = B^k ‖τ(ε/n)‖₂,

`τ` being the suprema of `taylornets.two_layer.unit_suprema`, which the dual certificate of optimality uses too. For
orders 1 and 2 they are computed exactly, so that only the average over the signs `ε` is a Monte Carlo one.
"""

from taylornets.generalization._bounds import ComplexityBound as ComplexityBound
from taylornets.generalization._bounds import bound as bound
from taylornets.generalization._certificate import GeneralizationCertificate as GeneralizationCertificate
from taylornets.generalization._certificate import certificate as certificate
from taylornets.generalization._complexity import Rademacher as Rademacher
from taylornets.generalization._complexity import operator_norm_ratio as operator_norm_ratio
from taylornets.generalization._complexity import rademacher as rademacher
from taylornets.generalization._complexity import suprema as suprema
from taylornets.penalties import group_norm as group_norm
