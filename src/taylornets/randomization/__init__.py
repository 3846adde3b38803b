"""Randomization: multipliers that remove the low orders in the mean, exact moments, expected losses (theory 2)."""

from taylornets.randomization._any_model import row_signs as row_signs
from taylornets.randomization._any_model import stencil as stencil
from taylornets.randomization._any_model import symmetrized as symmetrized
from taylornets.randomization._expected import OfOutputs as OfOutputs
from taylornets.randomization._expected import example_expectation as example_expectation
from taylornets.randomization._expected import expected_loss as expected_loss
from taylornets.randomization._expected import normal_error_bound as normal_error_bound
from taylornets.randomization._expected import sampled_loss as sampled_loss
from taylornets.randomization._multipliers import NodeMoments as NodeMoments
from taylornets.randomization._multipliers import RootsOfUnity as RootsOfUnity
from taylornets.randomization._multipliers import SampledNodes as SampledNodes
from taylornets.randomization._multipliers import SignedMoments as SignedMoments
from taylornets.randomization._randomization import Moments as Moments
from taylornets.randomization._randomization import MultiplierRule as MultiplierRule
from taylornets.randomization._randomization import Random as Random
from taylornets.randomization._randomization import Randomization as Randomization
from taylornets.randomization._randomization import prepare_signs as prepare_signs
from taylornets.randomization._signs import SampledSigns as SampledSigns
from taylornets.randomization._signs import SignMoments as SignMoments
from taylornets.randomization._signs import Signs as Signs
