"""The number of examples that each learner would need for a target (theory 17)."""

from dataclasses import dataclass
from typing import Any

from taylornets import _checks
from taylornets.targets._exponents import TOLERANCE, information_exponent, leap
from taylornets.targets._generative import generative_exponent
from taylornets.targets._spectrum import degree_spectrum

_SENTENCE = (
    "The information exponent and the leap do not predict the models of `tn.fit`: those depend on the degree and, from order 2 "
    "on, on the rank of the target."
)


@dataclass(frozen=True)
class LearnerNeed:
    """What one learner needs: about `d^exponent` examples.

    Attributes:
        learner: name of the learner.
        exponent: of the dimension, or None where it is not defined.
        depends_on: the property of the target that decides.
    """

    learner: str
    exponent: float | None
    depends_on: str


@dataclass(frozen=True)
class Requirements:
    """The table of `requirements`; print it.

    Attributes:
        degree: `p`, the largest degree present.
        remainder: share of the variance above the degrees computed; 0 for polynomials.
        information_exponent: `k*`.
        leap: the leap.
        generative_exponent: of single-index targets, otherwise None.
        rows: one entry per learner.
    """

    degree: int
    remainder: float
    information_exponent: int
    leap: int
    generative_exponent: int | None
    rows: tuple[LearnerNeed, ...]

    def __str__(self) -> str:
        width = max(len(row.learner) for row in self.rows)
        lines = [f"{'learner':<{width}}  examples  depends on"]
        for row in self.rows:
            needed = "-" if row.exponent is None else f"d^{row.exponent:g}"
            lines.append(f"{row.learner:<{width}}  {needed:<8}  {row.depends_on}")
        if self.remainder > TOLERANCE:
            lines.append(
                f"Not a polynomial: a share {self.remainder:.2g} of the variance lies above the degrees computed."
            )
        return "\n".join([*lines, _SENTENCE])


def requirements(target: Any, *, tol: float = TOLERANCE) -> Requirements:
    """Tabulates the number of examples `n ~ d^a` that each learner needs, for a target of rank `O(1)`.

    `p` is the degree of the target, `k*` its information exponent, `s` its generative exponent.

    | learner | exponent |
    |---|---|
    | kernel, NTK | `p` |
    | model of order k | `max(p - k + 1, 1)` |
    | hierarchical | `⌈p/2⌉` |
    | online gradient descent, full network | `max(k* - 1, 1)`, several directions `max(leap - 1, 1)`; smoothed `max(k*/2, 1)` |
    | any polynomial-time algorithm (statistical queries, low degree) | `max(1, s/2)` |

    The information exponent and the leap do **not** predict the models of `tn.fit`. Exponents are asymptotic; constants decide
    at moderate `d`.

    Args:
        target: a `Polynomial`, or a target of `from_function` or `from_formula`.
        tol: as in `information_exponent`.

    Returns:
        The table.

    Raises:
        ArgumentError: as in `information_exponent`.

    Source: theory 17.

    Example:
        >>> import taylornets as tn
        >>> table = tn.targets.requirements(tn.targets.from_formula("he4(z1)", inputs=12))
        >>> [(row.learner, row.exponent) for row in table.rows[:4]]
        [('kernel, NTK', 4), ('model of order 2', 3), ('model of order 3', 2), ('hierarchical', 2)]
    """
    spectrum = degree_spectrum(target, tol=tol)
    p, first, steps = spectrum.degree, information_exponent(target, tol=tol), leap(target, tol=tol)
    assert p is not None  # `information_exponent` raises otherwise
    try:
        s = generative_exponent(target)
    except _checks.ArgumentError:
        s = None
    online = first if s is not None else steps
    property_ = f"information exponent {first}" if s is not None else f"leap {steps}"
    rows = (
        LearnerNeed("kernel, NTK", p, f"degree {p}"),
        *(LearnerNeed(f"model of order {k}", max(p - k + 1, 1), f"degree {p}, low rank") for k in (2, 3)),
        LearnerNeed("hierarchical", -(-p // 2), f"degree {p}, low rank"),
        LearnerNeed("online gradient descent, full network", max(online - 1, 1), property_),
        LearnerNeed("the same, smoothed", None if s is None else max(first / 2, 1), f"information exponent {first}"),
        LearnerNeed(
            "any polynomial-time algorithm",
            None if s is None else max(1.0, s / 2),
            "generative exponent " + ("(single-index targets only)" if s is None else str(s)),
        ),
    )
    return Requirements(p, spectrum.remainder, first, steps, s, rows)
