"""CONTRIBUTING.md: every skeleton is one file that, put into its room, serves the public API under its name."""

import itertools
import math
import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Primitive
from jax.interpreters import mlir

import taylornets as tn
from taylornets._discover import import_modules
from taylornets.records import Stamp
from taylornets.reproduction import claims
from taylornets.reproduction._running import run_claim

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SKELETONS = {
    match[1]: match[2] for match in re.finditer(r"```python\n# src/(taylornets/\S+)\.py\n(.*?)```", TEXT, re.DOTALL)
}
# The registry of each room: the module that holds it, and its name there.
REGISTRIES = {
    "taylornets.activations": ("_registry", "_factories"),
    "taylornets.losses": ("_registry", "_losses"),
    "taylornets.models": ("", "_models"),
    "taylornets.optimizers": ("_registry", "METHODS"),
    "taylornets.reproduction.claims": ("", "_registry"),
    "taylornets.series": ("_engine", "RULES"),
}
CHECKS: dict[str, Callable[[], None]] = {}

pytestmark = pytest.mark.usefixtures("x64")


@contextmanager
def added(path: str, folder: Path) -> Generator[None]:
    """The skeleton of a path as a file of a second folder of its room; afterwards room and registry are as before."""
    name = path.replace("/", ".")
    room, _, stem = name.rpartition(".")
    (folder / f"{stem}.py").write_text(SKELETONS[path], encoding="utf-8")
    module, attribute = REGISTRIES[room]
    registry = cast(dict[str, Any], getattr(import_module(f"{room}.{module}".rstrip(".")), attribute))
    before, package = dict(registry), import_module(room)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "__path__", [*package.__path__, str(folder)])
        try:
            import_modules(room, package.__path__)
            yield
        finally:
            registry.clear()
            registry.update(before)
            sys.modules.pop(name, None)
            vars(package).pop(stem, None)


def check(function: Callable[[], None]) -> Callable[[], None]:
    """Registers the check of the skeleton whose file is named like the function."""
    CHECKS[function.__name__] = function
    return function


def problem() -> tuple[tn.TwoLayerNetwork, jax.Array, jax.Array]:
    keys = jax.random.split(jax.random.key(0))
    x = jax.random.normal(keys[0], (20, 3))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    return tn.TwoLayerNetwork.init(keys[1], inputs=3, width=16), x, x[:, 0] * x[:, 1]


def stem(path: str) -> str:
    return path.rpartition("/")[2].lstrip("_")


@pytest.mark.parametrize("path", SKELETONS, ids=stem)
def test_skeleton_is_one_file(path: str, tmp_path: Path):
    with added(path, tmp_path):
        CHECKS[stem(path)]()


def test_every_addition_has_a_skeleton_and_a_check():
    assert sorted(map(stem, SKELETONS)) == sorted(CHECKS)
    rows = re.findall(r"^\| [a-z ]+ \| `([a-z/]+)/_?NAME\.py` \|", TEXT, re.MULTILINE)
    rooms = sorted(path.rpartition("/")[0].removeprefix("taylornets/") for path in SKELETONS)
    assert sorted(rows) == rooms


def test_nothing_remains():
    assert "bump" not in tn.activations.names()
    assert "half_squared" not in tn.losses.names()
    assert not {"up_to_cubic", "sparse_signs"} & set(tn.models.names())
    with pytest.raises(tn.ArgumentError, match="method"):
        tn.fit(*problem(), penalty=1e-2, method="adam")
    assert "odd_orders" not in claims.names()


def test_paths_and_test_files_exist():
    named = re.findall(r"`((?:src|tests|benchmarks|docs)/[\w./-]+\.\w+)`", TEXT)
    assert [name for name in named if not (ROOT / name).exists()] == []
    rooms = {path.stem for path in (ROOT / "src/taylornets").iterdir() if path.is_dir() or path.suffix == ".py"}
    rooms = {name for name in rooms if not name.startswith("__")}
    table = TEXT.partition("## Layout")[2].partition("## Add")[0]
    assert set(re.findall(r"`(\w+)`(?=[^|]*\|[^|]*\|$)", table, re.MULTILINE)) == rooms


