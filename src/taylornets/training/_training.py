"""`taylorized_training`: a network and its Taylor models, trained from the same start under the same noise."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import optax
from jaxtyping import PRNGKeyArray

from taylornets import _checks
from taylornets._trees import refuse_nan
from taylornets.training import _checkpoint, _entry
from taylornets.training._data import Batches
from taylornets.training._inputs import Inputs
from taylornets.training._lockstep import Lockstep, LockstepProblem
from taylornets.training._measure import Probe
from taylornets.training._result import Snapshot, TaylorizedTraining
from taylornets.training._running import Keep, LockstepRun, Schedule
from taylornets.training._task import task_of

_MEASUREMENTS = 20  # over a run of known length;
_UNKNOWN = 400  # the length that others are taken to have


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
    ntk_inputs: int | None = None,
    key: PRNGKeyArray | None = None,
    augment: Callable[..., Any] | None = None,
    stochastic: bool = False,
    f_eval: Callable[..., Any] | None = None,
    trainable: Any = None,
    mode: str = "auto",
    custom_vjp: str = "function",
    max_bytes: float | None = None,
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
            predictions, one example per row. A pure function: statistics that a layer keeps must be frozen.
        params: the initial parameters, a pytree. Arrays with a floating or complex dtype are trained; all other leaves stay
            as they are. Optimizers get the gradient of complex leaves conjugated, so that SGD and momentum treat them like
            pairs of real ones; Adam scales both parts by their common modulus (`optax.contrib.split_real_and_imaginary`
            separates them).
        batches: pairs `(x, y)` with `n` examples on the first axis, arrays or trees of them: a sequence, such as
            `taylornets.training.Batches`, or any iterable, which is passed through once.
        orders: of the Taylor models, each from 1 to 256; may be empty.
        loss: a name of `taylornets.losses` ("softmax" takes integer labels), a loss object, or a function
            `loss(outputs, y)` whose mean is taken; it returns one number per example or their mean.
        optimizer: any optax transformation, with its schedule, momentum, clipping.
        include_full: whether the model itself is trained too; distances and agreement need it.
        steps: how many batches to take; by default all.
        probe: inputs and targets of the measurements; by default the first batch.
        probe_batch_size: probe inputs at the same time; by default all.
        task: "classification" (accuracy and agreement of classes), "regression", or "auto": by the loss; for a function,
            labels are strings, booleans, integers, or 2 to 10 different whole numbers with one per example.
        evaluate_every: steps between measurements; by default about 20 over the run. The start and the end are measured
            too.
        ntk_inputs: first probe inputs for the drift of the full model's kernel; 0 for none. By default 8, or fewer where the
            outputs are many; where there is no kernel, `history.ntk_drift` is NaN and `reasons` says why.
        key: of the noise; step `i` uses `fold_in(key, i)`.
        augment: `augment(key, x) -> x`, drawn once a step for all models; needs `key`.
        stochastic: `f` takes a key as third argument (dropout), the same for all models; needs `key` and `f_eval`.
        f_eval: the model `f_eval(params, x)` for measurements (dropout off); by default `f`.
        trainable: as in `taylor_terms`: the leaves that may move.
        mode: as in `taylor_terms`.
        custom_vjp: as in `taylor_terms`, for the Taylor models. The model itself is always trained with the author's reverse
            rules, as by `jax.grad`; a warning says where the two differ (a straight-through estimator).
        max_bytes: as in `taylor_terms`, for the Taylor models and the kernel.
        together: True for one compiled step, False for one a model, None to choose by memory.
        callbacks: each called with a `Snapshot` after every measurement.
        checkpoint: a file that a killed run goes on from.
        checkpoint_every: steps between writing it; by default at every measurement.
        resume: go on from `checkpoint` where the file is there: the result is that of the undisturbed run, bit for bit.

    Returns:
        A `TaylorizedTraining`; printing it gives a table.

    Raises:
        ArgumentError: for parameters with NaN (it names the leaf), inputs with NaN where the outputs are NaN (it names the
            batch), data or outputs whose shapes do not fit, a loss function that broadcasts targets against outputs, a model
            without a gradient in JAX, orders out of range, noise without a key, a checkpoint of another run.

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
    orders = _entry.orders_of(orders, include_full)
    _entry.check_numbers(
        steps=steps, evaluate_every=evaluate_every, probe_batch_size=probe_batch_size, checkpoint_every=checkpoint_every,
        ntk_inputs=ntk_inputs,
    )  # fmt: skip
    _entry.check_callbacks(callbacks)
    _entry.check_noise(key, augment, stochastic, f_eval)
    if resume and checkpoint is None:
        raise _checks.ArgumentError("resume", "a file in checkpoint to go on from", "checkpoint=None")
    first, batches = _entry.first_of(batches)
    study = LockstepProblem(
        f, f_eval or f, params, _entry.mask_of(f, params, trainable), orders, include_full, task_of(loss, task, first[1]),
        _entry.transformation(optimizer), augment, stochastic, mode, custom_vjp, max_bytes,
    )  # fmt: skip
    x, y = _entry.check_models(study, first, probe, key)
    lockstep = Lockstep(study, together)
    inputs = Inputs(study, lockstep, first, key)
    count = _entry.count_of(batches, steps)
    inputs.check(*_entry.suspect(batches, first, count))
    probed = Probe(study, x, y, probe_batch_size, ntk_inputs)
    refuse_nan(probed.start_outputs, {"x of batch 0" if probe is None else "probe": x}, "f_eval" if f_eval else "f")
    _entry.compare_slopes(study, x, stacklevel=3)
    run = LockstepRun(study, lockstep, probed, inputs, callbacks)
    if isinstance(batches, Batches):
        run.check_targets(batches.y, "y of batches")
    every = evaluate_every or max(1, math.ceil((count or _UNKNOWN) / _MEASUREMENTS))
    path = None if checkpoint is None else Path(checkpoint)
    same = {} if path is None else _checkpoint.identity(study, first, (x, y), key, list(run.states.values()))
    keep = Keep(path, checkpoint_every or every, same, run, resume)
    run.train(batches, first, Schedule(count, every, key), keep)
    return run.result()
