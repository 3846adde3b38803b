"""Approximate leave-one-out predictions of the quadratic model, from one factorization at the optimum (theory 11).

At a stationary displacement with `q_r = Σ_j ‖w_rj‖²`, `g = Σ_r q_r²`, `J_{i,rj} = 2 a_r c_ir ⟨w_rj, x_i⟩ x_i` and `H = p ℓ''`
the Hessian is

    ∇²P = Jᵀ H J + blockdiag_r(B_r) + b u uᵀ,    B_r = I_R ⊗ (2 M_r + 4 a q_r I) + 8a w_r w_rᵀ,    u_rj = 4 q_r w_rj,

`a = λ (p/4) g^{p/4-1}`, `b = λ (p/4)(p/4-1) g^{p/4-2}`. Without the term of example `i`, one Newton step changes its outputs by

    Q_ii (I - H_i Q_ii)^{-1} p_i ℓ'_i,    Q = J (∇²P)^{-1} Jᵀ = (I + K H)^{-1} K,    K = J (blockdiag(B_r) + b u uᵀ)^{-1} Jᵀ.

`J` vanishes on rotations of the copies of a unit, the null space of its `B_r` at the optimum, so that the pseudo-inverse is
exact there. `K` is accumulated unit by unit: no array has `n × m × d` entries. The outputs on new inputs `z` change by

    Q_zi (I - H_i Q_ii)^{-1} p_i ℓ'_i,    Q_z = K_z (I + H K)^{-1},    K_z = J_z (blockdiag(B_r) + b u uᵀ)^{-1} Jᵀ.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from taylornets import _checks, _devices, _programs, losses
from taylornets.objectives import Objective, objective
from taylornets.two_layer import TwoLayerNetwork

_CUTOFF = 1e-9  # eigenvalues of B_r below this fraction of the largest are null directions


def leave_one_out(
    net: TwoLayerNetwork,
    w: Array,
    x: ArrayLike,
    y: Any,
    *,
    loss: str | losses.Loss = "squared",
    penalty: float | Array,
    power: float = 8,
    chunk_size: int | None = None,
    sample_weight: ArrayLike | None = None,
    new: ArrayLike | None = None,
) -> Array:
    """Predicts every example by the quadratic model trained on the others, without training again.

    One Newton step from the given optimum, on the objective without the term of the example (the weights of the others and
    the penalty stay). The approximation requires a solution of `taylornets.fit` to a small gap, and an example whose removal
    does not change which units are active.

    Args:
        net: the network.
        w: the optimum, shape `(m, d)` or `(m, R, d)`.
        x: examples, shape `(n, d)`; memory and time grow with `(n outputs)²`.
        y: targets in the form the loss expects.
        loss: a name of `taylornets.losses`, or a loss.
        penalty: `λ > 0`.
        power: `p ≥ 4`.
        chunk_size: see `TwoLayerNetwork.prepare`.
        sample_weight: weights of the examples, shape `(n,)`.
        new: other inputs, shape `(n2, d)`, to be predicted by each of the `n` models.

    Returns:
        Predictions, shape `(n, outputs)`; those on the training examples for examples of weight 0. With `new`, predictions
        of `new` by the model without example `i`, shape `(n2, n, outputs)`.

    Raises:
        ArgumentError: for invalid arguments.

    Source: theory 11.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=16)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> result = tn.fit(net, x, x[:, 0] * x[:, 1], penalty=1e-3)
        >>> tn.certificates.leave_one_out(net, result.w, x, x[:, 0] * x[:, 1], penalty=1e-3).shape
        (20, 1)
    """
    risk = objective(
        net, x, y, loss=loss, penalty=penalty, power=power, chunk_size=chunk_size, sample_weight=sample_weight
    )
    others = None if new is None else _checks.array("new", new, ("n2", net.inputs)).astype(risk.x.dtype)
    return _predictions(risk, risk.displacement(w), others)


@_devices.exact
@_programs.program
def _predictions(risk: Objective, w: Array, new: Array | None) -> Array:
    copies = w.reshape(w.shape[0], -1, w.shape[-1])
    outputs, y, weights = risk.outputs(w), risk.targets(), risk.weights()
    n, count = outputs.shape
    nu = risk.loss.derivative(outputs, y) * weights[:, None]
    x = risk.x if new is None else jnp.concatenate([risk.x, new])
    kernel = _kernel(risk, copies, nu, x).reshape(len(x), count, n * count)
    units = jnp.eye(count, dtype=w.dtype)
    curved = jax.vmap(lambda v: risk.loss.hessian_product(outputs, y, jnp.broadcast_to(v, outputs.shape)), out_axes=-1)
    curvature = curved(units) * weights[:, None, None]  # (n, outputs, outputs)
    product = jnp.einsum("icd,idb->icb", curvature, kernel[:n]).reshape(n * count, n * count)
    solved = jnp.linalg.solve((jnp.eye(n * count, dtype=w.dtype) + product).T, kernel.reshape(-1, n * count).T).T
    q = solved.reshape(len(x), count, n, count)
    own = q[jnp.arange(n), :, jnp.arange(n)]
    left = jnp.linalg.solve(units - curvature @ own, nu[..., None])[..., 0]
    if new is None:
        return outputs + jnp.einsum("icd,id->ic", own, left)
    return risk.model.outputs(risk.net, w, new)[:, None] + jnp.einsum("acid,id->aic", q[n:], left)


def _kernel(risk: Objective, copies: Float[Array, "m R d"], nu: Array, x: Float[Array, "n2 d"]) -> Array:
    """Returns `K` with rows for all inputs `x`, which begin with the examples; shape `(n2, outputs, n, outputs)`."""
    m, rank, d = copies.shape
    net = risk.net
    half = risk.moment_matrices(nu)
    squares = jnp.sum(copies**2, axis=(1, 2))
    g, power = jnp.sum(squares**2), risk.penalty.power / 4
    a = risk.strength * power * g ** (power - 1)
    b = 0.0 if power == 1 else a * (power - 1) / jnp.where(g > 0, g, 1)
    features = net.activation.derivative(2)(net.w0[: net.pairs] @ x.T) / (2 * math.sqrt(m))  # (h, n2)

    def unit(carry: tuple[Array, Array, Array], item: Any) -> tuple[tuple[Array, Array, Array], None]:
        kernel, along, norm = carry
        index, moment, own, square = item
        flat = own.reshape(-1)
        block = jnp.kron(jnp.eye(rank, dtype=own.dtype), 2 * moment + 4 * a * square * jnp.eye(d, dtype=own.dtype))
        values, vectors = jnp.linalg.eigh(block + 8 * a * jnp.outer(flat, flat))
        kept = values > _CUTOFF * jnp.maximum(values[-1], jnp.finfo(values.dtype).tiny)
        inverse = jnp.where(kept, 1 / jnp.where(kept, values, 1), 0)
        rows = 2 * features[index % net.pairs][:, None, None] * (x @ own.T)[:, :, None] * x[:, None, :]
        rotated = rows.reshape(len(x), -1) @ vectors
        direction = vectors.T @ (4 * square * flat)
        signs = net.a[index]
        outer = jnp.einsum("c,e,ij->icje", signs, signs, (rotated * inverse) @ rotated[:n].T)
        kernel = kernel + outer
        along = along + (rotated @ (inverse * direction))[:, None] * signs
        return (kernel, along, norm + jnp.sum(inverse * direction**2)), None

    n, outputs = nu.shape
    shape = (len(x), outputs)
    start = (jnp.zeros((*shape, n, outputs), x.dtype), jnp.zeros(shape, x.dtype), jnp.zeros((), x.dtype))
    items = (jnp.arange(m), net.both_halves(half, -half), copies, squares)
    (kernel, along, norm), _ = lax.scan(unit, start, items)
    return kernel - b / (1 + b * norm) * jnp.einsum("ic,je->icje", along, along[:n])
