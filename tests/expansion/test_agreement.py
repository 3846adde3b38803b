"""Taylor terms of every registered model against nested derivatives, for orders 0 to 6 under `jit`."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from expansion_models import REGISTRY, built, disagreement

import taylornets as tn


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", REGISTRY)
def test_terms_of_every_order(name):
    f, params, new, x = built(name)
    entry = REGISTRY[name]
    terms = eqx.filter_jit(tn.taylor_terms(f, params, entry.order, mode="taylor"))(new, x)
    # Compiling 2^6 copies of each function that a model jits takes minutes; running them takes seconds.
    with jax.disable_jit():
        reference = tn.taylor_terms(f, params, entry.order, mode="nested")(new, x)
    assert len(terms) == entry.order + 1
    assert disagreement(terms, reference) <= entry.tolerance
    # The comparison is about something: the last term is not zero, unless the model is a polynomial.
    assert max(jnp.abs(leaf).max() for leaf in jax.tree.leaves(reference[2])) > 0
