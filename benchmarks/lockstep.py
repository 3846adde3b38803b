"""A step of Taylorized training, all orders and the model itself, relative to a plain optax step."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks import _measure
from benchmarks._taylor_models import MODELS
from taylornets.training import TrainingSettings, task_of
from taylornets.training._lockstep import Lockstep, LockstepProblem

_ORDERS = (1, 2, 3, 4)
_LIMIT = 1.3  # times the floor
_NO_LIMIT = 2**62


def _optimizer() -> optax.GradientTransformation:
    return optax.sgd(1e-4, momentum=0.9)


def _study(f: Any, params: Any, orders: tuple[int, ...], full: bool, together: bool) -> LockstepProblem:
    mask = jax.tree.map(lambda _: True, params)
    optimizer = optax.with_extra_args_support(_optimizer())
    settings = TrainingSettings(together=None if together else False)
    return LockstepProblem(f, f, params, mask, orders, full, task_of("softmax", "auto", None), optimizer, settings)


class _Training:
    """A training run: `advance` takes a step and returns the new state; the first call compiles.

    Args:
        step: maps a state to the next one.
        state: the initial one.
        begin: the time at which compilation began.
    """

    def __init__(self, step: Callable[[Any], Any], state: Any, begin: float):
        self._step, self._state = step, state
        jax.block_until_ready(self.advance())
        self.first_seconds = time.perf_counter() - begin

    def advance(self) -> Any:
        self._state = self._step(self._state)
        return jax.tree.leaves(list(self._state))


def _plain(f: Any, params: Any, x: Any, y: Any) -> tuple[_Training, int]:
    """An ordinary optax step, and the bytes of its program."""
    optimizer = _optimizer()

    def step(state: Any, x: Any, y: Any) -> Any:
        params, inner = state

        def objective(p: Any) -> Any:
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(f(p, x), y))

        value, gradient = jax.value_and_grad(objective)(params)
        updates, inner = optimizer.update(gradient, inner, params)
        del value
        return optax.apply_updates(params, updates), inner

    params = jax.tree.map(lambda a: jnp.array(a, copy=True), params)
    state = (params, optimizer.init(params))
    program, begin = jax.jit(step, donate_argnums=0), time.perf_counter()
    memory = program.lower(state, x, y).compile().memory_analysis()
    size = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return _Training(lambda state: program(state, x, y), state, begin), size


def _lockstep(study: LockstepProblem, x: Any, y: Any) -> tuple[_Training, int | None]:
    """The step of `taylorized_training`, and the bytes of its program if it is a single program."""
    lockstep = Lockstep(study, limit=_NO_LIMIT)
    names = study.names

    def step(states: Any) -> Any:
        new, _ = lockstep(dict(zip(names, states, strict=True)), (x, y), None)
        return list(new.values())

    training = _Training(step, list(study.begin().values()), time.perf_counter())
    return training, lockstep.bytes


def measure(name: str, quick: bool, repetitions: int) -> dict[str, Any]:
    """Ratios to the plain step, seconds of the first call, and bytes of one model."""
    f, params, x = MODELS[name](quick)
    shape = jax.eval_shape(f, params, x).shape
    y = jax.random.randint(jax.random.key(5), shape[:-1], 0, shape[-1])
    plain, size = _plain(f, params, x, y)
    trainings, sizes = {"plain": plain}, {"plain": size}
    for way, together in (("together", True), ("in turn", False)):
        trainings[way], sizes[way] = _lockstep(_study(f, params, _ORDERS, True, together), x, y)
    if name == "mlp" and not quick:
        for order in _ORDERS:
            key = f"order {order} alone"
            trainings[key], sizes[key] = _lockstep(_study(f, params, (order,), False, True), x, y)
    times = _measure.interleaved({key: it.advance for key, it in trainings.items()}, repetitions)
    return {
        key: {
            "seconds": _measure.spread(values),
            "over_plain": _measure.ratios(times, key, "plain"),
            "first_seconds": trainings[key].first_seconds,
            "bytes": sizes[key],
        }
        for key, values in times.items()
    }


def floor(key: str) -> float:
    """Matrix products relative to those of the plain step: Taylor mode needs 5K/3 times as many for order K, layer by layer."""
    if key.startswith("order"):
        return 5 * int(key.split()[1]) / 3
    return 1.0 if key == "plain" else sum(5 * order / 3 for order in _ORDERS) + 1


def main(quick: bool) -> dict[str, Any]:
    repetitions = 3 if quick else 9
    # Compilation dominates a quick run: one model suffices.
    measured = {name: measure(name, quick, repetitions) for name in (("mlp",) if quick else MODELS)}
    tables = []
    for name, results in measured.items():
        rows = [
            [
                key,
                _measure.show({k: 1e3 * v for k, v in item["seconds"].items()}, 1),
                _measure.show(item["over_plain"]),
                item["over_plain"]["median"] / floor(key) if name == "mlp" else None,
                item["first_seconds"],
                None if item["bytes"] is None else item["bytes"] / 1e6,
            ]
            for key, item in results.items()
        ]
        columns = ["step", "ms", "over plain", "over floor", "first call, s", "MB"]
        tables.append(
            {"title": f"{name}, orders 1 to 4 and the model itself, float32", "columns": columns, "rows": rows}
        )
    ratio = measured["mlp"]["together"]["over_plain"]["median"]
    lowest = floor("together")
    target = _measure.target(
        f"mlp, together: step of orders 1 to 4 and the model over the plain step, at most {_LIMIT} times the floor "
        f"{lowest:.2f}",
        f"{ratio:.2f}, {ratio / lowest:.2f} times the floor",
        ratio <= _LIMIT * lowest,
        "Orders alone, over their floors: "
        + ", ".join(
            f"{item['over_plain']['median'] / floor(key):.2f}"
            for key, item in measured["mlp"].items()
            if key.startswith("order")
        )
        + ".",
    )
    return {
        "title": "A step of Taylorized training relative to a plain step",
        "floors": [
            f"Taylor mode of order K needs 5K/3 times the matrix products of a plain gradient: {lowest:.2f} plain steps for "
            "orders 1 to 4 and the model, if the orders shared no work",
            "every step includes loss, gradient, SGD with momentum, and for Taylorized training the test for finite numbers; "
            "the first call traces, compiles and runs",
        ],
        "repetitions": repetitions,
        "measured": measured,
        "tables": tables,
        "targets": [target],
    }
