"""The named methods of `fit`, with learning rates and noise adapted to the objective.

First-order methods require a length scale and a curvature. Descent from 0 stays in the ball `λ ‖W‖_{2,2k}^p ≤ P(0)`. The
learning rate is a fraction of the inverse spectral radius of the Hessian at a random point halfway to the boundary of this
ball. The noise is a small fraction of the natural size of a coordinate, for which the term of order `k` is O(1): units have
norm `m^{-1/(2k)}/B_x`. All of these are heuristics; method objects use their own settings.
"""

import jax.numpy as jnp
import optax
from jaxtyping import PRNGKeyArray

from taylornets import _checks
from taylornets.objectives import Objective
from taylornets.optimizers import (
    LBFGS,
    METHODS,
    FirstOrder,
    Method,
    NegativeCurvature,
    noisy_sgd,
    perturbed_gradient_descent,
    register,
    spectral_radius,
)

_JUMP = 0.05  # radius of a perturbation relative to the natural norm
_NOISE = 1e-3  # standard deviation of a step's noise relative to that of a coordinate
_QUIET = 1e-6  # threshold on the gradient norm for stationarity, relative to (natural norm)/(learning rate)
_HALF_WAY = 0.5
_BATCH = 64
# Learning rates times the spectral radius: a quarter of the stability limit, and less for minibatch gradients.
_STABLE, _STABLE_SAMPLED = 0.5, 0.125


def default_method(name: str, risk: Objective, key: PRNGKeyArray, max_steps: int) -> Method:
    """Returns the named method with settings adapted to the objective.

    Args:
        name: a key of `METHODS`.
        risk: the objective whose curvature sets learning rates.
        key: JAX random key for the point at which the curvature is measured.
        max_steps: number of steps over which a decaying learning rate decays.

    Returns:
        The method.

    Raises:
        ArgumentError: for an unknown name.
    """
    return METHODS[_checks.choice("method", name, METHODS)](risk, key, max_steps)


def _lbfgs(risk: Objective, key: PRNGKeyArray, max_steps: int) -> Method:
    del risk, key, max_steps
    return LBFGS()


def _negative_curvature(risk: Objective, key: PRNGKeyArray, max_steps: int) -> Method:
    del risk, key, max_steps
    return NegativeCurvature()


def _gradient_descent(risk: Objective, key: PRNGKeyArray, max_steps: int) -> Method:
    del max_steps
    return FirstOrder(optax.sgd(_rate(risk, key, _STABLE)))


def _perturbed(risk: Objective, key: PRNGKeyArray, max_steps: int) -> Method:
    del max_steps
    size, rate = risk.natural_norm, _rate(risk, key, _STABLE)
    return FirstOrder(perturbed_gradient_descent(rate, radius=_JUMP * size, threshold=_QUIET * size / rate, key=key))


def _noisy_sgd(risk: Objective, key: PRNGKeyArray, max_steps: int) -> Method:
    net, rate = risk.net, _rate(risk, key, _STABLE_SAMPLED)
    variance = (_NOISE / rate * risk.natural_norm) ** 2 / (net.width * net.inputs)
    schedule = optax.cosine_decay_schedule(rate, max_steps)
    batch = min(_BATCH, risk.count)
    return FirstOrder(noisy_sgd(schedule, variance=variance, key=key), batch_size=batch, fresh_signs=risk.model.random)


def _rate(risk: Objective, key: PRNGKeyArray, share: float) -> float:
    net = risk.net
    ball = float((risk(jnp.zeros_like(net.w0)) / risk.strength) ** (1 / risk.penalty.power)) * net.input_norm
    return share / spectral_radius(risk, risk.natural_point(key, scale=_HALF_WAY * ball), key=key)


register("lbfgs", _lbfgs)
register("gradient_descent", _gradient_descent)
register("perturbed_gradient_descent", _perturbed)
register("noisy_sgd", _noisy_sgd)
register("negative_curvature", _negative_curvature)
