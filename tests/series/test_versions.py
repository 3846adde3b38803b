"""JAX's upcoming defaults, one option per subprocess: the terms are correct, or JAX itself raises."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import hijax
from series_reference import V, W, assert_terms, nested, terms

from taylornets.series import RuleContext, contains, make
from taylornets.series._engine import apply

OPTIONS = ("jax_scan3", "jax_remat3", "jax_custom_vjp3", "jax_custom_jvp3")
HERE = Path(__file__).parent


@pytest.mark.parametrize("option", OPTIONS)
def test_one_option(option):
    if not hasattr(jax.config, option):
        pytest.skip(f"JAX {jax.__version__} has no option {option}")
    environment = os.environ | {option.upper(): "1", "JAX_ENABLE_X64": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(HERE / "coming_defaults.py"), option],
        env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "right: " in done.stdout


Operation: Any = getattr(hijax, "HiPrim", None) or hijax.VJPHiPrimitive  # called so up to JAX 0.10


class WithForwardRule(Operation):
    def __init__(self, aval):
        self.in_avals, self.out_aval, self.params = (aval,), aval, {}
        super().__init__()

    def expand(self, x):
        return jnp.sin(x)

    def jvp(self, primals, tangents):
        return self(*primals), 2 * jnp.cos(primals[0]) * tangents[0]


class WithReverseRule(Operation):
    def __init__(self, aval):
        self.in_avals, self.out_aval, self.params = (aval,), aval, {}
        super().__init__()

    def expand(self, x):
        return x**3

    def vjp_fwd(self, nonzero, x):
        return self(x), x

    def vjp_bwd_retval(self, x, ct):
        return (3 * x**2 * ct,)


@pytest.mark.usefixtures("x64")
def test_operations_that_somebody_else_defines():
    def forward(w):
        return WithForwardRule(jax.typeof(w))(w)

    def reverse(w):
        return WithReverseRule(jax.typeof(w))(w) * w

    # y' = 2 cos(x) x': the author's derivative, not that of the body
    assert_terms(terms(forward, 2), [[np.sin(W)], [2 * np.cos(W) * V], [-np.sin(W) * V**2]])
    assert_terms(terms(reverse, 3), nested(lambda w: w**4))
    assert contains(jax.make_jaxpr(reverse)(W), "custom_vjp_call")


@pytest.mark.usefixtures("x64")
def test_types_that_are_no_arrays_are_refused(monkeypatch):
    def f(w):
        return WithForwardRule(jax.typeof(w))(w)

    class Packed:
        """A value type without a dtype, such as a quantized array."""

    closed = jax.make_jaxpr(f)(W)
    (equation,) = closed.jaxpr.eqns
    monkeypatch.setattr(type(equation.outvars[0]), "aval", Packed(), raising=False)
    with pytest.raises(ValueError, match=r"f: .* operations on arrays, got the primitive call_hi_primitive"):
        apply(RuleContext(2), equation, [make([jnp.asarray(W), jnp.asarray(V), None])])
