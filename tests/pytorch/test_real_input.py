"""Inputs, outputs, buffers, groups and precision of `tn.torch.regime`, and one sentence for each mistake."""

import copy
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zoo
from jaxtyping import config
from torch import nn

import taylornets as tn
from taylornets.diagnosis import _figures

X = zoo.rows(5)


@pytest.fixture(autouse=True)
def unchecked():
    """Users run without the type checker."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def pair(make=zoo.MLP):
    torch.manual_seed(0)
    module = make().eval()
    return module, zoo.moved(module)


def test_ends_may_be_modules_or_state_dicts():
    module, end = pair()
    other = copy.deepcopy(module)
    other.load_state_dict(end)
    found = [
        tn.torch.regime(a, b, X, max_order=2) for a, b in ((module, end), (module, other), (module.state_dict(), other))
    ]
    assert found[0].share == found[1].share == found[2].share


class Two(nn.Module):
    """Two positional inputs, several outputs."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, x, y=None, scale=1.0):
        first = torch.tanh(self.a(x) * scale)
        return {"hidden": first, "logits": first + self.b(x if y is None else y)}


def test_inputs_and_outputs_by_name():
    module, end = pair(Two)
    y = zoo.rows(5) + 1
    both = tn.torch.regime(module, end, (X, y), max_order=2)
    assert both.share == tn.torch.regime(module, end, {"x": X, "y": y}, max_order=2).share
    assert "output logits" in both.computed
    hidden = tn.torch.regime(module, end, {"x": X, "scale": 0.5}, max_order=2, output="hidden")
    assert hidden.share != both.share
    assert "output hidden" in hidden.computed
    batches = tn.torch.regime(module, end, (X, y), max_order=2, batch_size=3)
    assert np.allclose(batches.share, both.share, atol=1e-12)


def test_buffers():
    """Running statistics move along the line by default; without them, the end is another function."""
    make = lambda: nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))  # noqa: E731
    module, end = pair(make)
    end["1.running_mean"] = end["1.running_mean"] + 0.5
    end["1.num_batches_tracked"] = end["1.num_batches_tracked"] + 7
    last = copy.deepcopy(module).double()
    last.load_state_dict(end)
    first = copy.deepcopy(module).double()
    movement = (last(X.double()) - first(X.double())).detach().norm() / 2
    found = tn.torch.regime(module, end, X, max_order=2)
    assert math.isclose(found.movement, float(movement), rel_tol=1e-9)
    assert "buffers that move with the parameters: 1.running_mean" in found.computed
    assert "1.running_mean" in found.displacement
    for where in ("start", "end"):
        still = tn.torch.regime(module, end, X, max_order=2, buffers=where)
        assert still.fixed == {"1.running_mean": where}
        assert not math.isclose(still.movement, found.movement, rel_tol=1e-3)


def test_tokens_positions_and_labels():
    module, inputs = zoo.built("Llama")
    end = zoo.moved(module)
    few = tn.torch.regime(module, end, inputs, max_order=1, positions=3)
    assert "3 of 7 positions per example" in few.computed
    labels = tn.torch.regime(module, end, inputs, max_order=1, labels=[3, 7])
    assert "logits of 2 labels out of 50" in labels.computed
    padded = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"].clone()}
    padded["attention_mask"][:, 4:] = 0
    assert "4 of 7 positions" in tn.torch.regime(module, end, padded, max_order=1).computed


def test_a_large_vocabulary_is_sketched():
    """A linear map of the outputs: shares change within the stated error."""
    make = lambda: nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4000))  # noqa: E731
    module, end = pair(make)
    found = tn.torch.regime(module, end, X)
    every = tn.torch.regime(module, end, X, labels=range(4000))
    assert "a seeded sketch of 512 of 4000 outputs (norms are right to about 6 % per position)" in found.computed
    assert found.agreement == ()
    assert math.isclose(found.movement, every.movement, rel_tol=0.1)
    assert np.allclose(found.share, every.share, atol=0.1)


