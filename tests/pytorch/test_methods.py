"""The three methods against one another, against finite differences, and against the same model written in JAX."""

import copy
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import zoo
from torch import nn

import taylornets as tn
from taylornets._regime import Values, coefficients
from taylornets.torch import _native

EVERY = sorted(zoo.ZOO)
# Taylor mode compiles for 5 to 30 s each; the benchmark `torch_zoo` compares all.
COMPILED = ["GAT", "MLP with LayerNorm"]


@pytest.mark.parametrize("name", EVERY)
def test_native_agrees_with_evaluations(name):
    """Both in float64, although some modules (Llama) cast to float32 inside."""
    module, inputs = zoo.built(name)
    end = zoo.moved(module)
    exact = tn.torch.regime(module, end, inputs, max_order=3)
    assert exact.computed.startswith("nested forward-mode derivatives in PyTorch")
    found = tn.torch.regime(module, end, inputs, max_order=3, method="evaluations")
    known = [k for k, error in enumerate(found.term_error) if error <= 0.05]
    assert known[:1] == [0]
    assert len(known) == 3 or name == "ResNet (transformers)"  # it has max pooling
    for k in known:
        assert math.isclose(found.share[k], exact.share[k], abs_tol=1e-5 + 2 * found.term_error[k] * exact.term[k])
    assert math.isclose(found.odd, exact.odd, abs_tol=1e-9)
    assert set(found.displacement) == {n for n, p in module.named_parameters()}


@pytest.mark.parametrize("name", ["BERT", "Llama", "ResNet"])
def test_order_one_is_a_finite_difference(name):
    module, inputs = zoo.built(name)
    module = module.double()
    if isinstance(inputs, torch.Tensor):
        inputs = inputs.double()
    end = zoo.moved(module)
    found = tn.torch.regime(module, end, inputs, max_order=1)
    start = {key: value.clone() for key, value in module.state_dict().items()}

    def outputs(t):
        state = {k: v + t * (end[k] - v) if v.is_floating_point() else v for k, v in start.items()}
        with torch.no_grad():
            raw = torch.func.functional_call(
                module, state, *(((inputs,),) if isinstance(inputs, torch.Tensor) else ((), inputs))
            )
        return (raw if isinstance(raw, torch.Tensor) else raw.logits).numpy().astype(np.float64)

    step = 1e-3 if name == "Llama" else 1e-5  # its RMSNorm computes in float32
    slope = (outputs(step) - outputs(-step)) / (2 * step)
    movement = outputs(1) - outputs(0)
    share = float((slope * movement).sum() / (movement**2).sum())
    assert math.isclose(found.share[0], share, rel_tol=3e-3 if name == "Llama" else 1e-6)


@pytest.mark.parametrize("name", COMPILED)
def test_taylor_mode_in_jax_agrees(name):
    module, inputs = zoo.built(name)
    end = zoo.moved(module)
    exact = tn.torch.regime(module, end, inputs, max_order=3, method="jax", batch_size=2)
    assert exact.computed.startswith("Taylor mode in JAX")
    assert not math.isnan(exact.ntk_drift)
    found = tn.torch.regime(module, end, inputs, max_order=3, method="native")
    assert np.allclose(found.share, exact.share, rtol=0, atol=1e-9)
    assert np.allclose(found.error, exact.error, rtol=0, atol=1e-9)
    assert np.allclose(found.radius, exact.radius, rtol=1e-4)
    assert found.agreement == exact.agreement
    assert found.verdict == exact.verdict
    assert not jax.config.jax_enable_x64


def twin_mlp(p, x):
    h = jnp.tanh(x @ p["0.weight"].T + p["0.bias"])
    h = (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-5) * p["2.weight"] + p["2.bias"]
    return h @ p["3.weight"].T + p["3.bias"]


def twin_conv(p, x):
    h = jax.lax.conv_general_dilated(x, p["0.weight"], (1, 1), "VALID", dimension_numbers=("NCHW", "OIHW", "NCHW"))
    h = jax.nn.softplus(h + p["0.bias"][:, None, None]).reshape(len(x), -1)
    return h @ p["3.weight"].T + p["3.bias"]


def twin_attention(p, x):
    q, k, v = (x @ p[f"{name}.weight"].T + p[f"{name}.bias"] for name in ("q", "k", "v"))
    h = jax.nn.softmax(q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1]), axis=-1) @ v
    return h.mean(1) @ p["out.weight"].T + p["out.bias"]


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(5, 5) for _ in range(4))

    def forward(self, x):
        return self.out(nn.functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x)).mean(1))


CONV = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Softplus(), nn.Flatten(), nn.Linear(48, 2))
TWINS = {
    "mlp": (zoo.MLP, twin_mlp, zoo.rows(5)),
    "conv": (lambda: CONV, twin_conv, zoo.rows(2, 6, 6)),
    "attention": (SelfAttention, twin_attention, zoo.rows(4, 5)),
}


