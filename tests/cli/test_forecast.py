"""The estimate of the time that is left, on a clock that the test sets."""

import re

import pytest

from taylornets.cli._forecast import _UNIT, Forecast
from taylornets.records.progress import NoProgress, stage


class Run:
    """A fit whose steps take given times."""

    def __init__(self, limit: float | None = None):
        self.now, self.said = 0.0, list[str]()
        self.forecast = Forecast(NoProgress(), self.said.append, limit, lambda: self.now)

    def train(self, first: float, step: float, steps: int = 9) -> None:
        with stage(self.forecast, "training") as tell:
            for place in range(steps):
                tell(0.8 * place / steps, f"penalty {place}")
                self.now += step if place else first
                if self.said and place < 3:
                    assert self.now == pytest.approx(first + step + step * (place - 1))  # after the second step
            tell(0.8, "final")
            self.now += step


def test_the_estimate_comes_once_after_two_steps():
    run = Run()
    run.train(10.0, 2.0)
    (said,) = run.said
    # Seven steps of the path and two for the end; 8 s of compiling.
    assert re.match(r"About 5\d s left \(training 18 s, baselines 4.8 s, learning curve 20 s, report 8", said), said


def test_an_estimate_that_was_wrong_is_corrected():
    """Weak penalties that take ten times as long; without them, the first sentence is the only one (above)."""
    run = Run()
    with stage(run.forecast, "training") as tell:
        for place in range(9):
            tell(0.8 * place / 9, "")
            run.now += (10.0 if place == 0 else 0.0) + (1.0 if place < 4 else 20.0)
        tell(0.8, "final")
    assert 2 <= len(run.said) <= 4
    assert "training 9.0 s" in run.said[0]
    assert re.search(r"training 1 min|training 2 min|training [89]\d s", run.said[1])


def test_a_limit_bounds_the_training():
    run = Run(15.0)
    run.train(10.0, 2.0)
    assert "training 3" in run.said[0]


def test_a_given_penalty_has_its_estimate_at_the_end_of_training():
    run = Run()
    with stage(run.forecast, "training") as tell:
        tell(0.8, "penalty 1")
        run.now = 4.0
        assert run.said == []
    assert len(run.said) == 1
    assert "training" not in run.said[0]
    assert _UNIT > 4.0
