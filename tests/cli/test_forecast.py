"""The estimate of the time that is left, on a clock that the test sets."""

import re
from collections.abc import Sequence

import pytest

from taylornets.cli._forecast import Forecast
from taylornets.records.progress import NoProgress, stage
from taylornets.tabular import COMPARING, CURVE, budget

COMPILING = 10.0


class Run:
    """A fit whose parts take given times."""

    def __init__(self, limit: float | None = None, compared: bool = True):
        self.now, self.said = 0.0, list[tuple[float, float]]()
        self.words = list[str]()
        self.compared = compared
        self.forecast = Forecast(NoProgress(), self._say, limit, compared, lambda: self.now)

    def _say(self, words: str) -> None:
        found = re.match(r"About (?:(\d+) min )?([\d.]+) s left", words)
        assert found is not None, words
        self.words.append(words)
        self.said.append((self.now, 60 * float(found[1] or 0) + float(found[2])))

    def part(self, name: str, units: Sequence[float], expected: Sequence[float], first: float = 0.0) -> None:
        """Takes the seconds of `units`, while the progress follows the `expected` ones."""
        with stage(self.forecast, name) as tell:
            for place, taken in enumerate(units):
                tell(sum(expected[:place]) / sum(expected), "")
                self.now += taken + (0.0 if place else first)

    def all(self, units: Sequence[float], expected: Sequence[float]) -> float:
        """Runs all parts, of which later ones take their budgets; returns the seconds of all."""
        self.part("training", units, expected, COMPILING)
        if self.compared:
            training = self.now
            for name, share in (("comparing", COMPARING), ("learning curve", CURVE)):
                self.part(name, [budget(training, share) / 7] * 7, [1.0] * 7)
        return self.now + COMPILING


WORK = [0.2, 0.2, 0.2, 0.5, 0.5, 1.0, 1.0, 1.0, 3.0]


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("compared", [True, False])
def test_the_estimate_is_right_where_the_work_is(scale: float, compared: bool):
    run = Run(compared=compared)
    whole = run.all([scale * unit for unit in WORK], WORK)
    ((when, left),) = run.said  # once, since it was right
    assert left == pytest.approx(whole - when, rel=0.1)
    assert when <= COMPILING + 0.4 * scale + 1e-9


def test_work_that_is_off_by_a_third_is_right_within_a_factor_after_a_tenth():
    """Weak penalties that take longer than expected: each estimate is within 1.5, or a better one follows."""
    run = Run()
    units = [30 * unit * (1.33 if place > 4 else 1.0) for place, unit in enumerate(WORK)]
    whole = run.all(units, WORK)
    after = [(when, left) for when, left in run.said if when >= whole / 10] or run.said[-1:]
    for when, left in after:
        assert 1 / 1.5 <= left / (whole - when) <= 1.5


def test_an_estimate_that_was_wrong_is_corrected():
    """Control: penalties that take ten times as long as their work; the first sentence is wrong, later ones are not."""
    run = Run()
    units = [unit * (10 if place > 4 else 1) for place, unit in enumerate(WORK)]
    whole = run.all(units, WORK)
    assert len(run.said) >= 2
    (first, guess), (last, better) = run.said[0], run.said[-1]
    assert guess < (whole - first) / 1.5
    assert 1 / 1.5 <= better / (whole - last) <= 1.5


def test_a_limit_bounds_the_training():
    run = Run(15.0)
    run.part("training", [30 * unit for unit in WORK[:3]], WORK, COMPILING)
    assert "training" not in run.words[0]


def test_a_given_penalty_has_its_estimate_at_the_end_of_training():
    run = Run()
    with stage(run.forecast, "training") as tell:
        tell(0.0, "penalty 1")
        run.now = 4.0
        assert run.said == []
    assert len(run.said) == 1
    assert "training" not in run.words[0]
    assert "report 4.0 s" in run.words[0]
