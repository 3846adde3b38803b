"""Generalization certificates for binary classifiers: a bound on the test error from the training data alone (theory 7).

**The bound.** For a class `G` of functions into `[0, 1]` and a sample of size `n`, with probability `1 - δ`, for all `g ∈ G`

    E g ≤ (1/n) Σ_i g(x_i) + 2 R_n(G) + 3 (log(1/δ)/(2n))^{1/2},

where `R_n` is the *empirical* complexity. (As a function of the sample, `sup_g (E g - mean g) - 2 R_n` has mean at most 0 by
symmetrization, and one example changes it by at most `1/n + 2/n`; McDiarmid's inequality then gives the factor 3, not 1.)
Here `g = φ(y f/ρ)` with the ramp `φ(t) = min(1, max(0, 1 - t))`, which upper-bounds the 0-1 loss and has Lipschitz constant
1. The class of `f/ρ` has complexity `t R`, where `t = ‖W‖_{2,2k}^k/ρ` and `R` is the complexity over the unit ball.

**Any weights, any margin.** `t` runs over a grid `2^{j/4}`, `j` an integer, and the failure probability of grid point
`j` is `δ p_j` with `p_j = (2/3)/((|j|+1)(|j|+2))`, which sums to 1. The bound therefore holds simultaneously for all weights
and margins, even if penalty, method or stopping time were selected on the training data. It requires that the initial
weights and any scaling of the inputs are independent of the training data.

**Monte Carlo.** `R` is an average over `D` sign vectors. Changing one sign moves a supremum by at most

    c_i = (2/n) sup_W |f(x_i)| = (2/n) ‖x_i‖^k (Σ_r (σ^{(k)}(u_ir)/(k!√m))²)^{1/2},

so by the bounded-difference inequality `R` is at most the average plus `(Σ_i c_i² log(1/δ')/(2D))^{1/2}` with probability
`1 - δ'`, where `δ' = δ/10`.
"""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, PRNGKeyArray

from taylornets import _checks, _devices
from taylornets.generalization._complexity import drawn_suprema, prepare_order
from taylornets.penalties import group_norm
from taylornets.two_layer import Block, Prepared, Term, TwoLayerNetwork, map_blocks

_MONTE_CARLO_SHARE = 0.1
_GRID = 2**0.25
_COIN = 0.5


class GeneralizationCertificate(eqx.Module):
    """A bound on the test error of a classifier, valid with probability `1 - delta`.

    Attributes:
        bound: `train_risk + complexity + confidence`.
        train_risk: mean ramp loss at the margin, at least the training error.
        complexity: twice the Rademacher complexity of the class, including the Monte Carlo allowance.
        confidence: the confidence term.
        margin: `ρ`, in units of the network output.
        norm: `‖W‖_{2,2k}` of the weights.
        train_error: fraction of training examples with `y f ≤ 0`.
        delta: failure probability of the bound.
        order: `k`.
    """

    bound: float
    train_risk: float
    complexity: float
    confidence: float
    margin: float
    norm: float
    train_error: float
    delta: float
    order: int

    @property
    def vacuous(self) -> bool:
        """Whether the bound is no better than random guessing: `bound ≥ 1/2`."""
        return self.bound >= _COIN

    def __str__(self) -> str:
        parts = (
            f"train risk {self.train_risk:.3f} at margin {self.margin:.3g}, complexity {self.complexity:.3f}, "
            f"confidence {self.confidence:.3f}"
        )
        if self.vacuous:
            return f"vacuous: the bound {self.bound:.3f} is no better than random guessing ({parts})"
        return f"test error at most {self.bound:.3f} with probability {1 - self.delta:g} ({parts})"


