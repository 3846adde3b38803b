"""Formatting of numbers and sentences."""

import math
from typing import Any

import pytest

from taylornets.records import Table, literal
from taylornets.report import _text, brief, seconds
from taylornets.report._labels import spoken


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-3, "−3"),
        (9999, "9999"),
        (65536, "65\u202f536"),
        (0.0, "0"),
        (-0.2471234, "−0.2471"),
        (98.99, "98.99"),
        (0.001, "0.001"),
        (6.02e-5, "6.02 × 10⁻⁵"),
        (-1e-16, "−1 × 10⁻¹⁶"),
        (9.9999e-4, "1 × 10⁻³"),
        (65536.0, "65\u202f536"),
        (12345.6, "12\u202f346"),
        (1.5e6, "1.5 × 10⁶"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_number(value: float, shown: str):
    assert _text.number(value) == shown


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("m^{-1/2}", "m<sup>−1/2</sup>"),
        ("m^(-1/4), m^(1/2), m^(-2)", "m<sup>−1/4</sup>, m<sup>1/2</sup>, m<sup>−2</sup>"),
        ("f^(2)(W)", "f<sup>(2)</sup>(W)"),
        ("x^2 and 10^-8", "x<sup>2</sup> and 10<sup>−8</sup>"),
        ("‖W‖_{2,4}", "‖W‖<sub>2,4</sub>"),
        ("E_s f(s_r w_r)", "E<sub>s</sub> f(s<sub>r</sub> w<sub>r</sub>)"),
        ("d^p and d^{p-1}, M_op", "d<sup>p</sup> and d<sup>p−1</sup>, M<sub>op</sub>"),
        ("real_data and dual_v stay", "real_data and dual_v stay"),
        ("`a_b^{2}`", "<code>a_b^{2}</code>"),
        ("a < b & c", "a &lt; b &amp; c"),
        ("^{<b>}", "<sup>&lt;b&gt;</sup>"),
        ("`<b>`", "<code>&lt;b&gt;</code>"),
        ("gap 1e-8, 2.5e-05 or 1e+6", "gap 10<sup>−8</sup>, 2.5 ×\u00a010<sup>−5</sup> or 10<sup>6</sup>"),
        ("0x1e5 and type1e5 stay", "0x1e5 and type1e5 stay"),
        ("gap ≤ 5 and 95 %", "gap ≤\u00a05 and 95\u00a0%"),
    ],
)
def test_inline_marks_up_and_escapes(text: str, html: str):
    assert str(_text.inline(text)) == html


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (True, "yes"),
        ({"slope_of_noise": -0.25, "n": 3}, "slope of noise −0.25; n 3"),
        ([1, 2.5], "1, 2.5"),
        ("text", "text"),
    ],
)
def test_brief(value: Any, shown: str):
    assert brief(value) == shown


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, "3"), (-1.5e-20, "-1.5e-20"), (-math.inf, "-Infinity"), (True, None), ("7", None), (None, None)],
)
def test_numbers_are_sorted_by_their_value(value: Any, number: str | None):
    assert str(_text.sortable(value)) == ("" if number is None else f' data-value="{number}"')


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("width $m$", "width m"),
        (r"$\lambda_{\min}$ over $m^{-1/2}$, $f(sW) - f^{(2)}(W)$", "λ_min over m^(−1/2), f(sW) − f^(2)(W)"),
        ("cost in $", "cost in $"),
        (f"the column {literal('a$b$^{x}')} of $m$", f"the column {literal('a$b$^{x}')} of m"),
        (r"$\frac{$", r"$\frac{$"),
    ],
)
def test_formulas_are_spoken(label: str, shown: str):
    assert spoken(label) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (185, "3 min 05 s"), (7440, "2 h 04 min")],
)
def test_seconds(value: float, shown: str):
    assert seconds(value) == shown


def test_numeric_columns_are_those_of_numbers_alone():
    table = Table(
        "a", "c", ["n", "text", "mixed", "flag", "none"], [[1, "a", 1, True, None], [None, "b", "x", False, None]]
    )
    assert _text.numeric(table) == [True, False, False, False, False]
