"""The gallery script at a small size: higher orders are more accurate near the expansion point."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "resnet_taylor_gallery.py"


def test_gallery(tmp_path):
    specification = importlib.util.spec_from_file_location("resnet_taylor_gallery", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    gallery = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(gallery)
    steps, table = gallery.errors(channels=2, depth=1, pixels=4, images=2, max_order=2, points=4)
    assert table.shape == (4, 3)
    assert table[:, 0] == pytest.approx(1.0)
    assert (table[0, 1:] < 0.5 * table[0, :-1]).all()
    slope = np.log(table[1, 1] / table[0, 1]) / np.log(steps[1] / steps[0])
    assert slope == pytest.approx(1, abs=0.3)
    gallery.plot(steps, table, tmp_path / "gallery.svg")
    assert (tmp_path / "gallery.svg").stat().st_size > 1000
