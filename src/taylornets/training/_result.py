"""The result of Taylorized training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FULL = "full"
Name = int | str


def title(name: Name) -> str:
    """The display name of a model."""
    return "full" if name == FULL else f"order {name}"


@dataclass
class History:
    """Measurements during training; lists by model have one entry per element of `steps`.

    Attributes:
        steps: steps completed at each measurement.
        loss: mean loss on the probe set, by model.
        accuracy: accuracy on the probe set, by model; empty for regression.
        distance: root mean square over probe inputs of the norm of (outputs − outputs of the full model), by order.
        relative_distance: `distance` divided by the same norm of the output change `f(θ) − f(θ0)` of the full model, by order.
        agreement: fraction of probe inputs with the same predicted class as the full model, by order; empty for regression.
        displacement: Euclidean distance from the initial parameters, by model and leaf.
        ntk_drift: 1 − cosine similarity between the kernels of the full model at the initialization and at the measurement;
            empty if not requested, NaN if not computable.
        train_loss: minibatch loss, by model, one entry per step.
    """

    steps: list[int] = field(default_factory=list[int])
    loss: dict[Name, list[float]] = field(default_factory=dict[Name, list[float]])
    accuracy: dict[Name, list[float]] = field(default_factory=dict[Name, list[float]])
    distance: dict[Name, list[float]] = field(default_factory=dict[Name, list[float]])
    relative_distance: dict[Name, list[float]] = field(default_factory=dict[Name, list[float]])
    agreement: dict[Name, list[float]] = field(default_factory=dict[Name, list[float]])
    displacement: dict[Name, dict[str, list[float]]] = field(default_factory=dict[Name, dict[str, list[float]]])
    ntk_drift: list[float] = field(default_factory=list[float])
    train_loss: dict[Name, list[float]] = field(default_factory=dict[Name, list[float]])


@dataclass(frozen=True)
class Snapshot:
    """The argument of a callback at a measurement.

    Attributes:
        step: steps completed.
        history: measurements so far, including this one.
        params: `params("full")` or `params(2)` copies the current parameters of that model; call it inside the callback.

    Example:
        >>> import jax.numpy as jnp, optax, taylornets as tn
        >>> seen = []
        >>> probe = tn.training.Probe(callbacks=[lambda snapshot: seen.append((snapshot.step, snapshot.params(1)))])
        >>> model, data = lambda w, x: x * w, [(jnp.ones((2, 1)), jnp.ones((2, 1)))]
        >>> _ = tn.taylorized_training(
        ...     model, jnp.zeros(()), data, orders=(1,), loss="squared", optimizer=optax.sgd(0.25), probe=probe
        ... )
        >>> [(step, float(params)) for step, params in seen]
        [(0, 0.0), (1, 0.5)]
    """

    step: int
    history: History
    params: Callable[[Name], Any]


@dataclass(frozen=True)
class TaylorizedTraining:
    """The result of `taylornets.taylorized_training`: the trained models, their status, and their distances over training.

    Attributes:
        params: final parameters by model, an order or `"full"`; for a diverged model, its last finite state.
        status: outcome of each model, in a sentence.
        steps: number of updates, by model.
        diverged: models with a non-finite update.
        history: measurements during training.
        outputs: final outputs on the probe set, by model, shape `(n, ...)`; the initial outputs under key `0`.
        leaf_norms: norms of the leaves at initialization.
        together: whether one compiled step contained all models.
        reasons: why values of the history are NaN, keyed by field.
        restarts: by step of `restart_at`, the training of the Taylor models around the full model at that step. Their steps,
            distances and displacements count from there.

    Example:
        >>> import jax.numpy as jnp, optax, taylornets as tn
        >>> model, data = lambda w, x: x * w**2, [(jnp.ones((2, 1)), jnp.ones((2, 1)))] * 2
        >>> found = tn.taylorized_training(model, jnp.ones(()) / 2, data, orders=(2,), loss="squared", optimizer=optax.sgd(0.1))
        >>> found.status[2], found.diverged, sorted(map(str, found.params))
        ('trained for 2 steps', (), ['2', 'full'])
    """

    params: Mapping[Name, Any]
    status: Mapping[Name, str]
    steps: Mapping[Name, int]
    diverged: tuple[Name, ...]
    history: History
    outputs: Mapping[Name, np.ndarray]
    leaf_norms: Mapping[str, float]
    together: bool
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])
    restarts: "Mapping[int, TaylorizedTraining]" = field(default_factory=dict[int, Any])

    def __str__(self) -> str:
        history = self.history
        head = ("model", "loss", "accuracy", "distance to full", "agreement", "status")
        rows: list[tuple[str, ...]] = [head]
        for name in self.params:
            loss, accuracy, distance, agreement = (
                f"{values[name][-1]:.4g}" if values.get(name) else "–"
                for values in (history.loss, history.accuracy, history.relative_distance, history.agreement)
            )
            rows.append((title(name), loss, accuracy, distance, agreement, self.status[name]))
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        for step, restart in self.restarts.items():
            last = {name: values[-1] for name, values in restart.history.relative_distance.items()}
            lines.append(
                f"from step {step}, distance to full: " + ", ".join(f"{title(n)} {d:.4g}" for n, d in last.items())
            )
        return "\n".join([*lines, *(f"{name}: {reason}" for name, reason in self.reasons.items())])