def test_groups_move_one_at_a_time():
    module, inputs = zoo.built("BERT")
    found = tn.torch.regime(module, zoo.moved(module), inputs, max_order=2, groups="kind")
    assert set(found.by_group) == {"embeddings", "attention", "norms", "MLP", "head"}
    assert sum(len(part.displacement) for part in found.by_group.values()) == len(found.displacement)
    assert "attention alone: " in str(found)
    own = tn.torch.regime(
        module, zoo.moved(module), inputs, max_order=2, groups={"first": r"layer\.0", "second": r"layer\.1"}
    )
    assert set(own.by_group) == {"first", "second", "others"}
    # Alone, a linear head is exactly lazy.
    assert found.by_group["head"].term[0] > 0
    blocks = tn.torch.regime(module, zoo.moved(module), inputs, max_order=1, groups="block")
    assert {"bert.encoder.layer.0", "bert.encoder.layer.1", "outside the blocks"} <= set(blocks.by_group)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_of_low_precision_checkpoints_is_a_floor(dtype):
    module, _ = pair()
    module = module.to(dtype)
    end = {name: (value * 1.02).to(dtype) for name, value in module.state_dict().items()}
    found = tn.torch.regime(module, end, X, max_order=2)
    part = float(re.search(r"rounding the weights moves the outputs by ([\d.]+) %", found.computed)[1])
    assert 0.1 < part < 60
    assert "rounding" not in tn.torch.regime(*pair(), X, max_order=1).computed


def test_float32_says_what_it_cannot_tell():
    module, end = pair()
    exact = tn.torch.regime(module, end, X)
    found = tn.torch.regime(module, end, X, precision="float32", method="evaluations")
    assert np.allclose(found.share[:2], exact.share[:2], atol=1e-2)
    assert max(found.term_error) > 1e-5


def test_error_bars_of_the_page_contain_the_exact_values():
    exact = _figures.one_end(tn.torch.regime(*pair(), X))
    found = _figures.one_end(tn.torch.regime(*pair(), X, precision="float32", method="evaluations"))
    assert exact is not None
    assert found is not None
    for drawn, true in zip(found.panels, exact.panels, strict=True):
        bars, points = drawn.series[0], dict(zip(true.series[0].x, true.series[0].y, strict=True))
        assert bars.low is not None
        assert bars.high is not None
        for order, low, high in zip(bars.x, bars.low, bars.high, strict=True):
            assert low < high
            assert low <= points[order] <= high
    assert "estimated errors" in found.caption
    assert "Exact up to rounding" in exact.caption


def test_nothing_moves():
    module, _ = pair()
    found = tn.torch.regime(module, module, X)
    assert found.verdict.startswith("no output change")


def test_evaluations_resume_and_report_progress(tmp_path):
    module, end = pair()
    seen = []
    found = tn.torch.regime(module, end, X, method="evaluations", folder=tmp_path, progress=seen.append)
    again = tn.torch.regime(module, end, X, method="evaluations", folder=tmp_path)
    assert again.share == found.share
    assert again.evaluations == 3
    assert seen == list(range(1, found.evaluations + 1))


class Quantized(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = type("Params4bit", (nn.Parameter,), {})(torch.zeros(3, 5))

    def forward(self, x):
        return x @ self.weight.T


class Dropped(nn.Module):
    """Dropout that does not ask for the mode."""

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(5, 3)

    def forward(self, x):
        return nn.functional.dropout(self.map(x), 0.5, training=True)


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(5, 3)

    def forward(self, x):
        return self.map(x).sum()


def nan_end():
    module, end = pair()
    return module, end | {"0.bias": torch.full((16,), math.nan)}, X


def wide():
    return nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.LayerNorm(9), nn.Linear(9, 3)).eval()


class Inner(nn.Module):
    def forward(self, x):
        return SimpleNamespace(logits=x)


