"""Every generated sentence is true and grammatical for every number: zero, tiny, huge, negative, infinite, and not a number."""

import io
import math
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from grammar import faults
from taylornets import ArgumentError
from taylornets._checks import counted
from taylornets._measures import percent_of
from taylornets._regime import _result, _verdict
from taylornets.cli import _fit, _forecast, _plan
from taylornets.datafiles import Reading, from_frame
from taylornets.generalization import HoldOut, conformal
from taylornets.report import _text, brief, seconds
from taylornets.tabular import _compare, _model_sections
from taylornets.tabular import _wording as wording
from taylornets.tabular._findings import FitFindings
from taylornets.tabular._problem import pose
from taylornets.tabular._promise import Promise, doubts_of
from taylornets.tabular._temperature import Temperature

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")


def examples(count: int) -> Any:
    return hypothesis.settings(max_examples=count, deadline=None, derandomize=True, database=None)


MANY, FEW = examples(150), examples(12)
ODD = [0.0, -0.0, 1.0, -1.0, 0.005, 0.0449, 0.895, 0.8999, 0.995, 0.9996, 0.99999, 1e-300, -1e-9, 999.7, 9999.7, 2013.0, 1e300,
       math.inf, -math.inf, math.nan]  # fmt: skip
NUMBERS = st.one_of(st.floats(), st.sampled_from(ODD), st.floats(-2, 2))
SHARES = st.one_of(
    st.sampled_from([0.0, 1.0, 1e-9, 0.004, 0.0005, 0.9951, 0.9996, 0.99999, 1 - 1e-12]), st.floats(0, 1)
)
COUNTS = st.one_of(st.sampled_from([0, 1, 2]), st.integers(0, 10**7))
CLOSE = [0.9, 0.8999, 0.89999999, 0.99999, 1e-5, math.nan]  # to thresholds, 1 and 0
TASKS = st.sampled_from(["classification", "regression"])


def test_planted_faults_are_found():
    wrong = ("the 1 rows", "2 row", "1 rare classes", "nan %", "a gap of -1", "−0.00 of R²", "[2.0, 1.0]", "less than less",
             "explains −3 %", "±2.01e+03", "1 of the 40 rows repeat another", "3 of which equals a row", "none, .")  # fmt: skip
    assert [text for text in wrong if not faults(text)] == []
    right = (
        "1 row, 21 rows, 1,204 test rows, 2 classes of 1 column; −0.5 in [−1.0, 2.0]: 1 of the 40 rows repeats another."
    )
    assert faults(right) == []


@MANY
@hypothesis.given(NUMBERS, SHARES, COUNTS)
def test_numbers_are_written_as_they_are(value: float, share: float, count: int):
    texts = [wording.signed(value), wording.quantity(value), wording.share(share), percent_of(share), seconds(value),
             wording.at_most(abs(value)), wording.more_than(abs(value)), _compare._shown(value)]  # fmt: skip
    texts += [counted(count, noun) for noun in ("row", "test row", "class")] + [wording.rows_of(count)]
    for text in [*texts, wording.ends(min(value, 2 * value), max(value, 2 * value))]:
        assert faults(text) == [], (value, text)
    for text in (wording.share(share), percent_of(share)):
        assert (text in ("100 %", "100.0 %")) == (share == 1), (share, text)
        assert (text in ("0 %", "0.0 %")) == (share == 0), (share, text)
    for text in (wording.quantity(value), brief(value)):
        if math.isfinite(value):
            assert read(text) == pytest.approx(value, rel=0.006, abs=0), (value, text)


def read(text: str) -> float:
    """The number that a text states."""
    text = re.sub(r"[\u202f,]", "", text.replace("−", "-")).replace("10^", "10e").replace(" × 10", "")
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    found = re.fullmatch(r"(-?[\d.]+)([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)", text)
    return float(f"{found[1]}e{found[2].translate(digits)}" if found else text)


@MANY
@hypothesis.given(SHARES)
def test_bounds_stay_true_when_they_are_rounded(gap: float):
    for text in (wording.at_most(gap), wording.more_than(gap)):
        stated = re.search(r"([\d.]+) %", text)
        assert stated is not None
        assert float(stated[1]) / 100 >= gap * (1 - 1e-9), (gap, text)
        assert gap < 1e-5 or float(stated[1]) / 100 <= 1.051 * gap, (gap, text)


@MANY
@hypothesis.given(NUMBERS, COUNTS, COUNTS, TASKS)
def test_scores(score: float, rows: int, repeated: int, task: str):
    score = min(max(score, 0.0), 1.0) if task == "classification" and not math.isnan(score) else min(score, 1.0)
    said = wording.score_sentence(task, score, rows, min(rows, repeated))
    assert faults(said) == [], said
    assert ("100.0 %" in said or "100 %" in said) == (score == 1), said


