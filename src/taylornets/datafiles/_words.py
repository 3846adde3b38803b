"""The distinct words of a column, and those that mean a missing value."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute

from taylornets import _checks
from taylornets._checks import short
from taylornets.datafiles._table import ColumnInfo, Reading, wrong

pc: Any = compute  # its functions are made at run time, which type checkers do not see
# The suggested command: few words are missing values, and fewer if they have digits, which may be values; a column of few
# words is a category.
_FEW, _FEW_VALUES, _CATEGORIES = 0.3, 0.05, 50
CERTAIN_WORDS = frozenset({"", "nan", "-nan", "#n/a", "<na>", "?"})
MAYBE = frozenset(
    {"na", "n/a", "none", "nil", "null", "missing", "n.a.", "#na", "#value!", "#div/0!", "#ref!", "#num!"}
)
_SIGNS = frozenset({"-", "-" * 2, ".", "..", "–", "—"})  # missing among numbers and dates
POSSIBLE_WORDS = CERTAIN_WORDS | MAYBE | _SIGNS  # missing among numbers and dates
Texts = Sequence[str | None] | pa.ChunkedArray


class Words:
    """The distinct words of a column, with their counts."""

    def __init__(self, texts: Texts):
        found: Any = texts
        codes = slice(None)
        if isinstance(texts, pa.ChunkedArray):
            coded = pc.dictionary_encode(found.combine_chunks(), null_encoding="encode")
            codes, found = coded.indices.to_numpy(), coded.dictionary.to_pylist()
        stripped: Any = np.array(["" if text is None else text.strip() for text in found], dtype=object)
        places, unique = pd.factorize(stripped)
        self.codes = places[codes]
        self.unique: list[str] = list(unique)
        self.counts = np.bincount(self.codes, minlength=len(self.unique))
        self.lowered = [word.lower() for word in self.unique]

    def missing(self, reading: Reading, among_values: bool) -> np.ndarray:
        """A mask of distinct words that mean a missing value."""
        known = POSSIBLE_WORDS if among_values else CERTAIN_WORDS
        return np.array(
            [low in known or reading.is_missing(word) for word, low in zip(self.unique, self.lowered, strict=True)],
            bool,
        )

    def row(self, place: Any) -> int:
        """The first row, counted from 1, of a distinct word."""
        return int(np.argmax(self.codes == place)) + 1

    def spread(self, values: Any) -> Any:
        """Values of all rows from those of the distinct words."""
        return values[self.codes]

    def taken(self, missing: np.ndarray) -> tuple[tuple[str, int], ...]:
        """The words taken for missing values, with their counts; without the empty cell."""
        return tuple((self.unique[i], int(self.counts[i])) for i in np.flatnonzero(missing) if self.unique[i])


def info_of(name: str, kind: str, words: Words, missing: np.ndarray, **others: Any) -> ColumnInfo:
    """Describes a column of words."""
    count = int(words.counts[missing].sum())
    return ColumnInfo(name, kind, count, words=words.taken(missing), **others)


def unfit(name: str, words: Words, missing: np.ndarray, fits: np.ndarray, expected: str) -> _checks.ArgumentError:
    """The error for words that do not fit the kind of a column."""
    rest = np.flatnonzero(~missing)
    bad = rest[~fits]
    rows = int(words.counts[bad].sum())
    first = min(bad, key=words.row)
    word = words.unique[first]
    which = "the only one" if rows == 1 else f"the first of {rows:,}"
    got = f"{short(word)} in row {words.row(first)} of column {short(name)}, {which}"
    advice = (
        f"If it means a missing value, use `missing=({word!r},)`. Correct it in the file, or exclude the column with "
        f"`drop=({name!r},)`. Treat the column as categorical with `categorical=({name!r},)`."
    )
    few = _FEW_VALUES if any(map(str.isdigit, "".join(words.unique[i] for i in bad))) else _FEW
    if len(bad) <= 2 and rows <= few * words.counts.sum():
        mends = tuple(("missing", words.unique[i]) for i in bad)
    elif len(rest) <= _CATEGORIES:
        mends = (("categorical", name),)
    else:
        mends = (("drop", name),)
    return wrong(expected, got, advice, mends)
