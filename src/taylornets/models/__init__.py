"""The registry of models: what `"quadratic"` means is defined here and nowhere else (theory 3).

A `Model` specifies how outputs depend on the projections of the displacement, the order of its penalty, whether it has a
certificate, the initial displacement, and how predictions are formed. A new model takes one file:

    from taylornets import models
    from taylornets.two_layer import Term

    models.register(models.Model("cubic", (3,), Term(3)))

Example:
    >>> import taylornets as tn
    >>> quadratic = tn.models.get("quadratic")
    >>> quadratic.order, quadratic.certifiable
    (2, True)

**Initialization.** At the natural norm of a unit, `m^{-1/(2k)}/B_x`, the term of order `k` is O(1). Training starts at zero for
the linear model and the full network. For other models zero is a saddle, and training starts at a small random displacement.
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

# Initial size of a term relative to its size at the natural norm: small, and off the saddle at 0. A heuristic.
_TERM_START = 0.09
# Initial norm of a unit in the estimators relative to the natural norm, for every order. A heuristic.
_UNIT_START = 0.3


class Model(eqx.Module):
    """A model of the outputs as a function of the displacement; an immutable value.

    Attributes:
        name: the name under which `get` returns it.
        orders: the orders `k ≥ 1` of the penalty's norms `‖W‖_{2,2k}`, one for each displacement.
        response: the outputs as an elementwise function of the projections, see `taylornets.two_layer`.
        certifiable: whether `taylornets.certify` has a dual bound for it: single orders 1 and 2, and random signs.
        starts_at_zero: whether training starts at `w = 0`.
        randomization: over which the loss is averaged; None for deterministic outputs.
        sampled: whether the objective draws the random response once and keeps the draw.

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
        """The order `k` of the penalty norm."""
        return self.orders[0]

    @property
    def term(self) -> int | None:
        """The order of a single-term model; None for other models."""
        return self.response.k if isinstance(self.response, Term) else None

    @property
    def copies(self) -> bool:
        """Whether displacements of rank above one, shape `(m, R, d)`, are meaningful."""
        return self.response.copies and self.order > 1

    @property
    def random(self) -> bool:
        """Whether the response has signs or multipliers to draw."""
        return isinstance(self.response, Random)

    def pointwise(self, loss: losses.Loss) -> Any:
        """Returns the loss of each example as a function of the response: its expectation for randomized models.

        Raises:
            ArgumentError: for a loss whose expectation has no closed form.
        """
        return OfOutputs(loss) if self.randomization is None else example_expectation(loss, self.randomization)

    def check(self, net: TwoLayerNetwork, x: Array) -> None:
        """Rejects networks that the model does not support."""
        if self.randomization is not None:
            self.randomization.check(net, None, x)

    def redrawn(self, key: PRNGKeyArray, net: Network) -> "Model":
        """Returns the model under a new draw of its signs or multipliers.

        Raises:
            ArgumentError: for models without a randomization.
        """
        if not isinstance(self.response, Random):
            needed = "'randomized', 'sampled' or a randomization, the models with random draws"
            raise _checks.ArgumentError("model", needed, type(self.response).__name__)
        drawn = self.response.redrawn(key, net)
        return dataclasses.replace(self, response=drawn, certifiable=False, randomization=None, sampled=True)

    def mean_output(self, outputs: Any) -> Array:
        """Predictions, shape `(n, outputs)`, from the outputs of the response: their mean for randomized models."""
        return outputs.mean if isinstance(outputs, Moments) else outputs

    def outputs(self, net: Network, w: ArrayLike, x: ArrayLike) -> Any:
        """Evaluates the response at a displacement.

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
        """The initial displacement of `fit`: zero, or random with `‖w_r‖ ≈ 0.09^{1/k} m^{-1/(2k)}/B_x`.

        Terms of all orders are then equally small.

        Args:
            net: the network.
            key: JAX random key.
            rank: number `R` of copies of every unit.

        Returns:
            Shape `(m, d)`, or `(m, R, d)` for `rank > 1`.
        """
        if self.starts_at_zero:
            return jnp.zeros_like(net.w0)
        return natural_point(net, self.order, key, rank, _TERM_START ** (1 / self.order))

    def host_start(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """The initial displacement of the estimators: zero, or random with `‖w_r‖ ≈ 0.3 m^{-1/(2k)}`; for `B_x = 1`.

        Args:
            generator: NumPy random generator.
            shape: `(m, d)` or `(m, R, d)`.
        """
        if self.starts_at_zero:
            return np.zeros(shape)
        deviation = _UNIT_START * shape[0] ** (-1 / (2 * self.order)) / np.sqrt(np.prod(shape[1:]))
        return deviation * generator.standard_normal(shape)


def natural_norm(net: Network, order: int) -> float:
    """Returns the norm of a displacement whose units all have the natural norm: `m^{1/2 - 1/(2k)}/B_x`."""
    return net.width ** (0.5 - 1 / (2 * order)) / net.input_norm


def natural_point(net: Network, order: int, key: PRNGKeyArray, rank: int = 1, scale: float = 1.0) -> Array:
    """Draws a displacement whose units (all copies together) have a norm of about `scale · m^{-1/(2k)}/B_x`."""
    shape = (net.width, net.inputs) if rank == 1 else (net.width, rank, net.inputs)
    deviation = scale * natural_norm(net, order) / (net.width * net.inputs * rank) ** 0.5
    return deviation * jax.random.normal(key, shape, net.w0.dtype)


# A model, or a value that `get` converts to one: a name, an order, a randomization, a response.
ModelLike = str | int | Randomization | Response | Model

_models: dict[str, Model] = {}


def register(model: Model) -> None:
    """Makes a model available under its name in `get`, `taylornets.fit`, the estimators and wherever a model is chosen.

    Args:
        model: the model.

    Raises:
        ArgumentError: if another model has the name.

    Example:
        >>> import taylornets as tn
        >>> from taylornets.two_layer import Term
        >>> tn.models.register(tn.models.Model("cubic", (3,), Term(3)))
        >>> tn.models.get("cubic").order
        3
    """
    if model.name in _models:
        raise _checks.ArgumentError("model", "an unused name", repr(model.name))
    _models[model.name] = model


def names(certifiable: bool = False) -> tuple[str, ...]:
    """Returns the names of all registered models, sorted.

    Args:
        certifiable: whether to list only models with a certificate.

    Example:
        >>> from taylornets import models
        >>> {"quadratic", "sampled"} <= set(models.names()), models.names(certifiable=True)
        (True, ('linear', 'quadratic', 'randomized'))
    """
    return tuple(sorted(name for name, model in _models.items() if model.certifiable or not certifiable))


def get(model: ModelLike) -> Model:
    """Returns a model by name, or converts a value to a model.

    Args:
        model: one of `names()`; an integer `k ≥ 1` for the single term of order `k`; a randomization, whose expected loss is
            penalized with its order; a response of `taylornets.two_layer`, penalized with `k = 1`; or a model, which is
            returned unchanged.

    Returns:
        The model.

    Raises:
        ArgumentError: for an unknown name, suggesting the closest one, or an order below 1.

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
        order = _checks.integer("model", model, 1, f"The named models are {', '.join(map(repr, _models))}.")
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
