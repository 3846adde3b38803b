"""Errors about the target column, with another column that can be the target."""

import re

from taylornets import _checks
from taylornets.datafiles import DataTable

_GENERATED = re.compile(r"column_\d+")  # names of a table without a header line
_EXCLUDE = re.compile(
    r",? or exclude the column with `drop=[^`]*`| ?\bExclude (?:it|the column) with `drop=[^`]*`\.", re.IGNORECASE
)
_LISTED = 12


def kept_target(error: _checks.ArgumentError, table: DataTable, target: str) -> _checks.ArgumentError:
    """Removes the advice to exclude a column, which cannot be followed for the target; names another target instead."""
    mends = tuple(mend for mend in error.mends if mend != ("drop", target))
    advice = _EXCLUDE.sub("", error.advice).strip()
    kept = _checks.ArgumentError(error.argument, error.expected, error.got, advice, mends, error.others)
    return kept if mends else another_target(kept.renamed("target"), table, target)


def another_target(error: _checks.ArgumentError, table: DataTable, target: str) -> _checks.ArgumentError:
    """Names a column that can be a target, or says that there is none."""
    if error.argument != "target":
        return error
    others: list[str] = []
    for kinds in (("number", "whole number", "boolean"), ("category",)):
        others = others or [info.name for info in table.infos if info.kind in kinds and info.name != target
                            and not info.missing and table.frame[info.name].nunique() > 1]  # fmt: skip
    alone = len(table.infos) < 3 and table.info(target).kind != "date"  # a date can be the only input
    if alone or not others:
        advice = (
            f"No other column can be a target. {error.advice.removeprefix('Choose another target.').strip()}".strip()
        )
        return _checks.ArgumentError("target", error.expected, error.got, advice, error.mends)
    advice = f"{error.advice} For example `target={others[-1]!r}`.".strip()
    return _checks.ArgumentError("target", error.expected, error.got, advice, (("target", others[-1]),))


def known(argument: str, name: str, names: list[str]) -> None:
    """Rejects an unknown column; suggests the closest name, or a few names of a long list."""
    if name in names:
        return
    if argument == "target" and all(map(_GENERATED.fullmatch, names)):
        expected, advice = f"one of {names[0]!r} to {names[-1]!r}", f"For example `target={names[-1]!r}`."
        raise _checks.ArgumentError(argument, expected, repr(name), advice, ((argument, names[-1]),))
    if len(names) <= _LISTED:
        _checks.choice(argument, name, names)
    raise _checks.ArgumentError(argument, f"one of the {len(names)} columns", repr(name), f"The first are {names[:5]}.")
