"""Claims: one module per claim of the theory that `taylornets reproduce` tests.

A new claim is one more file in this folder, which defines

- `SIZES`, the problem sizes of each profile; tests call `run` with smaller ones;
- `holds`, the decision rule;
- `run`, which measures and returns an `Outcome`. Its negative control applies the same rule to the same measurement in a
  setting in which the theory predicts failure; the prediction is fixed before the measurement;

and registers a `Claim`. Every module of the folder is imported on first use. A claim computes everything from
`context.key` and `context.seed`, so its numbers do not depend on the other claims:

    def run(context: ClaimContext, sizes: Sizes | None = None) -> Outcome:
        slope, without_signs = ...
        control = NegativeControl("no random signs", "slope 1/4", without_signs, fails=not holds(without_signs))
        return Outcome(measured=slope, holds=holds(slope), control=control)

    register(Claim("coupling", "Coupling", "The noise decays.", "Bai & Lee (2020), section 3", "slope −1/4", run))
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from taylornets import _checks
from taylornets._discover import import_modules
from taylornets.records import Figure, Numbers, Table

ORDER = (
    "coupling",
    "randomized_risk",
    "landscape",
    "certificate",
    "escape",
    "generalization",
    "expressivity",
    "sample_complexity",
    "degrees",
    "joint",
    "hierarchical",
    "higher_order",
    "dynamics",
    "real_data",
)
PROFILES = ("quick", "full")


Result = dict[str, Any]


def _computed(_: str, compute: Callable[[], Result]) -> Result:
    return compute()


@dataclass(frozen=True)
class ClaimContext:
    """Inputs of a claim.

    Args:
        profile: `"quick"` (minutes for all claims) or `"full"`.
        seed: seed of the run, for libraries that take an integer.
        key: JAX random key of this claim; see `claim_key`.
        progress: to be called as `progress(fraction, message)`, with a fraction from 0 to 1, at least every few seconds.
        kept: `kept(name, compute)` returns the result of a costly part, of JSON types: the stored one of an interrupted run,
            or that of `compute()`, which it stores. The name must determine the result.
    """

    profile: str
    seed: int
    key: PRNGKeyArray
    progress: Callable[[float, str], None]
    kept: Callable[[str, Callable[[], Result]], Result] = _computed

    @property
    def full(self) -> bool:
        """Whether the profile is `"full"`."""
        return self.profile == "full"


@dataclass(frozen=True)
class NegativeControl:
    """The same measurement in a setting in which the theory predicts that the claim fails.

    Args:
        setting: the changed setting, in a sentence.
        predicted: prediction of the theory in this setting.
        measured: a number, a string, or a dict of them.
        fails: whether the claim fails in this setting, as predicted.
    """

    setting: str
    predicted: str
    measured: Any
    fails: bool | np.bool_


@dataclass(frozen=True)
class Outcome:
    """Result of a claim.

    Args:
        measured: a number, a string, or a dict of them.
        holds: whether the measurement agrees with the theory; the verdict of the claim also requires that the control fails.
        control: the negative control, stored as `detail["negative_control"]` in the record.
        interval: `(low, high)`, a confidence interval of the main measured value.
        detail: further values, by name.
        figures: figures in the order of the report.
        tables: tables in the order of the report.
        explanation: paragraphs; a single string is split at empty lines.
    """

    measured: Any
    holds: bool | np.bool_
    control: NegativeControl | None = None
    interval: Numbers | None = None
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    figures: Iterable[Figure] = ()
    tables: Iterable[Table] = ()
    explanation: str | Iterable[str] = ()


@dataclass(frozen=True)
class Claim:
    """A claim of the theory and the function that tests it.

    Args:
        name: for the command line and for file names: lower-case letters, digits, underscores.
        title: short title.
        statement: the claim in one sentence.
        source: reference: paper with section, theorem or equation.
        predicted: prediction of the theory, in words or numbers.
        run: computes the outcome.
        seconds: expected time in the quick profile on one core; with several workers, the longest claim starts first.
    """

    name: str
    title: str
    statement: str
    source: str
    predicted: str
    run: Callable[[ClaimContext], Outcome]
    seconds: float = 60


_registry: dict[str, Claim] = {}


def register(claim: Claim) -> None:
    """Registers a claim.

    Raises:
        ArgumentError: if another claim has the same name.
    """
    if claim.name in _registry:
        raise _checks.ArgumentError("claim.name", "an unused name", repr(claim.name))
    _registry[claim.name] = claim


def _discover() -> None:
    import_modules(__name__, __path__)


def names() -> tuple[str, ...]:
    """Returns the names of all claims, in the order of the theory; others follow in alphabetical order."""
    _discover()
    rank = {name: index for index, name in enumerate(ORDER)}
    return tuple(sorted(_registry, key=lambda name: (rank.get(name, len(rank)), name)))


def get(name: str) -> Claim:
    """Returns the claim of that name.

    Raises:
        ArgumentError: for an unknown name; the message suggests the closest one.
    """
    return _registry[_checks.choice("name", name, names())]


def claim_key(seed: int, name: str) -> PRNGKeyArray:
    """Returns the random key of a claim: the seed of the run with a checksum of the name of the claim folded in.

    The key depends on nothing else, so a claim draws the same numbers when run alone or with others, and in any process
    (Python's `hash` of a string differs between processes).

    Args:
        seed: seed of the run.
        name: name of the claim.

    Returns:
        A scalar key array.

    Example:
        >>> claim_key(0, "coupling") == claim_key(0, "coupling")
        Array(True, dtype=bool)
    """
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
