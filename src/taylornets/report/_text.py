"""Formatting of numbers and sentences for the page."""

import math
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from taylornets.records import SEGMENTS, Table, bare

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_TOGETHER = re.compile(r"[≤≥=≈±×] (?=\S)|(?<=\d) %")  # no line break between a relation and its number
_POWER = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)e([+-]?)0*(\d+)\b")  # 6e-5, as in program output
_UNDERSCORE = re.compile(r"(?<=[^\W_]{2})_")  # between the words of a name; not an index
_RULES = (
    (re.compile(r"\^\{([^{}]*)\}"), "sup"),  # m^{-1/2}
    (re.compile(r"\^\(([−-]?\d*/?\d*(?<=[−\-/]\d))\)"), "sup"),  # m^(-1/4): parentheses for grouping only
    (re.compile(r"\^(\([^()]*\)|[−-]?\d+|\*|[a-z]\b)"), "sup"),  # f^(2), x^2, w^*, d^p
    (re.compile(r"_\{([^{}]*)\}"), "sub"),  # ‖W‖_{2,4}
    (re.compile(r"(?<=\b[^\W\d_])_([^\W_]{1,2})\b"), "sub"),  # w_r, M_op; not the underscore of a longer name
)


def inline(text: Any) -> Markup:
    """Converts a sentence to HTML: escapes it, then marks up powers, indices and `code`.

    Formulas use plain-text notation: `m^{-1/2}`, `f^(2)`, `x^2`, `‖W‖_{2,4}`, `w_r`.

    Example:
        >>> str(inline("m^{-1/2} < E_s f"))
        'm<sup>−1/2</sup> &lt; E<sub>s</sub> f'
    """
    found: list[Markup] = []
    # Odd parts are texts of the data, which are no formulas.
    for place, piece in enumerate(SEGMENTS.split(str(text))):
        escaped = str(escape(piece))
        parts = [escaped] if place % 2 else [_marked(part) for part in re.split(r"(`[^`]+`)", escaped)]
        found.append(Markup("".join(parts)))  # escaped two lines above
    return Markup("").join(found)


def _power(found: re.Match[str]) -> str:
    mantissa, sign, exponent = found.groups()
    return ("" if float(mantissa) == 1 else f"{mantissa} × ") + f"10^{{{sign.replace('+', '')}{exponent}}}"


def _marked(part: str) -> str:
    if part.startswith("`") and part.endswith("`") and len(part) > 2:
        return f"<code>{part[1:-1]}</code>"
    part = _POWER.sub(_power, part)
    part = _TOGETHER.sub(lambda found: found[0].replace(" ", "\u00a0"), part)
    for pattern, tag in _RULES:
        part = pattern.sub(lambda found, tag=tag: f"<{tag}>{found[1].replace('-', '−')}</{tag}>", part)
    return part


def words(name: Any) -> str:
    """Converts a field name to words; indices are kept.

    Example:
        >>> words("slope_in_M_op")
        'slope in M_op'
    """
    return _UNDERSCORE.sub(" ", str(name))


def number(value: float | int, digits: int = 4) -> str:
    """Formats a number with four significant digits, a true minus sign, and a power of ten if very small or large.

    Example:
        >>> number(-0.2471234), number(6.02e-5), number(98.99)
        ('−0.2471', '6.02 × 10⁻⁵', '98.99')
    """
    if isinstance(value, int):
        digits_only = f"{abs(value):,}".replace(",", "\u202f") if abs(value) >= 10_000 else str(abs(value))
        return ("−" if value < 0 else "") + digits_only
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}".replace("-", "−")
    if value.is_integer() or abs(value) + 0.5 >= 10.0**digits:  # digits before the decimal point are never rounded
        return number(round(value))
    return f"{value:.{digits}g}".replace("-", "−")


def cell(value: Any) -> Markup:
    """Formats a value of a record (number, string, boolean, list or dict) as HTML."""
    if value is None:
        return escape("–")
    if isinstance(value, bool):
        return escape("yes" if value else "no")
    if isinstance(value, int | float):
        return Markup('<span class="number">{}</span>').format(number(value))
    if isinstance(value, Mapping):
        rows = Markup("").join(
            Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(inline(words(key)), cell(item))
            for key, item in value.items()
        )
        return Markup("<dl class='values'>{}</dl>").format(rows)
    if isinstance(value, list | tuple):
        return Markup(", ").join(cell(item) for item in value)
    return inline(value)


def sortable(value: Any) -> Markup:
    """Formats the attribute by which a table is sorted: the number itself; empty for other values.

    Example:
        >>> str(sortable(6.02e-5)), str(sortable("≥ 2"))
        (' data-value="6.02e-05"', '')
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Markup("")
    return Markup(' data-value="{}"').format(repr(value).replace("inf", "Infinity"))  # as JavaScript spells it


def brief(value: Any) -> str:
    """Formats a value of a record as one line of plain text, for the terminal."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{words(key)} {brief(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(brief, value))
    return bare(value)


def numeric(table: Table) -> list[bool]:
    """Returns, for each column, whether it holds numbers, which are right-aligned."""
    columns = [[row[index] for row in map(tuple, table.rows)] for index in range(len(tuple(table.columns)))]
    given = [[value for value in column if value is not None] for column in columns]
    kinds = [{isinstance(value, int | float) and not isinstance(value, bool) for value in column} for column in given]
    return [kind == {True} for kind in kinds]


def interval(ends: Any) -> Markup:
    """Formats an interval in brackets; empty for None."""
    return escape("" if ends is None else "[{}, {}]".format(*map(number, ends)))


def seconds(value: float) -> str:
    """Formats a duration: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 04 min`."""
    if not math.isfinite(value):
        return "an unknown time"
    value = value if value > 0 else 0.0
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
