"""Numbers written for people: decimal commas, groups of three digits, currencies, percent, and other signs.

A column has one style: one decimal separator and at most one unit. A separator of groups is dropped only where it separates
groups of exactly three digits, so that no value changes in silence.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

_PLAIN = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?)", re.IGNORECASE)
_ZEROS = re.compile(r"[+-]?0\d+")
_LONG = re.compile(
    r"[^\d]{0,5}(?P<whole>\d{16,}|[1-9]\d{0,2}(?P<group>[,.' ])\d{3}(?:(?P=group)\d{3}){4,})(?P<zeros>[.,]0*)?[^\d]{0,5}"
)
_EXACT, _LEAST_LONG = 2**53, 16
CURRENCY = (
    r"[€$£¥₹₽₩₺₫₴₦฿₪₱]|(?:US|CA|AU|NZ|HK|MX|[ACRS])\$|EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|AUD|CAD|"
    r"[Kk]r\.?|zł|Kč|Ft|Rs\.?|S?Fr\."
)
_UNIT = r"[%‰]|°[CFK]?|[^\W\d_][\w/²³°.]{0,11}"
# Units that may follow a number without a space. One letter is left out: `12a` and `13b` are house numbers.
_GLUED = (
    r"°[CFK]?|[kmµ]?g|kg|lbs?|oz|[kcmµn]m[²³23]?|[cdm][lL]|ft|in|mi|yd|sqft|m[²³]|km/h|m/s|mph|kph|kn|rpm|bpm|[kM]?Hz|GHz|[kKMGT]B|"
    r"[km]W|MW|k?Wh|kJ|k?cal|hp|PS|[km]V|mA|mAh|[hkM]?Pa|bar|psi|ppm|dB|mmHg|[mµn]s|min|hrs?|sec|px|pt"
)
SIGNS = str.maketrans(
    {"−": "-", "–": "-", "‒": "-", "—": "-", "\xa0": " ", "\u202f": " ", "\u2009": " ", "’": "'", "μ": "µ"}
)
_WRITTEN = re.compile(
    rf"(?P<open>\()?\s*(?P<relation>[<>]=?|[≤≥~≈])?\s*(?P<sign>[+-])?\s*(?P<before>{CURRENCY})?\s*(?P<sign2>[+-])?\s*"
    rf"(?P<body>\d(?:[\d.,' ]*\d)?(?:[.,](?!-))?|[.,]\d+)(?P<power>[eE][+-]?\d+)?(?P<even>[.,]--?)?"
    rf"(?P<after>\s*[%‰]|\s*(?:{CURRENCY})|(?<=\d)(?:{_GLUED})|\s+(?:{_UNIT}))?(?P<behind>-)?\s*(?P<close>\))?"
)
_LAKH = r"|[1-9]\d?(?P<lakh>,\d\d)+,\d{3}(?:\.\d*)?"  # groups of India: 12,34,567
_BODIES = {
    decimal: re.compile(rf"(?:\d+|[1-9]\d{{0,2}}(?:(?P<group>[{other}' ])\d{{3}})(?:(?P=group)\d{{3}})*)?"
                        rf"(?:{re.escape(decimal)}\d*)?" + (_LAKH if decimal == "." else ""))
    for decimal, other in ((".", ","), (",", "."))
}  # fmt: skip
_UNCLEAR = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
_UNCLEAR_POINT = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+")
_NO_GROUPS, _SHORT = (
    re.compile(r"[+-]?\d+"),
    re.compile(r"[+-]?\d{1,3}"),
)  # without a separator: any, and below a thousand


@dataclass(frozen=True)
class Style:
    """How the numbers of a column are written.

    Args:
        decimal: decimal separator, `"."` or `","`, or `":"` for times.
        unit: the unit or currency after or before each number; empty without one.
    """

    decimal: str = "."
    unit: str = ""

    @property
    def recipe(self) -> str:
        """The style in one word, saved with a model."""
        return "number" if self == Style() else f"number {self.decimal}{self.unit}"

    @classmethod
    def of(cls, recipe: str) -> "Style | None":
        """The inverse of `recipe`; None for other kinds of columns."""
        if recipe == "number":
            return cls()
        found = re.fullmatch(r"number ([.,:])(.{0,20})", recipe)
        return cls(found[1], found[2]) if found else None


@dataclass(frozen=True)
class ReadNumbers:
    """The words of a column, read as numbers in one style.

    Args:
        values: float64; NaN for words that are not numbers in this style.
        style: the style.
        units: the units that occur, with the empty one.
        relations: number of words such as `<5`, of which the number is kept.
        grouped: number of words with separators of groups.
        unclear: whether each separator could be decimal or group digits.
        merged: words such as `<5` that give the same number as another word with another sign.
    """

    values: np.ndarray
    style: Style
    units: frozenset[str] = frozenset()
    relations: int = 0
    grouped: int = 0
    unclear: bool = False
    merged: tuple[str, ...] = ()

    @property
    def read(self) -> int:
        """How many words are numbers."""
        return int(np.sum(~np.isnan(self.values)))


def plain(words: list[str]) -> np.ndarray:
    """Reads numbers in the notation of programs; NaN elsewhere."""
    return np.array([float(word) if _PLAIN.fullmatch(word) else np.nan for word in words], dtype=np.float64)


def points_are_unclear(words: list[str], commas: bool) -> bool:
    """Whether the points of plain numbers could separate groups of three digits.

    Args:
        words: plain numbers.
        commas: whether other columns have decimal commas. If not, only numbers such as 567, 1.234 and 45.600 are unclear: all
            points stand before three digits, and numbers below a thousand have none.
    """
    whole = _NO_GROUPS if commas else _SHORT
    points = 0
    for word in words:
        if _UNCLEAR_POINT.fullmatch(word):
            points += 1
        elif not whole.fullmatch(word):
            return False
    return points > 0 and (commas or points < len(words))


def has_clear_points(words: list[str]) -> bool:
    """Whether a word is a plain number whose point cannot separate groups of three digits, such as 2.53 or 0.123."""
    return any("." in word and not _UNCLEAR_POINT.fullmatch(word) and _PLAIN.fullmatch(word) for word in words)


def digits_are_names(words: list[str]) -> str:
    """Returns why digits name things and are no numbers: leading zeros, or more digits than a number keeps."""
    if any(_ZEROS.fullmatch(word) for word in words):
        return "leading zeros, which a number would lose"
    if any(len(word) >= _LEAST_LONG and _loses_digits(word) for word in words):
        return "more digits than a number can hold"
    return ""


def _loses_digits(word: str) -> bool:
    """Whether a whole number, also with groups, a unit, or zeros behind the point, has other digits as float64.

    Beyond 2^53, whole numbers without a point are identifiers, even if float64 holds them. With a point, as programs write
    float64, they are numbers if float64 holds them.
    """
    found = _LONG.fullmatch(word.translate(SIGNS)) if len(word) < 400 else None
    if found is None:
        return False
    whole = int(re.sub(r"\D", "", found["whole"]))
    return whole > _EXACT and (found["zeros"] is None or int(float(whole)) != whole)


def written(words: list[str], decimal: str) -> ReadNumbers:
    """Reads numbers written for people with one decimal separator.

    Args:
        words: the words, without missing ones.
        decimal: `"."` or `","`.

    Returns:
        The numbers.
    """
    values = np.full(len(words), np.nan)
    units: set[str] = set()
    relations: dict[int, str] = {}
    grouped = separated = unclear = 0
    for place, word in enumerate(words):
        found = _WRITTEN.fullmatch(word.translate(SIGNS)) if len(word) <= 60 else None
        body = _BODIES[decimal].fullmatch(found["body"]) if found else None
        if found is None or body is None or (found["open"] is None) != (found["close"] is None):
            continue
        negative = [found["open"], found["sign"] == "-" or None, found["sign2"] == "-" or None, found["behind"]]
        if sum(sign is not None for sign in negative) > 1 or (found["even"] or decimal)[0] != decimal:
            continue
        if found["before"] and (found["after"] or "").strip() not in ("", "%"):
            continue
        digits = found["body"]
        for group in "., '".replace(decimal, ""):
            digits = digits.replace(group, "")
        value = float(digits.replace(",", ".") + (found["power"] or ""))
        values[place] = -value if any(sign is not None for sign in negative) else value
        unit = (found["before"] or found["after"] or "").strip()
        if unit or value:  # a zero needs no unit
            units.add(unit)
        if found["relation"] is not None:
            relations[place] = found["relation"]
        grouped += body["group"] is not None or body.groupdict().get("lakh") is not None
        separated += any(sign in found["body"] for sign in ".,")
        unclear += _UNCLEAR.fullmatch(found["body"]) is not None
    unit = next(iter(sorted(units - {""})), "")
    merged = _merged(words, values, relations) if relations else ()
    return ReadNumbers(
        values, Style(decimal, unit), frozenset(units), len(relations), grouped, 0 < unclear == separated, merged
    )


def _merged(words: list[str], values: np.ndarray, relations: dict[int, str]) -> tuple[str, ...]:
    """Words such as `<5`, `5` and `>5` that have one number after different signs, except for the first of each number."""
    signed = set(values[list(relations)])
    signs: dict[float, set[str]] = {}
    merged: list[str] = []
    for place, word in enumerate(words):
        if values[place] in signed:
            known = signs.setdefault(values[place], set())
            sign = relations.get(place, "")
            merged += [word] if known and sign not in known else []
            known.add(sign)
    return tuple(merged)


def described(found: ReadNumbers) -> str:
    """Says in words how the numbers were read."""
    if found.style.decimal == ":":
        return "times, as hours"
    parts = ["decimal comma"] if found.style.decimal == "," else []
    parts += ["groups of three digits"] if found.grouped else []
    parts += [f"in {found.style.unit}"] if found.style.unit else []
    return "numbers, " + ", ".join(parts) if parts else ""


def same_units(found: ReadNumbers) -> bool:
    """Whether the words have one unit; a currency may be left out in places, a percent sign may not."""
    named: Any = found.units - {""}
    if len(named) > 1:
        return False
    return not named or "" not in found.units or bool(re.fullmatch(CURRENCY, next(iter(named))))
