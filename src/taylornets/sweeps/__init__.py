"""Grids of learning problems: configuration, cells, runs on dask.distributed, and results (theory 8).

    plan = load(Path("grid.toml"))
    sweep(plan, Path("out"), workers=2)

Each finished cell is one transaction in `out/sweep.sqlite`. All randomness in a cell derives from its fields, so the table does
not depend on the number of workers, the order, or interruptions. `run_cells` computes other kinds of cells by a function.
"""

from taylornets.records.cells import Store as Store
from taylornets.records.cells import StoreError as StoreError
from taylornets.records.cells import run_cells as run_cells
from taylornets.sweeps._config import Sweep as Sweep
from taylornets.sweeps._config import load as load
from taylornets.sweeps._run import CellError as CellError
from taylornets.sweeps._run import security_of as security_of
from taylornets.sweeps._run import sweep as sweep
