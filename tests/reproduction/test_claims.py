"""Every claim at a small size: compared with a known answer, and with a negative control that fails.

All seeds are fixed, so a test that passes does not fail by chance. Tolerances of slopes are stated in standard
deviations over seeds.
"""

import importlib
import itertools
import math
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import PRNGKeyArray

import taylornets as tn
from taylornets.generalization import GeneralizationCertificate, RiskCertificate
from taylornets.learning import problems
from taylornets.records import ClaimRecord, Stamp
from taylornets.reproduction import _reproduce as runner
from taylornets.reproduction import claims, reproduce
from taylornets.reproduction._running import run_claim
from taylornets.reproduction.claims import Claim, ClaimContext, NegativeControl, Outcome
from taylornets.reproduction.claims._classifiers import Certified
from taylornets.reproduction.claims._studies import GOAL, Grid, Study

STAMP = Stamp("quick", 0, "0.1.0", None, True)
Check = Callable[[ModuleType, ClaimContext, pytest.MonkeyPatch], None]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Registers the check of the claim that the function is named after."""
    CHECKS[function.__name__] = function
    return function


@pytest.mark.parametrize("name", claims.names())
def test_claim_against_a_known_answer(name: str, monkeypatch: pytest.MonkeyPatch, x64: None):
    assert name in CHECKS, f"claim {name!r} has no check in this file"
    done: list[float] = []
    context = ClaimContext("quick", 0, claims.claim_key(0, name), lambda fraction, _: done.append(fraction))
    CHECKS[name](importlib.import_module(f"taylornets.reproduction.claims.{name}"), context, monkeypatch)
    assert all(0 <= fraction <= 1 for fraction in done)


def test_checks_are_those_of_the_claims():
    assert set(CHECKS) == set(claims.names())


def run(module: ModuleType, context: ClaimContext, **sizes: Any) -> Outcome:
    """Runs a claim at a small size; its control must fail."""
    outcome = module.run(context, replace(module.SIZES["quick"], **sizes))
    assert outcome.control is not None
    assert outcome.control.fails
    assert list(outcome.figures)
    return outcome


def relu(t: np.ndarray) -> np.ndarray:
    return np.maximum(t, 0.0)


def smallest_eigenvalue_at_zero(net: tn.TwoLayerNetwork, x: Any, y: Any) -> float:
    """Of the Hessian of the quadratic model's squared loss: `2 M_r(ν)`, `ν_i = -2 y_i/n`, is its block of unit `r`."""
    x, y, w0, a = (np.asarray(part) for part in (x, y, net.w0, net.a))
    features = a[:, 0] * relu(x @ w0.T) / (2 * math.sqrt(len(w0)))
    blocks = np.einsum("i,ir,id,ie->rde", -4 * y / len(y), features, x, x)
    return float(np.linalg.eigvalsh(blocks).min())