@_devices.exact
def certificate(
    net: TwoLayerNetwork,
    w: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    *,
    order: int = 2,
    delta: float = 0.05,
    draws: int = 200,
    key: PRNGKeyArray,
    chunk_size: int | None = None,
) -> GeneralizationCertificate:
    """Bounds the test error of the classifier `sign f^(k)(w; x)` from its training data.

    Args:
        net: a network with symmetric initialization (so that `f^(0) = 0`) and one output, drawn independently of the data.
        w: trained displacement, shape `(m, d)`; it may depend on the training data in any way.
        x: training examples, shape `(n, d)`, drawn i.i.d. from the test distribution.
        y: labels -1 and 1, shape `(n,)`.
        order: `k`, 1 (the NTK model) or 2 (the quadratic model).
        delta: failure probability of the bound, between 0 and 1.
        draws: number of sign vectors in the Monte Carlo estimate of the complexity.
        key: JAX random key for the signs.
        chunk_size: see `TwoLayerNetwork.prepare`.

    Returns:
        The certificate; `vacuous` is true if it is no better than random guessing.

    Raises:
        ArgumentError: for invalid arguments.

    Source: theory 7; Mohri, Rostamizadeh and Talwalkar, *Foundations of Machine Learning* (2nd ed.), theorems 3.3 and 5.8
    (their `log(2/δ)` covers two inequalities, of which only one is used here).

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> tn.generalization.certificate(net, net.w0, x, jax.numpy.sign(x[:, 0]), key=jax.random.key(2)).vacuous
        True
    """
    if not net.symmetric or net.outputs != 1:
        raise _checks.ArgumentError(
            "net",
            "symmetric initialization and one output",
            f"symmetric={net.symmetric}, outputs={net.outputs}",
        )
    prepared = prepare_order(net, x, order, chunk_size)
    w = _checks.array("w", w, (net.width, net.inputs))
    labels = _checks.host(_checks.array("y", y, (prepared.examples,)))
    if not np.all(np.abs(labels) == 1):
        raise _checks.ArgumentError("y", "labels -1 and 1", f"{labels[np.abs(labels) != 1][0]:g}")
    _checks.positive("delta", delta)
    if not delta < 1:
        raise _checks.ArgumentError("delta", "a probability below 1", str(delta))
    draws = _checks.integer("draws", draws, 1)
    norm = float(group_norm(w, order))
    margins = labels * _checks.host(prepared.term(order, w), float)[:, 0]
    train_error = float(np.mean(margins <= 0))
    unit = float(drawn_suprema(prepared, order, draws, key).mean())
    shares = float(_squared_changes(prepared, order))
    unit += math.sqrt(shares * math.log(1 / (_MONTE_CARLO_SHARE * delta)) / (2 * draws))
    rest = (1 - _MONTE_CARLO_SHARE) * delta
    best = None
    for j in _grid(norm**order, margins, unit):
        level = _GRID**j
        margin = norm**order / level
        risk = float(np.mean(np.clip(1 - margins / margin, 0, 1))) if margin > 0 else 1.0
        probability = rest * (2 / 3) / ((abs(j) + 1) * (abs(j) + 2))
        confidence = 3 * math.sqrt(math.log(1 / probability) / (2 * prepared.examples))
        parts = (risk, 2 * level * unit, confidence, margin)
        if best is None or sum(parts[:3]) < sum(best[:3]):
            best = parts
    assert best is not None
    return GeneralizationCertificate(sum(best[:3]), *best, norm, train_error, delta, order)


def _grid(size: float, margins: np.ndarray, unit: float) -> range:
    """The relevant grid points: from margins above all outputs to a complexity term above 1."""
    largest = max(float(np.max(np.abs(margins))), 1e-300)
    low = math.floor(math.log(max(size, 1e-300) / (4 * largest)) / math.log(_GRID))
    high = math.ceil(math.log(1 / (2 * unit)) / math.log(_GRID)) if unit > 0 else low
    return range(min(low, high), max(low, high) + 1)


@eqx.filter_jit
def _squared_changes(prepared: Prepared, order: int) -> Array:
    """`Σ_i c_i²`, `c_i = (2/n) sup_W |f^(k)(W; x_i)|` over the unit ball."""
    net, term = prepared.net, Term(order)

    def block_sum(block: Block) -> Array:
        squares = net.halves * jnp.sum(prepared.features(block, term).scaled[order] ** 2, axis=0)
        return jnp.sum(squares * jnp.sum(block.x**2, axis=1) ** order)

    return 4 / prepared.examples**2 * jnp.sum(map_blocks(block_sum, prepared.blocks))
