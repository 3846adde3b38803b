"""The regime of PyTorch modules and of fine-tuned models of Hugging Face (theory 14).

PyTorch is imported when a function is called, not when this package is.

Example:
    >>> import taylornets as tn
    >>> found = tn.torch.regime(before, after, batch)  # doctest: +SKIP
"""

from taylornets.torch._checkpoints import Checkpoints as Checkpoints
from taylornets.torch._checkpoints import lightning_callback, trainer_callback
from taylornets.torch._folders import load as load
from taylornets.torch._folders import tokenize as tokenize
from taylornets.torch._jax import from_module
from taylornets.torch._libraries import library as library
from taylornets.torch._path import TorchPath as TorchPath
from taylornets.torch._path import regime_path
from taylornets.torch._regime import check as check
from taylornets.torch._regime import regime

__all__ = [
    "from_module",
    "lightning_callback",
    "regime",
    "regime_path",
    "trainer_callback",
]
