"""The models: what `"quadratic"` means, decided once (theory 3).

A model is one value: how outputs respond to the projections of the displacement, the order of its penalty, whether it can be
certified, where training starts, and how a prediction is formed. Everything else asks it. To add a model, write one file:

    from taylornets import models
    from taylornets.two_layer import Term

    models.register(models.Model("cubic", (3,), Term(3)))

**Start.** At the natural norm of a unit, `m^{-1/(2k)}/B_x`, the term of order `k` is O(1). Training starts at zero where the
objective is convex or starts at a network. Elsewhere zero is a saddle, and training starts at a small random displacement.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, PRNGKeyArray

from taylornets import _checks, _discover, losses
from taylornets.randomization import Moments, OfOutputs, Random, Randomization, SignMoments, Signs, example_expectation
from taylornets.two_layer import Full, Network, Response, Term, TwoLayerNetwork, prepare

__all__ = ["Model", "get", "names", "register"]

# The size of a term at the start relative to that at the natural norm: small, and off the saddle at 0. A heuristic.
_TERM_START = 0.09
# Norm of a unit at the estimators' start relative to the natural one, whatever the order. A heuristic.
_UNIT_START = 0.3


class Model(eqx.Module):
    """A model of the outputs as a function of the displacement; an immutable value.

    Attributes:
        name: under which `get` returns it.
        orders: the orders `k ≥ 1` of the penalty's norms `‖W‖_{2,2k}`, one for each displacement.
        response: the outputs as an elementwise function of the projections, see `taylornets.two_layer`.
        certifiable: whether `taylornets.certify` has a dual bound for it: single orders 1 and 2, and random signs.
        starts_at_zero: whether training starts at `w = 0`.
        randomization: of which the loss's expectation is taken; None for outputs that are not random.
        sampled: whether an objective fixes one draw of a random response.

    Example:
        >>> from taylornets import models
        >>> models.get("quadratic").orders, models.get("quadratic").certifiable
        ((2,), True)
    """

    name: str = eqx.field(static=True)
    orders: tuple[int, ...] = eqx.field(static=True)
    response: Response
    certifiable: bool = eqx.field(static=True, default=False)
    starts_at_zero: bool = eqx.field(static=True, default=False)
    randomization: Randomization | None = None
    sampled: bool = eqx.field(static=True, default=False)

    @property
    def order(self) -> int:
        """The order `k` of the penalty's norm."""
        return self.orders[0]

    @property
    def term(self) -> int | None:
        """The order of the single term that the model is; None for other models."""
        return self.response.k if isinstance(self.response, Term) else None

    @property
    def copies(self) -> bool:
        """Whether displacements of rank above one are more than those of rank one."""
        return self.response.copies and self.order > 1

    @property
    def random(self) -> bool:
        """Whether there is something to draw: signs or multipliers."""
        return isinstance(self.response, Random)

    def pointwise(self, loss: losses.Loss) -> Any:
        """The loss of each example as a function of what the response returns: its expectation for randomized models.

        Raises:
            ArgumentError: for a loss whose expectation has no closed form.
        """
        return OfOutputs(loss) if self.randomization is None else example_expectation(loss, self.randomization)

    def check(self, net: TwoLayerNetwork, x: Array) -> None:
        """Refuses networks that the model does not serve."""
        if self.randomization is not None:
            self.randomization.check(net, None, x)

    def redrawn(self, key: PRNGKeyArray, net: Network) -> "Model":
        """The model under one fresh draw of its signs or multipliers.

        Raises:
            ArgumentError: for models without a randomization.
        """
        if not isinstance(self.response, Random):
            needed = "'randomized', 'sampled' or a randomization, which have something to draw"
            raise _checks.ArgumentError("model", needed, type(self.response).__name__)
        drawn = self.response.redrawn(key, net)
        return dataclasses.replace(self, response=drawn, certifiable=False, randomization=None, sampled=True)

    def mean_output(self, outputs: Any) -> Array:
        """Predictions, shape `(n, outputs)`, from what the response returns: the mean where that is random."""
        return outputs.mean if isinstance(outputs, Moments) else outputs

    def outputs(self, net: Network, w: ArrayLike, x: ArrayLike) -> Any:
        """What the response returns at a displacement.

        Args:
            net: the network.
            w: displacement, shape `(m, d)`, or `(m, R, d)` for single terms.
            x: examples, shape `(n, d)`.

        Returns:
            Outputs, shape `(n, outputs)`; their moments for randomized models. `f^(0)` is not added to single terms.
        """
        response = self.response
        prepared = prepare(net, x, response.orders, None, preactivations=response.preactivations)
        return prepared.apply(response, w)

    def start(self, net: Network, key: PRNGKeyArray, rank: int = 1) -> Array:
        """Where `fit` starts: zero, or random with `‖w_r‖ ≈ 0.09^{1/k} m^{-1/(2k)}/B_x`, so that all orders are equally small.

        Args:
            net: the network.
            key: JAX random key.
            rank: copies `R` of every unit.

        Returns:
            Shape `(m, d)`, or `(m, R, d)` for `rank > 1`.
        """
        if self.starts_at_zero:
            return jnp.zeros_like(net.w0)
        return natural_point(net, self.order, key, rank, _TERM_START ** (1 / self.order))

    def host_start(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Where the estimators start: zero, or random with `‖w_r‖ ≈ 0.3 m^{-1/(2k)}`; drawn by NumPy, for `B_x = 1`.

        Args:
            generator: of random numbers.
            shape: `(m, d)` or `(m, R, d)`.
        """
        if self.starts_at_zero:
            return np.zeros(shape)
        deviation = _UNIT_START * shape[0] ** (-1 / (2 * self.order)) / np.sqrt(np.prod(shape[1:]))
        return deviation * generator.standard_normal(shape)


def natural_norm(net: Network, order: int) -> float:
    """The norm of a displacement whose units all have the natural norm: `m^{1/2 - 1/(2k)}/B_x`."""
    return net.width ** (0.5 - 1 / (2 * order)) / net.input_norm


def natural_point(net: Network, order: int, key: PRNGKeyArray, rank: int = 1, scale: float = 1.0) -> Array:
    """A random displacement whose units (all copies together) have a norm of about `scale · m^{-1/(2k)}/B_x`."""
    shape = (net.width, net.inputs) if rank == 1 else (net.width, rank, net.inputs)
    deviation = scale * natural_norm(net, order) / (net.width * net.inputs * rank) ** 0.5
    return deviation * jax.random.normal(key, shape, net.w0.dtype)


# A model, or what `get` makes one of: a name, an order, a randomization, a response.
ModelLike = str | int | Randomization | Response | Model

_models: dict[str, Model] = {}


def register(model: Model) -> None:
    """Makes a model available to `get` under its name, and everywhere where a model is chosen.

    Args:
        model: the model.
    """
    _models[model.name] = model


def names(certifiable: bool = False) -> tuple[str, ...]:
    """The names of all registered models, sorted.

    Args:
        certifiable: whether to list only those that have a certificate.

    Example:
        >>> from taylornets import models
        >>> {"quadratic", "sampled"} <= set(models.names()), models.names(certifiable=True)
        (True, ('linear', 'quadratic', 'randomized'))
    """
    return tuple(sorted(name for name, model in _models.items() if model.certifiable or not certifiable))


def get(model: ModelLike) -> Model:
    """The model of a name, or made of something else.

    Args:
        model: one of `names()`; an integer `k ≥ 1` for the single term of order `k`; a randomization, whose expected loss is
            penalized with its order; a response of `taylornets.two_layer`, penalized with `k = 1`; or a model, which is
            returned as it is.

    Returns:
        The model.

    Raises:
        ArgumentError: for an unknown name, with the nearest one, or an order below 1.

    Example:
        >>> import taylornets as tn
        >>> from taylornets import models
        >>> models.get(2).name, models.get(tn.randomization.SignedMoments(3)).orders
        ('quadratic', (3,))
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, Randomization):
        made = Model(type(model).__name__, (model.order,), model.response, randomization=model)
    elif isinstance(model, Response):
        return Model(type(model).__name__, (1,), model)
    elif isinstance(model, str):
        return _models[_checks.choice("model", model, _models)]
    else:
        order = _checks.integer("model", model, 1, f"Or one of {', '.join(map(repr, _models))}.")
        made = Model(f"order {order}", (order,), Term(order))
    same = (known for known in _models.values() if not known.sampled and _meaning(known) == _meaning(made))
    return next(same, made)


def _meaning(model: Model) -> tuple[Any, ...]:
    return model.orders, model.response, model.randomization


register(Model("linear", (1,), Term(1), certifiable=True, starts_at_zero=True))
register(Model("quadratic", (2,), Term(2), certifiable=True))
register(Model("randomized", (2,), SignMoments(), certifiable=True, randomization=Signs()))
register(Model("sampled", (2,), SignMoments(), sampled=True))
register(Model("full", (1,), Full(), starts_at_zero=True))

_discover.import_modules(__name__, __path__)
