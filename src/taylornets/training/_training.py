"""`taylorized_training`: a network and its Taylor models, trained from the same initialization under the same noise."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import jax
import optax

from taylornets import _checks
from taylornets._trees import refuse_nan
from taylornets.training import _checkpoint, _entry
from taylornets.training._data import Batches
from taylornets.training._inputs import Inputs
from taylornets.training._lockstep import Lockstep, LockstepProblem
from taylornets.training._measure import ProbeEvaluator
from taylornets.training._restart import refuse_passed, restarted, steps_of
from taylornets.training._result import TaylorizedTraining
from taylornets.training._running import Keep, LockstepRun
from taylornets.training._settings import Checkpointing, Probe, TrainingSettings
from taylornets.training._task import task_of

_MEASUREMENTS = 20  # for runs of known length
_UNKNOWN = 400  # assumed length of other runs


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
    ntk_inputs: int | None = None,
    restart_at: Sequence[int] = (),
) -> TaylorizedTraining:
    """Trains a model and its Taylor models in lockstep, with the same initialization, minibatches, noise and optimizer.

    The model of order K is `taylor_expand(f, params, K)`, with its own parameters. Every step draws one minibatch, augments it
    once, and updates each model with a separate optimizer state. All updates form one compiled program if it fits into half
    of the device memory, otherwise one program per model, with the same noise.

    Training of a model stops when its loss, parameters or optimizer state become non-finite: its last finite state is kept,
    and `status` reports the divergence. Taylor models are polynomials in the displacement and can diverge even if the full
    model does not.

    Args:
        f: the model `f(params, x)`, or `f(params, x, key)` with `settings.stochastic`. Returns one array, shape `(n, ...)`:
            logits or predictions, one example per row. Must be pure; running statistics of layers must be frozen.
        params: the initial parameters, a pytree. Arrays with a floating or complex dtype are trained; all other leaves stay
            as they are. Optimizers receive the conjugate gradient of complex leaves, so that SGD and momentum treat them as
            pairs of real leaves; Adam scales both parts by their common modulus (`optax.contrib.split_real_and_imaginary`
            separates them).
        batches: pairs `(x, y)` with `n` examples on the first axis, arrays or trees of them: a sequence, such as
            `taylornets.training.Batches`, or any iterable, which is consumed once (use `itertools.islice` to limit it).
        orders: orders of the Taylor models, each from 1 to 256; may be empty.
        loss: a name of `taylornets.losses` ("softmax" takes integer labels), a loss object, or a function
            `loss(outputs, y)` whose mean is taken; it returns one number per example or their mean.
        optimizer: any optax transformation, including schedules, momentum and clipping.
        include_full: whether the model itself is also trained; distances and agreement require it.
        probe: examples, frequency and callbacks of the measurements; by default on the first batch.
        checkpointing: the checkpoint file; by default none.
        settings: noise, trainable leaves, mode of expansion, memory.
        ntk_inputs: shorthand for `Probe(..., ntk_inputs=...)`: first inputs for the kernel drift; 0 for none.
        restart_at: steps at which the Taylor models are expanded anew, around the parameters of the full model at that step,
            and trained in lockstep from there on, with the same batches and the optimizer state of the full model (Fort et
            al. 2020). Requires `include_full` and a sequence of batches; the results are in `restarts`.

    Returns:
        A `TaylorizedTraining`; printing it gives a table.

    Raises:
        ArgumentError: for parameters with NaN (the message names the leaf), inputs with NaN that give NaN outputs (the message
            names the batch), mismatched shapes of data or outputs, a loss function that broadcasts targets against outputs, a
            model without a gradient in JAX, orders out of range, noise without a key, or a checkpoint of another run.

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
    probe = probe if ntk_inputs is None else replace(probe, ntk_inputs=ntk_inputs)
    if settings.stochastic and probe.f_eval is None:
        advice = "Pass the model without noise, f_eval(params, x), for the measurements."
        raise _checks.ArgumentError("f_eval", "a function, set in probe, since f takes a key", "None", advice)
    orders = _entry.orders_of(orders, include_full)
    first, batches = _entry.first_of(batches)
    params = jax.tree.map(_checks.automatic, params)
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
    starts = steps_of(restart_at, batches, include_full)
    run = LockstepRun(study, lockstep, evaluator, inputs, probe.callbacks, starts)
    if isinstance(batches, Batches):
        run.check_targets(batches.y, "y of batches")
    count = len(batches) if isinstance(batches, Sequence) else _UNKNOWN
    every = probe.every or max(1, math.ceil(count / _MEASUREMENTS))
    same = _checkpoint.identity(study, first, (probe.x, probe.y), list(run.states.values())) if checkpointing else {}
    keep = Keep(checkpointing, every, same, run)
    refuse_passed(starts, keep.resumed)
    run.train(batches, first, every, keep)
    return replace(run.result(), restarts=restarted(study, lockstep, probe, run.kept, (batches, first, every)))
