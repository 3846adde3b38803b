"""The time that is left of a fit, estimated after the first steps of training, and again if it turns out to be wrong."""

import time
from collections.abc import Callable
from typing import Any

from taylornets.records.progress import Progress
from taylornets.report import seconds
from taylornets.tabular import SELECTION, TableProblem

# Time of the other parts relative to that of compiling the first step, on tables of few hundred rows; measured, a heuristic.
_COMPARING, _CURVE, _REPORT = 0.6, 1.5, 1.0
_ROWS, _GROWTH = 400, 1.2  # the baselines take longer from this number of rows on, by this power
_FOLDS = 3  # folds that take as long as one training on all rows, since they have fewer rows
_FINAL_STEPS, _CURVE_STEPS = 2, 4  # final training and the learning curve, in steps of the regularization path
_OFF = 2.0  # factor between two estimates that is worth a new sentence
_UNIT = 12.0  # seconds for compiling, where training has a single step that is not timed apart


class Forecast:
    """Passes progress on, and says how much time is left; again where the estimate was off by more than a factor of two.

    Weak penalties, which come last, can take much longer than strong ones; the first estimate cannot know this.

    Args:
        progress: receives all calls.
        say: called with the sentence.
        time_limit: limit of training in seconds, or None.
        clock: returns seconds.
    """

    def __init__(
        self, progress: Progress, say: Callable[[str], Any], time_limit: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):  # fmt: skip
        self._progress, self._say, self._limit, self._clock = progress, say, time_limit, clock
        self._rows, self._folds = _ROWS, 0
        self._marks: list[tuple[float, float]] = []  # fraction of training and time, at the start of each step
        self._end: float | None = None  # when the fit ends by the last estimate

    def posed(self, problem: TableProblem) -> None:
        """Receives the size of the problem."""
        self._rows, self._folds = len(problem.split.train), problem.cv or 0

    def started(self, name: str) -> None:
        """Passes it on."""
        if name == "training":
            self._marks = [(0.0, self._clock())]
        self._progress.started(name)

    def progressed(self, name: str, fraction: float, message: str) -> None:
        """Passes it on; the start of the third step of training is the time of the first estimate."""
        self._progress.progressed(name, fraction, message)
        if name == "training" and fraction > self._marks[-1][0]:
            self._marks.append((fraction, self._clock()))
            if len(self._marks) >= 3 and fraction < SELECTION:
                self._tell(fraction)

    def finished(self, name: str, message: str) -> None:
        """Passes it on; training in a single step has its estimate at its end."""
        self._progress.finished(name, message)
        if name == "training" and self._end is None:
            self._tell(1.0)

    def _tell(self, fraction: float) -> None:
        (_, begin), *rest = self._marks
        step, first, left = 0.0, min(self._clock() - begin, _UNIT), 0.0
        if fraction < SELECTION:
            part, one = rest[0]
            step, first = rest[-1][1] - rest[-2][1], one - begin
            left = (round((SELECTION - fraction) / part) + _FINAL_STEPS) * step
            left = left if self._limit is None else min(left, max(self._limit - (self._clock() - begin), 0.0))
        compiling = first if fraction >= SELECTION else max(first - (rest[1][1] - rest[0][1]), 0.0)
        large = max(self._rows / _ROWS, 1.0) ** _GROWTH * (1 + self._folds / _FOLDS)
        parts = {
            "training": left, "baselines": _COMPARING * compiling * large,
            "learning curve": _CURVE * compiling + _CURVE_STEPS * step, "report": _REPORT * compiling,
        }  # fmt: skip
        total, now = sum(parts.values()), self._clock()
        known = None if self._end is None else max(self._end - now, 1.0)
        if known is not None and known / _OFF <= total <= known * _OFF:
            return
        self._end = now + total
        listed = ", ".join(f"{name} {seconds(value)}" for name, value in parts.items() if value >= 0.5)
        self._say(f"About {seconds(total)} left{f' ({listed})' if listed else ''}.")
