"""The regime of PyTorch modules and of fine-tuned models of Hugging Face (theory 14).

PyTorch is imported when a function is called, not when this package is.
"""

from taylornets.torch._jax import from_module
from taylornets.torch._regime import regime

__all__ = ["from_module", "regime"]
