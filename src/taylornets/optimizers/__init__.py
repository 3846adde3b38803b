"""Optimization methods for any objective (theory 4)."""

from taylornets.optimizers._lbfgs import LBFGS as LBFGS
from taylornets.optimizers._lbfgs import LBFGSState as LBFGSState
