"""`doctor` reads the package metadata and reports missing dependencies, with the command that installs them."""

import os
import platform
from importlib import metadata

import jax
import pytest

from taylornets.cli import _doctor
from taylornets.cli._doctor import Requirement

LINES = [
    "jax>=0.10",
    "numpy>=2.0",
    "rich>=15; extra == 'cli'",
    'typer>=0.29 ; extra == "cli"',
    "absent-library>=1; extra == 'bench'",
    "taylornets[cli]; extra == 'bench'",
    "pyright[nodejs]>=1.1.414; extra == 'lint'",
    "anything; extra == 'lint'",
]


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Installed versions, set by each test; the real environment is not used."""
    found = {
        "jax": "0.10.2",
        "numpy": "2.0",
        "rich": "15.0.1",
        "typer": "0.29.2",
        "pyright": "1.1.500",
        "anything": "0",
    }

    def version(name: str) -> str:
        if name == "taylornets":
            return "0.1.0"
        if name not in found:
            raise metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", lambda name: LINES)
    return found


def test_requirements_are_read_from_the_metadata(versions: dict[str, str]):
    assert [(item.name, item.minimum, item.extra, item.installed) for item in _doctor.requirements()] == [
        ("jax", "0.10", "", "0.10.2"),
        ("numpy", "2.0", "", "2.0"),
        ("absent-library", "1", "bench", None),
        ("rich", "15", "cli", "15.0.1"),
        ("typer", "0.29", "cli", "0.29.2"),
        ("anything", "", "lint", "0"),
        ("pyright", "1.1.414", "lint", "1.1.500"),
    ]


def test_requirements_of_this_package_are_understood():
    found = {(item.name, item.extra): item for item in _doctor.requirements()}
    assert found["jax", ""].installed == jax.__version__
    assert found["jax", ""].satisfied
    assert ("typer", "cli") in found
    assert all(item.name and item.minimum for item in found.values())


@pytest.mark.parametrize(
    ("installed", "minimum", "satisfied"),
    [
        ("1.2", "1.10", False),
        ("1.10", "1.2", True),
        ("2", "2.0", True),
        ("2.0.0", "2", True),
        ("1.9.9rc1", "2.0", False),
        ("2.0.1.dev3+abc", "2.0", True),
        ("0.1", "", True),
        (None, "", False),
    ],
)
def test_versions_are_compared_by_number(installed: str | None, minimum: str, satisfied: bool):
    assert Requirement("x", minimum, "", installed).satisfied is satisfied


def test_healthy(versions: dict[str, str], capsys: pytest.CaptureFixture[str], x64: None):
    assert _doctor.run() == 0
    out = capsys.readouterr().out
    for part in (platform.python_version(), "cpu", str(os.cpu_count()), "GiB", "✓ taylornets: complete"):
        assert part in out
    assert "✓ taylornets[cli]: complete" in out
    assert "✗ taylornets[bench]: missing or too old: absent-library." in out
    assert "pip install -U 'taylornets[bench]'" in out


def test_missing_library_of_the_command_line(versions: dict[str, str], capsys: pytest.CaptureFixture[str], x64: None):
    del versions["rich"]
    assert _doctor.run() == 1
    assert "✗ taylornets[cli]: missing or too old: rich." in capsys.readouterr().out


def test_old_library(versions: dict[str, str], capsys: pytest.CaptureFixture[str], x64: None):
    versions["jax"] = "0.9.9"
    assert _doctor.run() == 1
    assert "✗ taylornets: missing or too old: jax. Install with: pip install -U 'taylornets'" in capsys.readouterr().out


def test_32_bits_are_noticed(versions: dict[str, str], capsys: pytest.CaptureFixture[str]):
    with jax.enable_x64(False):
        assert _doctor.run() == 1
    assert "no: jax_enable_x64 has no effect" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("version", "untested"),
    [
        ("0.10.0", False),
        ("0.12.99", False),
        ("0.12.0.1", False),
        ("0.99.0", True),
        ("0.99.0.dev20300101", True),
        ("1.0", True),
    ],
)
def test_a_jax_newer_than_any_tested_is_named(
    version: str, untested: bool, versions: dict[str, str], capsys: pytest.CaptureFixture[str], x64: None
):
    versions["jax"] = version
    assert _doctor.run() == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("JAX ")]
    assert line.split()[1] == version
    assert ("newer than the latest tested version" in line) is untested
