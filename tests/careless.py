"""Careless calls: what people pass by mistake, as changes of one good call, with words that the answer must hold.

A change replaces arguments of the good call `f, params, end, x, y`. `ONLY` names the entries that a mistake concerns, where it
does not concern all of them: a model whose outputs are a tuple is a good one for `taylor_terms`, say.
"""

import types
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

N, D, C = 4, 3, 2
PARAMS = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(D, C)), jnp.float32), "b": jnp.zeros(C)}
END = {"w": 1.1 * PARAMS["w"], "b": jnp.full(C, 0.1)}
X = jnp.asarray(np.random.default_rng(1).normal(size=(N, D)), jnp.float32)
Y = jnp.zeros((N, C))


def model(params, x):
    return jnp.tanh(x @ params["w"] + params["b"][None, :])


GOOD = {"f": model, "params": PARAMS, "end": END, "x": X, "y": Y}

TERMS = ("taylor_terms", "taylor_expand", "linearize")
COUNTS = ("explain", "cost")
ROWS = ("regime", "regime_path", "training", "model_ntk", "diagnose")
ENDS = (*TERMS, "regime")
ALL = (*TERMS, *COUNTS, *ROWS)
MASKED = tuple(name for name in ALL if name != "diagnose")
ORDERED = ("taylor_terms", "taylor_expand", "cost", "regime", "training")
COMPUTING = (*TERMS, *ROWS)


def torch_like(name, **members):
    """What a PyTorch object looks like from outside: its class says that it comes from `torch`."""
    return type(name, (), {"__module__": "torch", **members})()


MODULE = torch_like("Module", __call__=lambda self, x: x)
MODULE_CLASS = type("Net", (type(MODULE),), {"__module__": "__main__"})


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(C)(x)


class Kept:
    key = jax.random.key(0)
    generator = np.random.default_rng(0)


def split_global_key(params, x):
    Kept.key, sub = jax.random.split(Kept.key)
    return model(params, x) + jax.random.normal(sub, (len(x), C))


def one_row_more(params, x):
    return jnp.concatenate([model(params, x), jnp.ones((1, C))])


class Careless(NamedTuple):
    """A mistake.

    Attributes:
        words: what every answer holds, in lower case.
        changes: arguments that replace those of the good call.
        only: the entries that it concerns.
    """

    words: tuple[str, ...]
    changes: dict
    only: tuple[str, ...] = ALL


def with_f(*words, f, only=ALL):
    return Careless(words, {"f": f}, only)


