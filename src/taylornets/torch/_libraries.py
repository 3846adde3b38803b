"""Libraries of the extras `torch` and `hf`, imported when a function needs them; this module is the only place that does so."""

import importlib
from typing import Any

_EXTRAS = {
    "torch": "torch",
    "torchax": "torch",
    "safetensors": "torch",
    "transformers": "hf",
    "peft": "hf",
    "tokenizers": "hf",
}


def library(name: str) -> Any:
    """Imports a library, or one of its modules.

    Args:
        name: such as `"torch"` or `"torch.nn.functional"`.

    Raises:
        ImportError: if it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        if missing != name.partition(".")[0]:
            raise
        extra = _EXTRAS.get(missing, "torch")
        raise ImportError(
            f"taylornets.torch needs {missing}, which is not installed: pip install 'taylornets[{extra}]'"
        ) from error


def torchax() -> Any:
    """Imports torchax, with a workaround for torch ≥ 2.13 and without its changes of global settings.

    torchax 0.0.13 asks for overloads of operators by names of dimensions, which torch 2.13 removed
    (github.com/google/torchax/issues/101, fixed after 0.0.13). While it is imported and its environment is built, a missing
    overload of this kind is replaced by a placeholder, under which nothing is ever looked up. It also switches the fast path
    of attention off for the whole process, which is undone here.
    """
    torch = library("torch")
    packet, mha = torch._ops.OpOverloadPacket, torch.backends.mha
    found, fast = packet.__getattr__, mha.get_fastpath_enabled()

    def lenient(self: Any, key: str) -> Any:
        try:
            return found(self, key)
        except AttributeError:
            if "dimname" in key.lower() or "names" in key:
                return torch.ops.aten.alias.default
            raise

    removed = not hasattr(torch.Tensor, "rename")
    try:
        if removed:
            packet.__getattr__ = lenient
        module = library("torchax")
        module.default_env()  # its decompositions are collected once per process
        return module
    finally:
        packet.__getattr__ = found
        mha.set_fastpath_enabled(fast)
