"""What a study of Taylorized training returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FULL = "full"
Name = int | str


def title(name: Name) -> str:
    """A model in words."""
    return "full" if name == FULL else f"order {name}"


@dataclass
class History:
    """Measurements over training; lists by model have one entry for each of `steps`.

    Attributes:
        steps: steps done at each measurement.
        loss: mean loss on the probe set, by model.
        accuracy: share of right classes there, by model; empty for regression.
        distance: root mean square over probe inputs of the norm of (outputs − outputs of the full model), by order.
        relative_distance: the same over that of the full model's own movement `f(θ) − f(θ0)`, by order.
        agreement: share of probe inputs with the full model's predicted class, by order; empty for regression.
        displacement: Euclidean distance from the start, by model and leaf.
        ntk_drift: 1 − cosine between the full model's kernels at the start and now; empty where it was not asked for, NaN
            where there is none.
        train_loss: loss of every step's minibatch, by model, one entry a step.
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
    """What a callback is told at a measurement.

    Attributes:
        step: steps done.
        history: measurements so far, this one included.
        params: `params("full")` or `params(2)` is a copy of that model's parameters now; call it within the callback.

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
    """The models that were trained in lockstep, and how they went apart.

    Attributes:
        params: final parameters by model: an order, or `"full"`; where a model diverged, its last finite state.
        status: a sentence by model.
        steps: updates done, by model.
        diverged: the models whose update stopped being finite.
        history: measurements over training.
        outputs: final outputs on the probe set, by model, shape `(n, ...)`; of the start under `0`.
        leaf_norms: norms of the leaves at the start.
        together: whether one compiled step held all models.
        reasons: by the name of a list of the history that is NaN, why.

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
        return "\n".join([*lines, *(f"{name}: {reason}" for name, reason in self.reasons.items())])
