"""What a process waits for: the help needs no JAX, a room is imported when it is used, a second run compiles nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import taylornets as tn


def run(code: str, *arguments: str, **environment: str) -> str:
    """Runs Python code in a process of its own and returns what it printed."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["--version"]])
def test_help_imports_nothing_slow(arguments: list[str]):
    code = """
import atexit, sys
slow = {"jax", "jinja2", "matplotlib", "pandas", "scipy", "sklearn"}
atexit.register(lambda: print(slow & set(sys.modules)))
from taylornets.cli import main
main()
"""
    assert run(code, *arguments).splitlines()[-1] == "set()"


@pytest.mark.parametrize("module", ["_reproduce", "_fit", "_diagnose"])
def test_commands_need_the_extra_of_the_command_line_only(module: str):
    """`make reproduce` installs `.[cli]`; dask is for sweeps."""
    code = f"""
import sys
for name in ("dask", "distributed", "polars"):
    sys.modules[name] = None
import taylornets.cli.{module}, taylornets.reproduction
print("imported")
"""
    assert run(code) == "imported\n"


def test_rooms_are_imported_on_first_use():
    code = """
import sys, taylornets as tn
print("jax" in sys.modules)
tn.fit
print({"taylornets.torch", "scipy.special", "scipy.sparse"} & set(sys.modules))
"""
    assert run(code) == "False\nset()\n"


def test_every_public_name_is_found_and_no_other():
    assert all(hasattr(tn, name) for name in tn.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fits'"):
        _ = tn.fits  # pyright: ignore[reportAttributeAccessIssue]


def test_second_run_compiles_nothing(tmp_path: Path):
    code = "from taylornets.cli import main; main()"
    environment = {"JAX_ENABLE_COMPILATION_CACHE": "1", "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}

    def kept() -> set[Path]:
        return set(tmp_path.rglob("*-cache"))

    run(code, "--no-cache", "doctor", **environment)
    assert not kept()
    run(code, "doctor", **environment)
    first = kept()
    assert first
    run(code, "doctor", **environment)
    assert kept() == first
