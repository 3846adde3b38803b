"""Neural tangent kernels of two-layer networks and of any model, and ridge regression with them (theory 9, 10).

`ntk`, `infinite_width_ntk` and `model_ntk` (any model) make Gram matrices. `kernel_ridge` decomposes one once and then
solves for any number of ridges; `kernel_ridge_cg` never forms it, for data whose `n²` numbers do not fit.
"""

from taylornets.kernels._cg import ConjugateGradient as ConjugateGradient
from taylornets.kernels._cg import kernel_ridge_cg as kernel_ridge_cg
from taylornets.kernels._cg import predict as predict
from taylornets.kernels._model_ntk import model_ntk as model_ntk
from taylornets.kernels._ntk import infinite_width_ntk as infinite_width_ntk
from taylornets.kernels._ntk import ntk as ntk
from taylornets.kernels._ridge import KernelRidge as KernelRidge
from taylornets.kernels._ridge import Spectrum as Spectrum
from taylornets.kernels._ridge import kernel_ridge as kernel_ridge
