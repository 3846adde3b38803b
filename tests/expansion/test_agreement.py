"""Every registered model against nested derivatives, the definition of its Taylor terms: orders 0 to 6, under `jit`."""

import equinox as eqx
import jax
import pytest
from expansion_models import REGISTRY, built, disagreement

import taylornets as tn


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", REGISTRY)
def test_terms_of_every_order(name):
    f, params, new, x = built(name)
    order = REGISTRY[name].order
    terms = eqx.filter_jit(tn.taylor_terms(f, params, order, mode="taylor"))(new, x)
    reference = eqx.filter_jit(tn.taylor_terms(f, params, order, mode="nested"))(new, x)
    assert len(terms) == order + 1
    assert disagreement(terms, reference) <= REGISTRY[name].tolerance
    moved = [jax.numpy.abs(leaf).max() for leaf in jax.tree.leaves(reference[2]) if eqx.is_inexact_array(leaf)]
    assert max(moved) > 0  # the comparison is about something
