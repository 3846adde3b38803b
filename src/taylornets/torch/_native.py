"""Nested forward-mode derivatives of PyTorch modules, with corrections of PyTorch's own derivatives.

`torch.func.jvp` of `torch.func.jvp` is silently wrong for layer_norm, instance_norm, batch_norm in training, det, logdet,
slogdet and solve (github.com/pytorch/pytorch/issues/196700, 196699 and 198017), and raises for fused attention, glu and
others. Normalizations, attention and glu are replaced by elementary operations while derivatives are computed; the others
raise.
"""

import contextlib
import math
import warnings
from collections.abc import Callable, Generator
from functools import cache
from typing import Any

from taylornets.torch._libraries import library

# As of PyTorch 2.13, wrong from order two on; without forward mode: cdist.
_WRONG = (
    "det", "logdet", "slogdet", "solve", "solve_ex", "cholesky_solve", "cholesky_inverse", "householder_product", "orgqr",
    "cdist",
)  # fmt: skip


class NotDifferentiableError(RuntimeError):
    """A function without correct nested derivatives in PyTorch."""


def _normalized(x: Any, dims: tuple[int, ...], eps: float) -> Any:
    centered = x - x.mean(dims, keepdim=True)
    return centered * library("torch").rsqrt((centered * centered).mean(dims, keepdim=True) + eps)


def _affine(x: Any, weight: Any, bias: Any, shape: tuple[int, ...]) -> Any:
    if weight is not None:
        x = x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _channels(x: Any) -> tuple[int, ...]:
    return (1, -1, *(1,) * (x.ndim - 2))


def _layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Any:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    return _affine(_normalized(input, tuple(range(-len(shape), 0)), eps), weight, bias, shape)


def _rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    torch = library("torch")
    dims = tuple(range(-len(tuple(normalized_shape)), 0))
    small = torch.finfo(input.dtype).eps if eps is None else eps
    scaled = input * torch.rsqrt((input * input).mean(dims, keepdim=True) + small)
    return scaled if weight is None else scaled * weight


def _group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any) -> Any:
    parts = input.reshape(input.shape[0], num_groups, -1)
    return _affine(_normalized(parts, (-1,), eps).reshape(input.shape), weight, bias, _channels(input))


def _instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5, *_: Any,
) -> Any:  # fmt: skip
    del momentum
    if not use_input_stats:
        return _batch_norm(input, running_mean, running_var, weight, bias, False, 0.0, eps)
    return _affine(_normalized(input, tuple(range(2, input.ndim)), eps), weight, bias, _channels(input))


def _batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5, *_: Any,
) -> Any:  # fmt: skip
    del momentum
    if training or running_mean is None:
        raise NotDifferentiableError("batch_norm in training mode")
    shape = _channels(input)
    scale = library("torch").rsqrt(running_var + eps).reshape(shape)
    return _affine((input - running_mean.reshape(shape)) * scale, weight, bias, shape)


def attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """Scaled dot-product attention in elementary operations, with the arguments of PyTorch's."""
    torch = library("torch")
    if dropout_p:
        raise NotDifferentiableError("scaled_dot_product_attention with dropout")
    if enable_gqa:
        key = key.repeat_interleave(query.size(-3) // key.size(-3), -3)
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.size(-1)) if scale is None else scale)
    if is_causal:
        rows, columns = query.size(-2), key.size(-2)
        seen = torch.ones(rows, columns, dtype=torch.bool, device=query.device).tril()
        scores = scores.masked_fill(~seen, -math.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    weights = torch.softmax(scores, -1)
    if attn_mask is not None and attn_mask.dtype == torch.bool:  # rows that see nothing give zero, as in PyTorch
        weights = torch.where(attn_mask.any(-1, keepdim=True), weights, torch.zeros_like(weights))
    return weights @ value


def _glu(input: Any, dim: int = -1) -> Any:
    first, second = input.chunk(2, dim)
    return first * library("torch").sigmoid(second)


@cache
def _tables() -> tuple[dict[Any, Callable[..., Any]], dict[Any, str], dict[Any, Any]]:
    """Replacements, functions that raise, and conversions to lower precision with what replaces them."""
    torch, nnf = library("torch"), library("torch.nn.functional")
    ours: dict[Any, Callable[..., Any]] = {
        nnf.layer_norm: _layer_norm, torch.layer_norm: _layer_norm, nnf.group_norm: _group_norm,
        torch.group_norm: _group_norm, nnf.instance_norm: _instance_norm, torch.instance_norm: _instance_norm,
        nnf.batch_norm: _batch_norm, torch.batch_norm: _batch_norm, nnf.glu: _glu,
        nnf.scaled_dot_product_attention: attention,
    }  # fmt: skip
    for place in (nnf, torch):
        if hasattr(place, "rms_norm"):
            ours[place.rms_norm] = _rms_norm
    wrong = {
        getattr(place, name): name
        for place in (torch, torch.linalg, torch.Tensor)
        for name in _WRONG
        if hasattr(place, name)
    }
    double = torch.Tensor.double
    lower = {torch.Tensor.float: double, torch.Tensor.half: double, torch.Tensor.bfloat16: double}
    return ours, wrong, lower


@cache
def _mode() -> Any:
    """The class of the mode; made on first use, since its base belongs to PyTorch."""
    torch = library("torch")
    low = {torch.float32, torch.float16, torch.bfloat16}

    class Elementary(torch.overrides.TorchFunctionMode):
        def __init__(self, derivatives: bool, double: bool):
            super().__init__()
            self.derivatives, self.double = derivatives, double

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            ours, wrong, lower = _tables()
            given = dict(kwargs or {})
            if self.double:  # casts such as those in the RMSNorm of Llama would lose half of the digits
                func = lower.get(func, func)
                args = tuple(torch.float64 if isinstance(a, torch.dtype) and a in low else a for a in args)
                given = {k: torch.float64 if isinstance(a, torch.dtype) and a in low else a for k, a in given.items()}
            if self.derivatives:
                if func in wrong:
                    raise NotDifferentiableError(wrong[func])
                func = ours.get(func, func)
            return func(*args, **given)

    return Elementary


@contextlib.contextmanager
def _without_onednn() -> Generator[None, None, None]:
    """Switches oneDNN off, whose LSTM has no nested derivatives; setting its flags warns of options of other devices."""
    flags = library("torch").backends.mkldnn.flags(enabled=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flags.__enter__()
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flags.__exit__(None, None, None)


@contextlib.contextmanager
def elementary(*, derivatives: bool, double: bool) -> Generator[None, None, None]:
    """Computes in float64 throughout and, for derivatives, with the elementary replacements; all settings are restored.

    Args:
        derivatives: whether nested derivatives are computed.
        double: whether casts to lower precision are replaced by casts to float64.
    """
    torch, nnf = library("torch"), library("torch.nn.functional")
    _tables()
    default, fast, fused = (
        torch.get_default_dtype(),
        torch.backends.mha.get_fastpath_enabled(),
        nnf.scaled_dot_product_attention,
    )
    with contextlib.ExitStack() as stack:
        try:
            if double:
                torch.set_default_dtype(torch.float64)
            torch.backends.mha.set_fastpath_enabled(False)
            if derivatives:
                # Composite functions such as multi_head_attention_forward call this one where no mode sees it.
                nnf.scaled_dot_product_attention = attention
                stack.enter_context(_without_onednn())
            stack.enter_context(_mode()(derivatives, double))
            yield
        finally:
            nnf.scaled_dot_product_attention = fused
            torch.backends.mha.set_fastpath_enabled(fast)
            torch.set_default_dtype(default)


def terms(outputs: Callable[[Any], Any], max_order: int, dtype: Any, device: Any) -> list[Any]:
    """Computes the Taylor terms of orders 0 to `max_order` of a function of one number at 0.

    Each nesting appends one derivative: from `(o, o', ..., o^(k))` it makes `(o, ..., o^(k), o^(k+1))`.

    Args:
        outputs: a function of a scalar tensor, written in PyTorch.
        max_order: the highest order.
        dtype: of the scalar.
        device: of the scalar.
    """
    torch = library("torch")

    def lifted(inner: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], tuple[Any, ...]]:
        def derivatives(t: Any) -> tuple[Any, ...]:
            values, slopes = torch.func.jvp(inner, (t,), (torch.ones_like(t),))
            return (*values, slopes[-1])

        return derivatives

    function: Callable[[Any], tuple[Any, ...]] = lambda t: (outputs(t),)  # noqa: E731
    for _ in range(max_order):
        function = lifted(function)
    found = function(torch.zeros((), dtype=dtype, device=device))
    return [value / math.factorial(k) for k, value in enumerate(found)]
