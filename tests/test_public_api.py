"""The public names of the contract: importable, documented, with examples that run; importing has no side effects."""

import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from typing import Any

import jax
import pytest

import taylornets as tn

LARGEST_SURFACE = 120
REGISTRIES = ("taylornets.activations._registry", "taylornets.losses._registry", "taylornets.models")


def surface(room: Any = tn, prefix: str = "") -> dict[str, Any]:
    """Every public name and what it stands for: `__all__` of the roof, and of the rooms that are named in one."""
    found: dict[str, Any] = {}
    for name in room.__all__:
        thing = getattr(room, name)
        if inspect.ismodule(thing):
            found |= {f"{prefix}{name}": thing} | surface(thing, f"{prefix}{name}.")
        elif prefix and any(getattr(tn, above) is thing for above in tn.__all__):
            continue  # the roof has it
        else:
            found[f"{prefix}{name}"] = thing
    return found


SURFACE = surface()
CALLED = [name for name, thing in SURFACE.items() if inspect.isroutine(thing)]
# An objective is made by a function, and its fields are the engine's.
DATA = [name for name, thing in SURFACE.items() if inspect.isclass(thing) and dataclasses.is_dataclass(thing)
        and thing is not tn.Objective]  # fmt: skip


def package_modules():
    return sorted(module.name for module in pkgutil.walk_packages(tn.__path__, "taylornets."))


def test_the_surface_is_small():
    assert len(SURFACE) <= LARGEST_SURFACE, sorted(SURFACE)


def test_every_public_room_says_what_is_public():
    """`X as X` is for what other rooms use; a name cannot be both."""
    for name, room in SURFACE.items():
        if inspect.ismodule(room):
            source = inspect.getsource(room)
            assert not [inner for inner in room.__all__ if f"{inner} as {inner}" in source], name


@pytest.mark.parametrize("name", SURFACE)
def test_docstring_has_an_example(name: str):
    assert ">>> " in (inspect.getdoc(SURFACE[name]) or "")


@pytest.mark.parametrize("name", CALLED)
def test_docstring_explains_every_parameter(name: str):
    text = inspect.getdoc(SURFACE[name]) or ""
    names = [given.name for given in inspect.signature(SURFACE[name]).parameters.values()]
    assert not [given for given in names if not re.search(rf"^ +[\w*, ]*\b{given}\b[\w*, ]*: ", text, re.MULTILINE)]


@pytest.mark.parametrize("name", DATA)
def test_docstring_explains_every_field(name: str):
    text = inspect.getdoc(SURFACE[name]) or ""
    names = [field.name for field in dataclasses.fields(SURFACE[name]) if field.init]
    assert not [given for given in names if not re.search(rf"\b{given}\b", text)]


def test_names_of_the_contract():
    net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=4)
    assert net.w0.shape == (4, 3)
    assert net.a.shape == (4, 1)
    assert callable(net.activation.derivative(2))
    x, w = jax.numpy.ones((5, 3)), 0.1 * net.w0
    prepared = net.prepare(x, 3)
    for found in (net(w, x), net.term(2, w, x), net.taylor(3, w, x), prepared.term(1, w), prepared.full(w)):
        assert found.shape == (5, 1)
    sigma = tn.activations.get("tanh")
    assert sigma.derivative(3)(x).shape == (5, 3)
    assert isinstance(float(sigma.hermite_coefficient(1, 2)), float)
    assert sigma.dual(1)(x / 3).shape == (5, 3)
    signs = tn.randomization.Signs()
    assert signs.nodes.shape == signs.weights.shape
    assert {"squared", "logistic", "softmax", "huber"} <= set(tn.losses.names())
    for function, names in {
        tn.fit: ("model loss penalty power method w_init key rank tol max_steps throw", "quadratic", 8),
        tn.objective: ("model loss penalty power", "quadratic", 8),
        tn.certify: ("loss penalty power dual_vector", None, 8),
    }.items():
        parameters = inspect.signature(function).parameters
        wanted, model, power = names
        assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in wanted.split())
        assert parameters["power"].default == power
        assert parameters["loss"].default == "squared"
        if model is not None:
            assert parameters["model"].default == model
    assert inspect.signature(tn.fit).parameters["tol"].default is None
    assert inspect.signature(tn.fit).parameters["throw"].default is True


@pytest.mark.parametrize("name", ["taylornets", *package_modules()])
def test_examples_in_docstrings_run(name: str, monkeypatch: pytest.MonkeyPatch):
    """As a user with JAX's defaults would see them: single precision. What they register is gone afterwards."""
    module = importlib.import_module(name)
    for registry in map(importlib.import_module, REGISTRIES):
        for table, value in list(vars(registry).items()):
            if isinstance(value, dict) and not table.startswith("__"):
                monkeypatch.setattr(registry, table, dict(value))
    with jax.enable_x64(False):
        failures, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert failures == 0


def test_importing_changes_nothing():
    """No JAX option is set, no backend is started, and nothing of the command line's libraries is loaded."""
    code = """
import sys, jax
before = dict(jax.config.values)
import taylornets
assert dict(jax.config.values) == before
assert not jax.config.jax_enable_x64
heavy = {"matplotlib", "sklearn", "typer", "rich", "jinja2", "cvxpy", "pandas", "polars", "distributed", "joblib",
         "torch", "torchax", "transformers", "peft"}
loaded = heavy & set(sys.modules)
assert not loaded, loaded
assert "TaylorRegressor" in dir(taylornets)
sys.modules["sklearn"] = None
try:
    taylornets.TaylorRegressor
except ImportError as error:
    assert "taylornets.TaylorRegressor needs scikit-learn" in str(error), error
    assert "pip install 'taylornets[sklearn]'" in str(error), error
else:
    raise AssertionError("loaded without scikit-learn")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
