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
        words += f", {_order(found, best - 1, brief=True)}"
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
        words = [f"{_order(found, top)}, less than the {whole(found.threshold)} % required"]
        if top != last:
            words.append(f"no order up to {last} explains more ({_order(found, last, brief=True)})")
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
        part = percent(found.resummed[order], found.threshold)
        facts.append(f"order {order}, resummed, explains {part} of the output change")
    counts = {k: n for k, n in sorted(found.pieces.items()) if n is not None}
    if counts:
        order = min(counts, key=lambda k: (counts[k], k))
        kind = _PIECES.get(order, f"order-{order}")
        whole = f"{kind} on each of {counts[order]} equal pieces of the line from the initialization"
        facts.append(f"{counts[order]} {kind} pieces" if facts else whole)
    if found.midpoint >= found.threshold and len(facts) < 2:
        part = percent(found.midpoint, found.threshold)
        facts.append(f"the tangent at the middle of the line explains {part} of the output change")
    return facts


def _top(found: Numbers) -> int:
    """The order that explains most."""
    return max(
        range(1, found.max_order + 1),
        key=lambda k: -math.inf if math.isnan(found.explained[k - 1]) else found.explained[k - 1],
    )


def _order(found: Numbers, order: int, brief: bool = False) -> str:
    """States how much the orders up to `order` explain; `brief` omits the verb and the object."""
    explained, error = found.explained[order - 1], found.error[order - 1]
    which = "order 1" if order == 1 else f"orders up to {order}"
    verb = "explains" if order == 1 else "explain"
    if not math.isfinite(error):
        return f"{which} {'is' if order == 1 else 'are'} not finite"
    if explained <= 0:
        return f"{which} {'is' if order == 1 else 'are'} off by {error:.3g} times the output change"
    part = percent(explained, found.threshold)
    return f"{which} {part}" if brief else f"{which} {verb} {part} of the output change"


def percent(explained: float, limit: float = 1.0) -> str:
    """A percentage that is 100 only for an exact explanation, 0 only for none, and on the side of `limit` of the number."""
    if 0 < explained < min(0.005, limit):
        return "less than 1 %" if limit >= 0.01 else f"less than {whole(limit)} %"
    digits = 0 if explained < 0.99 else 1 if explained < 0.999 else 2
    shown = f"{100 * explained:.{digits}f}"
    if float(shown) >= 100:
        shown = "100" if explained > 1 - 1e-9 else "99.99"
    if _reaches(float(shown), limit) == (explained >= limit):
        return f"{shown} %"
    return f"{'at least' if explained >= limit else 'just under'} {whole(limit)} %"


def _reaches(shown: float, limit: float) -> bool:
    """Whether a percentage, as shown, is at least the fraction `limit`."""
    return shown >= 100 * limit - 1e-9


def whole(limit: float) -> str:
    """The fraction `limit` in percent, with all its digits."""
    return f"{100 * limit:.12g}"


def rounded(part: float, limit: float = 1.0) -> str:
    """Formats a percentage with one digit, or two, rounded down, if one would round up to 100; a dash if it is not finite.

    Rounding does not move it to the other side of `limit`.
    """
    if not math.isfinite(part):
        return "–"
    shown = f"{round(100 * part, 1) + 0.0:.1f}"
    if shown == "100.0" and part < 1:
        shown = f"{math.floor(1e4 * part) / 100:.2f}"
    wrong = limit < 1 and _reaches(float(shown), limit) != (part >= limit)
    return f"{'≥' if part >= limit else '<'} {whole(limit)} %" if wrong else f"{shown} %"
