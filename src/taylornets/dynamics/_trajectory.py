"""The result of `run`: losses, sharpness and outcomes of a network and its Taylor models along gradient descent."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from taylornets.dynamics._lanczos import SETTLED
from taylornets.dynamics._models import Name

_GROWN = 1e6  # times the first loss, above which a model counts as diverged
_TAIL = 10  # the last tenth of the steps decides between converged and hovering


@dataclass(frozen=True)
class Trajectory:
    """Gradient descent on a network and its Taylor models. Keys of the mappings are the orders and `"full"`.

    Arrays have one entry per element of `step`; they are NaN where a model is not finite, and for quantities that were not
    requested.

    Attributes:
        step: steps of the network, from `start` to `start + steps`.
        rate: the step size η.
        loss: `(1/2n) Σ ‖f − y‖²`.
        hessian: sharpness, the largest eigenvalue of the Hessian of the model's own loss at its own parameters.
        ntk: the largest eigenvalue of `J Jᵀ/n`.
        alpha: `−⟨∇L, ∇S⟩`, the progressive sharpening at the model's own parameters, with the sharpness `S`.
        beta: `‖∇S‖²`.
        explained: `uᵀ H_k u/S` along the network's trajectory, with its top eigenvector `u` and the Hessian `H_k` of order k.
        cosine: `|cos(u_k, u)|` there, with the top eigenvector `u_k` of `H_k`. Read it together with `explained`.
        distance: distance of the parameters from those of the network, relative to the distance that the network has moved.
        residual: residual `‖H u − λ u‖` of the eigenvector behind `hessian`, relative to the eigenvalue: the relative distance
            within which an eigenvalue lies.
        gap: difference of the two largest eigenvalues of the Hessian; `alpha` and `beta` are undefined where it is zero.
        status: "converged" (the loss fell throughout the last tenth of the steps), "hovering" (it did not, but ends below its
            first value), or "diverged" (not finite, a million times the first loss, or above it at the end).
        diverged_at: the step at which the loss left for good; None if it did not.
        peak: the largest loss over the first.
        phase: "divergent" for a diverged model; else "lazy" if η times the first `ntk` is at most 2, "catapult" above.
        limit: `2/λ`, the largest stable step size of order 1.
        ntk_residual: as `residual`, for `ntk`.
        limit_residual: the same for the eigenvalue behind `limit`, which it shares as a relative error to first order.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> x, y = jnp.array([[1.0]]), jnp.array([0.0])
        >>> f = lambda p, x: (x * p[0] * p[1])[:, 0]
        >>> found = tn.dynamics.run(f, jnp.ones(2), x, y, orders=(1,), rate=1.2, steps=60, key=jax.random.key(0))
        >>> found.phase  # η λ = 2.4
        {1: 'divergent', 'full': 'catapult'}
    """

    step: np.ndarray
    rate: float
    loss: Mapping[Name, np.ndarray]
    hessian: Mapping[Name, np.ndarray]
    ntk: Mapping[Name, np.ndarray]
    alpha: Mapping[Name, np.ndarray]
    beta: Mapping[Name, np.ndarray]
    explained: Mapping[Name, np.ndarray]
    cosine: Mapping[Name, np.ndarray]
    distance: Mapping[Name, np.ndarray]
    residual: Mapping[Name, np.ndarray]
    gap: Mapping[Name, np.ndarray]
    status: Mapping[Name, str]
    diverged_at: Mapping[Name, int | None]
    peak: Mapping[Name, float]
    phase: Mapping[Name, str]
    limit: float = field(default=math.nan)
    ntk_residual: Mapping[Name, np.ndarray] = field(default_factory=dict[Name, np.ndarray])
    limit_residual: float = math.nan

    @property
    def table(self) -> str:
        """One line per model: first and last loss, peak, sharpness in units of 1/η, status and phase."""
        rows: list[tuple[str, ...]] = [("model", "loss", "peak", "ηS first", "ηS last", "distance", "phase", "status")]
        for name in self.loss:
            ends = [f"{self.rate * self.hessian[name][i]:.3g}" for i in (0, -1)]
            left = self.diverged_at[name]
            status = self.status[name] if left is None else f"{self.status[name]} at {left}"
            title = name if isinstance(name, str) else f"order {name}"
            numbers = f"{self.loss[name][-1]:.3g}", f"{self.peak[name]:.3g}", *ends, f"{self.distance[name][-1]:.3g}"
            rows.append((title, *numbers, self.phase[name], status))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return "\n".join("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows)

    def __str__(self) -> str:
        limit = f"stability limit of order 1 {self.limit:.4g}{within(self.limit_residual)}"
        return "\n".join([f"step size {self.rate:.4g}, {limit}", self.table, *self._residuals])

    @property
    def _residuals(self) -> tuple[str, ...]:
        """The largest relative residuals of the eigenvalues, by quantity."""
        found: list[str] = []
        for name, values, parts in (("S", self.hessian, self.residual), ("NTK", self.ntk, self.ntk_residual)):
            known = np.concatenate([parts[k][np.isfinite(values[k])] for k in parts] or [np.empty(0)])
            if known.size:
                found.append(f"{name} {np.max(known):.1g}" + ("" if np.max(known) <= SETTLED else ", not converged"))
        return (f"largest relative residuals of eigenvalues (Lanczos): {'; '.join(found)}",) if found else ()


def within(residual: float) -> str:
    """The relative residual of an eigenvalue in words, if it is above 0.1 %."""
    if math.isnan(residual) or residual <= SETTLED:
        return ""
    return f" (not converged: relative residual {residual:.2g})"


def outcome(losses: np.ndarray, start: int = 0) -> tuple[str, int | None, float]:
    """Status, step of divergence, and peak of a model, from the loss before every update and at the end.

    Args:
        losses: shape `(steps + 1,)`.
        start: step of the first entry.
    """
    first = float(losses[0])
    wild = ~np.isfinite(losses) | (losses > _GROWN * max(first, np.finfo(float).tiny))
    known = losses[np.isfinite(losses)]
    with np.errstate(over="ignore"):  # a model that diverges can exceed the largest number
        peak = float(known.max() / first) if first > 0 else 1.0 if not known.any() else math.inf
    if wild.any():
        return "diverged", start + int(np.argmax(wild)), peak
    tail = losses[-max(2, len(losses) // _TAIL) :]
    if losses[-1] > first and float(tail.min()) > first:
        below = np.flatnonzero(losses <= first)
        return "diverged", start + int(below[-1]) + 1, peak
    noise = 1e-12 * max(first, float(tail[0]))  # rounding at the minimum
    return ("converged" if np.all(np.diff(tail) <= noise) else "hovering"), None, peak
