"""Every benchmark runs at toy size and writes what the interface promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import __main__ as benchmarks

REPOSITORY = Path(__file__).parent.parent
# `solvers_digits` is `solvers` with other data.
NAMES = sorted(
    file.stem
    for file in (REPOSITORY / "benchmarks").glob("[!_]*.py")
    if "\ndef main(quick: bool)" in file.read_text() and file.stem != "solvers_digits"
)


@pytest.mark.parametrize("name", NAMES)
def test_a_quick_run_writes_a_result(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert benchmarks.main([name, "--quick", "--here", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / f"{name}.json").read_text())
    assert result["benchmark"] == name
    assert result["quick"] is True
    assert {"date", "versions", "device", "processors"} <= set(result["environment"])
    assert result["title"]
    assert result["floors"]
    for table in result["tables"]:
        assert table["title"] in printed
        assert table["rows"]
        assert all(len(row) == len(table["columns"]) for row in table["rows"])
    assert all({"target", "measured", "met", "why"} == set(item) for item in result["targets"])


def test_an_unknown_benchmark_is_named():
    command = [sys.executable, "-m", "benchmarks", "gradient", "--quick"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "no benchmark named gradient" in run.stderr