@pytest.mark.parametrize("name", TWINS)
def test_shares_equal_those_of_the_jax_twin(name):
    """The same network, written in JAX by hand and given the same weights."""
    make, twin, x = TWINS[name]
    torch.manual_seed(1)
    module = make().eval()
    end = zoo.moved(module)
    found = tn.torch.regime(module, end, x)
    with jax.enable_x64(True):
        start = {k: jnp.asarray(v.double().numpy()) for k, v in module.state_dict().items()}
        last = {k: jnp.asarray(v.double().numpy()) for k, v in end.items()}
        exact = tn.regime(twin, start, last, jnp.asarray(x.double().numpy()), ntk_inputs=0)
    assert np.allclose(found.share, exact.share, rtol=0, atol=1e-6)
    assert found.verdict == exact.verdict


def test_from_module_serves_the_rest_of_the_package():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2)).eval()
    module[1].running_mean.normal_()
    x = zoo.rows(5)
    f, params, buffers = tn.torch.from_module(module, x)
    assert set(params) == {n for n, _ in module.named_parameters()}
    assert set(buffers) == {n for n, _ in module.named_buffers()}
    data = x.numpy()
    expected = module(x).detach().numpy()
    assert np.allclose(jax.jit(f)(params, data), expected, atol=1e-6)
    other = buffers | {"1.running_mean": buffers["1.running_mean"] + 1}
    assert not np.allclose(f(params, data, buffers=other), expected, atol=1e-2)
    assert tn.kernels.NTK(f, params, data).shape == (8, 8) if hasattr(tn.kernels, "NTK") else True
    gram = tn.kernels.model_ntk(f, params, data)
    assert gram.shape == (4, 2, 4, 2)
    terms = tn.taylor_terms(f, params, 2)(jax.tree.map(lambda a: 1.1 * a, params), data)
    assert terms[2].shape == (4, 2)


def test_tied_weights_are_one_leaf_and_dictionaries_are_keywords():
    module, inputs = zoo.built("GPT-2, tied")
    f, params, _ = tn.torch.from_module(module, inputs)
    assert "lm_head.weight" not in params
    data = {name: value.numpy() for name, value in inputs.items()}
    assert np.allclose(f(params, data), module(**inputs).logits.detach().numpy(), atol=1e-5)
    assert list(tn.torch.regime(module, zoo.moved(module), inputs, max_order=1).displacement) == list(params)


WRONG = {"layer_norm": nn.LayerNorm(6), "instance_norm": nn.InstanceNorm1d(3)}


