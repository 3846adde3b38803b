"""Outputs along the line as a function of t: checked, counted, kept, and reproduced once to detect randomness."""

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from taylornets import _files
from taylornets._checks import ArgumentError
from taylornets._regime._chebyshev import Level

_EXPECTED = "a function of t that returns one real array of shape (n, ...), one example per row"
_LISTED = 6  # rows listed in a message
_REPRODUCED = 1e-4  # relative difference of two evaluations at one t that still counts as rounding (parallel sums)


class Values:
    """Evaluates `outputs(t)` once per t.

    Args:
        outputs: the function of t.
        name: its name in messages.
        folder: where every evaluation is kept for later runs, or None.
        progress: called with the number of evaluations after each one.

    Attributes:
        count: evaluations of the function, kept ones not counted.
        first: outputs at t = 0 in float64, shape `(n, ...)`.
        last: outputs at t = 1.
        unit: machine epsilon of the outputs.
        noise: norm of the difference between two evaluations at t = 0.

    Raises:
        ArgumentError: for outputs of another kind, NaN at t = 0, or outputs that differ at equal t.
    """

    def __init__(
        self,
        outputs: Callable[[float], Any],
        name: str = "outputs",
        folder: Path | None = None,
        progress: Callable[[int], None] | None = None,
    ):
        if not callable(outputs):
            raise ArgumentError(
                name, _EXPECTED, f"a {type(outputs).__name__}", "Pass lambda t: model at θ0 + t (θ1 − θ0)."
            )
        self._outputs, self._name, self._folder, self._progress = outputs, name, folder, progress
        self._kept: dict[float, np.ndarray] = {}
        self.count = 0
        self.unit = 0.0
        self.first = self._computed(0.0)
        self._refuse_not_finite()
        again = self._computed(0.0)
        self.noise = float(np.linalg.norm(again - self.first))
        if not self.noise <= _REPRODUCED * float(np.linalg.norm(self.first)):
            got = f"outputs at t = 0 that differ between two evaluations by {np.max(np.abs(again - self.first)):.3g}"
            advice = "Is dropout active? Switch the model to evaluation mode, and fix the seeds of other randomness."
            raise ArgumentError(name, "a deterministic function of t", got, advice)
        self._kept[0.0] = self.first
        self.last = self._computed(1.0)
        self._kept[1.0] = self.last
        self._folder = self._own_folder()

    def __call__(self, t: float) -> np.ndarray:
        """Returns the outputs at t in float64."""
        if t not in self._kept:
            self._kept[t] = self._stored(t)
        return self._kept[t]

    def near(self, t: float, levels: tuple[Level, ...], accuracy: float) -> np.ndarray:
        """Returns the outputs at t, interpolated if the error is below a fraction of the output change there."""
        if t not in self._kept:
            for level in reversed(levels):
                if abs(t) <= level.radius:
                    found = level.at(t)
                    if level.error <= accuracy * float(np.linalg.norm(found - self.first)):
                        return found
        return self(t)

    def _computed(self, t: float) -> np.ndarray:
        raw = self._outputs(t)
        if isinstance(raw, tuple | list | dict) or raw is None:
            kind = "None" if raw is None else f"a {type(raw).__name__} of {len(raw)}"
            raise ArgumentError(self._name, _EXPECTED, kind, "Return the logits (or predictions) alone.")
        try:
            found = np.asarray(raw)
        except Exception as error:  # tensors on a device, or of bfloat16
            got = f"a {type(raw).__name__} that NumPy cannot read ({' '.join(str(error).split())[:120]})"
            raise ArgumentError(
                self._name, _EXPECTED, got, "For a tensor, return t.detach().double().cpu().numpy()."
            ) from None
        if found.dtype.kind != "f" or found.ndim == 0 or not found.size:
            raise ArgumentError(self._name, _EXPECTED, f"dtype {found.dtype}, shape {found.shape}")
        if self.unit and found.shape != self.first.shape:
            got = f"shape {found.shape} at t = {t:g} and {self.first.shape} at t = 0"
            raise ArgumentError(self._name, "outputs of one shape for every t", got)
        self.unit = max(self.unit, float(np.finfo(found.dtype).eps))
        self.count += 1
        if self._progress is not None:
            self._progress(self.count)
        return found.astype(np.float64)

    def _refuse_not_finite(self) -> None:
        wrong = np.flatnonzero(~np.all(np.isfinite(self.first.reshape(len(self.first), -1)), axis=1))
        if len(wrong):
            listed = ", ".join(map(str, wrong[:_LISTED])) + (", ..." if len(wrong) > _LISTED else "")
            where = f"{len(wrong)} of {len(self.first)} examples (row{'s'[: len(wrong) > 1]} {listed})"
            got = f"NaN or infinity at t = 0 for {where}"
            raise ArgumentError(
                self._name, "finite outputs at t = 0", got, "Remove these examples, or repair the model there."
            )

    def _own_folder(self) -> Path | None:
        """A subfolder named after the outputs at both ends, so that evaluations of another line are never read."""
        if self._folder is None:
            return None
        ends = hashlib.sha256(self.first.tobytes() + self.last.tobytes() + repr(self.first.shape).encode()).hexdigest()[
            :16
        ]
        own = self._folder / f"line-{ends}"
        own.mkdir(parents=True, exist_ok=True)
        return own

    def _stored(self, t: float) -> np.ndarray:
        if self._folder is None:
            return self._computed(t)
        path = self._folder / f"{t.hex().replace('+', '')}.npy"
        if path.exists():
            try:
                found = np.load(path, allow_pickle=False)
                if found.shape == self.first.shape and found.dtype == np.float64:
                    return found
            except (ValueError, OSError, EOFError):
                os.unlink(path)  # a file that an interruption truncated
        found = self._computed(t)
        buffer = io.BytesIO()
        np.save(buffer, found, allow_pickle=False)
        _files.write_bytes(path, buffer.getvalue())
        return found
