"""The exercise for a lecture runs at a small size, and its table shows what it is about."""

from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "examples" / "your_own_target.py"
SMALL = {
    "DIMENSION, WIDTH, ORDER = 15, 256, 2": "DIMENSION, WIDTH, ORDER = 8, 64, 2",
    "(50, 100, 200, 400)": "(120,)",
}


def test_your_own_target(capsys: pytest.CaptureFixture[str]):
    source = SCRIPT.read_text()
    for text, smaller in SMALL.items():
        assert source.count(text) == 1
        source = source.replace(text, smaller)
    exec(compile(source, str(SCRIPT), "exec"), {"__name__": "__main__"})
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line.split() for line in lines if line.split()[:1] == ["120"]]
    ntk, quadratic, network = map(float, row[1:])
    assert network < ntk < 0.2
    assert quadratic < 0.2
