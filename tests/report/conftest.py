"""A folder with the records of a finished run."""

from pathlib import Path

import pytest
from report_samples import coupling, hostile, save

from taylornets.report import write_report


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the records of two claims; do not write into it."""
    return save(tmp_path_factory.mktemp("run"), [coupling(), hostile()])


@pytest.fixture(scope="session")
def report(finished: Path) -> Path:
    """The page of these records."""
    return write_report(finished)
