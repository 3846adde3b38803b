"""What holds where PyTorch is not installed."""

import importlib.util
import sys

import pytest

import taylornets as tn


def test_pytorch_is_installed():
    missing = [name for name in ("torch", "torchax", "transformers", "peft") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"the tests of PyTorch are not run, without {', '.join(missing)}: see `make test-torch`")


CALLS = {
    "torch": lambda: tn.torch.regime(None, None, None),
    "from_module": lambda: tn.torch.from_module(None, None),
    "load": lambda: tn.torch.load("."),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_missing_library_is_named_with_its_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ImportError, match=r"^taylornets\.torch needs torch, which is not installed: pip install 'taylornets\[torch\]'$"
    ):
        CALLS[name]()


def test_extras_have_their_names(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"needs transformers, .*'taylornets\[hf\]'"):
        tn.torch.library("transformers")
