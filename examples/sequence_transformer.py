"""Which Taylor order trains like a transformer? A study on sequences with an Equinox model.

    python examples/sequence_transformer.py                      # widths 16 and 64, both parametrizations, 5 seeds
    python examples/sequence_transformer.py --widths 16 64 256 1024
    taylornets diagnose examples/sequence_transformer.py:factory # one run, with all curves

The task: in a sequence of eight tokens, exactly one of the last seven equals the first; predict its position. No linear model
of the tokens beats chance, 1/7: renaming the tokens changes neither the distribution of the sequences nor the answer,
the average of a linear model over all renamings is a constant, and since the loss is convex in the logits, that constant is
no worse than the model. The task requires products of two tokens, which attention can form.

The network and its models of orders 1 to 4 are trained with the same minibatches, at a small and a large learning rate.
The study writes tables and a figure of the distance to the full model against the width. It resumes when interrupted.
Needs `pip install taylornets[cli]`.
"""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from _study import ACTIVATIONS, Data, Example, Network, drawn, main

LENGTH, TOKENS = 8, 8
HEAD_SIZE = 8  # of every head; wider networks have more heads


@cache
def sequences(train: int = 4000, test: int = 300) -> Data:
    """Sequences of shape (n, LENGTH), and the position of the repeated token minus one."""
    draw = np.random.default_rng(0)
    n = train + test
    first, place = draw.integers(TOKENS, size=n), draw.integers(1, LENGTH, size=n)
    # Every other position holds one of the other tokens.
    x = (first[:, None] + draw.integers(1, TOKENS, size=(n, LENGTH))) % TOKENS
    x[:, 0] = x[np.arange(n), place] = first
    x, y = x.astype("int32"), (place - 1).astype("int32")
    return {"train": (x[:train], y[:train]), "test": (x[train:], y[train:])}


class Block(eqx.Module):
    """x + attention(norm(x)), then x + W₂ σ(W₁ norm(x)) at every position."""

    norms: list[eqx.nn.LayerNorm]
    attention: eqx.nn.MultiheadAttention
    up: eqx.nn.Linear
    down: eqx.nn.Linear
    activation: str

    def __init__(self, width: int, activation: str, key: jax.Array):
        attention, up, down = jax.random.split(key, 3)
        self.norms = [eqx.nn.LayerNorm(width) for _ in range(2)]
        self.attention = eqx.nn.MultiheadAttention(max(1, width // HEAD_SIZE), width, key=attention)
        self.up = eqx.nn.Linear(width, 2 * width, key=up)
        self.down = eqx.nn.Linear(2 * width, width, key=down)
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:
        """The block for one sequence of shape (length, width)."""
        h = jax.vmap(self.norms[0])(x)
        x = x + self.attention(h, h, h)
        h = jax.vmap(self.up)(jax.vmap(self.norms[1])(x))
        return x + jax.vmap(self.down)(ACTIVATIONS[self.activation](h))


class Transformer(eqx.Module):
    """Token and position embeddings, pre-norm blocks, and one logit at every position except the first."""

    tokens: eqx.nn.Embedding
    places: eqx.nn.Embedding
    blocks: list[Block]
    norm: eqx.nn.LayerNorm
    head: eqx.nn.Linear

    def __init__(self, width: int, depth: int, activation: str, key: jax.Array):
        tokens, places, head, *rest = jax.random.split(key, depth + 3)
        self.tokens = eqx.nn.Embedding(TOKENS, width, key=tokens)
        self.places = eqx.nn.Embedding(LENGTH, width, key=places)
        self.blocks = [Block(width, activation, k) for k in rest]
        self.norm = eqx.nn.LayerNorm(width)
        self.head = eqx.nn.Linear(width, 1, key=head)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Logits of one sequence, shape (length - 1,)."""
        h = self.tokens.weight[x] + self.places.weight
        for block in self.blocks:
            h = block(h)
        return jax.vmap(self.head)(jax.vmap(self.norm)(h))[1:, 0]


def build(width: int, activation: str, key: jax.Array, depth: int = 1) -> Network:
    """The network as a function of its weights."""
    start = Transformer(width, depth, activation, key)
    # Biases are initialized to zero.
    start = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.zeros_like(leaf) if "bias" in jax.tree_util.keystr(path) else leaf, start
    )
    weights, rest = eqx.partition(start, eqx.is_inexact_array)

    def model(weights: Any, x: jax.Array) -> jax.Array:
        return jax.vmap(eqx.combine(weights, rest))(x)

    def fan_in(path: str, leaf: jax.Array) -> int | None:
        if ".tokens" in path or ".places" in path:
            return 1  # the input of an embedding selects one of its rows
        return leaf.shape[1] if leaf.ndim == 2 else None

    return drawn(model, weights, key, fan_in)


EXAMPLE = Example(
    name="sequence_transformer",
    title="Transformer that finds a repeated token",
    about=str(__doc__),
    build=build,
    data=sequences,
    rates={"standard": (0.01, 0.03), "ntk": (0.05, 0.1)},
    steps=500,
)


def factory() -> tuple[Any, ...]:
    """For `taylornets diagnose`: width 64, NTK parametrization, the small learning rate."""
    return EXAMPLE.factory()


if __name__ == "__main__":
    main(EXAMPLE)
