"""Grids of learning problems: cells, their runs, and what they found (theory 8)."""

from taylornets.experiments.sweeps._cell import Cell as Cell
from taylornets.experiments.sweeps._learn import run as run_cell
