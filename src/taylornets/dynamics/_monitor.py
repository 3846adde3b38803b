"""A hook that reports the sharpness of the user's loss against 2/η during any training loop."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from taylornets._checks import ArgumentError, integer, positive, shown
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


def _named(module: Any) -> dict[str, Any]:
    """The floating-point parameters of a PyTorch module by name, as `tn.torch.from_module` returns them."""
    if not callable(getattr(module, "named_parameters", None)):
        raise ArgumentError(
            "module", "a PyTorch module, with named_parameters()", shown(module),
            "Pass Monitor(parameters=...), a function from your module to the parameters of the loss.",
        )  # fmt: skip
    return {name: _array(value) for name, value in module.named_parameters() if value.is_floating_point()}


def _array(value: Any) -> Any:
    value = value.detach().cpu()
    if "bfloat16" in str(value.dtype):  # NumPy lacks it
        return jnp.asarray(np.asarray(value.float())).astype(jnp.bfloat16)
    return jnp.asarray(np.array(value))  # a copy: training changes the tensor in place


@dataclass
class Monitor:
    """Measures the sharpness of a loss every few steps of a training loop.

    Call `monitor(step, params)` after each update of an optax loop; other steps than every `every`-th return at once. For
    Lightning and trainers like it, `on_train_batch_end` is the hook after a batch. As a callback of `taylorized_training`,
    `Probe(callbacks=[monitor])`, it measures at every snapshot, on the network.

    Args:
        loss: `loss(params, *args)`, a real number.
        args: further arguments of the loss, such as a fixed batch.
        rate: the step size η, or a function of the step, which may return 0 (no limit), as at the first step of a warm-up;
            sharpness is reported in units of 2/η.
        key: JAX random key of the Lanczos method.
        every: steps between measurements.
        products: Hessian-vector products per measurement.
        tell: called with one line of text per measurement, such as `print`.
        parameters: for `on_train_batch_end`, a function from the module of a trainer to the parameters of the loss; by default,
            a dictionary from the names of the parameters of a PyTorch module to JAX arrays, as in `tn.torch.from_module`.
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
    parameters: Callable[[Any], Any] | None = None
    history: list[tuple[int, float, float]] = field(default_factory=list[tuple[int, float, float]])

    def __post_init__(self):
        if not callable(self.rate):
            positive("rate", self.rate)
        integer("every", self.every, 1)
        integer("products", self.products, 1)
        if self.parameters is not None and not callable(self.parameters):
            raise ArgumentError("parameters", "a function of the module, or None", shown(self.parameters))
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

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any = None, batch: Any = None, batch_idx: int = 0
    ) -> Sharpness | None:
        """Measures after a batch, as the hook of the same name of a Lightning callback, at the step `trainer.global_step`.

        Neither Lightning nor PyTorch is imported. Lightning itself accepts the hook inside its `LambdaCallback`. A step
        without an update of the parameters, as in the accumulation of gradients, is measured once.

        Args:
            trainer: an object with the number of updates so far as `global_step`.
            module: the module in training, from which `parameters` reads the parameters.
            outputs: not used.
            batch: not used; the loss is measured on `args`.
            batch_idx: not used.

        Returns:
            The sharpness if the step is due, else None.

        Raises:
            ArgumentError: for a trainer without a step, or a module without parameters.

        Example:
            >>> import jax.numpy as jnp, taylornets as tn
            >>> from types import SimpleNamespace
            >>> monitor = tn.dynamics.Monitor(lambda w: 3 * w**2 / 2, rate=0.5, parameters=lambda module: module.w)
            >>> found = monitor.on_train_batch_end(SimpleNamespace(global_step=1), SimpleNamespace(w=jnp.ones(())))
            >>> round(found.value, 4)
            3.0
        """
        del outputs, batch, batch_idx
        step = getattr(trainer, "global_step", None)
        if isinstance(step, bool) or not isinstance(step, int | np.integer):
            raise ArgumentError("trainer", "an object with an integer global_step", shown(trainer))
        repeated = bool(self.history) and self.history[-1][0] == step
        if repeated or step % self.every:
            return None
        return self(int(step), (self.parameters or _named)(module))
