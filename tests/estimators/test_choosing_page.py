"""The page on choosing runs as a whole, and what it says of the defaults is so."""

import re
import subprocess
import sys
from pathlib import Path

from taylornets.estimators import PENALTIES, TaylorClassifier
from taylornets.estimators._ntk import _DECOMPOSED

PAGE = (Path(__file__).parents[2] / "docs" / "choosing.md").read_text()


def test_examples_run():
    script = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (float(value) for value in re.findall(r"R² (-?[\d.]+)", done.stdout))
    assert first < 0.6
    assert second > 0.75
    assert "of the global minimum" in done.stdout


def test_figures_are_those_of_the_code():
    assert f"{_DECOMPOSED:,} rows" in PAGE
    assert (PENALTIES[0], PENALTIES[-1]) == (1e-1, 1e-9)
    assert TaylorClassifier().width == 256
