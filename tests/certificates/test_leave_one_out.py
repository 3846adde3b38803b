"""Leave-one-out predictions against models that are trained again."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import taylornets as tn


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("loss", "power", "penalty"), [("squared", 8, 1e-5), ("logistic", 8, 1e-5), ("squared", 4, 1e-3)]
)
def test_against_refitted_models(loss: str, power: float, penalty: float):
    """The objective without one term is that of the other examples, divided by `n/(n - 1)`, as is the penalty."""
    n = 60
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (n, 5))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    y: Any = 5 * x[:, 0] * x[:, 1] + 0.1 * jax.random.normal(keys[1], (n,))
    y = jnp.sign(y) if loss == "logistic" else y
    net = tn.TwoLayerNetwork.init(keys[2], 5, 16, activation="tanh")
    options: dict[str, Any] = {"loss": loss, "power": power}
    result = tn.fit(net, x, y, penalty=penalty, **options)
    approximate = np.asarray(tn.certificates.leave_one_out(net, result.w, x, y, penalty=penalty, **options))
    trained = np.asarray(result.predict(x))
    chosen, exact = range(0, n, 5), []
    for i in chosen:
        weight = jnp.ones(n).at[i].set(0.0)
        other = tn.fit(net, x, y, penalty=penalty * n / (n - 1), sample_weight=weight, w_init=result.w, **options)
        exact.append(np.asarray(other.predict(x[i : i + 1]))[0])
    elsewhere = tn.certificates.leave_one_out(net, result.w, x, y, penalty=penalty, new=x[:7], **options)
    np.testing.assert_allclose(elsewhere[np.arange(7), np.arange(7)], approximate[:7], rtol=1e-9, atol=1e-12)
    moved, expected = (approximate - trained)[::5], np.array(exact) - trained[::5]
    assert np.linalg.norm(moved - expected) <= 0.25 * np.linalg.norm(expected)
    assert np.linalg.norm(expected) >= 0.05 * np.linalg.norm(trained)  # removal matters here


@pytest.mark.usefixtures("x64")
def test_against_every_refit():
    """All 100 refits of the squared loss, by Newton's method on the formula of the objective, until the gradient vanishes."""
    n, strength, power = 100, 1e-5, 8
    keys = jax.random.split(jax.random.key(1), 3)
    x = jax.random.normal(keys[0], (n, 3))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    y = 3 * x[:, 0] * x[:, 1] + 0.1 * jax.random.normal(keys[1], (n,))
    net = tn.TwoLayerNetwork.init(keys[2], 3, 8, activation="tanh")
    result = tn.fit(net, x, y, penalty=strength, power=power)
    new = jax.random.normal(keys[0], (5, 3)) / 2

    def outputs(w: jax.Array, x: jax.Array = x) -> jax.Array:
        features = net.a[:, 0] * net.activation.derivative(2)(x @ net.w0.T) / (2 * jnp.sqrt(8.0))
        return jnp.einsum("nr,nrj->n", features, jnp.einsum("nd,rjd->nrj", x, w) ** 2)

    def refitted(left_out: jax.Array) -> tuple[jax.Array, ...]:
        def value(flat: jax.Array) -> jax.Array:
            w = flat.reshape(copies.shape)
            terms = jnp.where(jnp.arange(n) == left_out, 0, (outputs(w) - y) ** 2)
            return jnp.sum(terms) / n + strength * jnp.sum(jnp.sum(w**2, axis=(1, 2)) ** 2) ** (power / 4)

        def step(flat: jax.Array, _: None) -> tuple[jax.Array, None]:
            values, vectors = jnp.linalg.eigh(jax.hessian(value)(flat))
            slopes, sizes = vectors.T @ jax.grad(value)(flat), jnp.abs(values)
            change = vectors @ jnp.where(sizes > 1e-10 * jnp.max(sizes), slopes / sizes, 0)
            tried = flat - 2.0 ** -jnp.arange(10)[:, None] * change
            return tried[jnp.argmin(jax.vmap(value)(tried))], None

        flat, _ = jax.lax.scan(step, copies.reshape(-1), length=20)
        w = flat.reshape(copies.shape)
        return outputs(w)[left_out], jnp.linalg.norm(jax.grad(value)(flat)), outputs(w, new)

    copies = result.w.reshape(8, -1, 3)
    np.testing.assert_allclose(outputs(copies), result.predict(x)[:, 0] - net.term(0, net.w0, x)[:, 0], atol=1e-12)
    exact, gradients, exact_new = jax.jit(jax.vmap(refitted))(jnp.arange(n))
    assert float(jnp.max(gradients)) <= 1e-9
    found = tn.certificates.leave_one_out(net, result.w, x, y, penalty=strength, power=power)[:, 0]
    trained = outputs(copies)
    assert np.linalg.norm(found - exact) <= 0.1 * np.linalg.norm(exact - trained)
    errors = {name: float(jnp.mean((v - y) ** 2)) for name, v in (("f", found), ("e", exact), ("t", trained))}
    assert errors["f"] == pytest.approx(errors["e"], rel=0.01)
    assert errors["e"] > 1.1 * errors["t"]  # training errors would not do
    elsewhere = tn.certificates.leave_one_out(net, result.w, x, y, penalty=strength, power=power, new=new)[..., 0]
    shift = exact_new.T - outputs(copies, new)[:, None]
    assert np.linalg.norm(elsewhere - exact_new.T) <= 0.1 * np.linalg.norm(shift)


def test_errors():
    net = tn.TwoLayerNetwork.init(jax.random.key(0), 3, 8)
    x = jnp.eye(3)
    with pytest.raises(tn.ArgumentError, match="w: expected"):
        tn.certificates.leave_one_out(net, jnp.zeros((8, 2)), x, x[:, 0], penalty=1e-2)
    with pytest.raises(tn.ArgumentError, match="penalty: expected"):
        tn.certificates.leave_one_out(net, net.w0, x, x[:, 0], penalty=-1.0)
    with pytest.raises(tn.ArgumentError, match=r"new: expected shape \(n2, 3\), got shape \(4, 2\)"):
        tn.certificates.leave_one_out(net, net.w0, x, x[:, 0], penalty=1e-2, new=jnp.ones((4, 2)))
