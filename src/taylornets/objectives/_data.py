"""Training data, validated once and transferred to the device."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from taylornets import _checks, losses
from taylornets.two_layer import HostRows, TwoLayerNetwork, is_rows


class Dataset(NamedTuple):
    """Validated examples, targets and weights on the device; created by `Dataset.checked`.

    Attributes:
        x: examples, shape `(n, d)`, on the device, or rows that are read when needed.
        y: targets in the form expected by the loss, shape `(n, outputs)`.
        weight: weights of the examples, shape `(n,)`; they sum to 1.
    """

    x: Float[Array, "n d"] | HostRows
    y: Float[Array, "n outputs"]
    weight: Float[Array, " n"]

    @classmethod
    def checked(
        cls, net: TwoLayerNetwork, loss: losses.Loss, x: Any, y: Any, sample_weight: ArrayLike | None = None
    ) -> "Dataset":
        """Validates data passed by the user.

        Args:
            net: the network, which determines the number of inputs and outputs.
            loss: the loss, which determines the valid targets.
            x: examples, shape `(n, d)`: an array, a memory-mapped array, or (`y=None`) an iterable of blocks `(x, y)`.
            y: targets in the form expected by the loss.
            sample_weight: `s_i ≥ 0`, shape `(n,)`; by default all equal.

        Returns:
            The data.

        Raises:
            ArgumentError: for invalid data or labels.
        """
        examples, y = _examples(net, x, y)
        targets = loss.prepare_targets(_checks.automatic(y), net.outputs, dtype=net.a.dtype)
        n, wanted = examples.shape[0], (examples.shape[0], net.outputs)
        if targets.shape != wanted:
            advice = "One target for each example of x."
            raise _checks.ArgumentError("y", f"shape {wanted}", f"shape {targets.shape}", advice)
        rows = None if isinstance(examples, HostRows) else examples
        _checks.together({"x": rows, "net": net, "y": targets, "sample_weight": sample_weight})
        if sample_weight is None:
            return cls(examples, targets, jnp.full((n,), 1 / n, targets.dtype))
        return cls(examples, targets, normalized_weights(sample_weight, n, targets.dtype))


def _examples(net: TwoLayerNetwork, x: Any, y: Any) -> tuple[Any, Any]:
    """Returns the validated examples and the targets, which a source of blocks holds itself."""
    if not is_rows(x):
        return _checks.array("x", x, ("n", net.inputs)), y
    if not isinstance(x, np.memmap) and y is not None:
        advice = "The blocks (x, y) of a source hold the targets."
        raise _checks.ArgumentError("y", "None for a source of blocks", _checks.shown(y), advice)
    rows = HostRows.of(x, net.inputs)
    return rows, y if rows.targets is None else rows.targets


def normalized_weights(weight: ArrayLike, examples: int, dtype: DTypeLike) -> Float[Array, " n"]:
    """Normalizes the weights of the examples to sum 1.

    Args:
        weight: `s_i ≥ 0`, not all zero, shape `(n,)`.
        examples: `n`.
        dtype: dtype of the result.

    Returns:
        `s_i/Σ s`, shape `(n,)`.

    Raises:
        ArgumentError: for a wrong shape, negative weights, NaN, or weights that are all zero.
    """
    found = _checks.array("sample_weight", weight, (examples,), "One weight for each example of x.").astype(dtype)
    if not isinstance(found, Tracer):
        values = _checks.host(found)
        if values.min() < 0:
            raise _checks.ArgumentError("sample_weight", "weights ≥ 0", f"the weight {values.min():g}")
        if not values.any():
            raise _checks.ArgumentError("sample_weight", "at least one positive weight", "only zeros")
    return found / jnp.sum(found)
