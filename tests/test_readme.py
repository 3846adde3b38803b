"""The README's examples run as they stand, one after the other."""

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_examples_run():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 6
    script = "\n".join(blocks) + "\nassert float(result.certificate.relative_gap) <= 1e-8\n"
    script += "assert len(terms) == 4\nassert regime.order == 1\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "of the global minimum" in done.stdout