@pytest.mark.parametrize("name", WRONG)
def test_silent_wrongness_is_detected(name, monkeypatch):
    """Without the elementary replacements, PyTorch's second derivatives are wrong; the comparison must name the module."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), WRONG[name], nn.Flatten(), nn.Linear(18, 2)).eval()
    end, x = zoo.moved(module), zoo.rows(3, 6)
    right = tn.torch.regime(module, end, x, method="native")
    ours, wrong, lower = _native._tables()
    kept = {func: replacement for func, replacement in ours.items() if name not in func.__name__}
    monkeypatch.setattr(_native, "_tables", lambda: (kept, wrong, lower))
    with pytest.raises(
        tn.ArgumentError, match=rf"differs from evaluations in the module 2 \({type(WRONG[name]).__name__}\)"
    ):
        tn.torch.regime(module, end, x, method="native")
    fallen = tn.torch.regime(module, end, x)  # "auto" uses the next method, and says so
    assert fallen.computed.startswith("Taylor mode in JAX")
    assert "not by method 'native': DisagreementError: order 2" in fallen.computed
    assert np.allclose(fallen.share, right.share, atol=1e-8)


class Determinant(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(3, 9)

    def forward(self, x):
        return torch.linalg.det(self.map(x).reshape(-1, 3, 3) + 2 * torch.eye(3, dtype=x.dtype))[:, None]


class Distances(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(3, 6)

    def forward(self, x):
        h = self.map(x).reshape(-1, 2, 3)
        return torch.cdist(h, h + 1).flatten(1)


@pytest.mark.parametrize(("module", "name"), [(Determinant(), "det"), (Distances(), "cdist")])
def test_functions_without_right_derivatives_fall_through(module, name):
    end, x = zoo.moved(module), zoo.rows(3)
    with pytest.raises(
        tn.ArgumentError, match=rf"^method: expected one that is right for this module, got 'native' .*{name}"
    ):
        tn.torch.regime(module.eval(), end, x, method="native")
    found = tn.torch.regime(module, end, x, max_order=3, method="evaluations")
    assert max(found.term_error) < 1e-6


@pytest.mark.parametrize("function", [nn.functional.glu, nn.GroupNorm(2, 8).double(), nn.BatchNorm1d(8).double().eval(),
                                      nn.MultiheadAttention(8, 2, batch_first=True).double().eval()])  # fmt: skip
def test_replacements_equal_the_originals(function):
    """Values and terms, on a line of inputs."""
    x, d = (torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(i), dtype=torch.float64) for i in (0, 1))

    def outputs(t):
        z = x + 0.2 * t * d
        return function(z, z, z, need_weights=False)[0] if isinstance(function, nn.MultiheadAttention) else function(z)

    with torch.no_grad():
        found = coefficients(Values(lambda t: outputs(t).numpy()), 3)
    with _native.elementary(derivatives=True, double=True):
        terms = _native.terms(outputs, 3, torch.float64, "cpu")
    for k in range(4):
        assert np.allclose(terms[k].detach().numpy(), found.terms[k], atol=1e-6)


def test_masks_and_grouped_queries_of_the_elementary_attention():
    q, k, v = (torch.randn(2, heads, 5, 4, generator=torch.Generator().manual_seed(heads)) for heads in (4, 2, 2))
    hidden = torch.tensor([[True, True, False, True, False]] * 5)
    hidden[3] = False  # a row that sees nothing
    real = nn.functional.scaled_dot_product_attention
    for settings in ({"is_causal": True}, {"attn_mask": hidden}, {"attn_mask": torch.randn(5, 5)}, {"scale": 0.3}):
        expected = real(q, k, v, enable_gqa=True, **settings)
        assert torch.allclose(_native.attention(q, k, v, enable_gqa=True, **settings), expected, atol=1e-5)


def test_settings_of_pytorch_are_restored():
    before = (torch.get_default_dtype(), torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.is_available(),
              nn.functional.scaled_dot_product_attention, torch.is_grad_enabled())  # fmt: skip
    module = zoo.MLP().eval()
    weights = copy.deepcopy(module.state_dict())
    tn.torch.regime(module, zoo.moved(module), zoo.rows(5), max_order=2)
    after = (torch.get_default_dtype(), torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.is_available(),
             nn.functional.scaled_dot_product_attention, torch.is_grad_enabled())  # fmt: skip
    assert before == after
    assert all(torch.equal(weights[name], value) for name, value in module.state_dict().items())


class Residual(nn.Module):
    """A residual network with LayerNorm, or with ReLU instead."""

    def __init__(self, kinks: bool):
        super().__init__()
        self.start, self.inner, self.outer, self.head = (nn.Linear(*s) for s in ((6, 16), (16, 16), (16, 16), (16, 3)))
        self.norms = nn.ModuleList(nn.Identity() if kinks else nn.LayerNorm(16) for _ in range(2))
        self.act = nn.ReLU() if kinks else nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.start(x)
        h = h + self.outer(self.act(self.inner(self.norms[0](h))))
        return self.head(self.act(self.norms[1](h)))


def ends_of(kinks):
    torch.manual_seed(0)
    first = Residual(kinks).double().eval()
    last = copy.deepcopy(first)
    with torch.no_grad():
        for value in last.parameters():
            value.add_(torch.randn_like(value), alpha=0.4)
    return first, last, torch.randn(20, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_descriptions_beyond_the_radius_agree_with_taylor_mode_in_jax():
    first, last, x = ends_of(kinks=False)
    exact = tn.torch.regime(first, last, x, method="jax")
    assert exact.order is None
    assert max(n for n in exact.pieces.values() if n) > 1
    for method in ("native", "evaluations"):
        found = tn.torch.regime(first, last, x, method=method)
        assert math.isclose(found.midpoint, exact.midpoint, abs_tol=2e-3)
        assert found.pieces == exact.pieces
        assert found.verdict == exact.verdict
        for k in (4, 6, 8):
            assert math.isclose(found.resummed[k], exact.resummed[k], abs_tol=0.01)


def test_pieces_of_modules_with_kinks_by_derivatives_within_the_line():
    """Evaluations do not resolve the kinks; the native method differentiates there, as Taylor mode in JAX does."""
    first, last, x = ends_of(kinks=True)
    native, exact = (tn.torch.regime(first, last, x, method=method) for method in ("native", "jax"))
    assert math.isclose(native.midpoint, exact.midpoint, abs_tol=1e-9)
    assert native.pieces == exact.pieces
    from_values = tn.torch.regime(first, last, x, method="evaluations")
    assert math.isnan(from_values.midpoint)
    assert "not smooth along the line" in from_values.reasons["midpoint"]


def test_without_resummation_a_path_is_cheap():
    first, last, x = ends_of(kinks=False)
    middle = copy.deepcopy(first)
    path = tn.torch.regime_path(first, [first, middle, last], x)
    assert path.to_end[0].pieces
    assert path.to_end[0].resummed
    assert not any(found.pieces or found.resummed for found in (*path.to_end[1:], path.steps[0]))
