"""The page on the landscape: its examples run, and its table names every method."""

import re
import subprocess
import sys
from pathlib import Path

from taylornets._fit import METHODS

PAGE = (Path(__file__).parents[2] / "docs" / "landscape.md").read_text()


def test_examples_run():
    script = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    script += "\nassert float(leaves.certificate.relative_gap) <= 1e-8 and saddle.min_eigenvalue < 0\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("of the global minimum") == 2


def test_table_names_every_method():
    assert set(re.findall(r'^\| `"(\w+)"`', PAGE, re.MULTILINE)) == set(METHODS)
