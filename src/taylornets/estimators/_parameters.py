"""Checks of the parameters of a Taylor estimator."""

from typing import Any

import numpy as np

from taylornets import _checks, activations, models
from taylornets.estimators._representation import REPRESENTATIONS, top_activation
from taylornets.estimators._solve import TaylorSettings
from taylornets.objectives import ORDERS, SUM, is_sum, orders_of, powers, strengths

SCALINGS = ("sphere", "ball")
# Targets are scaled so that risks are near 1 at w = 0; one grid therefore suits all data.
PENALTIES = tuple(10.0**-e for e in range(1, 10))


def settings_of(estimator: Any) -> TaylorSettings:
    """Returns the checked parameters of an estimator, with the loss still to be set.

    Raises:
        ArgumentError: for invalid parameters.
    """
    for name, least in (("width", 2), ("folds", 2), ("max_iter", 1)):
        _checks.integer(name, getattr(estimator, name), least)
    if estimator.chunk_size is not None:
        _checks.integer("chunk_size", estimator.chunk_size, 1)
    if estimator.width % 2:
        raise _checks.ArgumentError("width", "an even number, since units come in pairs", str(estimator.width))
    _checks.positive("bias", estimator.bias)
    _checks.positive("tol", estimator.tol)
    _checks.choice("scaling", estimator.scaling, SCALINGS)
    if estimator.representation is not None:
        _checks.choice("representation", estimator.representation, REPRESENTATIONS, "Or None.")
    if is_sum(estimator.order) and estimator.model is None:
        return _settings_of_sum(estimator)
    _checks.integer("order", estimator.order, 1)
    if isinstance(estimator.penalty, str):
        _checks.choice("penalty", estimator.penalty, ("auto", "cv"))
    else:
        _checks.positive("penalty", estimator.penalty, "Or use 'cv' to select it.")
    path_of(estimator)
    model = _model_of(estimator)
    rank = 1
    if estimator.rank != "auto":
        rank = _checks.integer("rank", estimator.rank, 1, "Or use 'auto', which finds the rank of the optimum.")
    if rank > 1 and not models.get(model).copies:
        raise _checks.ArgumentError("rank", f"1 for model={model!r}", str(rank), "Only orders ≥ 2 support copies.")
    order = models.get(model).order
    power = 2.0 * order if estimator.power is None else estimator.power
    _checks.positive("power", power)
    if power < 2 * order:
        raise _checks.ArgumentError("power", f"at least {2 * order} for order {order}", repr(power))
    activation = activations.get(top_activation(estimator.representation, estimator.activation)).name
    return TaylorSettings(model, "", float(power), activation, estimator.chunk_size)


def _settings_of_sum(estimator: Any) -> TaylorSettings:
    """Returns the checked parameters of a sum of orders."""
    orders = orders_of(estimator.order) or ORDERS
    if isinstance(estimator.penalty, str):
        _checks.choice("penalty", estimator.penalty, ("auto", "cv"))
    else:
        strengths(estimator.penalty, orders)
    path_of(estimator)
    if orders == ORDERS and estimator.rank != "auto":
        raise _checks.ArgumentError("rank", "'auto' for a sum, whose rank is found", repr(estimator.rank))
    if estimator.rank not in ("auto", 1):
        raise _checks.ArgumentError(
            "rank", f"'auto' or 1 for order={orders}", repr(estimator.rank), "Use a larger width."
        )
    given = tuple(2.0 * k for k in orders) if estimator.power is None else estimator.power
    if np.ndim(given) == 0:
        _checks.positive("power", given)
    each = powers(given, orders)
    for k, power in zip(orders, each, strict=True):
        _checks.positive("power", power)
        if power < 2 * k:
            raise _checks.ArgumentError("power", f"at least {2 * k} for order {k}", repr(power))
    activation = activations.get(top_activation(estimator.representation, estimator.activation)).name
    chosen = SUM if orders == ORDERS else orders
    power = float(each[-1]) if orders == ORDERS else tuple(map(float, each))
    return TaylorSettings(chosen, "", power, activation, estimator.chunk_size)


def require_certificate(model: Any) -> None:
    """Raises for models without a certificate."""
    orders = orders_of(model)
    if orders is not None and orders != ORDERS:
        raise _checks.ArgumentError("order", f"{ORDERS}, the only sum with a certificate", str(orders))
    if orders is None and not models.get(model).certifiable:
        *others, last = map(repr, models.names(certifiable=True))
        raise _checks.ArgumentError("model", f"{', '.join(others)} or {last}", repr(model))


def remark(estimator: Any) -> str:
    """Describes the certificate of a fitted estimator, or that its sum of orders has none; empty for the others."""
    certificate = getattr(estimator, "certificate_", None)
    if certificate is not None:
        return f"  # {certificate}"
    if not hasattr(estimator, "status_") or orders_of(estimator.model_) is None:
        return ""
    return f"  # {estimator.status_}; no certificate: of the sums of orders, only {ORDERS} has one"


def path_of(estimator: Any) -> tuple[float, ...]:
    """Returns the candidate penalties for `"cv"`, in decreasing order."""
    if estimator.penalties is None:
        return PENALTIES
    for penalty in estimator.penalties:
        _checks.positive("penalties", penalty)
    if np.any(np.diff(np.asarray(estimator.penalties, float)) >= 0):
        raise _checks.ArgumentError("penalties", "a decreasing path of penalties", repr(estimator.penalties))
    return tuple(map(float, estimator.penalties))


def _model_of(estimator: Any) -> str | int:
    """Returns the order of a single term, or the name of another model."""
    if estimator.model is None or not isinstance(estimator.model, str):
        return _checks.integer("model", estimator.order if estimator.model is None else estimator.model, 1)
    # A single draw of the signs would have to be stored with the model.
    usable = [name for name in models.names() if not models.get(name).sampled]
    model = models.get(_checks.choice("model", estimator.model, usable))
    return model.name if model.term is None else model.term
