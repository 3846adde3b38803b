"""Evaluates the regime at any number of parameter values that share one initialization."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets._checks import ArgumentError, gathered, together
from taylornets._measures import classes
from taylornets._regime._beyond import Beyond, described, series, summed
from taylornets._regime._groups import group_names
from taylornets._regime._orders import Orders, double, measured
from taylornets._regime._programs import Programs, RegimeSettings
from taylornets._regime._radius import LIMIT, Along, along
from taylornets._regime._result import Regime
from taylornets._trees import Line, Segment, leaf_name, refuse_not_finite, refuse_unusable, rows, same
from taylornets.expansion import warn_of_other_slopes

NOISE = "the unexplained part may be due to rounding alone"


class RegimeEvaluator:
    """Computes the regime between one initialization and any number of parameter values, with programs compiled once.

    Args:
        f: the model `f(params, x)`.
        params0: the initialization.
        x: probe inputs.
        settings: settings of the analysis.
        trainable: mask of trainable leaves, as in `regime`.
        fixed: as in `regime`.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        params0: Any,
        x: Any,
        settings: RegimeSettings,
        trainable: Any = None,
        fixed: str | None = None,
    ):
        refuse_unusable(f, params0, (x,))
        _refuse_not_finite("params0", params0)
        self._line = Line.through(f, params0, trainable, fixed=fixed)
        if not self._line.moving:
            expected, advice = (
                "at least one trainable leaf, an array of floats",
                "Check trainable: is it all False?",
            )
            raise ArgumentError("params0", expected, "none", advice)
        self._settings = settings
        names = [self._line.paths[i] for i in self._line.moving]
        self._groups = None if settings.groups is None else group_names(names, settings.groups)
        self._count = rows("x", x)
        self._x = jax.tree.map(jnp.asarray, gathered(x))
        self._compared = settings.custom_vjp == "rule"  # whether reverse rules have been compared with the function
        self._programs = None if fixed == "end" else self._prepared(self._line.here())

    def __call__(self, params1: Any, argument: str = "params1", stacklevel: int = 2) -> Regime:
        """Computes the regime between the initialization and `params1`.

        Args:
            params1: the end point, a tree like the initialization.
            argument: name of `params1` in error messages.
            stacklevel: stack level of warnings, 2 for the caller.
        """
        together({"x": self._x, argument: params1})
        segment, end = self._opened(params1, argument)
        programs = self._at(segment)
        # The verdict is computed first, before the model is evaluated outside the segment.
        (terms, why_short), last = series(programs, end, self._settings), programs.at(end, 1.0)
        most = self._settings.max_order
        orders = measured(programs.first, terms[: most + 1], last, programs.unit, self._settings.threshold)
        self._compare_rules(segment, orders, stacklevel + 2)
        more = Beyond()
        if orders.still:
            line = Along((math.nan,) * most, LIMIT, math.nan, 0.0, {})
        else:
            more = summed(terms, orders, programs.unit, None if why_short else self._settings.resum)
            more = described(programs, end, orders, more, self._settings, self._groups)
            line = along(programs, end, orders, self._settings.tolerance)
        drift, why = programs.drift(end)
        reasons = {"term": orders.reason} | line.reasons | {"ntk_drift": why, "resummed": why_short} | more.reasons
        if not orders.explained(self._settings.threshold) and orders.nearest <= line.rounding:
            reasons["explained"] = NOISE
        return Regime(
            max_order=most,
            movement=orders.size / math.sqrt(self._count),
            share=orders.share,
            remainder=1 - sum(orders.share),
            error=orders.error,
            explained=tuple(1 - e**2 for e in orders.error),
            term=orders.term,
            odd=1 - line.even,
            even=line.even,
            radius=line.radius,
            radius_limit=line.limit,
            agreement=agreement(orders) if programs.classes else (),
            ntk_drift=drift,
            displacement=self._displacement(params1),
            threshold=self._settings.threshold,
            tolerance=self._settings.tolerance,
            fixed=self._fixed(params1),
            reasons={name: reason for name, reason in reasons.items() if reason},
            resummed=more.resummed,
            resummed_error=more.resummed_error,
            midpoint=more.midpoint,
            pieces=more.pieces,
            singularities=more.singularities,
            groups=more.groups,
        )

    def models(self, params1: Any, argument: str = "params1") -> np.ndarray:
        """Evaluates the Taylor models of orders 0 to `max_order` and the model itself at `params1`.

        Args:
            params1: the end point, a tree like the initialization.
            argument: name of `params1` in error messages.

        Returns:
            Outputs in float64, shape `(max_order + 2, n, ...)`, the model itself last.
        """
        segment, end = self._opened(params1, argument)
        programs = self._at(segment)
        return np.concatenate([np.cumsum(programs.terms(end), axis=0), programs.at(end, 1.0)[None]])

    def _opened(self, params1: Any, argument: str) -> tuple[Segment, list[Any]]:
        """Returns the segment to the end point and the trainable leaves of the end point."""
        _refuse_not_finite(argument, params1)
        segment = self._line.to(params1, argument, "params0")
        leaves = jax.tree.leaves(params1)
        moving = zip(self._line.moving, segment.start, strict=True)
        return segment, [jnp.asarray(leaves[i], dtype=a.dtype) for i, a in moving]

    def _at(self, segment: Segment) -> Programs:
        """Returns the programs for a segment. With `fixed="end"`, each end point may have its own fixed leaves."""
        mine = self._programs
        still = set(range(len(segment.still))) - set(self._line.moving)
        if mine is None or not all(same(mine.segment.still[i], segment.still[i]) for i in still):
            mine = self._programs = self._prepared(segment)
        return mine

    def _prepared(self, segment: Segment) -> Programs:
        return Programs(segment, self._x, self._count, self._settings)

    def _fixed(self, params1: Any) -> dict[str, str]:
        """Returns the fixed leaves that differ between the end points, each with the end point whose value is used."""
        frozen, settings = self._line.differing(jax.tree.leaves(params1))
        return dict.fromkeys([*frozen, *settings], self._line.fixed or "start")

    def _compare_rules(self, segment: Segment, orders: Orders, stacklevel: int) -> None:
        """Compares reverse rules once, at the first end point that differs from the initialization."""
        if not self._compared and orders.size:
            self._compared = True
            warn_of_other_slopes(segment.model((self._x,)), segment.start, segment.move, stacklevel)

    def _displacement(self, params1: Any) -> dict[str, tuple[float, float]]:
        found: dict[str, tuple[float, float]] = {}
        leaves = jax.tree.leaves(params1)
        for i in self._line.moving:
            a, b = double(self._line.leaves[i]), double(leaves[i])
            own, way = float(np.linalg.norm(a.ravel())), float(np.linalg.norm((b - a).ravel()))
            found[self._line.paths[i]] = (way, way / own if own else (math.inf if way else 0.0))
        return found


def _refuse_not_finite(argument: str, params: Any) -> None:
    with_paths = jax.tree_util.tree_flatten_with_path(params)[0]
    refuse_not_finite(argument, [leaf for _, leaf in with_paths], [leaf_name(path) for path, _ in with_paths])


def agreement(orders: Orders) -> tuple[float, ...]:
    """Fraction of predicted classes that agree with the model at the end point, by order; NaN where outputs are not finite."""
    right = np.asarray(classes(jnp.asarray(orders.last)))
    models = np.cumsum(orders.terms, axis=0)[1:]
    finite = np.asarray(np.all(np.isfinite(models - orders.last).reshape(len(models), -1), axis=1))
    return tuple(
        float(np.mean(np.asarray(classes(jnp.asarray(model))) == right)) if known else math.nan
        for model, known in zip(models, finite, strict=True)
    )
