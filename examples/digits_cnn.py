"""Which Taylor order trains like a convolutional network? A study on handwritten digits with a Flax NNX model.

    python examples/digits_cnn.py                                # widths 16 and 64, both parametrizations, 5 seeds
    python examples/digits_cnn.py --widths 16 64 256 1024 --parametrization ntk
    taylornets diagnose examples/digits_cnn.py:factory           # one run, with all curves

The network and its models of orders 1 to 4 are trained with the same minibatches, at a small and a large learning rate.
The study writes tables and a figure of the distance to the full model against the width. It resumes when interrupted.
Needs `pip install taylornets[cli] flax`.
"""

from typing import Any

import jax
from _study import ACTIVATIONS, Example, Network, digits, drawn, main
from flax import nnx


class CNN(nnx.Module):
    """Two convolutions with pooling in between, and a linear head; images of shape (8, 8, 1)."""

    def __init__(self, width: int, activation: str, rngs: nnx.Rngs):
        self.first = nnx.Conv(1, width, (3, 3), rngs=rngs)
        self.second = nnx.Conv(width, width, (3, 3), strides=2, rngs=rngs)
        self.head = nnx.Linear(4 * width, 10, rngs=rngs)
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:
        """Logits of a batch."""
        activation = ACTIVATIONS[self.activation]
        x = nnx.avg_pool(activation(self.first(x)), (2, 2), (2, 2))
        x = activation(self.second(x))
        return self.head(x.reshape(len(x), -1))


def build(width: int, activation: str, key: jax.Array) -> Network:
    """The network as a function of its weights."""
    graph, weights, rest = nnx.split(CNN(width, activation, nnx.Rngs(0)), nnx.Param, ...)

    def model(weights: Any, x: jax.Array) -> jax.Array:
        return nnx.merge(graph, weights, rest)(x)

    def fan_in(path: str, leaf: jax.Array) -> int | None:
        return leaf[..., 0].size if "kernel" in path else None

    return drawn(model, nnx.to_pure_dict(weights), key, fan_in)


EXAMPLE = Example(
    name="digits_cnn",
    title="Convolutional network on digits",
    about=str(__doc__),
    build=build,
    data=digits,
    rates={"standard": (0.001, 0.03), "ntk": (0.03, 1.0)},
)


def factory() -> tuple[Any, ...]:
    """For `taylornets diagnose`: width 64, NTK parametrization, the small learning rate."""
    return EXAMPLE.factory()


if __name__ == "__main__":
    main(EXAMPLE)
