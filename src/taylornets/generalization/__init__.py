"""Generalization: Rademacher complexities and certificates of test error (theory 7, 13).

`pac_bayes` certifies a classifier from its own training rows, `holdout` from rows that training did not use; `conformal` covers
single predictions.

Over the ball `‖W‖_{2,2k} ≤ B`, the linear functional of the term `f^(k)` separates over the units, and by Cauchy-Schwarz

    sup_W (1/n) Σ_i ⟨ε_i, f^(k)(W; x_i)⟩ = B^k ‖τ(ε/n)‖₂,

where `τ` are the suprema of `taylornets.two_layer.unit_suprema`, which the dual certificate of optimality also uses. They are
exact for orders 1 and 2, so that only the average over the signs `ε` is a Monte Carlo estimate.

Example:
    >>> import jax, jax.numpy as jnp, taylornets as tn
    >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
    >>> found = tn.generalization.rademacher(net, jnp.eye(3), order=2, radius=1.0, draws=10, key=jax.random.key(1))
    >>> bool(0 < found.mean < tn.generalization.bound(net, jnp.eye(3), order=2, radius=1.0).value)
    True
"""

from taylornets.generalization._bounds import ComplexityBound as ComplexityBound
from taylornets.generalization._bounds import bound
from taylornets.generalization._certificate import GeneralizationCertificate as GeneralizationCertificate
from taylornets.generalization._certificate import certificate
from taylornets.generalization._complexity import Rademacher as Rademacher
from taylornets.generalization._complexity import operator_norm_ratio, rademacher, suprema
from taylornets.generalization._conformal import check_level as check_level
from taylornets.generalization._conformal import conformal
from taylornets.generalization._conformal import jackknife_plus as jackknife_plus
from taylornets.generalization._holdout import HoldOut as HoldOut
from taylornets.generalization._holdout import holdout, progressive, transfer
from taylornets.generalization._pac_bayes import PacBayesSettings as PacBayesSettings
from taylornets.generalization._pac_bayes import pac_bayes
from taylornets.generalization._risk_certificate import RiskCertificate as RiskCertificate
from taylornets.generalization._risk_certificate import percent as percent
from taylornets.generalization._train_bound import pac_bayes_posterior
from taylornets.penalties import group_norm

__all__ = [
    "bound",
    "certificate",
    "conformal",
    "group_norm",
    "holdout",
    "operator_norm_ratio",
    "pac_bayes",
    "pac_bayes_posterior",
    "progressive",
    "rademacher",
    "suprema",
    "transfer",
]
