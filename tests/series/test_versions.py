"""JAX's coming defaults, one option at a time, in a process of its own: the terms are right, or JAX itself refuses."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

OPTIONS = ("jax_scan3", "jax_remat3", "jax_custom_vjp3", "jax_custom_jvp3")
HERE = Path(__file__).parent


@pytest.mark.parametrize("option", OPTIONS)
def test_one_option(option):
    if not hasattr(jax.config, option):
        pytest.skip(f"JAX {jax.__version__} has no option {option}")
    environment = os.environ | {option.upper(): "1", "JAX_ENABLE_X64": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(HERE / "coming_defaults.py"), option],
        env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "right: " in done.stdout
