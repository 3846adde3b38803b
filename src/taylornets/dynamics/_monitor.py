"""A hook that reports the sharpness of the user's loss against 2/η during any training loop."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from taylornets._checks import ArgumentError, integer, positive
from taylornets.dynamics._sharpness import Sharpness, Solver
from taylornets.training import Snapshot


def _line(found: Sharpness, rate: float) -> str:
    """The measurement in words, against the limit of the step size."""
    limit = f"of the limit 2/η = {2 / rate:.4g}" if rate else "no limit, since η = 0"
    if not math.isfinite(found.value):
        return f"no sharpness, {found.problem}; {limit.removeprefix('of ')}"
    warned = "" if found.converged else f" (residual {found.residual:.2g})"
    part = f"{rate * found.value / 2:.2f} " if rate else ""
    return f"sharpness {found.value:.4g}{warned}, {part}{limit}"


@dataclass
class Monitor:
    """Measures the sharpness of a loss every few steps of a training loop.

    Call `monitor(step, params)` after each update, in an optax loop or in the hook of a trainer that runs after a batch; other
    steps than every `every`-th return at once. As a callback of `taylorized_training`, `Probe(callbacks=[monitor])`, it
    measures at every snapshot, on the network.

    Args:
        loss: `loss(params, *args)`, a real number.
        args: further arguments of the loss, such as a fixed batch.
        rate: the step size η, or a function of the step, which may return 0 (no limit), as at the first step of a warm-up;
            sharpness is reported in units of 2/η.
        key: JAX random key of the Lanczos method.
        every: steps between measurements.
        products: Hessian-vector products per measurement.
        tell: called with one line of text per measurement, such as `print`.
        history: the measurements so far: step, sharpness, and η times the sharpness over 2 (above 1: unstable).

    Raises:
        ArgumentError: for a step size that is not positive, or counts below 1.

    Source: theory 15; Cohen, Kaur, Li, Kolter and Talwalkar (2021).

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> monitor = tn.dynamics.Monitor(lambda w: 3 * w**2 / 2, rate=0.5, key=jax.random.key(0), every=10)
        >>> for step in range(11):
        ...     _ = monitor(step, jnp.ones(()))
        >>> [(step, round(ratio, 4)) for step, _, ratio in monitor.history]
        [(0, 0.75), (10, 0.75)]
    """

    loss: Callable[..., Any]
    args: tuple[Any, ...] = ()
    rate: float | Callable[[int], Any] = 1.0
    key: PRNGKeyArray | None = None
    every: int = 1
    products: int = 24
    tell: Callable[[str], Any] | None = None
    history: list[tuple[int, float, float]] = field(default_factory=list[tuple[int, float, float]])

    def __post_init__(self):
        if not callable(self.rate):
            positive("rate", self.rate)
        integer("every", self.every, 1)
        integer("products", self.products, 1)
        self._key = jax.random.key(0) if self.key is None else self.key
        self._solver: Solver | None = None

    def __call__(self, step: int | Snapshot, params: Any = None) -> Sharpness | None:
        """Measures if the step is due, and returns the sharpness or None."""
        if isinstance(step, Snapshot):
            step, params, due = step.step, step.params("full"), True
        else:
            due = step % self.every == 0
        if not due:
            return None
        if params is None:
            raise ArgumentError("params", "the parameters after the step", "None", "Call monitor(step, params).")
        if self._solver is None:
            self._solver = Solver(self.loss, params, self.args, self.products, 1)
        found = self._solver(params, self._key)
        rate = float(self.rate(step) if callable(self.rate) else self.rate)
        ratio = rate * found.value / 2
        self.history.append((int(step), found.value, ratio))
        if self.tell is not None:
            self.tell(f"step {step}: {_line(found, rate)}")
        return found
