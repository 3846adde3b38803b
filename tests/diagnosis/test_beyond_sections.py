"""Sections on what lies beyond the orders, parameters saved during training, and the sharpness against 2/η."""

# pyright: reportCallIssue=false, reportIndexIssue=false

import dataclasses
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import taylornets as tn
from taylornets.diagnosis._beyond import Meter, deepened, load_leaves, path_of, restored, save_leaves, written
from taylornets.diagnosis._beyond_sections import beyond, sharpness, short
from taylornets.diagnosis._request import DiagnosisRequest
from taylornets.diagnosis._run import RegimeSettings


def two_poles(p, x):
    """1/(1 + 4 a²) and a pole at b = 3, from 0 to 1."""
    return ((0.2 + p["a"]) / jnp.sqrt(1 + 4 * p["a"] ** 2) + 1 / (3 - p["b"])) * x


ENDS = [{"a": np.array(v), "b": np.array(v)} for v in (0.0, 1.0)]
X = np.ones((3, 1))


def test_a_network_beyond_the_orders(x64):
    """The last regime is computed again with resummation and groups; the page shows them; files keep them."""
    plain = tn.regime(two_poles, *ENDS, X, ntk_inputs=0, resum=None)
    found = deepened(plain, two_poles, *ENDS, X, RegimeSettings(ntk_inputs=0), None)
    assert plain.order is None
    assert found.resummed[8] > 0.9
    assert found.groups is not None
    assert found.groups.limiting == "a"
    assert repr(restored(json.loads(json.dumps(written(found))))) == repr(found)
    (section,) = beyond(found, None, "training steps")
    said = " ".join(section.paragraphs)
    assert found.groups.together < 1 < found.groups.without[0]
    alone, others = (f"{r:.3g}" for r in (found.groups.together, found.groups.without[0]))
    assert f"The group a limits the radius: if all others move, it is {others} instead of {alone}." in said
    assert "(nearest singularity: a complex pair). It is below 1, so that" in said
    assert "for 3 of 3 inputs" in said
    assert [figure.name for figure in section.figures] == ["resummed", "pieces", "groups"]
    fractions, counts = (figure.panels[0].series for figure in section.figures[:2])
    drawn = {series.label: (series.x, series.y) for series in fractions}
    assert drawn["plain"] == ((1, 2, 3, 4), tuple(max(part, 0.0) for part in found.explained))
    assert drawn["resummed"] == ((4, 6, 8), tuple(found.resummed.values()))
    assert drawn["tangent at the middle of the line"] == ((1,), (found.midpoint,))
    assert drawn["threshold, 90 %"] == ((1, 8), (0.9, 0.9))
    assert (counts[0].x, counts[0].y) == (("order 1", "order 2"), tuple(found.pieces.values()))
    assert [table.name for table in section.tables] == ["beyond", "groups"]
    assert short(found).endswith("of the output change")
    lazy = tn.regime(lambda w, x: w * x, np.array(0.0), np.array(1.0), X, ntk_inputs=0)
    assert beyond(lazy, None, "training steps") == []
    assert short(lazy) == "lazy"
    assert deepened(lazy, two_poles, *ENDS, X, RegimeSettings(), None) is lazy


def test_figures_of_what_is_missing(x64):
    """More than 16 pieces are drawn at 16; without a resummation there is no figure of it; negative values are drawn at 0."""
    found = tn.regime(two_poles, *ENDS, X, ntk_inputs=0)
    many = dataclasses.replace(found, pieces={1: None, 2: 3}, midpoint=-1.0, explained=(-3.0, 0.2), resummed={})
    (section,) = beyond(many, None, "training steps")
    (figure,) = section.figures
    (series,) = figure.panels[0].series
    assert (series.x, series.y) == (("order 1 (more than 16)", "order 2"), (16, 3))
    (section,) = beyond(dataclasses.replace(many, resummed={4: -2.0}), None, "training steps")
    plain, summed, middle, _ = section.figures[0].panels[0].series
    assert (plain.y, summed.y, middle.y) == ((0, 0.2), (0,), (0,))


def test_a_group_without_singularity(x64):
    """The radius of a group whose series ends is ∞ in the table, not a dash."""

    def f(p, x):
        return (0.2 + p["a"]) / jnp.sqrt(1 + 4 * p["a"] ** 2) * (1 + p["b"]) * x

    (section,) = beyond(tn.regime(f, *ENDS, X, ntk_inputs=0, groups="blocks", max_order=3), None, "training steps")
    (rows,) = [table.rows for table in section.tables if table.name == "groups"]
    assert rows[0][2] == rows[1][1] == "∞"


