"""The time that is left of a fit: estimated from the work that is done, and again if it turns out to be wrong.

Training reports its progress in units of work, the rows of a fit times its expected steps, so that the seconds per unit of
this run give the time that is left of it. The first step contains compilation, which is counted once. The comparison and the
learning curve have budgets, which are shares of the time of training. The report is assumed to take as long as compilation.
"""

import math
import time
from collections.abc import Callable
from typing import Any

from taylornets.records.progress import Progress
from taylornets.report import seconds
from taylornets.tabular import COMPARING, CURVE, budget

_OFF = 1.5  # factor between two estimates that is worth a new sentence
_EARLY = 3  # steps of training before the first estimate, of which the first compiles
_LATER = {"training": ("comparing", "learning curve"), "comparing": ("learning curve",), "learning curve": ()}
_SHARES = {"comparing": COMPARING, "learning curve": CURVE}


class Forecast:
    """Passes progress on, and says how much time is left; again where the estimate was off by more than a factor of 1.5.

    Args:
        progress: receives all calls.
        say: called with the sentence.
        time_limit: limit of training in seconds, or None.
        compared: whether baselines are trained.
        clock: returns seconds.
    """

    def __init__(
        self, progress: Progress, say: Callable[[str], Any], time_limit: float | None = None, compared: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ):  # fmt: skip
        self._progress, self._say, self._limit, self._clock, self._compared = progress, say, time_limit, clock, compared
        self._begin = 0.0
        self._marks: list[tuple[float, float]] = []  # fraction of training and seconds since its start
        self._training: float | None = None  # its seconds, once it has ended
        self._end: float | None = None  # when the fit ends by the last estimate

    def started(self, name: str) -> None:
        """Passes it on."""
        self._begin = self._clock()
        self._marks = [(0.0, 0.0)] if name == "training" else self._marks
        self._progress.started(name)

    def progressed(self, name: str, fraction: float, message: str) -> None:
        """Passes it on, and estimates the time that is left."""
        self._progress.progressed(name, fraction, message)
        if name not in _LATER:
            return
        passed = self._clock() - self._begin
        if name == "training":
            if fraction > self._marks[-1][0]:
                self._marks.append((fraction, passed))
            if len(self._marks) < _EARLY:
                return
        self._tell(name, fraction, passed)

    def finished(self, name: str, message: str) -> None:
        """Passes it on; training in a single step has its estimate at its end."""
        self._progress.finished(name, message)
        if name == "training":
            self._training = self._clock() - self._begin
            self._tell(name, 1.0, self._training)

    @property
    def compiling(self) -> float:
        """Seconds of the first step of training beyond those that its work takes."""
        if len(self._marks) < _EARLY:
            return self._marks[-1][1] if len(self._marks) > 1 else self._training or 0.0
        (_, _), (first, one), (second, two) = self._marks[:3]
        return max(one - first / (second - first) * (two - one), 0.0)

    def _tell(self, name: str, fraction: float, passed: float) -> None:
        """Says the time that is left, if it is the first estimate or differs from the last one."""
        left = self._left(name, fraction, passed)
        total, now = sum(left.values()), self._clock()
        if self._end is not None:
            known = max(self._end - now, 1.0)
            if known / _OFF <= max(total, 1.0) <= known * _OFF:
                return
        self._end = now + total
        listed = ", ".join(f"{part} {seconds(value)}" for part, value in left.items() if value >= 0.5)
        self._say(f"About {seconds(total)} left{f' ({listed})' if listed else ''}.")

    def _left(self, name: str, fraction: float, passed: float) -> dict[str, float]:
        """The seconds that are left of each part."""
        found = dict[str, float]()
        if name == "training":
            own = max(passed - self.compiling, 0.0)
            left = own * (1 - fraction) / fraction if fraction else 0.0
            found[name] = left if self._limit is None else min(left, max(self._limit - passed, 0.0))
            training = passed + found[name]
        else:
            training = self._training or 0.0
            known = budget(training, _SHARES[name]) - passed
            left = passed * (1 - fraction) / fraction if fraction else math.inf
            found[name] = min(left, known) if known > 0 else left if fraction else 0.0
        if self._compared:
            found |= {part: budget(training, _SHARES[part]) for part in _LATER[name]}
        return found | {"report": self.compiling}