@check
def bump() -> None:
    net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8, activation="bump")
    t = jnp.linspace(-2, 2, 9)
    third = (3 * t - t**3) * jnp.exp(-(t**2) / 2)
    np.testing.assert_allclose(net.activation.derivative(3)(t), third, atol=1e-13)
    assert net.activation.hermite_coefficient(0, 0) == pytest.approx(math.sqrt(0.5), rel=1e-10)


@check
def half_squared() -> None:
    """Half of the squared loss under half of the penalty is the same problem."""
    net, x, y = problem()
    result = tn.fit(net, x, y, loss="half_squared", penalty=1e-2, tol=1e-6)
    double = tn.fit(net, x, y, penalty=2e-2, tol=1e-6)
    assert result.status is tn.Status.CERTIFIED
    assert 2 * result.objective == pytest.approx(double.objective, rel=1e-5)
    bound = tn.certify(net, result.w, x, y, loss="half_squared", penalty=1e-2)
    assert 0 <= float(bound.relative_gap) <= 1e-6


@check
def up_to_cubic() -> None:
    net, x, y = problem()
    w = 0.3 * net.w0
    expected = jnp.mean((net.taylor(3, w, x)[:, 0] - y) ** 2) + 1e-2 * jnp.sum(jnp.linalg.norm(w, axis=1) ** 6)
    risk = tn.objective(net, x, y, model="up_to_cubic", penalty=1e-2, power=6)
    assert float(risk(w)) == pytest.approx(float(expected), rel=1e-12)
    result = tn.fit(net, x, y, model="up_to_cubic", penalty=1e-2, power=6, tol=1e-3)
    assert result.status is tn.Status.STATIONARY


@check
def sparse_signs() -> None:
    """The mean is that of the three nodes; the expected loss is the mean over all draws of a small network."""
    _, x, y = problem()
    net = tn.TwoLayerNetwork.init(jax.random.key(1), inputs=3, width=4)
    randomization = tn.models.get("sparse_signs").randomization
    assert randomization is not None
    w, root = 0.5 * net.w0, math.sqrt(2)
    expected = (net(root * w, x) + 2 * net(0 * w, x) + net(-root * w, x)) / 4
    np.testing.assert_allclose(randomization.mean(net, w, x), expected, atol=1e-14)
    draws = [jnp.array(draw)[:, None] for draw in itertools.product((root, 0, 0, -root), repeat=4)]
    losses = [jnp.mean((net(z * w, x)[:, 0] - y) ** 2) for z in draws]
    risk = tn.objective(net, x, y, model="sparse_signs", penalty=1e-2)
    assert float(risk.risk(w)) == pytest.approx(float(jnp.mean(jnp.stack(losses))), rel=1e-12)


@check
def adam() -> None:
    net, x, y = problem()
    result = tn.fit(net, x, y, penalty=1e-2, method="adam", max_steps=500, throw=False)
    assert result.certificate is not None
    assert float(result.certificate.relative_gap) < 1e-3


@check
def gauss() -> None:
    """Coefficients of `exp(-(a + t b)²/2)` are `exp(-a²/2) (-b)^k He_k(a)/k!`."""
    primitive = Primitive("gauss")
    primitive.def_impl(lambda z: jnp.exp(-(z**2) / 2))
    primitive.def_abstract_eval(lambda z: z)
    mlir.register_lowering(primitive, mlir.lower_fun(lambda z: jnp.exp(-(z**2) / 2), multiple_results=False))

    def f(params: Any) -> Any:
        return cast(Any, primitive.bind(params))

    a, b = jnp.linspace(-2, 2, 5), jnp.linspace(0.5, 1, 5)
    terms = tn.taylor_terms(f, a, 5)(a + b)
    for k, term in enumerate(terms):
        hermite = np.polynomial.hermite_e.hermeval(np.asarray(a), [0] * k + [1])
        expected = np.exp(-(np.asarray(a) ** 2) / 2) * (-np.asarray(b)) ** k * hermite / math.factorial(k)
        np.testing.assert_allclose(term, expected, atol=1e-14)
    assert "fall-back" not in str(tn.explain(f, a))


@check
def odd_orders() -> None:
    record = run_claim(claims.get("odd_orders"), Stamp("quick", 0, "0.1.0", None, True), lambda fraction, message: None)
    assert record.holds
    assert record.detail["negative_control"]["measured"] == pytest.approx(1)
