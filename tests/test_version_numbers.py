"""What the files say of versions agrees: of the package, and of what it is installed with."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import taylornets as tn

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


def bounds(pinned_only: bool = True) -> dict[str, str]:
    """The lowest version of everything that the package or an extra asks for; the package's own extras left out."""
    extras = PROJECT["optional-dependencies"]
    left_out = () if pinned_only else ("torch", "hf", "docs")
    lists = [PROJECT["dependencies"], *(lines for name, lines in extras.items() if name not in left_out)]
    found = [re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(?:>=([\d.]+))?", line) for lines in lists for line in lines]
    asked = {(normal(match[1]), match[2]) for match in found if match}
    assert len(found) == sum(match is not None for match in found)
    result = {name: bound for name, bound in asked if name != "taylornets"}
    assert len(result) == len(asked - {("taylornets", None)})  # one bound a library, whichever extra asks
    return result


def test_the_package_has_one_version():
    (citation,) = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert {PROJECT["version"], tn.__version__, citation, metadata.version("taylornets")} == {tn.__version__}


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-newest.txt", "constraints-lowest.txt"])
def test_constraints_are_exact_and_satisfy_the_bounds(file: str):
    lines = [re.fullmatch(r"([\w.-]+)==([\w.+]+)", line) for line in (ROOT / file).read_text().splitlines()]
    assert all(lines)
    pinned = {normal(match[1]): match[2] for match in lines if match}
    # The tests of PyTorch and the site use the pinned versions only.
    for name, bound in bounds(pinned_only=file == "constraints.txt").items():
        assert numbers(pinned[name]) >= numbers(bound), name
        if file == "constraints-lowest.txt":  # if not: `make lowest`
            assert numbers(pinned[name])[: len(numbers(bound))] == numbers(bound), name


FUTURE = """
import jax
jax.__version__ = "0.99.0"
import taylornets as tn
import taylornets.series
assert tn.taylor_terms(lambda w, x: w**2 * x, jax.numpy.ones(()), 2)(3 * jax.numpy.ones(()), 5.0)[2] == 20.0
"""


def test_a_jax_newer_than_any_tested_works_with_one_warning():
    done = subprocess.run([sys.executable, "-c", FUTURE], capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert re.search(
        r"UserWarning: taylornets is tested with JAX up to [\d.]+, but JAX 0\.99\.0 is installed\. If .*pip install",
        line,
    )
