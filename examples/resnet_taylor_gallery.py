"""Expands a small residual network around its weights and plots the error of orders 0 to 5 along a straight line.

python examples/resnet_taylor_gallery.py --out gallery.svg
"""

import argparse
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import taylornets as tn


class Block(eqx.Module):
    """Two convolutions with group normalization around a skip connection."""

    convolutions: list[eqx.nn.Conv2d]
    norms: list[eqx.nn.GroupNorm]

    def __init__(self, channels: int, key: jax.Array):
        keys = jax.random.split(key)
        self.convolutions = [eqx.nn.Conv2d(channels, channels, 3, padding=1, key=k) for k in keys]
        self.norms = [eqx.nn.GroupNorm(2, channels) for _ in keys]

    def __call__(self, x: jax.Array) -> jax.Array:
        """The block for one image."""
        first, second = self.convolutions
        h = jax.nn.gelu(self.norms[0](first(x)))
        return jax.nn.gelu(x + self.norms[1](second(h)))


class ResNet(eqx.Module):
    """A stem, residual blocks, and a linear head on the mean over the image."""

    stem: eqx.nn.Conv2d
    blocks: list[Block]
    head: eqx.nn.Linear

    def __init__(self, channels: int, depth: int, key: jax.Array):
        stem, head, *rest = jax.random.split(key, depth + 2)
        self.stem = eqx.nn.Conv2d(3, channels, 3, padding=1, key=stem)
        self.blocks = [Block(channels, k) for k in rest]
        self.head = eqx.nn.Linear(channels, 10, key=head)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Logits of one image of shape (3, height, width)."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))


def errors(
    channels: int = 8, depth: int = 2, pixels: int = 12, images: int = 8, max_order: int = 5, points: int = 12
) -> tuple[np.ndarray, np.ndarray]:
    """Root-mean-square errors of the Taylor models, relative to the change of the logits.

    Returns:
        Step sizes, shape (points,), as a fraction of the norm of the weights; errors, shape (points, max_order + 1).
    """
    keys = jax.random.split(jax.random.key(0), 3)
    net = ResNet(channels, depth, keys[0])
    x = jax.random.normal(keys[1], (images, 3, pixels, pixels))
    weights, rest = eqx.partition(net, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(weights)
    noise = [jax.random.normal(k, a.shape) for k, a in zip(jax.random.split(keys[2], len(leaves)), leaves, strict=True)]
    # Each leaf is displaced by the same fraction of its own norm.
    way = [n * jnp.linalg.norm(a) / jnp.linalg.norm(n) for n, a in zip(noise, leaves, strict=True)]

    def model(weights, x):
        return jax.vmap(eqx.combine(weights, rest))(x)

    terms = tn.taylor_terms(model, weights, max_order)

    @jax.jit
    def measure(step):
        new = jax.tree.unflatten(structure, [a + step * d for a, d in zip(leaves, way, strict=True)])
        start, *orders = terms(new, x)
        true = model(new, x)
        partial = start + jnp.concatenate([jnp.zeros((1, *start.shape)), jnp.cumsum(jnp.stack(orders), 0)])
        error = jnp.sqrt(jnp.mean((partial - true) ** 2, (1, 2)))
        return error / jnp.sqrt(jnp.mean((true - start) ** 2))

    steps = np.geomspace(0.02, 1.0, points)
    return steps, np.stack([np.asarray(measure(s)) for s in steps])


def plot(steps: np.ndarray, table: np.ndarray, path: Path) -> None:
    """One line per order, both axes logarithmic."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for order, line in enumerate(table.T):
        axes.loglog(steps, line, marker="o", markersize=3, label=f"order {order}")
    axes.set_xlabel("step, relative to the norm of each weight")
    axes.set_ylabel("error relative to the change")
    axes.legend()
    figure.savefig(path)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Computes the errors, prints the table and writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("resnet_taylor_gallery.svg"))
    options = parser.parse_args(arguments)
    steps, table = errors()
    for step, row in zip(steps, table, strict=True):
        print(f"{step:6.3f}  " + "  ".join(f"{value:.2e}" for value in row))
    plot(steps, table, options.out)


if __name__ == "__main__":
    main()
