"""The page on higher orders: its examples run, and its table has the numbers of the library."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from taylornets.randomization import SignedMoments

PAGE = (Path(__file__).parents[2] / "docs" / "higher-orders.md").read_text()


def test_examples_run():
    script = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_table_of_total_variations():
    row = re.search(r"^\| T \|(.*)\|$", PAGE, re.MULTILINE)
    assert row
    shown = [float(cell) for cell in row[1].split("|")]
    np.testing.assert_allclose(shown, [SignedMoments(k).total_variation for k in range(2, 9)], rtol=5e-3)
