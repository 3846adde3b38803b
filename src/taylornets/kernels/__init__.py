"""Neural tangent kernels of two-layer networks and of any model, and ridge regression with them (theory 9, 10).

`ntk`, `infinite_width_ntk` and `model_ntk` (any model) compute Gram matrices. `NTK` is the kernel of any model as an operator:
products, traces, eigenvalues, blocks, and matrices in a file. `kernel_ridge` factorizes a Gram matrix once and
solves for any number of ridge parameters. `kernel_ridge_cg` avoids the full matrix if its `n²` entries do not fit into memory.

Example:
    >>> import jax.numpy as jnp, taylornets as tn
    >>> gram = tn.kernels.infinite_width_ntk("tanh", jnp.eye(3))
    >>> coefficients = tn.kernels.kernel_ridge(gram, jnp.ones((3, 1))).path([0.1])[0]
    >>> gram.shape, coefficients.shape
    ((3, 3), (3, 1))
"""

from taylornets.kernels._cg import ConjugateGradient as ConjugateGradient
from taylornets.kernels._cg import kernel_ridge_cg, predict
from taylornets.kernels._model_ntk import model_ntk
from taylornets.kernels._ntk import infinite_width_ntk, ntk
from taylornets.kernels._operator import NTK
from taylornets.kernels._ridge import KernelRidge as KernelRidge
from taylornets.kernels._ridge import Spectrum as Spectrum
from taylornets.kernels._ridge import kernel_ridge

__all__ = [
    "NTK",
    "infinite_width_ntk",
    "kernel_ridge",
    "kernel_ridge_cg",
    "model_ntk",
    "ntk",
    "predict",
]