@check
def coupling(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise and bias are those of all 4096 sign vectors; slopes are the theory's, at ten times its tolerance."""
    net, x, w = module.problem(context.key, 12)
    u, v = np.asarray(x @ net.w0.T), np.asarray(x @ w.T)
    a = np.asarray(net.a)[:, 0] / math.sqrt(12)
    outputs = np.array([(relu(u + v * s) ** 3 / 6) @ a for s in itertools.product((1.0, -1.0), repeat=12)])
    quadratic = (relu(u) * v**2 / 2) @ a
    noise = np.sqrt(np.mean((outputs - quadratic) ** 2))
    bias = np.sqrt(np.mean((outputs.mean(axis=0) - quadratic) ** 2))
    plain = np.sqrt(np.mean((outputs[0] - quadratic) ** 2))
    np.testing.assert_allclose(module.errors(context.key, 12), (noise, bias, plain), rtol=1e-10)

    outcome = run(module, context, widths=(256, 1024), networks=16)
    # Over 16 networks the slopes have standard deviations of 0.014 and 0.03; at these widths they are 0.04 too low.
    assert outcome.measured["noise slope"] == pytest.approx(-0.25, abs=0.1)
    assert outcome.measured["bias slope"] == pytest.approx(-0.5, abs=0.15)
    assert module.holds({"noise": -0.24, "bias": -0.51})


@check
def randomized_risk(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The closed form is the mean over all sign vectors, from the definition; the rest as at full size."""
    monkeypatch.setattr(module, "PENALTY", 1e-4)
    monkeypatch.setattr(module, "EXAMPLES", 40)
    ((_, closed, _, _),) = module._enumeration(context, (4,), "randomized")
    keys = jax.random.split(jax.random.fold_in(context.key, 4), 3)
    net = tn.TwoLayerNetwork.init(keys[0], module.INPUTS, 4)
    x, y = map(np.asarray, problems.noisy_product(keys[1], 20, module.INPUTS))
    u, v = x @ np.asarray(net.w0).T, x @ np.asarray(jax.random.normal(keys[2], net.w0.shape)).T
    a = np.asarray(net.a)[:, 0] / 2
    risks = [np.mean(((relu(u + v * s) ** 3 / 6) @ a - y) ** 2) for s in itertools.product((1.0, -1.0), repeat=4)]
    assert closed == pytest.approx(np.mean(risks), rel=1e-12)

    sizes = {"enumerated": (4,), "samples": 200, "sampled": 16, "widths": (32, 128), "control": (32, 128)}
    outcome = run(module, context, data_sets=2, **sizes)
    # The standard deviation of the slope over two data sets is 0.03.
    assert outcome.measured["slope"] == pytest.approx(-0.5, abs=0.2)
    assert outcome.detail["samples_agree_within_5_standard_errors"]
    assert outcome.detail["lower_bound_never_violated"]
    assert module.holds(module._Found(-0.45, 1e-15, 1.0, True))


@check
def landscape(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest eigenvalue at zero is in closed form."""
    outcome = run(module, context, triples=500, widths=(4,), starts=4, powers=(8,), sliced=4, control=10)
    assert outcome.holds
    points = importlib.import_module("taylornets.reproduction.claims._stationary_points")
    net, x, y, _ = points.problem(context, 4, 8)
    (saddle,) = (row for row in map(tuple, list(outcome.tables)[1].rows) if row[1] == "saddle at 0")
    assert saddle[2:4] == pytest.approx([smallest_eigenvalue_at_zero(net, x, y)] * 2, rel=1e-9)
    assert outcome.control is not None
    assert outcome.control.measured["least relative slack, squared loss"] < -0.01


@check
def certificate(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """One example: `q_r = ‖w_r‖² = t c_r` where `c_r > 0`, and `t` solves `2 S (t S - y) + λ (t^{p/2} S^{p/4})' = 0`."""
    sizes = replace(module.SIZES["quick"], shapes=((1, 3, 4),), count=1)
    net, x, y, penalty, _ = module.problem(context, sizes, module.WEAK, 0)
    x, y = np.asarray(x), abs(float(y[0, 0]))
    features = np.asarray(net.a)[:, 0] * relu(x[0] @ np.asarray(net.w0).T) / (2 * math.sqrt(4))
    total = np.sum(relu(features) ** 2)  # the units come in pairs of both signs
    solved = module.solve(context, sizes, module.WEAK, 0)
    assert solved.result.objective == pytest.approx(penalty * y**2 / (total + penalty), rel=1e-6)
    assert solved.gap <= module.TARGET
    assert solved.wrong == pytest.approx(solved.gap, abs=1e-8)  # one example: the permutation changes nothing
    assert solved.violations == 0

    outcome = run(module, context, shapes=((20, 4, 4),), count=1, families=(module.WEAK,))
    assert outcome.holds
    assert outcome.control is not None
    assert outcome.control.measured["largest excess of rank one over the optimum"] > 1e-3
    assert outcome.control.measured["smallest gap with a permuted dual vector"] > 1e-3


@check
def escape(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The saddle's eigenvalue is in closed form; gradient descent stays there, negative curvature escapes."""
    methods = ("gradient_descent", "negative_curvature")
    outcome = run(module, context, problems=1, widths=(16, 32), all_methods=(), data_sets=2, width=32, methods=methods)
    net, x, y = module._problem(context, 0, 32)
    assert outcome.detail["smallest_eigenvalue_at_zero"] == pytest.approx(smallest_eigenvalue_at_zero(net, x, y))
    # Between two widths and over two data sets the slope has a standard deviation of 0.09.
    assert outcome.measured["slope of the network's certificate"] == pytest.approx(-0.5, abs=0.3)
    passing = module._Found(0, {"negative_curvature": outcome.measured["worst gap, negative curvature"]}, 0, -0.5)
    assert module.holds(passing)
    assert outcome.control is not None
    assert outcome.control.measured["problems in which gradient descent moved"] == 1


@check
def generalization(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compares the complexity of the linear model with its definition; `tests/generalization` covers the certificates."""
    proof = GeneralizationCertificate(0.3, 0.1, 0.1, 0.1, 1.0, 1.0, 0.0, 0.05, 2)
    risk = RiskCertificate(0.2, 0.3, 1.0, 0.1, 0.1, 10, 0.05, 1.0, 0.0, 2, "kl")
    known = Certified("known", 10, {1: proof, 2: proof}, {1: 0.1, 2: 0.1}, {1: risk, 2: risk}, {1: 0.1, 2: 0.1})
    monkeypatch.setattr(module, "certificates", lambda context, names: [known])
    monkeypatch.setattr(module, "WIDTH", 8)
    keys = jax.random.split(context.key, 4)
    basis = jnp.linalg.qr(jax.random.normal(keys[0], (8, 8)))[0]
    x = np.asarray((problems.sphere(keys[1], 40, 8) @ basis.T).astype(jnp.float32))
    w0 = np.asarray(tn.TwoLayerNetwork.init(keys[2], 8, 8, dtype=jnp.float32).w0)
    signs = np.asarray(jax.random.rademacher(keys[3], (module.DRAWS[1], 40), jnp.float32))
    slopes = relu(x @ w0.T) ** 2 / 2
    norms = [np.linalg.norm((s[:, None] * slopes).T @ x) for s in signs]
    assert module._complexity(context.key, 1, 40, 8, 8, 8) == pytest.approx(
        np.mean(norms) / (40 * math.sqrt(8)), rel=1e-4
    )

    sizes = {"grid_n": (128, 512), "grid_d": (8, 16), "simulations": 20, "base_n": 128, "base_d": 8, "units": 8}
    fixed = {"many": 512, "enough": 512, "bounds": ((8, 32), (100, 200))}
    outcome = run(module, context, seeds=2, searches=1, data_sets=50, control=(8, 16, 32), **sizes, **fixed)
    assert outcome.measured["quadratic model: exponent in n"] == pytest.approx(-0.5, abs=0.1)
    assert outcome.measured["quadratic model: exponent in d"] < -0.25  # flattened at small d, see the module
    theory = {(o, name): value for o, values in module.PREDICTED.items() for name, value in values.items()}
    one = {1: np.ones(1), 2: np.ones(1)}
    passing = module._Found(one, one, theory, [known])
    assert module.holds(passing)
    # Two networks: the exponent has a standard deviation of about 0.1.
    assert outcome.control is not None
    exponent = outcome.control.measured["quadratic model: exponent in d"]
    assert exponent == pytest.approx(0, abs=0.2)
    assert not module.holds(passing._replace(exponents=theory | {(2, "d"): exponent}))
    counted = outcome.detail["violations"]
    assert counted["PAC-Bayes"] == 0
    assert counted["PAC-Bayes with δ and divergence ignored"] > 5
    assert outcome.detail["PAC-Bayes bound for random labels"] >= 0.5
    assert not module.holds(passing._replace(certified=[replace(known, risk_errors={1: 0.4, 2: 0.4})]))


@check
def expressivity(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The norm of a planted square is in closed form: `2 k!² q!/c²` with `c = E[-sin(g + 0.7)] = -sin(0.7) e^{-1/2}`."""
    monkeypatch.setattr(module, "PAGE", ((2, 2), (3, 5)))
    (square, row), _ = module.pairs(())
    limit = 8 / (math.sin(0.7) * math.exp(-0.5)) ** 2
    assert row.norm == pytest.approx(limit, rel=1e-6)
    sizes = {"block": 2**7, "widest": 2**11, "networks": 8, "others": ()}
    found = module.planted(context, replace(module.SIZES["quick"], **sizes), square, row)
    np.testing.assert_allclose(found.norms, limit, rtol=1e-6)
    outcome = run(module, context, **sizes)
    # Within three times the claim's tolerance; the norms within the claim's three standard errors.
    assert outcome.measured["slope farthest from −1/2"] == pytest.approx(-0.5, abs=0.3)
    assert outcome.measured["largest deviation of a norm, in standard errors"] < 3
    assert outcome.control is not None
    assert outcome.control.measured["slope"] == pytest.approx(0, abs=0.1)
    assert module.holds([replace(found, slope=-0.52)], 1e-12)


@check
def sample_complexity(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power-law errors give the correct exponents; for decaying spectra, the effective dimension does not grow."""
    studies = importlib.import_module("taylornets.reproduction.claims._studies")

    def law(cell: Any) -> dict[str, Any]:
        effective = cell.d if cell.decay == 0 else 6.0
        needed = {"ntk": 1.3 * effective**2, "quadratic": 20 * effective}[cell.model]
        return {"error": GOAL * (needed / cell.n) ** 1.5, "m_op": effective**-0.5}

    monkeypatch.setattr(studies, "run_cell", law)
    grids = {"ntk": Grid(2, (0.7, 1.2, 1.8)), "quadratic": Grid(1, (9, 16, 27))}
    uneven = {model: Grid(1, (1, 3, 10, 30)) for model in grids}
    outcome = run(module, context, isotropic=Study((10, 20, 40), 2, grids), decays=(2.0,), uneven=uneven)
    assert outcome.holds
    assert outcome.measured["NTK: exponent of n*"] == pytest.approx(2, abs=0.02)
    assert outcome.measured["quadratic model: exponent of n*"] == pytest.approx(1, abs=0.02)
    assert outcome.control is not None
    assert outcome.control.measured["NTK: exponent of n*"] == pytest.approx(0, abs=0.02)
    # p = 3: exponents with their difference, the goal and what is known of it are on the page, though not part of the verdict.
    cubic = Study((10, 20), 2, {"ntk": Grid(3, (0.1, 0.2, 0.4)), "quadratic": Grid(2, (1, 2, 4))})
    laws = {"ntk": lambda d: 0.2 * d**3, "quadratic": lambda d: 0.5 * d**2.5}
    monkeypatch.setattr(
        studies, "run_cell", lambda cell: {"error": GOAL * (laws[cell.model](cell.d) / cell.n) ** 1.5, "m_op": 1.0}
    )
    text = module.sentences(studies.run_study(cubic, context, lambda f, text: None), 0)
    assert (
        "3.00 [3.00, 3.00] for the NTK and 2.50 [2.50, 2.50] for the quadratic model over d = 10, 20 (2 seeds)" in text
    )
    assert (
        "0.50 [0.50, 0.50] apart. The goal of 0.6 is missed. The full profile (five seeds, d = 10, 14, 20, 28) gives 2.87 "
        in text
    )


@check
def degrees(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power-law errors give the exponents of the theory; a control that order 3 learns does not fail."""
    studies = importlib.import_module("taylornets.reproduction.claims._studies")
    constants = {"ntk": (0.14, 3), "quadratic": (1.2, 2), "cubic": (4.5, 1)}

    def law(cell: Any) -> dict[str, Any]:
        constant, power = constants[cell.model]
        power = 2 * power if cell.target == "all_cubes" and cell.model == "cubic" else power
        assert cell.width == 12 * cell.d
        return {"error": GOAL * (constant * cell.d**power / cell.n) ** 1.5, "m_op": 1.0}

    monkeypatch.setattr(studies, "run_cell", law)
    monkeypatch.setattr(module, "run_cell", law)
    outcome = run(module, context)
    assert outcome.holds
    for model, (_, power) in constants.items():
        assert outcome.detail["exponents"][model][0] == pytest.approx(power, abs=0.05)
    assert not module.holds({"ntk": 3.0, "quadratic": 2.0, "cubic": 2.0}, (3, 9))
    assert not module.holds({"ntk": 3.0, "quadratic": 2.0, "cubic": 1.0}, (3, 4))
    # The same rule on the sparse target: order 3 learns it at these numbers of examples, and the control would not fail.
    monkeypatch.setattr(module, "run_cell", lambda cell: law(replace(cell, target="product")))
    assert not module.control(context, module.SIZES["quick"]).fails


@check
def hierarchical(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is orthogonal to lower degrees on the sphere; d = 6 is learned, and the controls are not."""
    z = math.sqrt(6) * np.asarray(problems.sphere(context.key, 50_000, 6))
    y = np.asarray(tn.targets.from_formula(module.harmonic(6), inputs=6)(z))[:, 0]
    low = np.stack([np.ones(len(z)), z[:, 0], z[:, 0] ** 2, z[:, 1] ** 2], axis=1)
    assert np.abs(low.T @ y / len(y)).max() < 0.03 * y.std()
    outcome = module.run(context, replace(module.SIZES["quick"], d=6, n=200, seeds=1, growth=()))
    assert outcome.measured["hierarchical: error / variance"] < 0.05
    assert not outcome.holds  # at d = 6 the quadratic model on the inputs learns it too
    control = outcome.control.measured
    assert control["odd: error"] > 0.7
    assert control["odd: said before training"] == "True"
    assert not outcome.control.fails  # n = 200 is enough for all quadratic forms in 21 features, of any rank
    assert module.holds({"hierarchical": 0.02, "quadratic": 1.0, "ntk": 0.9})
    # The growth of n*, which the map of learners draws: power laws give its ratio.
    laws = {"hierarchical": lambda d: 3.0 * d**2, "quadratic": lambda d: d**3}
    monkeypatch.setattr(module, "error_of", lambda context, model, cell: GOAL * (laws[model](cell.d) / cell.n) ** 1.5)
    sizes = module.SIZES["quick"]
    growth = module._growth(context, sizes)
    assert sizes.growth == (7, 10)
    assert growth["ratio"] == pytest.approx([7 / 3, 10 / 3], rel=0.02)
    assert "This run (1 seed) measures 2.3 at d = 7, 3.3 at d = 10." in module._grown(sizes, growth)


@check
def joint(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target has two uncorrelated parts of variance 1/2; the even model obeys the bound of parity on pairs ±x exactly."""
    models = importlib.import_module("taylornets.reproduction.claims._joint_models")
    x = problems.sphere(context.key, 100_000, 6)
    even, odd = (models.target(x) + models.target(-x)) / 2, (models.target(x) - models.target(-x)) / 2
    assert float(jnp.var(even)) * 8 / 6 == pytest.approx(0.5, abs=0.02)  # E x_1² x_2² = 1/(d(d+2)) on the sphere
    assert float(jnp.var(odd)) == pytest.approx(0.5, abs=0.02)
    monkeypatch.setattr(models, "PENALTIES", (1e-4,))
    monkeypatch.setattr(models, "RIDGES", (1e-2,))
    measured = models.errors(context.key, 6, 60, models.Shape(60, 6, 16, 200), "gelu")
    # The best even function of the pairs ±x has the error of the bound; the odd part has a share of 0.57 on the sphere of R^6.
    test = problems.sphere(jax.random.split(context.key, 4)[1], 200, 6)
    values, other = models.target(test), models.target(-test)
    best, both = (values + other) / 2, jnp.concatenate([values, other])
    exact = float(jnp.mean((jnp.concatenate([best, best]) - both) ** 2) / jnp.var(both))
    assert measured["bound"] == pytest.approx(exact, rel=1e-5)
    assert measured["bound"] == pytest.approx(0.57, abs=0.1)
    assert measured["quadratic"] >= measured["bound"]
    assert measured["gap"] <= module.TOLERANCE
    assert measured["sum"] < measured["quadratic"]
    known = {
        "gelu": {"linear": 0.4, "quadratic": 0.7, "sum": 0.1, "bound": 0.51, "gap": 1e-4},
        "cubic_relu": {"linear": 0.4, "quadratic": 0.3, "sum": 0.28, "bound": 0.51, "gap": 1e-4},
    }
    growth = importlib.import_module("taylornets.reproduction.claims._joint_growth")
    monkeypatch.setattr(module, "kept_errors", lambda context, seed, d, n, shape, activation: known[activation])
    monkeypatch.setattr(growth, "kept_errors", laws := JointLaws())
    outcome = run(module, context)
    assert outcome.holds
    needed = outcome.detail["growth"]["examples_needed"]
    assert needed["linear"] == pytest.approx(np.array([[0.7 * d**2 for d in (12, 20, 28)]] * 2), rel=1e-6)
    assert needed["sum"] == pytest.approx(np.array([[9.0 * d for d in (12, 20, 28)]] * 2), rel=0.01)
    assert np.isinf(needed["quadratic"]).all()
    assert outcome.measured["NTK: exponent of n*"] == pytest.approx(2)
    assert "The quadratic model never reaches it." in " ".join(outcome.explanation)
    laws.floor = 0.4  # below the bound of parity at some n
    assert not run(module, context).holds
    laws.floor = 0.6
    assert module.holds(known["gelu"])
    assert not module.holds(known["gelu"] | {"quadratic": 0.3})
    assert not module.holds(known["gelu"] | {"quadratic": 0.505})  # above 0.5, below the bound of this sample
    assert not module.holds(known["gelu"] | {"sum": 0.3})
    known["gelu"] |= {"quadratic": 0.505}
    assert not run(module, context).holds


class JointLaws:
    """Errors with `n* = 0.7 d²` for the NTK and `9 d` for the sum, and a floor for the quadratic model."""

    floor = 0.6

    def __call__(self, context: Any, seed: int, d: int, n: int, shape: Any, activation: str, models: Any) -> Any:
        (model,) = models
        law = {"linear": 0.7 * d**2, "sum": 9.0 * d}
        error = self.floor if model == "quadratic" else GOAL * (law[model] / n) ** 2
        return {model: error, "bound": 0.5, "gap": 1e-4}


def test_zero_columns_and_weightless_rows_change_no_error(x64: None):
    """One shape serves all dimensions and numbers of examples; the linear model is exact, so its weights prove it."""
    models = importlib.import_module("taylornets.reproduction.claims._joint_models")
    x = problems.sphere(jax.random.key(0), 40, 4)
    net = tn.TwoLayerNetwork.init(jax.random.key(1), 6, 16, activation="gelu")
    small = tn.TwoLayerNetwork(net.w0[:, :4], net.a, net.activation, net.symmetric)
    y = models.target(x)
    wide = jnp.pad(x, ((0, 0), (0, 2)))
    present = (np.arange(40) < 30).astype(float)
    for name in ("linear", "sum"):
        *_, padded = models._path(name, net, wide, y, present)
        *_, plain = models._path(name, small, x[:30], y[:30], np.ones(30))
        np.testing.assert_allclose(padded.predict(wide), plain.predict(x), atol=1e-9 if name == "linear" else 0.05)
    joint = importlib.import_module("taylornets.reproduction.claims.joint")
    assert joint.SIZES["quick"].shape == models.Shape(800, 40, 128, 1000)  # 20 d = 800 rows cover 28² = 784


@check
def higher_order(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise and bias are those of all draws of the nodes; slopes are the theory's."""
    rule = module.KINDS["signed"](3).rule
    net, x, _, w = module.problem(context.key, 4, 3)
    w = np.where(np.asarray(net.a) > 0, 2 ** (1 / 3) * np.asarray(w), 0)
    u, v, a = np.asarray(x @ net.w0.T), np.asarray(x) @ w.T, np.asarray(net.a)[:, 0] / 2
    nodes, weights = np.asarray(rule.nodes), np.asarray(rule.weights)
    size = np.sum(np.abs(weights))
    outputs, probabilities = [], []
    for draw in itertools.product(range(len(nodes)), repeat=2):  # a pair of units shares its draw
        z, factor = np.tile(nodes[list(draw)], 2), np.tile(size * np.sign(weights[list(draw)]), 2)
        outputs.append(np.sin(u + z * v + 0.7) @ (a * factor))
        probabilities.append(np.prod(np.abs(weights[list(draw)]) / size))
    cubic = (-np.cos(u + 0.7) * v**3 / 6) @ a
    differences, probabilities = np.array(outputs) - cubic, np.array(probabilities)
    noise = np.sqrt(np.mean(probabilities @ differences**2))
    bias = np.sqrt(np.mean((probabilities @ differences) ** 2))
    np.testing.assert_allclose(module.coupling_errors(context.key, 4, 3)[0], (noise, bias), rtol=1e-9)

    sizes = {"widths": (512, 2048), "networks": 2, "optima": (16,), "optima_networks": 2}
    outcome = run(module, context, orders=(3,), **sizes)
    # At these widths the slopes are up to 0.1 too steep; over two networks their standard deviation is 0.01.
    assert outcome.measured["slope of the noise, signed moments, k = 3"] == pytest.approx(-1 / 6, abs=0.03)
    assert module.holds([(-0.17, -1 / 6)])
    assert outcome.control is not None
    assert outcome.control.measured["slope of the bias"] == pytest.approx(1 / 6, abs=0.03)


@check
def dynamics(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel at the initialization is that of the definition; order 1 diverges above 2, and the others end below."""
    net, w, x, y = module.problem(context.key, 64)
    u = np.asarray(x @ net.w0.T)
    kernel = np.asarray(x @ x.T) * ((1 - np.tanh(u) ** 2) @ (1 - np.tanh(u) ** 2).T) / 64 / len(x)
    limit = tn.dynamics.predict(net, w, x, y, 1.0, 1).limit
    assert limit == pytest.approx(2 / np.linalg.eigvalsh(kernel)[-1], rel=1e-9)
    monkeypatch.setattr(module, "ORDERS", (1, 2))
    sizes = {"lazy": (100, 500), "linear": (8,), "draws": 60, "deep": 6, "updates": 1200}
    outcome = run(module, context, width=64, grid=(1.0, 2.1, 2.6), steps=150, wide=512, **sizes)
    assert outcome.detail["order_1_diverges_iff_above_2"]
    assert outcome.detail["deviation_from_recurrences"] < 1e-10
    assert outcome.measured["final ηS from c = 2.6, order 2"] < 2
    assert outcome.measured["final ηS from c = 2.1, network"] == pytest.approx(1.9, abs=0.15)  # a narrow network
    assert module.holds({2: 1.9}, {2: 1.93})
    assert not module.holds({2: 2.1}, {2: 1.93})
    assert not module.holds({2: 1.9}, {2: 1.99})
    assert not module.holds({2: math.nan}, {2: 1.9})
    # Parts on one example, and at the edge of stability.
    assert outcome.detail["bound_of_one_example"]
    assert outcome.measured["mean ηS at the edge, network"] == pytest.approx(2, abs=0.15)
    assert outcome.control is not None
    assert outcome.control.measured["mean ηS at the edge"] == pytest.approx(0.9, rel=1e-6)
    assert outcome.control.measured["lazy change × width at c = 1"] == 0
    assert outcome.measured["explained sharpness at the end, order 1"] <= outcome.detail["bound_on_order_1"] + 1e-6
    one = importlib.import_module("taylornets.reproduction.claims._one_example")
    _lazy_change(one, context.key)
    c, success = one.one_width(context.key, 8, 2, 40, 600)
    u, v = np.moveaxis(np.array([jax.random.normal(key, (2, 8)) for key in jax.random.split(context.key, 40)]), 1, 0)
    rate = c / (np.sum(u**2 + v**2, axis=1) / 8)
    with np.errstate(all="ignore"):
        for _ in range(600):
            pull = rate * np.sum(u * v, axis=1) / 8
            u, v = u - pull[:, None] * v, v - pull[:, None] * u
        np.testing.assert_array_equal(success, np.abs(np.sum(u * v, axis=1)) < 100)
    assert one.fractions(c, c < 4) == (1, 0)
    assert not one.bound_holds(0.99, 0.0)
    assert not one.bound_holds(1.0, 0.01)
    _explained_sharpness(importlib.import_module("taylornets.reproduction.claims._edge"), context.key)


def _lazy_change(one: ModuleType, key: PRNGKeyArray) -> None:
    """The formula agrees with Gaussian moments, and the measurement with gradient descent in JAX."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    t = np.tanh(nodes)
    first, second, third = 1 - t**2, -2 * t * (1 - t**2), (1 - t**2) * (6 * t**2 - 2)
    kernel, bends, cubic = weights @ first**2, weights @ (first**2 * second**2), weights @ (first**3 * third)
    for name in (2, "full"):
        found = one.changes(key, 20_000, name, (0.2, 1.7))
        exact = [(bends * (4 - 3 * c) / (2 - c) + (cubic if name == "full" else 0)) / kernel**3 for c in (0.2, 1.7)]
        np.testing.assert_allclose(20_000 * found.formula, exact, rtol=0.05)
    net = tn.TwoLayerNetwork.init(key, 2, 30, activation="tanh")
    x, w = jnp.array([[1.0, 0.0]]), jnp.zeros_like(net.w0)
    for name, model in ((2, lambda w: net.taylor(2, w, x)), ("full", lambda w: net(w, x))):
        size = jax.jit(lambda w, model=model: jnp.sum(jax.grad(lambda w: model(w)[0, 0])(w) ** 2))
        rate = 1 / size(w)
        step = jax.jit(
            lambda w, model=model, rate=rate: w - rate * jax.grad(lambda w: (model(w)[0, 0] - 1) ** 2 / 2)(w)
        )
        end = w
        for _ in range(one.UPDATES):
            end = step(end)
        assert one.changes(key, 30, name, (1.0,)).measured[0] == pytest.approx(float(size(end) / size(w)) - 1, rel=1e-8)
    change = one.Change(np.array([0.01]), np.array([0.0099]), np.zeros(0), 1000)
    assert change.deviation == pytest.approx(0.1)
    assert not one.lazy_holds(change, -1.0)
    assert not one.lazy_holds(replace(change, width=100), -0.5)
    assert one.lazy_holds(replace(change, width=100), -1.1)
    assert not one.lazy_holds(replace(change, width=100), math.nan)


def _explained_sharpness(edge: ModuleType, key: PRNGKeyArray) -> None:
    """The explained part agrees with dense Hessians; the rules reject what theory 15 excludes."""
    found = edge.measured(key, 3, 24, (1, 2))
    f, params, x, y = edge.problem(key, 3)
    start, back = jax.flatten_util.ravel_pytree(params)
    models = {1: tn.taylor_expand(lambda v, x: f(back(v), x), start, 1), "full": lambda v, x: f(back(v), x)}
    losses = {k: lambda v, m=m: jnp.sum((m(v, x) - y) ** 2) / 120 for k, m in models.items()}
    v, slope = start, jax.jit(jax.grad(losses["full"]))
    for _ in range(24):
        v = v - found.early.rate * slope(v)
    values, vectors = np.linalg.eigh(np.asarray(jax.hessian(losses["full"])(v)))
    top = vectors[:, -1]
    part = top @ np.asarray(jax.hessian(losses[1])(v)) @ top / values[-1]
    assert found.explained[1] == pytest.approx(float(part), abs=1e-5)
    assert found.late.step[0] == 8
    good = replace(found, hover={1: 0.9, 2: 2.04, "full": 1.97}, explained={1: 0.13, 2: 1.13}, from_edge={2: 1.002})
    assert edge.holds(good)
    for wrong in (
        {"hover": {1: 0.9, 2: 2.11, "full": 2.0}}, {"hover": {1: 0.9, 2: math.nan, "full": 2.0}}, {"from_edge": {2: 0.94}},
        {"explained": {1: 0.6, 2: 1.13}}, {"explained": {1: 0.13, 2: 0.4}},
    ):  # fmt: skip
        assert not edge.holds(replace(good, **wrong))


@check
def real_data(module: ModuleType, context: ClaimContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interval of paired errors and the NTK in closed form; on ten classes the quadratic model does as well."""
    tables = importlib.import_module("taylornets.reproduction.claims._two_classes")
    wrong = {"linear": np.arange(100) < 20, "quadratic": np.arange(100) < 8, "sum": np.arange(100) < 8}
    known = tables.Compared("known", wrong, dict.fromkeys(wrong, 1e-4), "quadratic", 0.1)
    mean, (low, high) = known.difference
    assert mean == pytest.approx(0.12)
    assert (high - low) / 2 == pytest.approx(
        1.96 * math.sqrt(0.12 * 0.88 / 99)
    )  # 12 of 100 rows differ, in one direction
    parts = tables.load(tables.DIGITS, 0)
    rows = np.concatenate([x for x, _ in parts])
    assert [len(x) for x, _ in parts] == [400, 200, 1197]
    assert len(np.unique(rows, axis=0)) == 1797
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1)
    monkeypatch.setattr(tables, "SPLITS", {"wine, second cultivar or not": (40, 30, 100)})
    monkeypatch.setattr(tables, "ROWS", 40)
    monkeypatch.setattr(tables, "COLUMNS", 14)
    found = tables.compare(context, "wine, second cultivar or not", width=8)
    assert max(found.gaps.values()) <= module.TARGET_GAP
    assert max(float(each.mean()) for each in found.wrong.values()) < 0.2
    chance = dict.fromkeys(wrong, np.arange(100) < 50)
    monkeypatch.setattr(
        module,
        "compare",
        lambda context, name, shuffled=False, width=0: replace(known, wrong=chance if shuffled else wrong),
    )
    # The network trained by Adam is not part of the verdict.
    monkeypatch.setattr(module, "_full_network", lambda context, split, net, epochs: module._ntk_ridge(split))
    monkeypatch.setattr(module, "PENALTIES", (6e-5,))
    monkeypatch.setattr(module, "TARGET_GAP", 0.1)  # the last percents take most of the time
    data, split = module.load(0, 100)
    trained = module._ntk_ridge(split)
    ridge = float(trained.setting.split()[1])
    x, new = np.asarray(split.x_all), np.asarray(split.x_test)

    def kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        cosine = np.clip(left @ right.T, -1, 1)
        angle = np.arccos(cosine)  # E[relu²(g) relu²(g')], the arc-cosine kernel of order 2
        second = (3 * np.sin(angle) * cosine + (np.pi - angle) * (1 + 2 * cosine**2)) / (2 * np.pi)
        return cosine * second / 4

    solved = np.linalg.solve(kernel(x, x) + len(x) * ridge * np.eye(len(x)), np.asarray(split.t_all))
    np.testing.assert_allclose(trained.outputs, kernel(new, x) @ solved, atol=1e-5)

    outcome = run(module, context, width=32, epochs=2, images=100)
    accuracy = outcome.measured["ten digits: test accuracy"]
    # The standard deviation over 100 test images is at most 0.05; at this gap the model is not yet at its best.
    assert accuracy == pytest.approx(trained.accuracy(data["y_test"]), abs=0.25)
    assert outcome.measured["ten digits: certified relative gap"] <= 0.1
    assert outcome.holds
    assert not module.holds([1e-4], (-0.001, 0.01))
    assert not module.holds([1e-4, 0.2], (0.001, 0.01))


def held(context: ClaimContext) -> Outcome:
    control = NegativeControl("no signs", "slope 1/4", {"slope": 0.25}, fails=np.True_)
    return Outcome(-0.25, True, control)


def passed(context: ClaimContext) -> Outcome:
    return replace(held(context), control=NegativeControl("no signs", "slope 1/4", {"slope": -0.25}, fails=False))


@pytest.mark.parametrize(("function", "verdict"), [(held, True), (passed, False)])
def test_claim_whose_control_does_not_fail_does_not_hold(function: Callable[..., Outcome], verdict: bool):
    record = run_claim(Claim("one", "One", "S.", "s", "p", function), STAMP, lambda fraction, message: None)
    control = record.detail["negative_control"]
    assert record.holds is verdict
    assert set(control) == {"setting", "predicted", "measured", "fails"}
    assert control["fails"] is verdict


def test_failing_control_does_not_save_a_claim():
    def lost(context: ClaimContext) -> Outcome:
        return replace(held(context), holds=False)

    assert not run_claim(Claim("one", "One", "S.", "s", "p", lost), STAMP, lambda fraction, message: None).holds


def test_longest_claim_starts_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """With several workers. A single worker uses the order of the theory, which is also the order of the records."""
    begun: list[str] = []
    run_claims = runner.run_claims

    def alone(found: Sequence[Claim], stamp: Stamp, workers: int, *others: Any) -> Generator[ClaimRecord]:
        begun[:] = [claim.name for claim in found]
        return run_claims(found, stamp, 1, *others)

    monkeypatch.setattr(runner, "run_claims", alone)
    monkeypatch.setattr(claims, "_registry", {})
    monkeypatch.setattr(claims, "_discover", lambda: None)
    for name, seconds in {"alpha": 50, "beta": 200, "gamma": 60}.items():
        claims.register(Claim(name, name, "S.", "s", "p", held, seconds))
    for workers, order in ((1, ["alpha", "beta", "gamma"]), (2, ["beta", "gamma", "alpha"])):
        found = reproduce(tmp_path / str(workers), workers=workers)
        assert begun == order
        assert [record.claim for record in found] == ["alpha", "beta", "gamma"]


NEW = """
from taylornets.reproduction.claims import Claim, ClaimContext, NegativeControl, Outcome, register

SIZES = {"quick": 3, "full": 30}

def holds(value):
    return value > 2

def run(context: ClaimContext, sizes=None):
    size = sizes or SIZES[context.profile]
    return Outcome(size, holds(size), NegativeControl("half the size", "at most 2", size / 2, not holds(size / 2)))

register(Claim("half_again", "Half", "It is large.", "Bai & Lee (2020), section 1", "above 2", run))
"""


def test_new_claim_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "half_again.py").write_text(NEW)
    monkeypatch.setattr(claims, "_registry", dict(claims._registry))
    monkeypatch.setattr(claims, "__path__", [*claims.__path__, str(tmp_path)])
    name = f"{claims.__name__}.half_again"
    try:
        assert claims.names()[-1] == "half_again"
        record = run_claim(claims.get("half_again"), STAMP, lambda fraction, message: None)
        assert record.holds
        assert record.detail["negative_control"]["fails"]
        assert set(CHECKS) != set(claims.names())  # so `test_checks_are_those_of_the_claims` asks for its check
    finally:
        sys.modules.pop(name, None)
        claims.__dict__.pop("half_again", None)
