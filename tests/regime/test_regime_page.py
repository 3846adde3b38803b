"""The page on the regime: its example runs, and says what the library says."""

import re
from pathlib import Path
from typing import Any

from taylornets._regime._result import NAMES
from taylornets.diagnosis._checkpoints import _ENDINGS

PAGE = (Path(__file__).parents[2] / "docs" / "regime.md").read_text()


def test_examples_run():
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, "docs/regime.md", "exec"), names)
    assert names["regime"].max_order == 4
    assert names["found"].history.steps[-1] == 100
    assert names["drift"].shape == (5, 1, 5, 1)


def test_words_of_the_verdict_and_endings():
    assert all(f"`{name}`" in PAGE for name in NAMES.values())
    assert "`.eqx`" in PAGE
    assert ".safetensors" in _ENDINGS
