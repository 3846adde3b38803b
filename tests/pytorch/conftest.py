"""The tests of this folder need the extras `torch` and `hf`; `make test-torch` installs them."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MISSING = [name for name in ("torch", "torchax", "transformers", "peft") if importlib.util.find_spec(name) is None]
# `test_without_torch` runs everywhere, and says that the others do not.
collect_ignore = [path.name for path in HERE.glob("*.py") if path.stem != "test_without_torch"] if MISSING else []
IGNORED = (
    "DeprecationWarning",
    "FutureWarning",
)  # PyTorch and transformers use functions of PyTorch that are deprecated


def pytest_collection_modifyitems(items):
    """Other libraries may warn of themselves."""
    for item in items:
        if HERE in item.path.parents:
            for category in IGNORED:
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{category}"))
