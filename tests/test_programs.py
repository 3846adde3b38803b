"""Programs of small problems are compiled with less optimization, and compute the same."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn
from taylornets import _programs

CALLS: list[str] = []


@_programs.program
def scaled(net: Any, x: Any, how: str = "sum", factor: float = 2.0) -> Any:
    """Traced once per program; `how` and `factor` are constants of the program."""
    CALLS.append(how)
    found = factor * net(jnp.zeros_like(net.w0), x)
    return {"value": jnp.sum(found) if how == "sum" else found}


@pytest.fixture
def inputs() -> Iterator[tuple[tn.TwoLayerNetwork, np.ndarray]]:
    jax.clear_caches()
    CALLS.clear()
    with jax.enable_x64(True):
        net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 8, symmetric=False)
        yield net, np.random.default_rng(0).normal(size=(5, 3))


def both(net: Any, x: Any, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Any, Any]:
    """The result of the small program, and of the one with all optimization."""
    small = scaled(net, x, **options)
    with monkeypatch.context() as patch:
        patch.setattr(_programs, "_SMALL", 0)
        return small, scaled(net, x, **options)


def test_both_programs_agree(inputs: Any, monkeypatch: pytest.MonkeyPatch):
    net, x = inputs
    for options in ({}, {"how": "each"}, {"factor": 3.0}):
        small, whole = both(net, x, monkeypatch, **options)
        np.testing.assert_allclose(small["value"], whole["value"], rtol=1e-14)
    assert len(CALLS) == 6


def test_a_program_is_compiled_once(inputs: Any):
    net, x = inputs
    for factor in (2.0, 2.0, 3.0, 3.0):
        scaled(net, x + factor, factor=factor)
    assert len(CALLS) == 2
    scaled(net, x[1:])
    assert len(CALLS) == 3


def test_transformations_take_the_function_into_their_program(inputs: Any):
    net, x = inputs
    value = float(scaled(net, x)["value"])
    assert float(jax.jit(lambda: scaled(net, x)["value"])()) == pytest.approx(value, rel=1e-14)
    assert float(jax.jit(lambda x: scaled(net, x)["value"])(x)) == pytest.approx(value, rel=1e-14)
    rows = jax.vmap(lambda row: scaled(net, row[None])["value"])(jnp.asarray(x))
    assert float(jnp.sum(rows)) == pytest.approx(value, rel=1e-13)
    slope = jax.grad(lambda t: scaled(net, t * jnp.asarray(x))["value"])(1.0)
    step = 1e-5
    difference = scaled(net, (1 + step) * x)["value"] - scaled(net, (1 - step) * x)["value"]
    assert float(slope) == pytest.approx(float(difference) / (2 * step), rel=1e-6)
    assert jax.eval_shape(lambda: scaled(net, x, how="each"))["value"].shape == (5, 1)


def test_an_xla_without_an_option_does_without_it(inputs: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_programs, "_OPTIONS", {"xla_cpu_enable_fast_math": False, "xla_of_another_time": 1})
    _programs._options.cache_clear()
    try:
        assert _programs._options() == {"xla_cpu_enable_fast_math": False}
        assert np.isfinite(_programs.program(lambda x: jnp.sum(x))(inputs[1]))
    finally:
        _programs._options.cache_clear()


def test_which_programs_are_their_own(inputs: Any):
    net, x = inputs
    assert _programs._on_one_cpu([net.w0, x])
    assert not jax.jit(lambda x: _programs._on_one_cpu([x]))(x)
    assert not jax.jit(lambda: _programs._on_one_cpu([x]))()


def test_the_level_follows_the_size(monkeypatch: pytest.MonkeyPatch):
    levels: list[int] = []

    def jit(call: Any, compiler_options: dict[str, int], **_: Any) -> Any:
        levels.append(compiler_options[_programs._LEVEL])
        return call

    totals: list[Any] = [decorate(lambda x: np.sum(x)) for decorate in (_programs.program, _programs.loop)]
    _programs._options()
    monkeypatch.setattr(jax, "jit", jit)
    for total in totals:
        for size in (_programs._TINY, _programs._TINY + 1, _programs._SMALL):
            total(np.ones(size))
    assert levels == [0, 1, 1]  # a loop has one level
