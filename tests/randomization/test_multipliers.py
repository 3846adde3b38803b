"""Signed moments and roots of unity against enumeration over all draws, and against a linear program for the nodes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

import taylornets as tn
from taylornets.randomization import RootsOfUnity, SampledNodes, SignedMoments, Signs, expected_loss, prepare_signs

pytestmark = pytest.mark.usefixtures("x64")
CASES = [
    (SignedMoments(3), "cubic_relu", True),
    (SignedMoments(4), "tanh", True),
    (RootsOfUnity(3), "sin", True),
    (RootsOfUnity(4), "exp", False),
]


def draw(activation, symmetric, m=4, outputs=2):
    keys = jax.random.split(jax.random.key(m), 3)
    net = tn.TwoLayerNetwork.init(keys[0], 3, m, outputs, activation, symmetric)
    return net, 0.5 * jax.random.normal(keys[1], (m, 3)), 0.5 * jax.random.normal(keys[2], (5, 3))


def all_draws(randomization, net, w, x):
    """Returns probabilities and outputs of every draw."""
    rule, prepared = randomization.rule, prepare_signs(net, x)
    probabilities = np.abs(rule.weights) / rule.total
    for numbers in itertools.product(range(len(rule.nodes)), repeat=rule.count(net)):
        yield np.prod(probabilities[list(numbers)]), prepared.apply(SampledNodes.of(jnp.array(numbers), net, rule), w)


@pytest.mark.parametrize("order", range(2, 9))
@pytest.mark.parametrize("kind", [SignedMoments, RootsOfUnity])
def test_moment_conditions(kind, order):
    z, c = np.asarray(kind(order).nodes), np.asarray(kind(order).weights)
    moments = [np.sum(c * z**j) for j in range(1, order + 1)]
    np.testing.assert_allclose(moments, [0] * (order - 1) + [1], atol=1e-12)
    assert kind(order).total_variation == pytest.approx(np.abs(c).sum())


@pytest.mark.parametrize("order", [2, 3, 5, 6, 7, 8])
def test_nodes_have_the_least_total_variation(order):
    """Against a linear program over 2001 nodes of the same interval, without the condition on order 0."""
    half = -(-order // 2)
    powers = np.arange(1, order + 1)[:, None]
    matrix = np.linspace(-1, 1, 2001) ** powers
    wanted = np.where(powers[:, 0] == order, float(half) ** -order, 0)
    best = linprog(np.ones(4002), A_eq=np.hstack([matrix, -matrix]), b_eq=wanted).fun
    # A grid can only be worse.
    assert 1 - 1e-9 <= best / SignedMoments(order).total_variation <= 1 + 1e-4


def test_nodes_of_the_theory_page():
    np.testing.assert_allclose(SignedMoments(3).nodes, [2, 1, -1, -2], rtol=1e-14)
    np.testing.assert_allclose(SignedMoments(3).weights, np.array([1, -2, 2, -1]) / 12, rtol=1e-14)
    np.testing.assert_allclose(SignedMoments(4).nodes, [2, 1, -1, -2])
    np.testing.assert_allclose(SignedMoments(4).weights, np.array([1, -4, -4, 1]) / 24, rtol=1e-14)


@pytest.mark.parametrize(("randomization", "activation", "symmetric"), CASES)
def test_moments_are_those_of_all_draws(randomization, activation, symmetric):
    net, w, x = draw(activation, symmetric)
    draws = list(all_draws(randomization, net, w, x))
    mean = sum(chance * outputs for chance, outputs in draws)
    variance = sum(chance * jnp.abs(outputs - mean) ** 2 for chance, outputs in draws)
    np.testing.assert_allclose(randomization.mean(net, w, x), mean, atol=1e-13)
    np.testing.assert_allclose(randomization.variance(net, w, x), variance, rtol=1e-12, atol=1e-14)
    y = jnp.ones((5, 2))
    losses = sum(chance * float(jnp.mean(jnp.sum(jnp.abs(outputs - y) ** 2, axis=1))) for chance, outputs in draws)
    for method in ("exact", "enumerate"):
        assert float(expected_loss("squared", randomization, net, w, x, y, method)) == pytest.approx(losses, rel=1e-12)


@pytest.mark.parametrize(("randomization", "activation", "symmetric"), CASES)
def test_lower_orders_leave_the_mean_and_order_k_stays(randomization, activation, symmetric):
    """For `W` scaled by `t`, the mean is `t^k f^(k) + O(t^{k+1})`, apart from the term of order 0."""
    net, w, x = draw(activation, symmetric)
    k, t = randomization.order, 1e-2
    rest = randomization.mean(net, t * w, x) - net.term(0, w, x) * (1 - symmetric)
    np.testing.assert_allclose(rest / t**k, net.term(k, w, x), atol=0.1 * float(jnp.abs(net.term(k, w, x)).max()))


def test_order_k_is_untouched_in_every_sample_of_roots():
    net, w, x = draw("sin", True)
    prepared = prepare_signs(net, x)
    for key in jax.random.split(jax.random.key(0), 5):
        sampled = SampledNodes.draw(key, net, RootsOfUnity(3).rule)
        # f^(3) of the complex displacement: z³ = 1.
        term = net.term(3, (sampled.multipliers**3).real[:, None] ** (1 / 3) * w, x)
        np.testing.assert_allclose(term, net.term(3, w, x), atol=1e-12)
        assert jnp.iscomplexobj(prepared.apply(sampled, w))


def test_samples_have_the_moments():
    """A million samples in two steps: 1,000 vectorized draws of 1,000; means within five standard errors of each number."""
    for randomization, activation, symmetric in CASES[:3:2]:
        net, w, x = draw(activation, symmetric)
        prepared, rule = prepare_signs(net, x), randomization.rule

        def total(key, prepared=prepared, rule=rule, net=net, w=w):
            keys = jax.random.split(key, 1000)
            return jnp.mean(jax.vmap(lambda k: prepared.apply(SampledNodes.draw(k, net, rule), w).real)(keys), axis=0)

        means = jax.lax.map(total, jax.random.split(jax.random.key(0), 1000))
        error = np.std(means, axis=0, ddof=1) / np.sqrt(1000)
        assert np.all(np.abs(means.mean(0) - randomization.mean(net, w, x)) <= 5 * error + 1e-15)


def test_order_two_is_random_signs():
    net, w, x = draw("tanh", False)
    for found, wanted in zip(RootsOfUnity(2).moments(net, w, x), Signs().moments(net, w, x), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(SignedMoments(2).nodes, Signs().nodes)


def test_objective_and_its_samples():
    net, w, x = draw("tanh", True, m=8, outputs=1)
    y, rule = x[:, 0], SignedMoments(3)
    risk = tn.objective(net, x, y, model=rule, penalty=1e-3, power=6)
    assert risk.order == 3
    assert float(risk.risk(w)) == pytest.approx(float(expected_loss("squared", rule, net, w, x, y)), rel=1e-13)
    np.testing.assert_allclose(jax.grad(risk)(w), risk.value_and_gradient(w)[1], atol=1e-14)
    drawn = jax.vmap(lambda key: risk.with_signs(key).risk(w))(jax.random.split(jax.random.key(0), 4000))
    assert abs(float(drawn.mean() - risk.risk(w))) <= 5 * float(drawn.std()) / np.sqrt(4000)
    found = tn.fit(net, x, y, model=rule, penalty=1e-3, power=6, tol=1e-3, max_steps=300)
    assert found.certificate is None
    products = [
        jax.make_jaxpr(tn.objective(net, x, y, model=k, penalty=1, power=6).value_and_gradient)(w) for k in (rule, 3)
    ]
    assert [str(program).count("dot_general") for program in products] == [2, 2]
    assert found.objective < float(risk(0 * w))


def test_single_precision_stays():
    net, w, x = draw("sin", True)
    net, w, x = jax.tree.map(lambda a: a.astype(jnp.float32) if hasattr(a, "dtype") else a, (net, w, x))
    for randomization in (SignedMoments(3), RootsOfUnity(3)):
        moments = randomization.moments(net, w, x)
        assert moments.mean.dtype == moments.variance.dtype == jnp.float32


def test_bad_input_is_refused():
    net, w, x = draw("cubic_relu", True)
    lone, _, _ = draw("cubic_relu", False)
    tanh, _, _ = draw("tanh", True)
    for call, message in (
        (lambda: SignedMoments(1), "order: expected an integer ≥ 2, got 1"),
        (
            lambda: RootsOfUnity(3).mean(net, w, x),
            "net: expected an analytic activation.*'cubic_relu', which has a kink at 0",
        ),
        (lambda: SignedMoments(3).mean(lone, w, x), r"net: expected symmetric .*a variance of \d.* would remain"),
        (lambda: RootsOfUnity(3).mean(tanh, 9 * w, x), r"w: expected .* below 1\.571"),
        (
            lambda: tn.objective(tanh, x, x[:, :2], model=RootsOfUnity(3), loss="huber", penalty=1.0, power=6),
            "loss: expected",
        ),
    ):
        with pytest.raises(tn.ArgumentError, match=message):
            call()


def test_higher_orders_have_no_certificate_and_say_why():
    net, w, x = draw("tanh", True, outputs=1)
    for model in (3, SignedMoments(3)):
        with pytest.raises(tn.ArgumentError, match="which are NP-hard to compute"):
            tn.certify(net, w, x, x[:, 0], penalty=1e-3, model=model)
    named, given = (tn.certify(net, w, x, x[:, 0], penalty=1e-3, model=model) for model in ("randomized", Signs()))
    assert float(named.gap) == float(given.gap)


def test_remaining_variance_is_the_stated_one():
    """Without pairs: variance of order 0 under independent draws, `(T² - (Σ c)²) σ(u)²` for each unit."""
    lone, w, x = draw("cubic_relu", False, m=4, outputs=1)
    rule = SignedMoments(4).rule
    prepared = prepare_signs(lone, x)
    numbers = itertools.product(range(len(rule.nodes)), repeat=4)
    draws = jnp.array(list(numbers))
    probabilities = np.prod((np.abs(rule.weights) / rule.total)[np.asarray(draws)], axis=1)
    outputs = jax.lax.map(lambda n: prepared.apply(SampledNodes.of(n, lone, rule), 0 * w)[:, 0], draws)
    variance = probabilities @ (outputs - probabilities @ outputs) ** 2
    with pytest.raises(tn.ArgumentError) as refused:
        SignedMoments(4).mean(lone, w, x)
    assert f"a variance of {float(np.mean(variance)):.3g} would" in str(refused.value)
