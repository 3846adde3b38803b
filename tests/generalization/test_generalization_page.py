"""The examples of the page run as they stand, one after the other."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "generalization.md").read_text()


def test_examples_run(capsys):
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "docs/generalization.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "vacuous: the bound" in printed
    assert "positive semidefinite to rounding" in printed
    assert printed.splitlines()[-1].startswith("True ")
