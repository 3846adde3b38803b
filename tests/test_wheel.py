"""The built wheel by itself: everything that the package reads while it runs is in it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the contents of the wheel and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(ROOT),
    ]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_of_the_package_is_in_it(installed: Path):
    source = ROOT / "src" / "taylornets"
    kept = [path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    missing = [
        path.relative_to(source).as_posix()
        for path in kept
        if not (installed / "taylornets" / path.relative_to(source)).exists()
    ]
    assert missing == []
    assert (installed / "taylornets" / "py.typed").exists()
    assert not (installed / "tests").exists()


def test_command_and_templates_work(installed: Path, tmp_path: Path):
    code = "import taylornets; print(taylornets.__file__)"
    assert run(installed, tmp_path, "-c", code).strip().startswith(str(installed))
    assert "jax" in run(installed, tmp_path, "-m", "taylornets", "doctor")
    run(installed, tmp_path, "-m", "taylornets", "diagnose", "--init")
    assert (tmp_path / "taylornets_model.py").exists()
