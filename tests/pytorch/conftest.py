"""The tests of this folder need the extras `torch` and `hf`; `make test-torch` installs them."""

import importlib.util
from pathlib import Path

import pytest

MISSING = [name for name in ("torch", "torchax", "transformers", "peft") if importlib.util.find_spec(name) is None]
collect_ignore_glob = ["*.py"] if MISSING else []
IGNORED = (
    "DeprecationWarning",
    "FutureWarning",
)  # PyTorch and transformers use functions of PyTorch that are deprecated


def pytest_report_header():
    """One line that says why nothing of this folder runs."""
    return [f"tests/pytorch: skipped, without {', '.join(MISSING)} (see `make test-torch`)"] if MISSING else []


def pytest_collection_modifyitems(items):
    """Other libraries may warn of themselves."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for category in IGNORED:
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{category}"))
