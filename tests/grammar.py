"""Rules that every generated sentence obeys, whatever its numbers are."""

import re

THINGS = (
    "row|column|class|feature|line|cell|claim|group|prediction|probe input|parameter|error|message|checkpoint|fold|page"
)
_WHOLE = rf"(?:which|the [\d,]+ (?:[a-z]+ )?(?:{THINGS})s)"
_RULES = {
    "not a number": r"(?<![A-Za-z])[−-]?(nan|NaN|inf|None)\b",
    "one of several": rf"(?<![\d.,:−-])1 (?:[a-z-]+ ){{0,2}}(?:{THINGS})e?s\b",
    "several of one": rf"(?<![\d.,:−-])(?:0|[2-9]|[1-9]\d|\d+,\d+) (?:(?!of|in|and)[a-z-]+ )?(?:{THINGS})\b(?![’'-])",
    "a hyphen for a minus": r"(?<![\w.-])-\d",
    "minus zero": r"−0(?:\.0*)?(?![\d.])",
    "an exponent": r"\de[+-]?\d",
    "two comparisons": r"\b(?:more|less|most|least|below|above) (?:than )?(?:more|less|most|least)\b",
    "a share below zero": r"(?<![\w.])−[\d.,]+ %",
    "double spaces": r"\S  +\S",
    "an empty bracket": r"\(\s*\)|\[\s*\]|\(,|,\)",
    "stray signs": r" [,;.](?!\.|\d)|\.\.(?!\.)|,,|, \.|:\.",
    "a verb for many": rf"\b1 of {_WHOLE} (?:equal|repeat|are|have|were)\b",
    "a verb for one": rf"(?<![\d.,])(?:[2-9]|[1-9]\d+) of {_WHOLE} (?:equals|repeats|is|has|was)\b",
}
_QUOTED = re.compile(r"`[^`]*`|(?<!\w)'[^']*'(?!\w)")  # names and words of the data, which have no grammar
_INTERVAL = re.compile(r"\[([−\d.,]+), ([−\d.,]+)\]")


def faults(text: str, *allowed: str) -> list[str]:
    """The rules that a sentence breaks, each with the words.

    Args:
        text: a sentence, or several.
        allowed: names of rules that do not apply.
    """
    text = _QUOTED.sub("X", text)
    found = [
        f"{name}: {match[0]!r}"
        for name, pattern in _RULES.items()
        if name not in allowed and (match := re.search(pattern, text))
    ]
    for low, high in _INTERVAL.findall(text):
        ends = [float(end.replace("−", "-").replace(",", "")) for end in (low, high)]
        found += [f"an interval with exchanged ends: [{low}, {high}]"] if ends[0] > ends[1] else []
    return found
