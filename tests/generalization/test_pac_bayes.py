"""PAC-Bayes certificates against explicit lifted features, mpmath, quadrature, and data with a known risk (theory 13)."""

import itertools
import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import multivariate_normal

import taylornets as tn
from taylornets.generalization import _gibbs, _kl, _lifted
from taylornets.generalization._gibbs import Scored

G = tn.generalization

pytestmark = pytest.mark.usefixtures("x64")


def reference_inverse(q, c, upper):
    """Bisection in 50 digits."""
    with mpmath.workdps(50):
        q, c = mpmath.mpf(q), mpmath.mpf(c)

        def kl(p):
            first = q * mpmath.log(q / p) if q > 0 else mpmath.mpf(0)
            return first + ((1 - q) * mpmath.log((1 - q) / (1 - p)) if q < 1 else 0)

        inside, outside = q, mpmath.mpf(1 if upper else 0)
        for _ in range(120):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if kl(middle) <= c else (inside, middle)
        return inside


@pytest.mark.parametrize("n", [1, 50, 10**4, 10**7])
@pytest.mark.parametrize("q", [0.0, 1e-9, 0.01, 0.3, 0.999])
def test_inverses_agree_with_mpmath(n, q):
    for nats in (1.0, 40.0):
        assert abs(_kl.kl_upper(q, nats / n) - reference_inverse(q, nats / n, True)) <= 1e-14
        assert abs(_kl.kl_lower(q, nats / n) - reference_inverse(q, nats / n, False)) <= 1e-14


def test_xi_agrees_with_its_definition_and_the_incomplete_gamma_function():
    with mpmath.workdps(30):
        for n in (1, 2, 7, 60):
            terms = (
                mpmath.binomial(n, k) * (mpmath.mpf(k) / n) ** k * (1 - mpmath.mpf(k) / n) ** (n - k)
                for k in range(n + 1)
            )
            assert abs(_kl.log_xi(n) - mpmath.log(sum(terms))) <= 1e-14
        n = 10**7
        assert abs(_kl.log_xi(n) - mpmath.log(mpmath.gammainc(n + 1, n) * mpmath.exp(n) / mpmath.mpf(n) ** n)) <= 1e-13


def network(symmetric=True, outputs=1, width=6, inputs=3):
    return tn.TwoLayerNetwork.init(
        jax.random.key(0), inputs, width, outputs=outputs, activation="softplus", symmetric=symmetric, dtype=jnp.float64
    )


def explicit(net, w, x, order):
    """Lifted weights of each distinct unit, and features of each output, as plain vectors."""
    u = np.asarray(x) @ np.asarray(net.w0[: net.pairs]).T
    slopes = np.asarray(net.activation.derivative(order)(jnp.asarray(u))) / (
        math.factorial(order) * math.sqrt(net.width)
    )

    def power(v):
        found = np.ones(1)
        for _ in range(order):
            found = np.kron(found, v)
        return found

    copies = w.reshape(net.width, -1, net.inputs)
    units = np.array([sum(power(v) for v in unit) for unit in copies])
    lifted = units if not net.symmetric else units[: net.pairs] - units[net.pairs :]
    powers = np.array([power(row) for row in np.asarray(x)])
    signs = np.asarray(net.a[: net.pairs])
    features = np.einsum("np,pc,nt->ncpt", slopes, signs, powers)
    return lifted.ravel(), features.reshape(len(x), net.outputs, -1)


