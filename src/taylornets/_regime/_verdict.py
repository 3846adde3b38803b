"""The verdict of a regime in one sentence, beginning with what holds."""

import math
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from taylornets._regime._groups import LayerGroups
from taylornets._regime._summation import Singularities

NAMES = {1: "lazy", 2: "quadratic", 3: "cubic", 4: "quartic"}
_PIECES = {1: "linear", 2: "quadratic"}
_CERTAIN = 0.05  # error of the resummation, as a fraction of the squared output change, above which it is not used


@runtime_checkable
class Numbers(Protocol):
    """The fields of `Regime` on which the verdict depends."""

    @property
    def max_order(self) -> int: ...
    @property
    def error(self) -> tuple[float, ...]: ...
    @property
    def explained(self) -> tuple[float, ...]: ...
    @property
    def threshold(self) -> float: ...
    @property
    def resummed(self) -> Mapping[int, float]: ...
    @property
    def resummed_error(self) -> float: ...
    @property
    def midpoint(self) -> float: ...
    @property
    def pieces(self) -> Mapping[int, int | None]: ...
    @property
    def singularities(self) -> Singularities | None: ...
    @property
    def groups(self) -> LayerGroups | None: ...


def within(found: Numbers, best: int) -> str:
    """The verdict if order `best` explains the output change."""
    words = f"{NAMES.get(best, f'order {best}')}: {_order(found, best)}"
    if best > 1:
        words += f", {said(best - 1, found.explained[best - 2], found.error[best - 2], brief=True)}"
    worse = next((k for k in range(best + 1, found.max_order + 1) if found.explained[k - 1] < found.threshold), None)
    return words if worse is None else f"{words}; the series does not converge, {_order(found, worse)}"


def without(found: Numbers) -> str:
    """The verdict if no order up to `max_order` explains the output change."""
    last, top = found.max_order, _top(found)
    facts = _facts(found)
    if facts:
        plain = _order(found, last)
        if top != last and found.explained[top - 1] > 0:
            plain += f"; best: {_order(found, top)}"
        words = [facts[0], f"not a Taylor model of order ≤ {last} from its initialization ({plain})", *facts[1:]]
    elif found.explained[top - 1] > 0:
        words = [f"{_order(found, top, found.threshold)}, less than the {100 * found.threshold:g} % required"]
        if top != last:
            words.append(
                f"no order up to {last} explains more ({said(last, found.explained[-1], found.error[-1], brief=True)})"
            )
    else:
        words = [f"no order up to {last} explains the output change: {_order(found, last)}"]
    group = found.groups.limiting if found.groups is not None else None
    if group is not None:
        words.append(f"{group} limits the radius of convergence")
    return "; ".join(words)


def _facts(found: Numbers) -> list[str]:
    """Descriptions that hold, the most informative one first."""
    facts: list[str] = []
    certain = found.resummed_error <= _CERTAIN
    order = next((k for k, part in sorted(found.resummed.items()) if certain and part >= found.threshold), None)
    if order is not None:
        facts.append(f"order {order}, resummed, explains {percent(found.resummed[order])} of the output change")
    counts = {k: n for k, n in sorted(found.pieces.items()) if n is not None}
    if counts:
        order = min(counts, key=lambda k: (counts[k], k))
        kind = _PIECES.get(order, f"order-{order}")
        whole = f"{kind} on each of {counts[order]} equal pieces of the line from the initialization"
        facts.append(f"{counts[order]} {kind} pieces" if facts else whole)
    if found.midpoint >= found.threshold and len(facts) < 2:
        facts.append(f"the tangent at the middle of the line explains {percent(found.midpoint)} of the output change")
    return facts


def _top(found: Numbers) -> int:
    """The order that explains most."""
    return max(
        range(1, found.max_order + 1),
        key=lambda k: -math.inf if math.isnan(found.explained[k - 1]) else found.explained[k - 1],
    )


def _order(found: Numbers, order: int, below: float = 1.0) -> str:
    return said(order, found.explained[order - 1], found.error[order - 1], below=below)


def said(order: int, explained: float, error: float, brief: bool = False, below: float = 1.0) -> str:
    """States how much the orders up to `order` explain, never rounded up to 100 %.

    `brief` omits the verb and the object; a part smaller than `below` is not rounded up to it.
    """
    which = "order 1" if order == 1 else f"orders up to {order}"
    verb = "explains" if order == 1 else "explain"
    if not math.isfinite(error):
        return f"{which} {'is' if order == 1 else 'are'} not finite"
    if explained <= 0:
        return f"{which} {'is' if order == 1 else 'are'} off by {error:.3g} times the output change"
    part = percent(explained, below)
    return f"{which} {part}" if brief else f"{which} {verb} {part} of the output change"


def percent(explained: float, below: float = 1.0) -> str:
    """A percentage that is 100 only for an exact explanation, 0 only for none, and not rounded up to the limit `below`."""
    if 0 < explained < 0.005:
        return "less than 1 %"
    digits = 0 if explained < 0.99 else 1 if explained < 0.999 else 2
    shown = f"{100 * explained:.{digits}f}"
    if explained < below < 1 and float(shown) >= 100 * below - 1e-9:
        return f"just under {100 * below:g} %"
    if shown == "100.00" and explained > 1 - 1e-9:
        return "100 %"
    return f"{'99.99' if float(shown) >= 100 else shown} %"
