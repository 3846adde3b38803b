"""The model card `MODEL.md` in the output folder: what the model is, how good it is, and what it does not promise."""

import re
from typing import Any

from taylornets.records import SEGMENTS, PageRecord
from taylornets.tabular._problem import TableProblem
from taylornets.tabular._temperature import Temperature

CARD = "MODEL.md"


def code(text: object) -> str:
    """Writes a text of the data as Markdown code, so that none of its letters is markup."""
    words = " ".join(str(text).split())
    fence = "`" * (max((len(run) for run in re.findall("`+", words)), default=0) + 1)
    space = " " if words.startswith("`") or words.endswith("`") or not words else ""
    return f"{fence}{space}{words}{space}{fence}"


def _cell(text: str) -> str:
    """Code in a cell of a table, which a bar would end: in a table, Markdown shows a bar after a backslash, also in code."""
    return code(text).replace("|", r"\|")


def _probabilities(temperature: dict[str, Any]) -> str:
    """States whether the probabilities were scaled."""
    return Temperature(
        temperature["value"], temperature["log_loss_before"], temperature["log_loss_after"], temperature["rows"]
    ).sentence


def card(problem: TableProblem, record: PageRecord, facts: dict[str, Any]) -> str:
    """Returns the model card as Markdown.

    Args:
        problem: the learning problem.
        record: the page of the fit.
        facts: the fields of run.json.
    """
    split = problem.split
    columns = [f"| {_cell(row.column)} | {row.kind} | {_cell(row.done)} |" for row in problem.plan[:200]]
    headline = [f"- {name}: {code(value)}" for name, value in record.headline.items()]
    notes = [f"- {code(note)}" for note in problem.notes]
    how = "by time" if problem.division == "time" else f"at random, seed {facts['seed']}"
    how = f"{how}, with rows of equal {code(problem.group)} kept together" if problem.group is not None else how
    lead = SEGMENTS.sub(lambda match: code(match[1]), record.lead)
    selecting = f"in {problem.cv} folds" if problem.cv else f"{len(split.validation):,}"
    temperature = facts.get("temperature")
    scaled = [] if temperature is None else ["## Probabilities", "", _probabilities(temperature), ""]
    lines = [
        f"# Model of {code(problem.target)}", "",
        f"A Taylor model of order {facts['order']} of a two-layer network with {facts['width']} hidden units, fitted with "
        f"taylornets {facts['version']}.", "",
        "## Results", "", *headline, "", lead, "",
        "## Data", "",
        f"{len(problem.y):,} rows of {code(problem.source)}, split {how}: {len(split.train):,} for training, "
        f"{selecting} for selecting the penalty, {len(split.test):,} for the scores.", "",
        "| column | kind | use |", "|---|---|---|", *columns, "",
        *scaled,
        *(["## Notes", "", *notes, ""] if notes else []),
        "## Use", "", f"    {record.command}", "    taylornets predict DIR FILE", "",
        "## Limits", "",
        "The scores hold for rows like the test rows. The certificate covers only the fit to the training rows, not "
        "predictions on new rows or causal effects. Unknown categories are treated as rare.", "",
    ]  # fmt: skip
    return "\n".join(lines)
