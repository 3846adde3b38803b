"""The page on Taylor mode: its examples run, its table is the table of rules."""

import re
from pathlib import Path
from typing import Any

import pytest

from taylornets.series import RULES

PAGE = (Path(__file__).parents[2] / "docs" / "taylor-mode.md").read_text()


def test_examples_run():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/taylor-mode.md", "exec"), names)
    assert names["value"].shape == (5, 2)


@pytest.mark.parametrize("family", sorted({rule.family for rule in RULES.values()}))
def test_table_lists_every_rule(family):
    (row,) = re.findall(rf"^\| {family} \| (.*) \|$", PAGE, re.MULTILINE)
    assert re.findall(r"`([^`]+)`", row) == sorted(name for name, rule in RULES.items() if rule.family == family)
