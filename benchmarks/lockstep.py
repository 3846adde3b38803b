"""One step of Taylorized training, orders 1 to 4 and the model itself, over one plain step of the model.

The floor adds the matrix products of each model: a gradient of order K holds 5 K of them against 3 of the model's own (see
`benchmarks.taylor_mode`), so that orders 1 to 4 and the model take 5/3 (1 + 2 + 3 + 4) + 1 = 17.67 plain steps.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks import _measure
from benchmarks._taylor_models import MODELS
from taylornets.expansion._compare import moving_mask
from taylornets.expansion._line import Line
from taylornets.training._goal import Goal
from taylornets.training._lockstep import Lockstep, Study

ORDERS = (1, 2, 3, 4)
FLOOR = sum(5 * order / 3 for order in ORDERS) + 1
LIMIT = 1.3
OPTIMIZER = optax.sgd(1e-4, momentum=0.9)


def loss(outputs: Any, y: Any) -> Any:
    """A squared loss."""
    return jnp.mean((outputs - y) ** 2)


class Step:
    """A step that keeps its own state, since compiled steps give the memory of the old one back."""

    def __init__(self, step: Any, state: Any):
        self._step, self._state = step, state

    def __call__(self) -> Any:
        """One step; what is to be waited for."""
        self._state, value = self._step(self._state)
        # The new parameters too: a step is done when its update is.
        return jax.tree.leaves(self._state), jax.tree.leaves(list(value.values()) if isinstance(value, dict) else value)


def plain(f: Any, params: Any, x: Any, y: Any) -> Step:
    """The ordinary loop of the model."""

    @jax.jit
    def step(state: Any) -> Any:
        params, inner = state
        value, gradient = jax.value_and_grad(lambda p: loss(f(p, x), y))(params)
        updates, inner = OPTIMIZER.update(gradient, inner, params)
        return (optax.apply_updates(params, updates), inner), value

    return Step(step, (params, OPTIMIZER.init(params)))


def lockstep(f: Any, params: Any, x: Any, y: Any, together: bool) -> tuple[Step, float, Any]:
    """The step that `taylorized_training` takes, the seconds that its first call needs, and the bytes of its program."""
    mask = moving_mask(Line.through(f, params, None))
    optimizer = optax.with_extra_args_support(OPTIMIZER)
    study = Study(f, f, params, mask, ORDERS, True, Goal(loss, False), optimizer, None, False, "auto")
    steps = Lockstep(study, together=None if together else False, limit=10**15)

    def step(states: Any) -> Any:
        return steps(dict(zip(study.names, states, strict=True)), (x, y), None)

    def listed(states: Any) -> Any:
        new, values = step(states)
        return list(new.values()), values

    found = Step(listed, list(study.begin().values()))
    begin = time.perf_counter()
    jax.block_until_ready(found())
    return found, time.perf_counter() - begin, steps.bytes


def measure(name: str, toy: bool, repetitions: int) -> list[dict[str, Any]]:
    """One row for all models in one program, one for one program a model."""
    f, params, x = MODELS[name](toy)
    y = jnp.zeros_like(f(params, x))
    functions: dict[str, Any] = {"plain": plain(f, params, x, y)}
    compiled: dict[str, Any] = {}
    for together in (True, False):
        label = "one program" if together else "one program a model"
        functions[label], seconds, size = lockstep(f, params, x, y, together)
        compiled[label] = (seconds, size)
    times = _measure.interleaved(functions, repetitions)
    return [
        {
            "model": name,
            "step": label,
            "plain_seconds": _measure.spread(times["plain"]),
            "over_plain": _measure.ratios(times, label, "plain"),
            "compile_seconds": seconds,
            "bytes": size,
        }
        for label, (seconds, size) in compiled.items()
    ]


def main(quick: bool) -> dict[str, Any]:
    rows = [row for name in (("mlp",) if quick else MODELS) for row in measure(name, quick, 3 if quick else 9)]
    cells = [
        [
            row["model"],
            row["step"],
            1e3 * row["plain_seconds"]["median"],
            _measure.show(row["over_plain"]),
            row["over_plain"]["median"] / FLOOR if row["model"] == "mlp" else None,
            row["compile_seconds"],
            None if row["bytes"] is None else row["bytes"] / 1e6,
        ]
        for row in rows
    ]
    (first,) = [row for row in rows if (row["model"], row["step"]) == ("mlp", "one program")]
    ratio = first["over_plain"]["median"] / FLOOR
    why = "what is no matrix product (tanh, sums of coefficients, the optimizer) takes the rest"
    columns = ["model", "step", "plain ms", "lockstep over plain", "over the floor", "compile s", "MB"]
    return {
        "title": "A lockstep step of orders 1 to 4 and the model over one plain step",
        "floors": [
            f"a perceptron's orders 1 to 4 and the model hold {FLOOR:.2f} times the matrix products of its own step"
        ],
        "tables": [{"title": "Medians within one run, device-synced, float32", "columns": columns, "rows": cells}],
        "targets": [
            _measure.target(f"mlp: at most {LIMIT} times the sum of the floors", f"{ratio:.2f}", ratio <= LIMIT, why)
        ],
        "lockstep": rows,
    }