CERTIFICATES = st.builds(
    lambda primal, gap, status: (SimpleNamespace(primal=primal, dual=primal - gap, gap=gap, relative_gap=gap), status),
    NUMBERS, st.one_of(SHARES, st.sampled_from([7.0, 1e9, math.inf, math.nan])), st.sampled_from(["CONVERGED", "MAX_STEPS"]),
)  # fmt: skip


@MANY
@hypothesis.given(CERTIFICATES, st.integers(1, 10**7))
def test_certificates(found: tuple[Any, str], rows: int):
    certificate, status = found
    for text in (wording.verdict(certificate), *_fit._bounds(certificate).values()):
        assert faults(text, "an exponent") == [], text
    if not math.isfinite(certificate.primal + certificate.gap):
        return
    texts = wording.certificate_paragraphs(certificate, rows, status)
    for text in texts:
        assert faults(text, "an exponent") == [], text
    assert ("not improve the fit" in texts[1]) == ("certified as optimal" in wording.verdict(certificate))


@MANY
@hypothesis.given(st.lists(NUMBERS, min_size=2, max_size=4), st.floats(-1, 1), COUNTS, TASKS)
def test_the_rank_among_the_baselines(scores: list[float], middle: float, rows: int, task: str):
    least = 0.0 if task == "classification" else -math.inf
    scores = [min(max(score, least), 1.0) for score in scores]
    names = ["ours", *(f"baseline {chr(97 + i)}" for i in range(len(scores) - 1))]
    said = wording.ranking(names, scores, 0, (middle - 0.01, middle + 0.01), task, rows)
    assert faults(said, "an exponent") == [], said
    if "ranks" in said:
        better = sum(score > scores[0] for score in scores[1:])
        assert f"ranks {better + 1} of {len(scores)}" in said
        assert ("behind" in said) == (better > 0)
        best = max(scores[1:])
        assert ("with the same score" in said) == (scores[1:].count(best) > 1)
        assert not re.search(r"\b0\.0+ (points )?of", said), said


@MANY
@hypothesis.given(st.one_of(SHARES, st.just(1.5)), SHARES, st.integers(1, 10**6), st.floats(1e-6, 0.5))
def test_bounds_of_the_error_on_new_data(bound: float, error: float, rows: int, delta: float):
    for unit, groups in (("row", None), ("group", ("clinic", min(rows, 3)))):
        held = HoldOut(bound, error, rows, round(delta, 4) or 0.05, "Clopper–Pearson", unit)
        said = Promise(held, None, groups, []).sentence
        assert faults(said) == [], said
    stated = re.search(r"at most ([\d.]+) %", held.sentence)
    assert stated is not None
    assert float(stated[1]) / 100 >= min(bound, 1.0) - 1e-9
    assert faults(held.basis) == [], held.basis


@MANY
@hypothesis.given(st.floats(min_value=0))
def test_the_width_of_the_interval(width: float):
    said = Promise(None, width, None, []).sentence
    assert faults(said) == [], said
    assert ("too few" in said) == (not math.isfinite(width))


@pytest.mark.parametrize("rows", [0, 1, 2, 8, 9, 30])
def test_too_few_rows_for_an_interval(rows: int):
    assert faults(Promise(None, conformal(np.arange(float(rows)), 0.9) if rows else None, None, []).sentence) == []


@MANY
@hypothesis.given(st.floats(0.05, 20), st.floats(0, 700), st.floats(0, 1e-3), st.integers(0, 400))
def test_the_temperature(value: float, before: float, change: float, rows: int):
    after = max(before - change, 0.0)
    said = Temperature(value if after < before else 1.0, before, after, rows).sentence
    assert faults(said) == [], said
    assert "the temperature 1," not in said
    lowered = re.search(r"from ([\d.]+) to ([\d.]+)", said)
    assert lowered is None or float(lowered[1]) > float(lowered[2].rstrip("."))


@MANY
@hypothesis.given(SHARES, SHARES, SHARES, st.integers(1, 12), st.integers(0, 40))
def test_errors_and_calibration(error: float, low: float, high: float, shown: int, more: int):
    learned = SimpleNamespace(temperature=Temperature(1.0, 0.5, 0.5, 100))
    findings = object.__new__(FitFindings)
    vars(findings)["learned"] = learned
    for text in _model_sections.calibration_paragraphs(findings, error, (min(low, high), max(low, high))):
        assert faults(text) == [], text
    said = _model_sections._listed(shown, shown + more)
    assert faults(said) == [], said
    assert ("first" in said) == (more > 0)