CARELESS = {
    # The function itself.
    "not a function": with_f("f", "function", f=3, only=MASKED),
    "f and params swapped": Careless(("f", "swapped"), {"f": PARAMS, "params": model}, TERMS + COUNTS + ROWS[:3]),
    "a torch module": with_f("torch", f=MODULE_CLASS()),
    "a Linen module": with_f("linen", "apply", f=Linen(), only=MASKED),
    "an NNX module": with_f("nnx", "split", f=nnx.Linear(D, C, rngs=nnx.Rngs(0)), only=MASKED),
    "a pair of init and apply": with_f("apply", f=type("Transformed", (tuple,), {"init": None, "apply": None})(), only=MASKED),
    "a class": with_f("class", f=types.SimpleNamespace),
    "one argument": with_f("f", "signature", f=lambda params: params["w"]),
    "arguments swapped": with_f("first", f=lambda x, params: model(params, x)),
    # Parameters.
    "torch tensors": Careless(("params", "torch"), {"params": {"w": torch_like("Tensor"), "b": PARAMS["b"]}}),
    "NaN in the parameters": Careless(("nan", "b"), {"params": PARAMS | {"b": jnp.array([0.0, jnp.nan])}}),
    "nothing that moves": Careless(("float",), {"params": {"w": 3, "b": 2.0}, "f": lambda p, x: x * p["w"]}, ROWS),
    # Inputs.
    "NaN in the inputs": Careless(("nan", "x"), {"x": X.at[1, 1].set(jnp.nan)}),
    "no rows": Careless(("x",), {"x": jnp.zeros(()), "f": lambda p, x: x * p["w"]}, ROWS[:3]),
    "an empty batch": Careless(("x",), {"x": X[:0], "y": Y[:0]}, ROWS),
    "lengths that differ": Careless(("x",), {"x": (X, X[1:]), "f": lambda p, x: model(p, x[0])}, ROWS),
    "torch inputs": Careless(("torch",), {"x": torch_like("Tensor", shape=(N, D), ndim=2)}, TERMS + COUNTS + ROWS[:3]),
    # Outputs.
    "no return": with_f("return", f=lambda params, x: None),
    "a string": with_f("str", f=lambda params, x: "done"),
    "a tuple": with_f("array", f=lambda params, x: (model(params, x), 0.0), only=ROWS),
    "a dict": with_f("array", f=lambda params, x: {"logits": model(params, x), "loss": jnp.zeros(())}, only=ROWS),
    "a scalar": with_f("row", f=lambda params, x: model(params, x).sum(), only=ROWS),
    "a Python float": with_f("f", f=lambda params, x: 1.0, only=ROWS),
    "classes": with_f("logits", f=lambda params, x: model(params, x).argmax(1), only=ROWS),
    "transposed": with_f("f", f=lambda params, x: model(params, x).T, only=ROWS),
    "transposed, as many rows": Careless(("row",), {
        "f": lambda p, x: (x @ p["w"]).T, "params": {"w": jnp.ones((D, N))}, "end": {"w": 2 * jnp.ones((D, N))},
        "y": jnp.zeros((N, N)),
    }, ROWS),
    "every second row": with_f("row", f=lambda params, x: model(params, x)[::2], only=ROWS),
    "one row more": with_f("row", f=one_row_more, only=ROWS),
    "pooled over the batch": with_f("row", f=lambda params, x: jnp.ones((N, C)) * model(params, x).mean(0), only=ROWS),
    "NaN at the initialization": with_f("nan", "f", f=lambda params, x: model(params, x) + jnp.log(-1.0), only=COMPUTING),
    "complex outputs": with_f("complex", f=lambda params, x: model(params, x) + 1j, only=ROWS),
    # Functions that are not pure.
    "NumPy's global noise": with_f("pure", f=lambda params, x: model(params, x) + np.random.normal(size=(len(x), C))),  # noqa: NPY002
    "a generator's noise": with_f("pure", f=lambda params, x: model(params, x) * Kept.generator.normal()),
    "a global key that is split": with_f("pure", f=split_global_key),
    # Orders and names.
    "a huge order": Careless(("256",), {"order": 100_000}, ORDERED),
    "a negative order": Careless(("integer",), {"order": -1}, ORDERED),
    "a fractional order": Careless(("integer",), {"order": 1.5}, ORDERED),
    "an order that is an array": Careless(("integer",), {"order": jnp.ones((50, 50))}, ORDERED),
    "a mode": Careless(("mode", "nested"), {"mode": "nest"}, (*TERMS, "cost", "regime", "training")),
    "a mask of other keys": Careless(("trainable", "prefix"), {"trainable": {"w": True, "c": True}}, MASKED),
    "a mask of numbers": Careless(("trainable", "boolean"), {"trainable": {"w": 1, "b": 0}}, MASKED),
    # The other end.
    "a leaf less": Careless(("leaf b",), {"end": {"w": END["w"]}}, ENDS),
    "a leaf more": Careless(("leaf z",), {"end": END | {"z": END["b"]}}, ENDS),
    "another shape": Careless(("shape", "b"), {"end": END | {"b": jnp.ones(3)}}, ENDS),
    "another dtype": Careless(("dtype", "b"), {"end": END | {"b": END["b"].astype(jnp.bfloat16)}}, ENDS),
    "a word for an array": Careless(("str", "b"), {"end": END | {"b": "b"}}, ENDS),
    "NaN at the end": Careless(("nan", "b"), {"end": END | {"b": jnp.array([0.0, jnp.nan])}}, ENDS),
    "a setting that differs": Careless(("s", "fixed="), {
        "params": PARAMS | {"s": 1}, "end": END | {"s": 2}, "f": lambda p, x: model(p, x) * p["s"],
    }, ENDS),
    "a name of an end": Careless(("fixed", "start"), {"fixed": "first"}, ENDS),
    # Training.
    "a loss that broadcasts": Careless(("y", "shape"), {
        "f": lambda p, x: model(p, x)[:, :1], "y": jnp.arange(4.0), "loss": lambda o, y: (o - y) ** 2,
    }, ("training",)),
    "a mean that broadcasts": Careless(("y", "shape"), {
        "f": lambda p, x: model(p, x)[:, :1], "y": jnp.arange(4.0), "loss": lambda o, y: jnp.mean((o - y) ** 2),
    }, ("training",)),
    "no optimizer": Careless(("optimizer", "optax"), {"optimizer": 0.1}, ("training",)),
    "an unknown loss": Careless(("squared",), {"loss": "mse"}, ("training",)),
    "fewer targets": Careless(("4",), {"y": Y[1:]}, ("training", "diagnose")),
}  # fmt: skip


def factory(changes):
    """What `diagnose` runs: the good call with the changes, as its factory returns it."""
    call = GOOD | changes
    loss = call.get("loss", "squared")
    return lambda: (call["f"], call["params"], (call["x"], call["y"]), optax.sgd(0.1), loss)
