"""The regime of PyTorch modules and of fine-tuned models of Hugging Face (theory 14).

PyTorch is imported when a function is called, not when this package is.

Example:
    >>> import taylornets as tn
    >>> found = tn.torch.regime(before, after, batch)  # doctest: +SKIP
"""

from taylornets.torch._checkpoints import Checkpoints, lightning_callback, trainer_callback
from taylornets.torch._folders import load, tokenize
from taylornets.torch._jax import from_module
from taylornets.torch._libraries import library as library
from taylornets.torch._path import TorchPath as TorchPath
from taylornets.torch._path import regime_path
from taylornets.torch._regime import check as check
from taylornets.torch._regime import regime

__all__ = [
    "Checkpoints", "from_module", "lightning_callback", "load", "regime", "regime_path", "tokenize",
    "trainer_callback",
]  # fmt: skip