@MANY
@hypothesis.given(
    st.lists(st.one_of(st.floats(-3, 1), st.sampled_from(CLOSE)), min_size=2, max_size=4),
    st.sampled_from([0.5, 0.9, 0.57, 0.99]),
)  # fmt: skip
def test_the_verdict_of_a_regime(explained: list[float], threshold: float):
    errors = tuple(math.sqrt(1 - part) if part <= 1 else math.nan for part in explained)
    found: Any = SimpleNamespace(
        max_order=len(explained), error=errors, explained=tuple(explained), threshold=threshold, resummed={},
        resummed_error=math.nan, midpoint=math.nan, pieces={}, singularities=None, groups=None,
    )  # fmt: skip
    good = [k for k, part in enumerate(explained, 1) if part >= threshold]
    said = _verdict.within(found, good[0]) if good else _verdict.without(found)
    assert faults(said) == [], said
    required = re.search(r"([\d.]+) % of the output change, less than the ([\d.]+) % required", said)
    assert required is None or "just under" in said or float(required[1]) < float(required[2]), said


@MANY
@hypothesis.given(
    st.lists(st.floats(0.001, 1), min_size=1, max_size=6), st.one_of(st.none(), st.floats(0.01, 100)), st.booleans()
)
def test_the_forecast(steps: list[float], limit: float | None, compared: bool):
    said: list[str] = []
    now = [0.0]
    quiet: Any = SimpleNamespace(started=lambda _: None, progressed=lambda *_: None, finished=lambda *_: None)
    forecast = _forecast.Forecast(quiet, said.append, limit, compared, lambda: now[0])
    forecast.started("training")
    for place, step in enumerate(steps, 1):
        now[0] += step
        forecast.progressed("training", place / len(steps), "")
    forecast.finished("training", "")
    for text in said:
        assert faults(text) == [], text


WORDS = st.sampled_from(["None", "Na", "u", "v", "w w", "x"])


@FEW
@hypothesis.given(
    st.integers(20, 24), st.lists(WORDS, min_size=24, max_size=24), st.integers(0, 3), st.integers(0, 3), st.booleans(),
    st.sampled_from([None, "drop", "merge"]),
)  # fmt: skip
def test_what_is_said_about_a_table(
    rows: int, words: list[str], missing: int, same: int, classes: bool, rare: str | None
):
    """Notes, plan, refusals and warnings of tables in which things occur 0, 1 or several times."""
    place = np.arange(rows)
    y: Any = np.array(["p", "q"])[place % 2].astype(object) if classes else np.round(place * 0.37, 2)
    y[:missing] = None if classes else np.nan
    if classes and same:
        y[-same:] = "r"
    columns = {"a": np.where(place < same, 1.0, place * 1.5), "b": words[:rows], "year": 2013.0, "y": y}
    table = from_frame(pd.DataFrame(columns), Reading())
    try:
        problem = pose(table, "y", "auto", 0, rare=rare)
    except ArgumentError as error:
        for part in (error, *error.others):
            assert faults(str(part)) == [], str(part)
        return
    screen = io.StringIO()
    _plan.show(Console(file=screen, width=200), problem)
    sentences = [*problem.notes, *doubts_of(problem), problem.reason, *(row.done for row in problem.plan)]
    for text in [
        *sentences,
        *(line for line in screen.getvalue().splitlines() if not line.startswith(("column", "a ", "b "))),
    ]:
        assert faults(text, "double spaces") == [], text
    assert not any("2013.0" in text for text in sentences)


@MANY
@hypothesis.given(st.floats(0, 1))
def test_the_share_of_missing_values_in_the_plan(share: float):
    shown = _plan._missing(share)
    assert faults(shown) == []
    assert (shown == "100 %") == (share == 1)
    assert (shown == "") == (share == 0)


@MANY
@hypothesis.given(NUMBERS)
def test_cells_of_a_page(value: float):
    for text in (str(_text.cell(value)), _text.number(value), brief([value, value])):
        assert not re.search(r"e[+-]?\d|>-|^-|−0(?![\d.])", re.sub("<[^>]*>", "", text)), (value, text)


def test_predictions_are_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The lines of `predict` for one row, for several, and for scores that are undefined or negative."""
    for rows, score in ((1, math.nan), (2, -3.5), (1, 1.0), (1204, -1e-9)):
        frame = pd.DataFrame({"prediction": np.zeros(rows)})
        found = SimpleNamespace(frame=frame, score=score, rows=rows, ignored=["c"], seen=False, unknown=(), notes=(),
                                metric=("log loss", score))  # fmt: skip
        monkeypatch.setattr(_fit, "predict", lambda *_, found=found: found)
        _fit.run_predict("m", "d", None, Reading())
        said = " ".join(capsys.readouterr().err.split())
        assert faults(said) == [], said


@MANY
@hypothesis.given(st.one_of(SHARES, NUMBERS))
def test_percentages_of_a_regime(part: float):
    shown = [_result._percent(part)]
    shown += [_verdict.percent(min(max(part, 0.0), 1.0))] if math.isfinite(part) else []
    for text in shown:
        assert faults(text, "a hyphen for a minus", "a share below zero") == [], (part, text)
        assert not text.startswith("100 ") or part >= 1 - 1e-9, (part, text)
        assert not text.startswith("100.0") or part >= 1, (part, text)
