"""Data as they enter: checked once, brought to the device, and passed on as one value."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from taylornets import _checks, losses
from taylornets.two_layer import TwoLayerNetwork


class Dataset(NamedTuple):
    """Examples, targets and weights, checked and on the device; made by `Dataset.checked`.

    Attributes:
        x: examples, shape `(n, d)`.
        y: targets in the form that the loss takes, shape `(n, outputs)`.
        weight: of the examples, shape `(n,)`; they sum to 1.
    """

    x: Float[Array, "n d"]
    y: Float[Array, "n outputs"]
    weight: Float[Array, " n"]

    @classmethod
    def checked(
        cls, net: TwoLayerNetwork, loss: losses.Loss, x: ArrayLike, y: Any, sample_weight: ArrayLike | None = None
    ) -> "Dataset":
        """Checks a user's data, once.

        Args:
            net: the network; it fixes the number of inputs and outputs.
            loss: what the targets are for.
            x: examples, shape `(n, d)`.
            y: targets as the loss takes them.
            sample_weight: `s_i ≥ 0`, shape `(n,)`; by default all equal.

        Returns:
            The data.

        Raises:
            ArgumentError: for data or labels that do not fit.
        """
        examples = _checks.array("x", x, ("n", net.inputs))
        targets = loss.prepare_targets(y, net.outputs, dtype=net.a.dtype)
        n, wanted = examples.shape[0], (examples.shape[0], net.outputs)
        if targets.shape != wanted:
            advice = "One target for each example of x."
            raise _checks.ArgumentError("y", f"shape {wanted}", f"shape {targets.shape}", advice)
        if sample_weight is None:
            return cls(examples, targets, jnp.full((n,), 1 / n, targets.dtype))
        return cls(examples, targets, normalized_weights(sample_weight, n, targets.dtype))


def normalized_weights(weight: ArrayLike, examples: int, dtype: DTypeLike) -> Float[Array, " n"]:
    """Weights of the examples, divided by their sum.

    Args:
        weight: `s_i ≥ 0`, not all zero, shape `(n,)`.
        examples: `n`.
        dtype: of the result.

    Returns:
        `s_i/Σ s`, shape `(n,)`.

    Raises:
        ArgumentError: for another shape, negative weights, NaN, or weights that are all zero.
    """
    found = _checks.array("sample_weight", weight, (examples,), "One weight for each example of x.").astype(dtype)
    if not isinstance(found, Tracer):
        values = np.asarray(found)
        if values.min() < 0:
            raise _checks.ArgumentError("sample_weight", "weights ≥ 0", f"{values.min():g} among others")
        if not values.any():
            raise _checks.ArgumentError("sample_weight", "at least one weight above 0", "zeros only")
    return found / jnp.sum(found)