@pytest.mark.parametrize(("order", "copies", "symmetric"), [(1, 1, True), (2, 3, True), (3, 2, False), (4, 1, True)])
def test_norm_and_noise_are_those_of_the_lifted_weights(order, copies, symmetric):
    net = network(symmetric, outputs=2)
    keys = jax.random.split(jax.random.key(1), 2)
    x = jax.random.normal(keys[0], (5, 3), jnp.float64)
    w = np.asarray(jax.random.normal(keys[1], (6, copies, 3) if copies > 1 else (6, 3), jnp.float64))
    lifted, features = explicit(net, w, x, order)
    found = _lifted.evaluate(net, w, np.asarray(x), _lifted.NoisyOrders((order,), (1.0,)))
    assert found.norm2 == pytest.approx(lifted @ lifted, rel=1e-9)
    np.testing.assert_allclose(found.outputs, features @ lifted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.outputs, net.term(order, w, x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.asarray(found.covariance), np.einsum("ncf,nef->nce", features, features), rtol=1e-10)


def displacement(net, dtype=jnp.float64):
    return jax.random.normal(jax.random.key(5), net.w0.shape, dtype)


def problem(n=80, inputs=3, seed=3):
    x = np.random.default_rng(seed).normal(size=(n, inputs))
    return x / np.linalg.norm(x, axis=1, keepdims=True), np.sign(x[:, 0] * x[:, 1] + 0.1 * x[:, 2])


def test_sum_of_orders_counts_the_initial_network_and_the_ratios():
    net = network(symmetric=False)
    x, y = problem()
    w = 0.3 * np.asarray(net.w0)
    parts = [explicit(net, w, x, k) for k in (1, 2)]
    first = np.asarray(net.term(0, w, x))
    kind = _lifted.NoisyOrders((0, 1, 2), (1.0, 2.0, 0.5))
    found = _lifted.evaluate(net, w, x, kind)
    assert found.norm2 == pytest.approx(1 + parts[0][0] @ parts[0][0] / 4 + parts[1][0] @ parts[1][0] * 4)
    spread = first[:, 0] ** 2 + 4 * np.sum(parts[0][1] ** 2, (1, 2)) + np.sum(parts[1][1] ** 2, (1, 2)) / 4
    np.testing.assert_allclose(found.variance, spread, rtol=1e-10)
    np.testing.assert_allclose(found.outputs, net.taylor(2, w, x), rtol=1e-10)
    fixed = [G.PacBayesSettings(ratios=r) for r in ((1.0, 1.0), (1.0, 10.0))]
    alone = [G.pac_bayes(net, (w, w), x, y, order=(1, 2), settings=s, candidates=2).gibbs for s in fixed]
    both = G.pac_bayes(net, (w, w), x, y, order=(1, 2), settings=G.PacBayesSettings(ratios=((1.0, 1.0), (1.0, 10.0))))
    assert both.gibbs == pytest.approx(min(alone), rel=1e-9)
    assert both.candidates == 2


@pytest.mark.parametrize("order", [2])
def test_bound_recomputed_from_explicit_features_with_mpmath(order):
    """Nothing of the library's: features by Kronecker products, ξ by its definition, Φ and the inverse in 50 digits."""
    net, (x, y) = network(), problem()
    w = np.asarray(displacement(net))
    lifted, features = explicit(net, w, x, order)
    y = y * np.sign(np.mean(y * (features[:, 0] @ lifted)))
    found = G.pac_bayes(net, w, x, y, order=order, delta=0.1)
    margins = y * (features[:, 0] @ lifted) / (np.linalg.norm(lifted) * np.linalg.norm(features[:, 0], axis=1))
    n, cut = len(y), {0.0: 1 / 2, 1.0: float(ndtr(1.0)), 1.6: float(ndtr(1.6))}
    xi = sum(math.comb(n, k) * (k / n) ** k * (1 - k / n) ** (n - k) for k in range(n + 1))

    def at(scale, threshold, delta):
        loss = sum(mpmath.ncdf(threshold - scale * m) for m in margins) / n
        return loss, float(reference_inverse(loss, (scale**2 / 2 + mpmath.log(xi / delta)) / n, True))

    loss, bound = at(found.scale, 0.0, 0.1)
    assert found.gibbs == pytest.approx(bound, abs=1e-12)
    assert found.empirical == pytest.approx(float(loss), abs=1e-12)
    assert found.kl == pytest.approx(found.scale**2 / 2)
    scales = np.concatenate([np.linspace(0.01, 12, 40), found.scale + np.linspace(-1e-2, 1e-2, 5)])
    assert min(at(s, 0.0, 0.1)[1] for s in scales) >= found.gibbs - 1e-6
    least = min(at(s, t, 0.1 / 3)[1] / cut[t] for t in cut for s in np.linspace(0.05, 8, 60))
    assert found.deterministic == pytest.approx(min(least, 1.0), abs=2e-4)
    catoni = G.pac_bayes(net, w, x, y, order=order, bound="catoni")
    exact = (1 - math.exp(-catoni.empirical - (catoni.kl + math.log(20)) / n)) / (1 - math.exp(-1))
    assert catoni.gibbs == pytest.approx(exact, rel=1e-12)


def test_error_of_several_classes_agrees_with_quadrature():
    margins = np.array([[0.3, -1.0, 2.0], [6.0, 0.0, 0.1], [-3.0, 5.0, 5.0], [9.0, 8.0, 7.0]])
    found = _gibbs.several_correct(margins)
    for row, value in zip(margins, found, strict=True):
        exact = mpmath.quad(
            lambda z, row=row: mpmath.npdf(z) * mpmath.fprod(mpmath.ncdf(z + d) for d in row), [-9, -3, 0, 3, 9]
        )
        assert abs(value - exact) <= _gibbs.ALLOWANCE


def test_shared_noise_is_covered_by_its_own_confidence():
    generator = np.random.default_rng(0)
    roots = generator.normal(size=(40, 3, 3))
    covariance = roots @ np.swapaxes(roots, 1, 2)
    outputs, labels = generator.normal(size=(40, 3)), generator.integers(0, 3, 40)
    scored = Scored(outputs, np.sqrt(covariance[:, 0, 0]), labels, covariance)
    exact = []
    for i, j in enumerate(labels):
        rest = [c for c in range(3) if c != j]
        change = np.eye(3)[rest] - np.eye(3)[j]
        exact.append(1 - multivariate_normal.cdf(np.zeros(2), change @ outputs[i], change @ covariance[i] @ change.T))
    _, upper = _gibbs.drawn_loss(scored, 400, 0, 0.01)
    assert np.mean(exact) <= upper(1.0, 0.0) <= np.mean(exact) + 0.02
    net, (x, _) = network(outputs=3), problem()
    y = np.argmax(np.asarray(net.term(2, displacement(net), x)), axis=1)
    shared = G.pac_bayes(net, displacement(net), x, y, order=2)
    apart = G.pac_bayes(net, displacement(net), x, y, order=2, settings=G.PacBayesSettings(noise="independent"))
    assert shared.gibbs < apart.gibbs
    assert shared.train_error == 0


class Operator:
    """What the library asks of a kernel operator."""

    def __init__(self, matrix):
        self.matrix, self.shape = matrix, matrix.shape

    def __matmul__(self, v):
        return self.matrix @ v

    def gram(self):
        return self.matrix[:, None, :, None]

    def diagonal(self):
        return np.diag(self.matrix)


@pytest.mark.parametrize("prior_rows", [None, 30])
def test_kernel_and_network_give_one_bound(prior_rows):
    """The NTK with coefficients is the linear model with the displacement that they stand for."""
    net, (x, y) = network(), problem()
    y = np.sign(x[:, 0])
    gram = np.asarray(tn.kernels.ntk(net, x)) / 2  # pairs merge: the same features, half as often
    alpha = np.linalg.solve(gram + 0.1 * np.eye(len(y)), y)
    w = _lifted.factored(net, x, alpha, 1)
    ours = G.pac_bayes(net, w, x, y, order=1, prior_rows=prior_rows)
    for kernel in (gram, Operator(gram)):
        found = G.pac_bayes(kernel, alpha, None, y, prior_rows=prior_rows)
        assert (found.gibbs, found.deterministic) == pytest.approx((ours.gibbs, ours.deterministic), rel=1e-6)


@pytest.mark.parametrize(("order", "prior_rows"), [(1, None), (2, 40), (3, None), (4, None)])
def test_trained_bound_is_the_certified_one(order, prior_rows):
    net, (x, y) = network(width=8), problem(120)
    y = np.sign(x[:, 0] + 0.2) if order % 2 else y
    trained = G.pac_bayes_posterior(net, x, y, order=order, prior_rows=prior_rows)
    found = G.pac_bayes(net, trained.w, x, y, order=order, prior_rows=prior_rows)
    assert found.gibbs == pytest.approx(trained.objective, abs=2e-4)
    if order == 2:
        plain = tn.fit(net, x, y, loss="logistic", penalty=1e-3, power=4, tol=1e-2, throw=False).w
        assert found.gibbs <= G.pac_bayes(net, plain, x, y, order=order, prior_rows=prior_rows).gibbs


def test_three_classes_are_trained_with_a_displacement_each():
    net, (x, _) = network(width=32), problem(240)
    y = np.argmax(x, axis=1)
    trained = G.pac_bayes_posterior(net, x, y, order=1, prior_rows=120)
    found = G.pac_bayes(net, trained.w, x, y, order=1, prior_rows=120)
    assert trained.w.shape == (3, 32, 3)
    assert found.gibbs == pytest.approx(trained.objective, abs=2e-4)
    assert found.gibbs < 0.4
    assert "120 rows trained the prior" in found.basis


def test_split_is_drawn_by_seed_and_recorded():
    net, (x, y) = network(), problem()
    found = G.pac_bayes(net, displacement(net), x, y, order=2, prior_rows=30, settings=G.PacBayesSettings(seed=7))
    again = G.pac_bayes(net, displacement(net), x, y, order=2, prior_rows=found.prior_rows)
    assert (found.seed, len(found.prior_rows), found.rows) == (7, 30, 50)
    assert again.gibbs == found.gibbs
    assert not np.array_equal(found.prior_rows, np.arange(30))


def test_random_labels_get_no_bound_below_chance():
    net, (x, _) = network(width=16), problem(160)
    y = np.random.default_rng(1).choice([-1.0, 1.0], 160)
    for prior_rows in (None, 80):
        trained = G.pac_bayes_posterior(net, x, y, order=2, prior_rows=prior_rows)
        found = G.pac_bayes(net, trained.w, x, y, order=2, prior_rows=prior_rows)
        assert found.vacuous
        assert str(found).startswith("Vacuous: the bound on the error")


def test_statements_hold_on_simulated_data_and_fail_without_the_divergence():
    """Linear classifiers of 40 noisy labels in 20 dimensions with a known risk. At a rate of 5 % in 30 data
    sets, 1.5 violations are allowed on average, and 6 or more have a probability of 0.3 %; none is expected."""
    violations = ignored = 0
    direction = np.eye(20)[0]
    for seed in range(30):
        generator = np.random.default_rng(seed)
        x = generator.normal(size=(40, 20))
        y = np.sign(x @ direction) * np.where(generator.random(40) < 0.1, -1, 1)
        w = x.T @ np.linalg.solve(x @ x.T + np.eye(40), y)
        # sign ⟨w, x⟩ differs from the clean label with the probability angle/π.
        angle = math.acos(w @ direction / np.linalg.norm(w))
        risk = 0.1 + 0.8 * angle / math.pi
        alpha = np.linalg.solve(x @ x.T + np.eye(40), y)
        found = G.pac_bayes(x @ x.T, alpha, None, y)
        violations += found.deterministic < risk
        ignored += _kl.kl_upper(found.train_error, (_kl.log_xi(40) + math.log(20)) / 40) < risk
    assert violations == 0
    assert ignored >= 6


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_precisions_agree(dtype):
    net = network()
    x, y = problem()
    cast = tn.TwoLayerNetwork(net.w0.astype(dtype), net.a.astype(dtype), net.activation, True)
    found = G.pac_bayes(cast, displacement(net, jnp.float64).astype(dtype), jnp.asarray(x, dtype), y, order=2)
    assert found.gibbs == pytest.approx(G.pac_bayes(net, displacement(net), x, y, order=2).gibbs, abs=1e-5)


def test_labels_may_be_signs_numbers_or_booleans():
    net, (x, y) = network(), problem()
    forms = (y, y[:, None], (y + 1) / 2, y > 0, (y > 0).astype(int))
    assert len({G.pac_bayes(net, displacement(net), x, form, order=1).gibbs for form in forms}) == 1


def broken(net):
    return tn.TwoLayerNetwork(net.w0.at[0, 0].add(0.1), net.a, net.activation, True)


X, Y = problem()
BAD = {
    "delta of 0": (lambda net: {"delta": 0.0}, r"delta: expected a finite number > 0"),
    "delta of 1": (lambda net: {"delta": 1.0}, r"delta: expected a probability below 1, got 1\.0"),
    "no order": (lambda net: {"order": None},
        r"order: expected the order of the model, an integer ≥ 1, got none\. Pass `order=2`"),
    "order 0": (lambda net: {"order": 0}, r"order: expected an integer ≥ 1, got 0"),
    "only order 0": (lambda net: {"order": (0,)}, r"order: expected an order ≥ 1 or a tuple of ascending orders"),
    "one class": (lambda net: {"y": np.ones(80)}, r"y: expected labels of at least two classes, got only 1"),
    "no labels": (lambda net: {"y": Y + 0.5}, r"y: expected labels ±1, 0/1, booleans, or classes 0 to C - 1"),
    "NaN": (lambda net: {"x": np.where(X > 0.5, np.nan, X)}, r"x: expected finite numbers"),
    "NaN in the weights": (lambda net: {"w": net.w0 * np.nan}, r"w: expected finite numbers"),
    "zero weights": (lambda net: {"w": 0 * net.w0}, r"w: expected nonzero weights, got weights with f = 0"),
    "broken pairs": (lambda net: {"net": broken(net)}, r"net: expected pairs of units with equal weights and opposite signs"),
    "too many prior rows": (lambda net: {"prior_rows": 80}, r"prior_rows: expected a number below the 80 rows, got 80"),
    "prior rows outside": (lambda net: {"prior_rows": [0, 80]}, r"prior_rows: expected fewer than 80 row indices from 0 to 79"),
    "prior rows of one class": (lambda net: {"prior_rows": np.flatnonzero(Y > 0)[:5]},
        r"prior_rows: expected rows of at least two"),
    "a bound": (lambda net: {"bound": "mcallester"}, r"bound: expected one of 'catoni', 'kl'"),
    "not a network": (lambda net: {"net": "net"},
        r"net: expected a TwoLayerNetwork, a kernel with `gram\(\)` and `diagonal\(\)`"),
    "no candidates": (lambda net: {"candidates": 0}, r"candidates: expected an integer ≥ 1"),
    "too few displacements": (lambda net: {"order": (1, 2), "w": (net.w0,)},
        r"w: expected one displacement for each of the orders"),
    "kernel of other rows": (lambda net: {"net": np.eye(3), "order": None}, r"net: expected shape \(80, 80\)"),
    "ratios": (lambda net: {"settings": G.PacBayesSettings(ratios=(1.0, 2.0))},
        r"settings: expected 1 noise ratios, one per order"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_rejected_in_a_sentence(name):
    changes, message = BAD[name]
    net = network()
    call = {"net": net, "w": displacement(net), "x": X, "y": Y, "order": 2} | changes(net)
    with pytest.raises(tn.ArgumentError, match=message):
        G.pac_bayes(**call)


def test_training_rejects_networks_that_cannot_hold_the_optimum():
    with pytest.raises(tn.ArgumentError, match=r"net: expected symmetric=True for order 2, got symmetric=False"):
        G.pac_bayes_posterior(network(symmetric=False), X, Y, order=2)
    with pytest.raises(tn.ArgumentError, match=r"net: expected one output, got 2"):
        G.pac_bayes_posterior(network(outputs=2), X, Y, order=2)


def test_inputs_that_void_the_promise_are_named():
    net = network()
    huge = G.pac_bayes(net, displacement(net), 1e6 * X, Y, order=2)
    assert huge.vacuous
    assert "norms up to 1e+06" in str(huge)
    copied = G.pac_bayes(net, displacement(net), np.concatenate([X, X[:5]]), np.concatenate([Y, Y[:5]]), order=2)
    assert "5 of the 85 counted rows repeat another row" in copied.notes[0]


def test_words_state_the_smaller_claim_where_only_it_holds():
    certificate = G.RiskCertificate(0.3, 0.6, 1.0, 0.1, 0.0, 100, 0.05, 1.0, 0.0, 2, "kl")
    assert "randomized classifier is at most 30 %" in certificate.sentence
    assert not certificate.vacuous
    assert list(itertools.islice(certificate.basis.split(), 3)) == ["Rows", "are", "exchangeable;"]
