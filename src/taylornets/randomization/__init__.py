"""Randomization: multipliers that remove the low orders in the mean, exact moments, expected losses (theory 2)."""

from taylornets.randomization._expected import example_expectation as example_expectation
from taylornets.randomization._expected import expected_loss as expected_loss
from taylornets.randomization._expected import normal_error_bound as normal_error_bound
from taylornets.randomization._signs import Moments as Moments
from taylornets.randomization._signs import SampledSigns as SampledSigns
from taylornets.randomization._signs import SignMoments as SignMoments
from taylornets.randomization._signs import Signs as Signs
from taylornets.randomization._signs import prepare_signs as prepare_signs
