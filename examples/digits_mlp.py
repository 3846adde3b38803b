"""Which Taylor order trains like a residual network with layer normalization? A study on digits with an Equinox model.

    python examples/digits_mlp.py                                # widths 16 and 64, both parametrizations, 5 seeds
    python examples/digits_mlp.py --widths 16 64 256 1024 --activation gelu
    taylornets diagnose examples/digits_mlp.py:factory           # one run, with all curves

The network and its models of orders 1 to 4 are trained with the same minibatches, at a small and a large learning rate.
The study writes tables and a figure of the distance to the full model against the width. It resumes when interrupted.
Needs `pip install taylornets[cli]`.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from _study import ACTIVATIONS, Example, Network, digits, drawn, main


class Block(eqx.Module):
    """x + W₂ σ(W₁ norm(x))."""

    norm: eqx.nn.LayerNorm
    up: eqx.nn.Linear
    down: eqx.nn.Linear
    activation: str

    def __init__(self, width: int, activation: str, key: jax.Array):
        up, down = jax.random.split(key)
        self.norm = eqx.nn.LayerNorm(width)
        self.up = eqx.nn.Linear(width, width, key=up)
        self.down = eqx.nn.Linear(width, width, key=down)
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:
        """The block for one vector."""
        return x + self.down(ACTIVATIONS[self.activation](self.up(self.norm(x))))


class ResidualMLP(eqx.Module):
    """An embedding of the 64 pixels, residual blocks, a last normalization, and a linear head."""

    stem: eqx.nn.Linear
    blocks: list[Block]
    norm: eqx.nn.LayerNorm
    head: eqx.nn.Linear

    def __init__(self, width: int, depth: int, activation: str, key: jax.Array):
        stem, head, *rest = jax.random.split(key, depth + 2)
        self.stem = eqx.nn.Linear(64, width, key=stem)
        self.blocks = [Block(width, activation, k) for k in rest]
        self.norm = eqx.nn.LayerNorm(width)
        self.head = eqx.nn.Linear(width, 10, key=head)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Logits of one image."""
        x = self.stem(jnp.ravel(x))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def build(width: int, activation: str, key: jax.Array, depth: int = 2) -> Network:
    """The network as a function of its weights."""
    start = ResidualMLP(width, depth, activation, key)
    # Biases are initialized to zero.
    start = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.zeros_like(leaf) if "bias" in jax.tree_util.keystr(path) else leaf, start
    )
    weights, rest = eqx.partition(start, eqx.is_inexact_array)

    def model(weights: Any, x: jax.Array) -> jax.Array:
        return jax.vmap(eqx.combine(weights, rest))(x)

    def fan_in(path: str, leaf: jax.Array) -> int | None:  # noqa: ARG001 - matrices are the weights of linear layers
        return leaf.shape[1] if leaf.ndim == 2 else None

    return drawn(model, weights, key, fan_in)


EXAMPLE = Example(
    name="digits_mlp",
    title="Residual MLP with LayerNorm on digits",
    about=str(__doc__),
    build=build,
    data=digits,
    rates={"standard": (0.001, 0.03), "ntk": (0.03, 0.3)},
)


def factory() -> tuple[Any, ...]:
    """For `taylornets diagnose`: width 64, NTK parametrization, the small learning rate."""
    return EXAMPLE.factory()


if __name__ == "__main__":
    main(EXAMPLE)
