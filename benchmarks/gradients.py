"""Cost of a gradient of every model, relative to the plain network's."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

import taylornets as tn
from benchmarks import _measure

_PLAIN_ACTIVATIONS = {"tanh": jnp.tanh, "cubic_relu": lambda t: jnp.maximum(t, 0) ** 3 / 6}
_ORDERS = {"tanh": range(1, 9), "cubic_relu": range(1, 5)}
_QUICK_ORDERS = {"tanh": (2, 8)}


def plain_gradient(net: tn.TwoLayerNetwork, x: jax.Array, y: jax.Array) -> Callable[..., Any]:
    """The network and its squared loss in plain JAX, without this package."""
    sigma = _PLAIN_ACTIVATIONS[net.activation.name]

    def risk(w: jax.Array) -> jax.Array:
        outputs = sigma(x @ w.T) @ net.a / math.sqrt(net.width)
        return jnp.mean((outputs[:, 0] - y) ** 2)

    return jax.jit(jax.value_and_grad(risk))


def measure(activation: str, orders: Iterable[int], sizes: dict[str, int], repetitions: int) -> dict[str, Any]:
    """All gradients of one activation, interleaved."""
    n, d, m = sizes["n"], sizes["d"], sizes["m"]
    keys = jax.random.split(jax.random.key(0), 4)
    net = tn.TwoLayerNetwork.init(keys[0], inputs=d, width=m, activation=activation)
    x = jax.random.normal(keys[1], (n, d))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    y = jax.random.normal(keys[2], (n,))
    w = 0.1 * jax.random.normal(keys[3], (m, d))
    plain = plain_gradient(net, x, y)
    weights = net.w0 + w
    projections = x @ w.T
    forward, backward = jax.jit(lambda w: x @ w.T), jax.jit(lambda p: p.T @ x)
    functions: dict[str, Callable[[], Any]] = {
        "plain": lambda: plain(weights),
        "two products": lambda: (jax.block_until_ready(forward(w)), backward(projections)),
    }

    def add(name: str, model: Any, order: int) -> None:
        risk = tn.objective(net, x, y, model=model, penalty=1e-6, power=max(8, 2 * order))
        gradient = jax.jit(jax.value_and_grad(risk))
        functions[name] = lambda: gradient(w)
        if name == "order 2":
            product = jax.jit(lambda w, direction: jax.jvp(jax.grad(risk), (w,), (direction,))[1])
            functions["Hessian-vector product, order 2"] = lambda: product(w, net.w0)

    for k in orders:
        add(f"order {k}", k, k)
    if activation == "tanh":
        plain_hessian = jax.jit(lambda w, v: jax.jvp(lambda p: plain(p)[1], (w,), (v,))[1])
        functions["Hessian-vector product, plain"] = lambda: plain_hessian(weights, w)
    add("sum of orders 0..4", tn.two_layer.Taylor(4), 1)
    add("exact randomized risk", "randomized", 2)
    for k in (3, 4):
        for kind in (tn.randomization.SignedMoments, tn.randomization.RootsOfUnity):
            if kind is tn.randomization.SignedMoments or net.activation.analytic:
                add(f"exact risk, {kind.__name__}({k})", kind(k), k)
    add("full (this package)", "full", 1)
    times = _measure.interleaved(functions, repetitions)
    return {
        name: {
            "seconds": _measure.spread(values),
            "over_plain": _measure.ratios(times, name, "plain"),
            "over_products": _measure.ratios(times, name, "two products"),
        }
        for name, values in times.items()
    }


_OF_NODES = {
    f"exact risk, {kind.__name__}({k})": 1.3 * len(kind(k).nodes)
    for k in (3, 4)
    for kind in (tn.randomization.SignedMoments, tn.randomization.RootsOfUnity)
}


def _limit(name: str) -> float | None:
    limits = {"sum of orders 0..4": 1.5, "exact randomized risk": 1.2} | _OF_NODES
    return 1.0 if name.startswith("order ") else limits.get(name)


def main(quick: bool) -> dict[str, Any]:
    sizes = {"n": 64, "d": 8, "m": 128} if quick else {"n": 2048, "d": 64, "m": 8192}
    repetitions = 3 if quick else 15
    flops = 4 * sizes["n"] * sizes["m"] * sizes["d"]
    tables, targets, measured = [], [], {}
    for activation, orders in (_QUICK_ORDERS if quick else _ORDERS).items():
        measured[activation] = results = measure(activation, orders, sizes, repetitions)
        rows = [
            [
                name,
                _measure.show({k: 1e3 * v for k, v in item["seconds"].items()}, 1),
                _measure.show(item["over_plain"]),
                _measure.show(item["over_products"]),
                _limit(name),
            ]
            for name, item in results.items()
        ]
        columns = ["gradient of", "ms", "over plain network", "over the two products", "target"]
        tables.append({"title": f"{activation}, {sizes}, float32", "columns": columns, "rows": rows})
        for name, item in results.items():
            limit = _limit(name)
            if limit is not None:
                met = item["over_plain"]["median"] <= limit
                text = f"{activation}, {name}: gradient over that of the plain network at most {limit}"
                why = (
                    f"It takes {item['over_products']['median']:.2f} times the two matrix products, the plain network "
                    f"{results['plain']['over_products']['median']:.2f} times."
                )
                targets.append(_measure.target(text, f"{item['over_plain']['median']:.2f}", met, why))
    return {
        "title": "Gradients of Taylor models over the gradient of the plain network",
        "floors": [
            f"every gradient in w contains two matrix products, {flops / 1e9:.2f} GFLOP in total; both are timed alone in "
            "the same run, each writing its whole result to memory (blocks that stay in the cache can be faster)",
            "times are those of value and gradient together, jitted; ratios are medians of ratios within a repetition",
        ],
        "sizes": sizes,
        "repetitions": repetitions,
        "measured": measured,
        "tables": tables,
        "targets": targets,
    }
