"""The budget of the baselines and of the learning curve, a share of the time that the model itself took to train."""

from collections.abc import Callable
from dataclasses import dataclass

SMALL = 2000  # training rows up to which nothing is cut, so that results do not depend on the speed of the machine
COMPARING, CURVE = 0.6, 0.3  # shares of the time of training
_LEAST = 15.0  # seconds of training that the budgets assume at least
_PILOT = 500  # rows on which times are measured
_GROWTH, _SQUARE = 1.1, 2.0  # powers of the number of rows with which the time of a fit is assumed to grow
_SEARCH, _FINAL = 0.4, 0.5  # shares of the time for the search and the final fit, where they are cut
_STEP = 0.8


@dataclass(frozen=True)
class Plan:
    """How many training rows select the hyperparameters of a baseline, and how many train it."""

    searched: int
    trained: int


def budget(seconds: float, share: float) -> float:
    """Seconds for a part of the fit.

    Args:
        seconds: time of training.
        share: `COMPARING` or `CURVE`.
    """
    return share * max(seconds, _LEAST)


def planned(
    rows: int, timed: Callable[[int], tuple[float, float]], seconds: float, fits: int, tests: int, square: bool
) -> Plan:
    """Chooses the numbers of rows so that a baseline takes at most the given time, as far as times can be predicted.

    The time of a fit is measured on 500 rows, and assumed to grow with the power 1.1 of the rows, or 2 for kernel machines,
    whose predictions also take time for each training row.

    Args:
        rows: number of available training rows.
        timed: measures the seconds of a fit on a number of rows, and of predicting as many.
        seconds: budget.
        fits: number of fits of the search.
        tests: number of test rows.
        square: whether the baseline is a kernel machine.

    Returns:
        The plan; all rows for both with at most 2,000 rows, or within the budget.
    """
    if rows <= SMALL or seconds == float("inf"):
        return Plan(rows, rows)
    fit, predict = timed(_PILOT)

    def cost(count: int, times: int) -> float:
        larger = count / _PILOT
        predictions = (min(tests, 10_000) * times + tests) / _PILOT * predict * (larger if square else 1)
        return times * fit * larger ** (_SQUARE if square else _GROWTH) + predictions

    def most(times: int, limit: float) -> int:
        count = rows
        while count > _PILOT and cost(count, times) > limit:
            count = max(int(_STEP * count), _PILOT)
        return count

    if cost(rows, fits) <= seconds:
        return Plan(rows, rows)
    searched = most(fits, _SEARCH * seconds)
    return Plan(searched, max(searched, most(1, _FINAL * seconds)))
