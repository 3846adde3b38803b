"""Beyond the orders: resummation and layer groups where no order suffices, the path of checkpoints, and sharpness."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets._checks import ArgumentError
from taylornets._evaluator import said
from taylornets._regime import (
    LayerGroups,
    Regime,
    RegimeEvaluator,
    RegimePath,
    RegimeSettings,
    Singularities,
    regime_path,
)
from taylornets._trees import Line
from taylornets.diagnosis._request import DiagnosisRequest
from taylornets.dynamics import Monitor

SHARPNESS = "sharpness"
_ORDERS = 2  # of the path of checkpoints
_SHORTEST = 100  # steps of a run from which on its sharpness is measured
_PRODUCTS = 16


def deepened(
    found: Regime, f: Callable[..., Any], params: Any, end: Any, x: Any, settings: RegimeSettings, fixed: str | None
) -> Regime:  # fmt: skip
    """The regime with resummation and layer groups, if no order explains the output change; otherwise as it is.

    Args:
        found: the regime at the end.
        f: the model.
        params: the initialization.
        end: the end point.
        x: probe inputs.
        settings: settings of the regime.
        fixed: as in `regime`.
    """
    if found.order is not None or not found.error or np.isnan(found.error[0]):
        return found
    left_out: dict[str, str] = {}
    for groups in ("blocks", None):
        try:
            deep = dataclasses.replace(settings, resum=8, groups=groups, ntk_inputs=0)
            new = RegimeEvaluator(f, params, x, deep, fixed=fixed)(end)
        except ArgumentError as error:  # too many groups
            left_out["groups"] = f"expected {error.expected}, got {error.got}"
            continue
        names = ("resummed", "resummed_error", "singularities", "groups")
        reasons = dict(found.reasons) | left_out | {k: v for k, v in new.reasons.items() if k in names}
        return dataclasses.replace(found, reasons=reasons, **{name: getattr(new, name) for name in names})
    return found


def path_of(
    request: DiagnosisRequest, f: Callable[..., Any], params: Any, at: Sequence[Any], ends: Sequence[Any], x: Any
) -> RegimePath | str | None:  # fmt: skip
    """The path from the initialization through the end points; why, if it fails; None if there are fewer than three places.

    Args:
        request: the request.
        f: the model.
        params: the initialization.
        at: steps of the end points.
        ends: the end points, trees or functions that return them.
        x: probe inputs.
    """
    if len(ends) < 2:
        return None
    line = Line.through(f, params, None)

    def place(end: Any) -> Callable[[], Any]:
        def get() -> Any:
            leaves = jax.tree.leaves(end() if callable(end) and jax.tree.leaves(end) == [end] else end)
            return line.with_moved([jnp.asarray(leaves[i]) for i in line.moving], base)

        return get

    last = ends[-1]() if callable(ends[-1]) and jax.tree.leaves(ends[-1]) == [ends[-1]] else ends[-1]
    base = jax.tree.leaves(last) if request.fixed == "end" else list(line.leaves)
    places = {0: place(params)} | {step: place(end) for step, end in zip(at, ends, strict=True)}
    try:
        return regime_path(f, places, x, max_order=min(_ORDERS, request.max_order), threshold=request.threshold)
    except ArgumentError as error:
        return str(error)


class Meter:
    """Measures the sharpness of the loss on the probe inputs along a training run.

    Args:
        loss: `loss(params)`.
        steps: steps of the run; short runs are not measured.

    Attributes:
        why: why the last measurement is missing; empty if it is not, and for short runs.
    """

    def __init__(self, loss: Callable[[Any], Any], steps: int):
        self._loss, self.why = loss, ""
        self._monitor = Monitor(loss, products=_PRODUCTS) if steps >= _SHORTEST else None

    def __call__(self, step: int, params: Any) -> float:
        """The sharpness, or NaN if it is not measured, the loss has no second derivative, or there is too little memory."""
        if self._monitor is None:
            return math.nan
        try:
            found = self._monitor(step, params)
        except Exception as error:  # whatever it is: nothing else needs the sharpness
            self._monitor, self.why = None, said(error)
            return math.nan
        if found is None:
            return math.nan
        residual = f" (relative residual {found.residual / abs(found.value):.2g})" if math.isfinite(found.value) else ""
        self.why = found.problem.partition(":")[0] + residual if found.problem else ""
        return math.nan if found.problem else found.value

    def told(self, step: int, params: Any) -> float | str:
        """The sharpness, or why it is missing."""
        value = self(step, params)
        return self.why or value

    def limit(self, optimizer: Any, params: Any) -> float:
        """`2/η` for an optimizer whose first update is `−η` times the gradient; NaN for others."""
        if self._monitor is None:
            return math.nan
        try:
            line = Line.through(lambda p: p, params, None)
            gradient = jax.grad(lambda moved: self._loss(line.with_moved(moved)))(line.start)
            update, _ = optimizer.update(gradient, optimizer.init(line.start), line.start)
        except Exception:  # optimizers that need more than gradients
            return math.nan
        g, u = (np.concatenate([np.ravel(np.asarray(a, np.float64)) for a in tree]) for tree in (gradient, update))
        size = float(np.linalg.norm(g) * np.linalg.norm(u))
        parallel = size > 0 and -float(g @ u) >= (1 - 1e-6) * size
        return 2 * float(np.linalg.norm(g) / np.linalg.norm(u)) if parallel else math.nan


def save_leaves(path: Path, params: Any) -> None:
    """Writes the arrays of a tree as bytes, exactly, in the order of the leaves."""
    leaves = [leaf for leaf in jax.tree.leaves(params) if isinstance(leaf, jax.Array | np.ndarray)]
    usable = [np.asarray(leaf) for leaf in leaves if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, *[np.frombuffer(leaf.tobytes(), np.uint8) for leaf in usable])


def load_leaves(path: Path, like: Any) -> Any:
    """Reads such a file into a tree of the same structure; leaves that are no arrays, and random keys, come from `like`."""
    leaves, structure = jax.tree.flatten(like)
    with np.load(path, allow_pickle=False) as file:
        saved = iter([file[name] for name in file.files])
        for i, leaf in enumerate(leaves):
            if isinstance(leaf, jax.Array | np.ndarray) and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                leaves[i] = np.frombuffer(next(saved).tobytes(), leaf.dtype).reshape(leaf.shape)
    return jax.tree.unflatten(structure, leaves)


def written(regime: Regime) -> dict[str, Any]:
    """The fields of a regime for JSON, whose keys are strings."""
    found = dataclasses.asdict(regime)
    return found | {name: {str(k): v for k, v in found[name].items()} for name in ("resummed", "pieces")}


def restored(written: Mapping[str, Any]) -> Regime:
    """Restores a regime from JSON, which stores tuples as lists and integer keys as strings."""

    def tupled(value: Any) -> Any:
        return tuple(tupled(item) for item in value) if isinstance(value, list) else value

    found: dict[str, Any] = {name: tupled(value) for name, value in written.items() if name != SHARPNESS}
    found["displacement"] = {name: tuple(pair) for name, pair in written["displacement"].items()}
    for name in ("resummed", "pieces"):
        found[name] = {int(key): value for key, value in written.get(name, {}).items()}
    for name, kind in (("singularities", Singularities), ("groups", LayerGroups)):
        if written.get(name) is not None:
            found[name] = kind(**{key: tupled(value) for key, value in written[name].items()})
    return Regime(**found)
