"""`taylorized_training`: a network and its Taylor models, trained from the same start under the same noise."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
from jaxtyping import PRNGKeyArray

from taylornets import _checks
from taylornets._trees import Line, leaf_name, refuse_not_finite, refuse_outputs, rows
from taylornets.training import _checkpoint
from taylornets.training._data import Batches, batches_from, check_batch
from taylornets.training._goal import goal
from taylornets.training._lockstep import Lockstep, Name, Study
from taylornets.training._measure import Probe
from taylornets.training._result import History, Snapshot, TaylorizedTraining

_MEASUREMENTS = 20  # over a run of known length;
_UNKNOWN = 400  # the length that others are taken to have
_GROWN = 2.0  # times the loss at the start: from there on the status says so


def taylorized_training(
    f: Callable[..., Any],
    params: Any,
    batches: Iterable[Any],
    *,
    orders: Sequence[int] = (1, 2, 3),
    loss: Any,
    optimizer: optax.GradientTransformation | optax.MultiSteps,
    include_full: bool = True,
    steps: int | None = None,
    probe: tuple[Any, Any] | None = None,
    probe_batch_size: int | None = None,
    task: str = "auto",
    evaluate_every: int | None = None,
    ntk_inputs: int = 8,
    key: PRNGKeyArray | None = None,
    augment: Callable[..., Any] | None = None,
    stochastic: bool = False,
    f_eval: Callable[..., Any] | None = None,
    trainable: Any = None,
    mode: str = "auto",
    together: bool | None = None,
    callbacks: Sequence[Callable[[Snapshot], Any]] = (),
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
) -> TaylorizedTraining:
    """Trains a model and its Taylor models of several orders in lockstep: same start, minibatches, noise, optimizer.

    The model of order K is `taylor_expand(f, params, K)`, a function of its own parameters. Every step takes one minibatch,
    augments it once, and makes one update of each model with its own state of the optimizer. All updates are one
    compiled program where its memory fits into half of the device's, else one program a model, with the same noise.

    A model whose loss, parameters or optimizer state would stop being finite keeps its last finite state and is trained no
    more; `status` says so. Higher orders are polynomials of the displacement and can diverge where the model does not.

    Args:
        f: the model `f(params, x)`, or `f(params, x, key)` with `stochastic`. Returns one array, shape `(n, ...)`: logits or
            predictions, an example a row. A pure function: statistics that a layer keeps must be frozen.
        params: the start, a pytree; leaves that are no arrays of floats stay as they are (an Equinox module, say).
        batches: pairs `(x, y)` with `n` examples on the first axis, arrays or trees of them: a sequence, such as
            `taylornets.training.Batches`, or any iterable, which is passed through once.
        orders: of the Taylor models, each ≥ 1; may be empty.
        loss: a name of `taylornets.losses` ("softmax" takes integer labels), a loss object, or a function
            `loss(outputs, y)` whose mean is taken.
        optimizer: any optax transformation, with its schedule, momentum, clipping.
        include_full: whether the model itself is trained too; distances and agreement need it.
        steps: how many batches to take; by default all.
        probe: inputs and targets of the measurements; by default the first batch.
        probe_batch_size: probe inputs at the same time; by default all.
        task: "classification" (accuracy and agreement of classes), "regression", or "auto": by the loss, for a function by
            whether the targets are integers.
        evaluate_every: steps between measurements; by default about 20 over the run. The start and the end are measured
            too.
        ntk_inputs: first probe inputs for the drift of the full model's kernel; 0 for none.
        key: of the noise; step `i` uses `fold_in(key, i)`.
        augment: `augment(key, x) -> x`, drawn once a step for all models; needs `key`.
        stochastic: `f` takes a key as third argument (dropout), the same for all models; needs `key` and `f_eval`.
        f_eval: the model `f_eval(params, x)` for measurements (dropout off); by default `f`.
        trainable: as in `taylor_terms`: the leaves that may move.
        mode: as in `taylor_terms`.
        together: True for one compiled step, False for one a model, None to choose by memory.
        callbacks: each called with a `Snapshot` after every measurement.
        checkpoint: a file that a killed run goes on from.
        checkpoint_every: steps between writing it; by default at every measurement.
        resume: go on from `checkpoint` where the file is there: the result is that of the undisturbed run, bit for bit.

    Returns:
        A `TaylorizedTraining`; printing it gives a table.

    Raises:
        ArgumentError: for parameters with NaN (it names the leaf), data or outputs whose shapes do not fit, orders below 1,
            noise without a key, a checkpoint of another run.

    Source: theory 10; Bai, Krause, Wang, Xiong, Socher, "Taylorized Training" (2020).

    Example:
        >>> import jax, jax.numpy as jnp, optax, taylornets as tn
        >>> x = jnp.linspace(-1, 1, 32)[:, None]
        >>> start = {"w": jnp.ones((1, 8)), "v": jnp.ones((8, 1)) / 8}
        >>> model = lambda p, x: jnp.tanh(x @ p["w"]) @ p["v"]
        >>> data = tn.training.Batches(x, jnp.sin(3 * x), batch_size=16, steps=20, key=jax.random.key(0))
        >>> found = tn.taylorized_training(model, start, data, orders=(1, 2), loss="squared", optimizer=optax.sgd(0.05))
        >>> sorted(map(str, found.params)), found.history.steps[-1]
        (['1', '2', 'full'], 20)
    """
    orders = _orders(orders)
    _check_optimizer(optimizer)
    plain = optimizer.gradient_transformation() if isinstance(optimizer, optax.MultiSteps) else optimizer
    _check_noise(key, augment, stochastic, f_eval)
    counts = {"steps": steps, "evaluate_every": evaluate_every, "probe_batch_size": probe_batch_size}
    for name, value in (counts | {"checkpoint_every": checkpoint_every}).items():
        if value is not None:
            _checks.integer(name, value, 1)
    _checks.integer("ntk_inputs", ntk_inputs, 0)
    if not orders and not include_full:
        raise _checks.ArgumentError("orders", "at least one order, or include_full=True", "neither")
    if resume and checkpoint is None:
        raise _checks.ArgumentError("resume", "a file in checkpoint to go on from", "checkpoint=None")
    first, batches = _first(batches)
    study = Study(
        f, f_eval or f, params, _mask(f, params, trainable), orders, include_full, goal(loss, task, first[1]),
        optax.with_extra_args_support(plain), augment, stochastic, mode,
    )  # fmt: skip
    x, y = _check_model(study, first, first if probe is None else probe, key)
    run = _Run(study, Lockstep(study, together), Probe(study, x, y, probe_batch_size, ntk_inputs), callbacks)
    known = isinstance(batches, Batches)
    if known:
        run.check_targets(batches.y)
    count = _count(batches, steps)
    every = evaluate_every or max(1, math.ceil((count or _UNKNOWN) / _MEASUREMENTS))
    path = None if checkpoint is None else Path(checkpoint)
    same = {} if path is None else _checkpoint.identity(study, first, (x, y), key, list(run.states.values()))
    keep = _Keep(path, checkpoint_every or every, same, run)
    done = keep.resume() if resume else 0
    if not run.history.steps:
        run.measure(0)
    for batch in batches_from(batches, done):
        if count is not None and done >= count:
            break
        x, y = check_batch(batch, done)
        if not known:
            run.check_targets(y, f"in batch {done}")
        run.step((x, y), None if key is None else jax.random.fold_in(key, done))
        done += 1
        if done % every == 0 or done == count:
            run.measure(done)
        keep.after(done, done == count)
    if run.history.steps[-1] != done:
        run.measure(done)
    return run.result()


def _mask(f: Any, params: Any, trainable: Any) -> Any:
    """The leaves that are trained; refuses parameters that cannot be."""
    line = Line.through(f, params, trainable)
    refuse_not_finite("params", line.leaves, line.paths)
    mask = line.mask
    if not any(jax.tree.leaves(mask)):
        raise _checks.ArgumentError(
            "params", "a leaf that may move, an array of floats", "none", "Is trainable all False?"
        )
    return mask


def _check_optimizer(optimizer: Any) -> None:
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        needed = "an optax gradient transformation, such as optax.sgd(0.1)"
        raise _checks.ArgumentError("optimizer", needed, f"a {type(optimizer).__name__}")


def _check_noise(key: Any, augment: Any, stochastic: bool, f_eval: Any) -> None:
    for name, value in (("augment", augment is not None), ("stochastic", stochastic)):
        if value and key is None:
            raise _checks.ArgumentError(
                "key", f"a key, since {name} draws noise", "None", "For example jax.random.key(0)."
            )
    if stochastic and f_eval is None:
        advice = "It is the model f_eval(params, x) without noise, for the measurements."
        raise _checks.ArgumentError("f_eval", "a function, since f takes a key", "None", advice)


def _orders(orders: Any) -> tuple[int, ...]:
    if not isinstance(orders, Iterable) or isinstance(orders, str):
        raise _checks.ArgumentError("orders", "a list of integers ≥ 1", repr(orders))
    found = tuple(_checks.integer("orders", order, 1) for order in orders)
    if len(set(found)) < len(found):
        raise _checks.ArgumentError("orders", "orders that differ", str(found))
    return tuple(sorted(found))


def _first(batches: Any) -> tuple[Any, Any]:
    """The first batch, and an iterable that still begins with it."""
    if isinstance(batches, Sequence) and len(batches):
        return check_batch(batches[0], 0), batches
    if not isinstance(batches, Iterable):
        advice = "taylornets.training.Batches(x, y, batch_size=..., steps=..., key=...) makes them from arrays."
        raise _checks.ArgumentError("batches", "an iterable of pairs (x, y)", f"a {type(batches).__name__}", advice)
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        raise _checks.ArgumentError("batches", "at least one pair (x, y)", "none")

    def again() -> Any:
        yield first
        yield from iterator

    return check_batch(first, 0), again()


def _count(batches: Any, steps: int | None) -> int | None:
    """Steps of the run, where they can be known."""
    if not isinstance(batches, Sequence):
        return steps
    if steps is not None and steps > len(batches):
        raise _checks.ArgumentError("steps", f"at most the {len(batches)} batches", str(steps))
    return len(batches) if steps is None else steps


def _check_model(study: Study, batch: Any, probe: Any, key: Any) -> tuple[Any, Any]:
    """The probe set; refuses outputs and targets of wrong shapes, without computing anything."""
    if not isinstance(probe, tuple | list) or len(probe) != 2:
        raise _checks.ArgumentError("probe", "a pair (x, y)", f"a {type(probe).__name__}")
    for name, model, (x, y), noise in (
        ("f", study.f, batch, (key,) * study.stochastic), ("f_eval", study.f_eval, probe, ()),
    ):  # fmt: skip
        n = rows("x", x)
        if rows("y", y) != n:
            raise _checks.ArgumentError("y" if name == "f" else "probe", f"{n} examples as x has", f"{rows('y', y)}")
        moving, fixed = eqx.partition(study.start, study.mask)
        outputs = jax.eval_shape(lambda p, x, m=model, z=noise, s=fixed: m(eqx.combine(p, s), x, *z), moving, x)
        refuse_outputs(name, outputs, n)
        study.goal.check(outputs, y)
    return probe[0], probe[1]


class _Run:
    """A run under way: states and history, and the losses that are still on the device."""

    def __init__(self, study: Study, lockstep: Lockstep, probe: Probe, callbacks: Sequence[Callable[[Snapshot], Any]]):
        self._study, self._lockstep, self._probe, self._callbacks = study, lockstep, probe, callbacks
        self.states = study.begin()
        self.history = History(train_loss={name: [] for name in study.names})
        self._pending: list[Any] = []

    def check_targets(self, y: Any, where: str = "") -> None:
        """Refuses labels that no output stands for."""
        first = self._probe.start_outputs
        like = jax.ShapeDtypeStruct((rows("y", y), *first.shape[1:]), first.dtype)
        try:
            self._study.goal.check_on_host(like, y)
        except _checks.ArgumentError as error:
            raise _checks.ArgumentError(
                "batches", f"targets that the loss takes {where}".strip(), str(error).rstrip(".")
            ) from None

    def step(self, batch: Any, key: Any) -> None:
        """One update of every model."""
        self.states, values = self._lockstep(self.states, batch, key)
        self._pending.append(list(values.values()))

    def flush(self) -> None:
        """Fetches the losses of the steps since the last time."""
        for values in jax.device_get(self._pending):
            for name, value in zip(self.states, values, strict=True):
                self.history.train_loss[name].append(float(value))
        self._pending = []

    def measure(self, step: int) -> None:
        """Measures, and tells the callbacks."""
        self.flush()
        self._probe.measure(step, self.states, self.history)
        for callback in self._callbacks:
            callback(Snapshot(step, self.history, self._whole))

    def _whole(self, name: Name) -> Any:
        """A copy of a model's parameters, in the tree of the start."""
        if name not in self.states:
            raise _checks.ArgumentError("name", f"one of {', '.join(map(str, self.states))}", repr(name))
        fixed = eqx.partition(self._study.start, self._study.mask)[1]
        return eqx.combine(jax.tree.map(lambda a: a.copy(), self.states[name].params), fixed)

    def _ended(self, name: Name, taken: int, dead: bool) -> str:
        """How a model ended, in a sentence."""
        if dead:
            return f"diverged in step {taken + 1}: its last finite state is kept"
        first, last = self.history.loss[name][0], self.history.loss[name][-1]
        if not math.isfinite(last):
            return f"trained for {taken} steps, but its loss on the probe set is not finite"
        grown = f", but its loss on the probe set grew from {first:.3g} to {last:.3g}" if last > _GROWN * first else ""
        return f"trained for {taken} steps{grown}"

    def result(self) -> TaylorizedTraining:
        """What there is at the end."""
        taken = {name: int(state.steps) for name, state in self.states.items()}
        dead = tuple(name for name, state in self.states.items() if not bool(state.alive))
        outputs: dict[Name, np.ndarray] = {0: self._probe.start_outputs}
        outputs |= {name: np.asarray(a) for name, a in zip(self.states, self._probe.outputs(self.states), strict=True)}
        start = jax.tree_util.tree_flatten_with_path(eqx.filter(self._study.start, self._study.mask))[0]
        norms = {leaf_name(path): float(np.linalg.norm(np.asarray(leaf).ravel())) for path, leaf in start}
        status = {name: self._ended(name, taken[name], name in dead) for name in self.states}
        params = {name: self._whole(name) for name in self.states}
        return TaylorizedTraining(
            params, status, taken, dead, self.history, outputs, norms, self._lockstep.together is not False
        )


class _Keep:
    """The file that a killed run goes on from, if there is to be one."""

    def __init__(self, path: Path | None, every: int, same: dict[str, str], run: _Run):
        self._path, self._every, self._same, self._run = path, every, same, run

    def resume(self) -> int:
        """Puts the run where the file says, if it is there; the steps done."""
        if self._path is None or not self._path.exists():
            return 0
        done, self._run.states, self._run.history = _checkpoint.load(self._path, self._same, self._run.states)
        return done

    def after(self, done: int, last: bool) -> None:
        """Writes the file where it is time to."""
        if self._path is not None and (done % self._every == 0 or last):
            self._run.flush()
            _checkpoint.save(self._path, self._same, done, self._run.states, self._run.history)
