"""Errors about the target column, with another column that can be the target."""

import difflib
import re
from typing import Any

from taylornets import _checks
from taylornets._errors import STRING
from taylornets.datafiles import DataTable

_GENERATED = re.compile(r"column_\d+")  # names of a table without a header line
_EXCLUDE = re.compile(
    rf",? or exclude the column with `drop=\({STRING},\)`| ?\bExclude (?:it|all|the column) with `drop=\({STRING},\)`\.",
    re.IGNORECASE,
)
_NO_INPUTS = ("index", "identifier", "text", "empty")
_LISTED = 12


def kept_target(error: _checks.ArgumentError, table: DataTable, target: str) -> _checks.ArgumentError:
    """Removes the advice to exclude a column, which cannot be followed for the target; names another target instead."""
    mends = tuple(mend for mend in error.mends if mend != ("drop", target))
    advice = _EXCLUDE.sub("", error.advice).strip()
    kept = _checks.ArgumentError(error.argument, error.expected, error.got, advice, mends, error.others)
    return kept if mends else another_target(kept.renamed("target"), table, target)


def not_dropped(error: _checks.ArgumentError, target: str | None) -> _checks.ArgumentError:
    """Removes the advice to exclude the target column from the errors of a file."""
    parts: list[_checks.ArgumentError] = []
    for part in (error, *error.others):
        bad = ("drop", target) in part.mends
        advice = f"{_EXCLUDE.sub('', part.advice)} Choose another target.".strip() if bad else part.advice
        mends = tuple(mend for mend in part.mends if mend != ("drop", target))
        parts.append(_checks.ArgumentError(part.argument, part.expected, part.got, advice, mends))
    return _checks.joined(parts)


def _varies(table: DataTable, name: str) -> bool:
    column: Any = table.frame[name]
    return bool(column.nunique() > 1)


def another_target(error: _checks.ArgumentError, table: DataTable, target: str) -> _checks.ArgumentError:
    """Names a column that can be a target, or says that there is none."""
    if error.argument != "target":
        return error
    others: list[str] = []
    for kinds in (("number", "whole number", "boolean"), ("category",)):
        others = others or [info.name for info in table.infos if info.kind in kinds and info.name != target
                            and not info.missing and _varies(table, info.name)]  # fmt: skip
    # In a table of two columns, this one would be the only input.
    alone = len(table.infos) < 3 and (table.info(target).kind in _NO_INPUTS or not _varies(table, target))
    if alone or not others:
        advice = (
            f"No other column can be a target. {error.advice.removeprefix('Choose another target.').strip()}".strip()
        )
        return _checks.ArgumentError("target", error.expected, error.got, advice, error.mends)
    advice = f"{error.advice} For example, use `target={others[-1]!r}`.".strip()
    return _checks.ArgumentError("target", error.expected, error.got, advice, (("target", others[-1]),))


def known(argument: str, name: str, names: list[str]) -> None:
    """Rejects an unknown column; suggests the closest name or, for a target, the last column."""
    if name in names:
        return
    generated = all(map(_GENERATED.fullmatch, names))
    near = [] if generated else difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    if generated:
        expected = f"one of {names[0]!r} to {names[-1]!r}"
    elif len(names) <= _LISTED:
        expected = f"one of {', '.join(map(repr, names))}"
    else:
        expected = f"one of the {len(names)} columns ({', '.join(map(repr, names[:5]))}, …)"
    mends = tuple((argument, one) for one in near or names[-1:] if near or argument == "target")
    advice = f"Did you mean {near[0]!r}?" if near else f"For example, use `target={names[-1]!r}`." if mends else ""
    raise _checks.ArgumentError(argument, expected, repr(name), advice, mends)