def test_a_path_on_the_page(x64):
    path = tn.regime_path(lambda w, x: x * w**2, [np.array(w) for w in (0.1, 1.0, 1.9, 2.0)], X)
    plain = tn.regime(lambda w, x: w * x, np.array(0.0), np.array(1.0), X, ntk_inputs=0)
    (section,) = beyond(plain, path, "training steps")
    assert tuple(section.paragraphs) == ("Quadratic from the start, lazy from step 2 on.",)
    (table,) = section.tables
    assert [row[0] for row in table.rows] == [0, 1, 2]


def test_what_is_left_out_is_said(x64):
    """A sharpness that has not converged or is not finite, a path that failed, and layer groups that are too many."""
    scales = jnp.linspace(1, 2, 2000)
    value = Meter(lambda w: jnp.sum(scales * w**2) / 2, 100).told(0, jnp.ones(2000))
    assert isinstance(value, str)
    assert value.startswith("not converged (relative residual 0.0")
    value = Meter(lambda w: jnp.sum(jnp.sqrt(w)), 100).told(0, jnp.zeros(5))
    assert value == "products with the Hessian are not finite"
    places = [np.array(v) for v in (0.5, math.nan)]
    request = DiagnosisRequest("model.py:factory", Path("out"), "command")
    path = path_of(request, lambda w, x: x * w, np.array(0.0), [1, 2], places, X)
    assert isinstance(path, str)
    lazy = tn.regime(lambda w, x: w * x, np.array(0.0), np.array(1.0), X, ntk_inputs=0)
    (section,) = beyond(lazy, path, "training steps")
    (words,) = section.paragraphs
    assert words.startswith("The regimes along training were not computed. checkpoint 2: expected no NaN in any leaf")
    start, end = [[jnp.full(1, v)] * 65 for v in (0.0, 1.0)]
    f = lambda p, x: jnp.tanh(9 * sum(p) / 65) * x  # noqa: E731
    found = deepened(tn.regime(f, start, end, X, ntk_inputs=0, resum=None), f, start, end, X, RegimeSettings(), None)
    assert found.groups is None
    assert "layer groups: expected at most 64 groups, got 65" in found.table


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_parameters_are_read_as_they_were_written(kind, tmp_path):
    tree = {
        "w": jnp.arange(6, dtype=kind).reshape(2, 3) / 7,
        "mask": np.array([True, False]),
        "key": jax.random.key(1),
        "n": 3,
    }
    save_leaves(tmp_path / "parameters" / "5.npz", tree)
    like = {"w": jnp.zeros((2, 3), kind), "mask": np.zeros(2, bool), "key": tree["key"], "n": 3}
    found = load_leaves(tmp_path / "parameters" / "5.npz", like)
    np.testing.assert_array_equal(np.asarray(found["w"], "float32"), np.asarray(tree["w"], "float32"))
    np.testing.assert_array_equal(found["mask"], tree["mask"])
    assert (found["key"], found["n"], found["w"].dtype) == (tree["key"], 3, jnp.dtype(kind))


def test_sharpness_and_its_limit(x64):
    meter = Meter(lambda w: 3 * jnp.sum(w**2) / 2, 100)
    assert meter(0, jnp.ones(2)) == pytest.approx(3)
    assert meter.limit(optax.sgd(0.1, momentum=0.9), jnp.ones(2)) == pytest.approx(20)
    assert math.isnan(meter.limit(optax.adam(0.1), jnp.arange(1.0, 4.0)))
    assert math.isnan(Meter(lambda w: jnp.sum(w**2), 99)(0, jnp.ones(2)))  # short runs are not measured
    opaque = Meter(lambda w: jax.pure_callback(lambda s: s, jax.ShapeDtypeStruct((), w.dtype), jnp.sum(w**2)), 100)
    assert math.isnan(opaque(0, jnp.ones(2)))
    assert "callbacks do not support JVP" in str(opaque.told(0, jnp.ones(2)))
    (section,) = sharpness([10, 20], (20.0, 3.0, math.nan))
    words = "The sharpness at the end of training is 3, 0.15 of the limit 2/η = 20, with the step size η of the first update."
    assert tuple(section.paragraphs) == (words,)
    (section,) = sharpness([10, 20, 30], (math.nan, 3.0, "not converged (relative residual 0.2)", "not finite"))
    assert tuple(section.paragraphs) == (
        "The sharpness at step 10 is 3.",
        "No sharpness is shown for step 20 (relative residual 0.2): not converged.",
        "No sharpness is shown for step 30: not finite.",
    )
    (section,) = sharpness([10, 20], (20.0, "not finite", "not finite"))
    assert tuple(section.paragraphs) == ("No sharpness is shown for steps 10, 20: not finite.",)
    assert sharpness([10], (20.0, math.nan)) == []
    assert sharpness([10], ()) == []
