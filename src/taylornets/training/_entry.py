"""Argument checks of `taylorized_training`, made before any computation."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from taylornets._checks import ArgumentError, automatic, order_of, shown
from taylornets._trees import Line, refuse_batch_axis, refuse_not_finite, refuse_outputs, refuse_unusable, rows, run
from taylornets.expansion import refuse_impure, warn_of_other_slopes
from taylornets.training._data import Batches, check_batch
from taylornets.training._lockstep import LockstepProblem, noise
from taylornets.training._settings import Probe

_UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def orders_of(orders: Any, include_full: bool) -> tuple[int, ...]:
    """Returns the orders in ascending order."""
    if not isinstance(orders, Iterable) or isinstance(orders, str):
        raise ArgumentError("orders", "a list of integers ≥ 1", shown(orders))
    found = tuple(order_of("orders", order, 1) for order in orders)
    if len(set(found)) < len(found):
        raise ArgumentError("orders", "distinct orders", str(found))
    if not found and not include_full:
        raise ArgumentError("orders", "at least one order, or include_full=True", "neither")
    return tuple(sorted(found))


def check_kinds(values: dict[str, tuple[Any, type]]) -> None:
    """Raises for values of the wrong class; None is allowed."""
    for name, (value, kind) in values.items():
        if value is not None and not isinstance(value, kind):
            raise ArgumentError(name, f"a taylornets.training.{kind.__name__}", shown(value))


def transformation(optimizer: Any) -> optax.GradientTransformationExtraArgs:
    """Returns the optimizer as a gradient transformation."""
    if isinstance(optimizer, optax.MultiSteps):
        optimizer = optimizer.gradient_transformation()
    functions = (getattr(optimizer, name, None) for name in ("init", "update"))
    if isinstance(optimizer, type) or not all(callable(function) for function in functions):
        expected = "an optax gradient transformation, such as optax.sgd(0.1)"
        advice = "Call it with a learning rate." if callable(optimizer) else ""
        raise ArgumentError("optimizer", expected, shown(optimizer), advice)
    return optax.with_extra_args_support(optimizer)


def mask_of(f: Any, params: Any, trainable: Any) -> Any:
    """Returns the mask of trainable leaves; raises if there are none."""
    line = Line.through(f, params, trainable)
    refuse_not_finite("params", [line.leaves[i] for i in line.moving], [line.paths[i] for i in line.moving])
    if not line.moving:
        raise ArgumentError(
            "params",
            "at least one trainable leaf, an array of floats",
            "none",
            "Check trainable: is it all False?",
        )
    return line.mask


def first_of(batches: Any) -> tuple[Any, Any]:
    """Returns the first batch, and an iterable that still begins with it."""
    if isinstance(batches, Sequence) and len(batches):
        return check_batch(batches[0], 0), batches
    if not isinstance(batches, Iterable):
        advice = "taylornets.training.Batches(x, y, batch_size=..., steps=..., key=...) makes them from arrays."
        raise ArgumentError("batches", "an iterable of pairs (x, y)", f"a {type(batches).__name__}", advice)
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        raise ArgumentError("batches", "at least one pair (x, y)", "none")

    def again() -> Any:
        yield first
        yield from iterator

    return check_batch(first, 0), again()


def suspect(batches: Any, first: tuple[Any, Any]) -> tuple[int, Any]:
    """Returns the index and the inputs of the first batch known to contain NaN, otherwise of the first batch."""
    number = batches.first_with_nan(len(batches)) if isinstance(batches, Batches) else None
    return (0, first[0]) if number is None else (number, batches[number][0])


def check_models(study: LockstepProblem, first: tuple[Any, Any], probe: Probe) -> Probe:
    """Returns the probe with its examples; raises for incompatible outputs, targets and losses, using shapes only."""
    drawn, shaken = noise(study.settings.key)
    stochastic = study.settings.stochastic
    _check_model(study, "f", study.f, (_augmented(study, shaken, first[0]), first[1]), (drawn,) * stochastic)
    given = probe.x is not None
    x, y = jax.tree.map(automatic, (probe.x, probe.y)) if given else first
    probe = replace(probe, x=x, y=y)
    if given and rows("probe", y) != (n := rows("probe", x)):
        raise ArgumentError("probe", f"{n} examples, as in x", f"{rows('probe', y)}")
    if study.f_eval is not study.f or study.settings.augment is not None or given:
        _check_model(study, "f" if study.f_eval is study.f else "f_eval", study.f_eval, (probe.x, probe.y), ())
    return probe


def _augmented(study: LockstepProblem, key: Any, x: Any) -> Any:
    """Returns the shapes of the inputs after augmentation."""
    if study.settings.augment is None:
        return x
    augment: Callable[..., Any] = study.settings.augment
    expected = "a function augment(key, x) that returns inputs, one example per row"
    try:
        found = jax.eval_shape(augment, key, x)
    except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        said = " ".join(str(error).split())[:160]
        raise ArgumentError("augment", expected, f"one that fails ({type(error).__name__}: {said})") from error
    n = rows("x", x)
    if any(leaf.shape[:1] != (n,) for leaf in jax.tree.leaves(found)) or not jax.tree.leaves(found):
        shapes = ", ".join(str(leaf.shape) for leaf in jax.tree.leaves(found)[:3]) or "nothing"
        raise ArgumentError("augment", expected, f"shapes {shapes} for {n} examples")
    return found


def _check_model(study: LockstepProblem, name: str, f: Any, batch: tuple[Any, Any], drawn: tuple[Any, ...]) -> None:
    x, y = batch
    n = rows("x", x)
    if rows("y", y) != n:
        raise ArgumentError("y", f"{n} examples, as in x", f"{rows('y', y)}")
    refuse_unusable(f, study.start, (x, *drawn))
    fixed = eqx.partition(study.start, study.mask)[1]

    def model(inputs: Any) -> Any:
        moved, x = inputs
        try:
            return run(f, eqx.combine(moved, fixed), (x, *drawn), {})
        except _UNTRACEABLE as error:
            got = f"one whose Python control flow depends on array values ({type(error).__name__})"
            advice = "Use jnp.where or jax.lax.cond, or pass settings as Python numbers."
            raise ArgumentError(name, "a model that jax.jit can compile", got, advice) from error
        except ArgumentError as error:  # the error calls the model f, as most entry points do
            if error.argument == "f" and name != "f":
                raise error.renamed(name) from error
            raise

    closed, outputs = jax.make_jaxpr(model, return_shape=True)((study.moving, x))
    refuse_impure(model, (study.moving, x), closed)
    refuse_outputs(name, outputs, n)
    refuse_batch_axis(name, lambda x: model((study.moving, x)), x, outputs)
    study.task.check(outputs, y)


def compare_slopes(study: LockstepProblem, x: Any, stacklevel: int) -> None:
    """Warns if the reverse rules used to train the model differ from the derivatives of its Taylor models.

    The comparison uses a random direction, scaled by the size of each leaf, which detects any difference of two linear maps.

    Args:
        study: the training problem.
        x: inputs.
        stacklevel: stack level of the warning, relative to this function.
    """
    if not study.orders or study.settings.custom_vjp != "function":
        return
    here = Line.through(study.f_eval, study.start, study.mask).here()
    draw = np.random.default_rng(0)
    move: list[Any] = []
    for leaf in here.start:
        size = float(np.sqrt(np.mean(np.abs(np.asarray(leaf).astype(np.complex128)) ** 2))) if leaf.size else 0.0
        move.append(jnp.asarray(draw.normal(size=leaf.shape) * (size or 1.0), leaf.dtype))
    warn_of_other_slopes(here.model((jax.tree.map(jnp.asarray, x),)), here.start, move, stacklevel + 1)
