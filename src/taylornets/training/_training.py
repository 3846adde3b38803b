"""`taylorized_training`: a network and its Taylor models, trained from the same start under the same noise."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import optax

from taylornets import _checks
from taylornets._trees import refuse_nan
from taylornets.training import _checkpoint, _entry
from taylornets.training._data import Batches
from taylornets.training._inputs import Inputs
from taylornets.training._lockstep import Lockstep, LockstepProblem
from taylornets.training._measure import ProbeEvaluator
from taylornets.training._result import TaylorizedTraining
from taylornets.training._running import Keep, LockstepRun
from taylornets.training._settings import Checkpointing, Probe, TrainingSettings
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
    probe: Probe | None = None,
    checkpointing: Checkpointing | None = None,
    settings: TrainingSettings | None = None,
) -> TaylorizedTraining:
    """Trains a model and its Taylor models of several orders in lockstep: same start, minibatches, noise, optimizer.

    The model of order K is `taylor_expand(f, params, K)`, a function of its own parameters. Every step takes one minibatch,
    augments it once, and makes one update of each model with its own state of the optimizer. All updates are one
    compiled program where its memory fits into half of the device's, else one program a model, with the same noise.

    A model whose loss, parameters or optimizer state would stop being finite keeps its last finite state and is trained no
    more; `status` says so. Higher orders are polynomials of the displacement and can diverge where the model does not.

    Args:
        f: the model `f(params, x)`, or `f(params, x, key)` with `settings.stochastic`. Returns one array, shape `(n, ...)`:
            logits or predictions, one example per row. A pure function: statistics that a layer keeps must be frozen.
        params: the initial parameters, a pytree. Arrays with a floating or complex dtype are trained; all other leaves stay
            as they are. Optimizers get the gradient of complex leaves conjugated, so that SGD and momentum treat them like
            pairs of real ones; Adam scales both parts by their common modulus (`optax.contrib.split_real_and_imaginary`
            separates them).
        batches: pairs `(x, y)` with `n` examples on the first axis, arrays or trees of them: a sequence, such as
            `taylornets.training.Batches`, or any iterable, which is passed through once (`itertools.islice` ends it).
        orders: of the Taylor models, each from 1 to 256; may be empty.
        loss: a name of `taylornets.losses` ("softmax" takes integer labels), a loss object, or a function
            `loss(outputs, y)` whose mean is taken; it returns one number per example or their mean.
        optimizer: any optax transformation, with its schedule, momentum, clipping.
        include_full: whether the model itself is trained too; distances and agreement need it.
        probe: the measurements: on which examples, how often, and who is called; by default on the first batch.
        checkpointing: the file that an interrupted run resumes from; by default none.
        settings: noise, leaves that may move, mode of expansion, memory.

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
    probe, settings = probe or Probe(), settings or TrainingSettings()
    kinds = {
        "probe": (probe, Probe),
        "settings": (settings, TrainingSettings),
        "checkpointing": (checkpointing, Checkpointing),
    }
    _entry.check_kinds(kinds)
    if settings.stochastic and probe.f_eval is None:
        advice = "It is the model f_eval(params, x) without noise, for the measurements."
        raise _checks.ArgumentError("f_eval", "a function in probe, since f takes a key", "None", advice)
    orders = _entry.orders_of(orders, include_full)
    first, batches = _entry.first_of(batches)
    study = LockstepProblem(
        f, probe.f_eval or f, params, _entry.mask_of(f, params, settings.trainable), orders, include_full,
        task_of(loss, probe.task, first[1]), _entry.transformation(optimizer), settings,
    )  # fmt: skip
    source = "x of batch 0" if probe.x is None else "probe"
    probe = _entry.check_models(study, first, probe)
    lockstep = Lockstep(study)
    inputs = Inputs(study, lockstep, first)
    inputs.check(*_entry.suspect(batches, first))
    evaluator = ProbeEvaluator(study, probe)
    refuse_nan(evaluator.start_outputs, {source: probe.x}, "f_eval" if probe.f_eval else "f")
    _entry.compare_slopes(study, probe.x, stacklevel=3)
    run = LockstepRun(study, lockstep, evaluator, inputs, probe.callbacks)
    if isinstance(batches, Batches):
        run.check_targets(batches.y, "y of batches")
    count = len(batches) if isinstance(batches, Sequence) else _UNKNOWN
    every = probe.every or max(1, math.ceil(count / _MEASUREMENTS))
    same = _checkpoint.identity(study, first, (probe.x, probe.y), list(run.states.values())) if checkpointing else {}
    run.train(batches, first, every, Keep(checkpointing, every, same, run))
    return run.result()
