"""Sizes that arrays are padded to: enough, few, and not much larger than needed."""

import pytest

from taylornets._trees import padded_size

SETTINGS = {
    "rows": {"least": 256, "doubled": 4096, "multiple": 1024},
    "columns": {"least": 16, "doubled": 64, "multiple": 16},
    "kernels": {"least": 256, "doubled": 1024, "multiple": 64, "grown": 8192},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_sizes_are_enough_and_fixed_points(name: str):
    settings = SETTINGS[name]
    sizes = [padded_size(n, **settings) for n in range(1, 12_000)]
    assert all(size >= n for n, size in enumerate(sizes, 1))
    largest = max(settings["doubled"], settings.get("grown", 0))
    assert all(padded_size(size, **settings) == size for size in set(sizes) if size <= largest)
    # Never more than twice what is needed, from the least size on.
    assert all(size <= 2 * n for n, size in enumerate(sizes, 1) if n >= settings["least"])


def test_steps():
    assert [padded_size(n, **SETTINGS["rows"]) for n in (1, 257, 4096, 4097, 5121)] == [256, 512, 4096, 5120, 6144]
    assert [padded_size(n, **SETTINGS["kernels"]) for n in (1025, 1537, 8000, 8193)] == [1536, 2304, 11712, 8256]