NAN = X.clone()
NAN[1, 2] = math.nan
BAD = {
    "array": (lambda: (np.ones(3), {}, X), {}, r"^module0: expected a torch\.nn\.Module at one of the two ends at least, got a ndarray and a dict"),
    "training": (lambda: (nn.Dropout(), {}, X), {}, r"^module0: expected .* in evaluation mode, got one in training mode \(Dropout\)\. Call \.eval\(\)"),
    "names": (lambda: (zoo.MLP().eval(), {"0.weight": torch.ones(16, 5), "extra": torch.ones(1)}, X), {},
              r"^module1: expected the names of the module, got a state without 0\.bias, 2\.weight, .* and with extra\. Both ends"),
    "shapes": (lambda: (zoo.MLP().eval(), wide(), X), {}, r"^module1: expected the shapes of module0, got 0\.weight \(16, 5\), \(9, 5\)"),
    "end": (lambda: (zoo.MLP().eval(), 3, X), {}, r"^module1: expected a torch\.nn\.Module or its state dict, got 3"),
    "nan weights": (nan_end, {}, r"^module1: expected finite weights, got 16 NaN or infinite of 16 in 0\.bias"),
    "nan inputs": (lambda: (*pair(), NAN), {}, r"^inputs: expected finite numbers, got 1 NaN or infinite of 20"),
    "inputs": (lambda: (*pair(), X.numpy()), {}, r"^inputs: expected a tensor, a tuple of tensors, .* Convert arrays with torch\.as_tensor"),
    "no tensor": (lambda: (*pair(), {"x": 3}), {}, r"^inputs: expected a tensor, .*, got a dict without a tensor"),
    "rows": (lambda: (*pair(Two), (X, X[:2])), {}, r"^inputs: expected tensors with one example per row, got first axes of lengths \[2, 4\]"),
    "columns": (lambda: (*pair(), X[:, :2]), {}, r"^inputs: expected inputs that the module accepts, got RuntimeError: "),
    "keyword": (lambda: (*pair(), {"z": X}), {}, r"^inputs: expected inputs that the module accepts, got TypeError: .*'z'"),
    "output": (lambda: (*pair(Two), X), {"output": "loss"}, r"^output: expected one of 'hidden', 'logits', got 'loss'"),
    "object": (lambda: (*pair(lambda: nn.Sequential(nn.Linear(5, 2), Inner())), X), {}, r"^module0: expected a module that returns tensors, got a SimpleNamespace"),
    "pooled": (lambda: (*pair(Pooled), X), {}, r"^module0: expected real outputs with one example per row, got a number per batch"),
    "meta": (lambda: (zoo.MLP().to("meta").eval(), {}, X), {}, r"^module0: expected weights with values, got 6 meta tensors"),
    "quantized": (lambda: (Quantized().eval(), {}, X), {}, r"^module0: expected weights in floating point, got 1 quantized ones \(weight\)"),
    "dropout": (lambda: (*pair(Dropped), X), {}, r"^module0: expected a deterministic function of t, .*Is dropout active\?"),
    "method": (lambda: (*pair(), X), {"method": "fast"}, r"^method: expected one of 'auto', 'evaluations', 'jax', 'native'"),
    "precision": (lambda: (*pair(), X), {"precision": "bfloat16"}, r"^precision: expected one of 'float32', 'float64'"),
    "buffers": (lambda: (*pair(), X), {"buffers": "none"}, r"^buffers: expected one of 'end', 'move', 'start'"),
    "labels": (lambda: (*pair(), X), {"labels": [3]}, r"^labels: expected indices from 0 to 2 of the outputs, got \[3\]"),
    "groups": (lambda: (*pair(), X), {"groups": "layers"}, r"^groups: expected 'kind', 'block', or a dict of regular expressions"),
    "pattern": (lambda: (*pair(), X), {"groups": {"a": "("}}, r"^groups: expected regular expressions by group"),
    "batch": (lambda: (*pair(), X), {"batch_size": 0}, r"^batch_size: expected an integer ≥ 1, got 0"),
    "positions": (lambda: (*pair(), X), {"positions": 0}, r"^positions: expected an integer ≥ 1, got 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    make, settings, words = BAD[name]
    with pytest.raises(tn.ArgumentError, match=words):
        tn.torch.regime(*make(), **settings)


def test_tied_weights_must_be_equal():
    module, inputs = zoo.built("GPT-2, tied")
    end = zoo.moved(module)
    end["lm_head.weight"] = end["lm_head.weight"] + 1
    with pytest.raises(
        tn.ArgumentError, match=r"^module1: expected equal values of tied weights, got different ones at .*lm_head"
    ):
        tn.torch.regime(module, end, inputs)


def test_modules_for_jax_functions_are_explained():
    module, _ = pair()
    with pytest.raises(tn.ArgumentError, match=r"got a PyTorch module\. .*tn\.torch\.from_module"):
        tn.taylor_terms(module, {}, 2)
    with pytest.raises(tn.ArgumentError, match=r"^module: expected a torch\.nn\.Module in evaluation mode"):
        tn.torch.from_module(zoo.MLP(), X)
    with pytest.raises(
        tn.ArgumentError, match=r"^module: expected weights and inputs in float32, or JAX in double precision"
    ):
        tn.torch.from_module(zoo.MLP().double().eval(), X.double())
    with pytest.raises(tn.ArgumentError, match=r"^inputs: expected inputs that the module accepts"):
        tn.torch.from_module(module, X[:, :2])
