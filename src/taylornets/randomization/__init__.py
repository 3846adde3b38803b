"""Randomization: multipliers that cancel the low orders in expectation, exact moments, expected losses (theory 2).

Example:
    >>> import jax, jax.numpy as jnp, taylornets as tn
    >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
    >>> x = jnp.eye(3)
    >>> signs, w = tn.randomization.Signs(), 0.1 * net.w0
    >>> signs.sample(jax.random.key(1), net, w, x).shape, signs.mean(net, w, x).shape
    ((3, 1), (3, 1))
"""

from taylornets.randomization._any_model import row_signs, stencil, symmetrized
from taylornets.randomization._expected import OfOutputs as OfOutputs
from taylornets.randomization._expected import example_expectation as example_expectation
from taylornets.randomization._expected import expected_loss
from taylornets.randomization._expected import normal_error_bound as normal_error_bound
from taylornets.randomization._expected import sampled_loss as sampled_loss
from taylornets.randomization._multipliers import NodeMoments as NodeMoments
from taylornets.randomization._multipliers import RootsOfUnity, SignedMoments
from taylornets.randomization._multipliers import SampledNodes as SampledNodes
from taylornets.randomization._randomization import Moments as Moments
from taylornets.randomization._randomization import MultiplierRule as MultiplierRule
from taylornets.randomization._randomization import Random as Random
from taylornets.randomization._randomization import Randomization
from taylornets.randomization._randomization import prepare_signs as prepare_signs
from taylornets.randomization._signs import SampledSigns as SampledSigns
from taylornets.randomization._signs import SignMoments as SignMoments
from taylornets.randomization._signs import Signs

__all__ = [
    "Randomization",
    "RootsOfUnity",
    "SignedMoments",
    "Signs",
    "expected_loss",
    "row_signs",
    "stencil",
    "symmetrized",
]
