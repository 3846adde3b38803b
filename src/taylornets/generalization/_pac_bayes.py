"""PAC-Bayes certificates of order-k models in closed form (theory 13)."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from scipy.special import ndtr

from taylornets import _checks
from taylornets.generalization._gibbs import SHARE, Scored, drawn_loss, mean_loss, mistakes
from taylornets.generalization._informed import Prior, Rows, trained_priors
from taylornets.generalization._linear import (
    Classes,
    LinearModel,
    classes_of_labels,
    is_kernel,
    linear_model,
    orders_of,
)
from taylornets.generalization._posterior import (
    THRESHOLDS,
    Divergence,
    Inequality,
    Minimum,
    catoni,
    minimized,
    seeger,
)
from taylornets.generalization._risk_certificate import RiskCertificate

BOUNDS = ("kl", "catoni")
NOISES = ("shared", "independent")
_FAR = 10.0  # an input norm this much larger than the bound of the network is reported


@dataclass(frozen=True)
class PacBayesSettings:
    """Settings of a PAC-Bayes bound that are fixed before the counted rows are seen.

    Args:
        ratios: standard deviations `τ_k` of the noise of the orders of a sum, one per order; 1 by default. Several tuples are
            candidates, of which the best is used and paid for.
        noise: for a network with several outputs, `"shared"` puts the noise on the weights that the outputs share and estimates
            error probabilities from draws; `"independent"` gives each output its own weights: exact, at `C` times the
            divergence.
        draws: draws for each example under shared noise.
        seed: seed of the draws, and of the prior rows if their number is given; `None` takes the first rows as prior rows.
        temperature: `C` of Catoni's bound.

    Example:
        >>> import taylornets as tn
        >>> tn.generalization.PacBayesSettings(noise="independent").temperature
        1.0
    """

    ratios: tuple[Any, ...] | None = None
    noise: str = "shared"
    draws: int = 50
    seed: int | None = None
    temperature: float = 1.0


def pac_bayes(
    net: Any,
    w: Any,
    x: ArrayLike | None,
    y: ArrayLike,
    *,
    order: Any = None,
    delta: float = 0.05,
    prior_rows: Any = None,
    bound: str = "kl",
    candidates: int = 1,
    settings: PacBayesSettings | None = None,
) -> RiskCertificate:
    """Bounds the test error of an order-k classifier from its training data, in closed form.

    The model is linear in its lifted weights `T = (w_r^{⊗k})`, `N = ‖T‖`. Unit Gaussian noise around `μ T/N`, with the prior
    `N(0, I)`, has the divergence `KL = μ²/2` and errs at `(x, y)` with the probability `Φ(-μ y f(x)/(N s(x)))`. With
    probability `1 - δ` over the rows, for all weights and all `μ` at once, the error of the randomized classifier is at most

        kl^{-1}( L̂ | (KL + ln ξ(n) + ln 1/δ)/n ),      ξ(n) = Σ_k C(n,k) (k/n)^k (1 - k/n)^{n-k}

    and the error of `sign f` at most `B_θ/Φ(θ)`, where `B_θ` is this bound for the loss `Φ(θ - margin)`, `θ ∈ {0, 1, 1.6}`,
    each with `δ/3`. The bound does not grow with the width. Weights, penalty, method and `μ` may depend on all rows; whatever
    shapes the features (scaling, input norm, columns, order, width, activation) must not depend on the counted rows, unless
    it was chosen among `candidates`. A hold-out bound (`holdout`) is tighter whenever rows can be spared.

    Args:
        net: a network, drawn independently of the rows; or a kernel: a Gram matrix of shape `(n, n)`, or an operator with
            `gram()`, `diagonal()` and `@`, such as the NTK of any model.
        w: displacement, shape `(m, d)`, or `(m, R, d)` with copies, trained in any way; for a sum of orders also a tuple
            with one displacement per order; with one output and `C > 2` classes, one per class: `(C, m, d)` or
            `(C, m, R, d)`. For a kernel the coefficients of `f = K w`, shape `(n,)` or `(n, C)`.
        x: examples, shape `(n, d)`, i.i.d. from the test distribution; `None` for a kernel.
        y: labels, shape `(n,)` or `(n, 1)`: ±1, 0/1 or booleans, or `0..C-1`.
        order: `k ≥ 1`, or a tuple such as `(1, 2)` or `(0, 1, 2)` for a sum; 0 includes `f^(0)`. Not used for kernels.
        delta: failure probability `δ`, between 0 and 1.
        prior_rows: number `n0` of rows that train an informed prior, or their indices; the bound counts the other rows.
        bound: `"kl"` (Seeger, Maurer) or `"catoni"` (with a fixed `C`).
        candidates: number of models (orders, widths, scalings, ...) among which the counted rows chose.
        settings: noise, draws, and the seed of the split.

    Returns:
        The certificate.

    Raises:
        ArgumentError: for invalid arguments, zero weights, labels of a single class, or a symmetric network whose pairs differ.

    Source: theory 13; Langford & Shawe-Taylor (2002); Maurer (2004); Catoni (2007).

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=32)
        >>> x = jax.random.normal(jax.random.key(1), (400, 3))
        >>> y = jnp.sign(x[:, 0])
        >>> w = tn.fit(net, x, y, model="linear", loss="logistic", penalty=1e-3, power=2, tol=1e-2).w
        >>> found = tn.generalization.pac_bayes(net, w, x, y, order=1)
        >>> found.rows, bool(found.empirical < found.gibbs < found.deterministic)
        (400, True)
    """
    settings = settings or PacBayesSettings()
    kernel = is_kernel(net)
    classes = classes_of_labels(y, None if kernel else getattr(net, "outputs", None))
    if order is None and not kernel:
        raise _checks.ArgumentError("order", "the order of the model, an integer ≥ 1", "none", "Pass `order=2`.")
    if kernel and order not in (None, 1):
        raise _checks.ArgumentError("order", "1 or none for a kernel", _checks.shown(order))
    _check_numbers(delta, bound, candidates, settings)
    rows = split_rows(len(classes.labels), prior_rows, settings.seed)
    grid = _ratios(settings.ratios)
    paid = delta / (candidates * len(grid))
    found: list[RiskCertificate] = []
    for ratios in grid:
        kind = orders_of(1 if kernel else order, ratios)
        model = linear_model(net, w, x, classes, kind, settings.noise == "independent")
        if not model.lifted.norm2 > 0:
            raise _checks.ArgumentError("w", "nonzero weights", "weights with f = 0", "Train the model first.")
        found.append(_certified(model, classes, rows, (paid, bound, settings)))
    notes = () if kernel else notes_on(net, _checks.host(x), classes.labels, rows.counted)
    return replace(
        min(found, key=lambda item: item.gibbs),
        deterministic=min(item.deterministic for item in found),
        delta=float(delta),
        candidates=candidates * len(grid),
        prior_rows=rows.prior if len(rows.prior) else None,
        seed=settings.seed if np.ndim(prior_rows) == 0 and len(rows.prior) else None,
        notes=notes,
    )


def check_delta(delta: Any) -> None:
    """Raises unless `delta` is a probability strictly between 0 and 1."""
    _checks.positive("delta", delta, "The usual failure probability is 0.05.")
    if not delta < 1:
        raise _checks.ArgumentError("delta", "a probability below 1", str(delta), "The usual one is 0.05.")


def _check_numbers(delta: Any, bound: Any, candidates: Any, settings: PacBayesSettings) -> None:
    check_delta(delta)
    _checks.choice("bound", bound, BOUNDS)
    _checks.choice("noise", settings.noise, NOISES)
    _checks.integer("candidates", candidates, 1, "Count every model that was compared on the counted rows.")
    _checks.integer("draws", settings.draws, 1)
    _checks.positive("temperature", settings.temperature)


def _ratios(ratios: tuple[Any, ...] | None) -> list[tuple[float, ...] | None]:
    """Returns the candidates for the noise ratios."""
    if ratios is None:
        return [None]
    return [tuple(item) for item in ratios] if np.ndim(ratios[0]) else [tuple(ratios)]


def split_rows(n: int, prior_rows: Any, seed: int | None) -> Rows:
    """Splits `n` rows into those that train the prior and those that are counted.

    Args:
        n: number of rows.
        prior_rows: `None`, their number, or their indices.
        seed: seed by which a number of rows is drawn; `None` takes the first rows.
    """
    if prior_rows is None:
        return Rows(np.arange(0), np.arange(n))
    if np.ndim(prior_rows) == 0:
        count = _checks.integer("prior_rows", prior_rows, 2, "The prior needs rows of two classes.")
        if count >= n:
            advice = "Leave rows to count; half of the rows is a good choice."
            raise _checks.ArgumentError("prior_rows", f"a number below the {n} rows", str(count), advice)
        order = np.arange(n) if seed is None else np.random.default_rng(seed).permutation(n)
        chosen = np.sort(order[:count])
    else:
        chosen = np.unique(np.asarray(prior_rows))
        if not np.issubdtype(chosen.dtype, np.integer) or chosen[0] < 0 or chosen[-1] >= n or len(chosen) >= n:
            expected = f"fewer than {n} row indices from 0 to {n - 1}"
            raise _checks.ArgumentError("prior_rows", expected, _checks.shown(prior_rows))
    return Rows(chosen, np.setdiff1d(np.arange(n), chosen))


def priors_of(model: LinearModel, classes: Classes, rows: Rows) -> list[tuple[float, Prior]]:
    """Trains the informed priors of a model with one output, or with independent outputs."""
    if model.gram is None:
        advice = "Use a network with one output and one displacement per class."
        raise _checks.ArgumentError("prior_rows", "none for outputs that share their weights", "prior rows", advice)
    labels = classes.labels[rows.prior]
    if len(np.unique(labels)) == 1:
        raise _checks.ArgumentError("prior_rows", "rows of at least two classes", f"only class {labels[0]:g}")
    return trained_priors(model.gram(rows.prior, rows.prior), labels, classes.number, rows)


def _certified(
    model: LinearModel, classes: Classes, rows: Rows, statement: tuple[float, str, PacBayesSettings]
) -> RiskCertificate:
    """Minimizes the bounds of one model, over all priors."""
    delta, bound, settings = statement
    lifted, counted = model.lifted, rows.counted
    n, covariance = len(counted), None if lifted.covariance is None else lifted.covariance[counted]
    scored = Scored(lifted.outputs[counted], np.sqrt(lifted.variance[counted]), classes.labels[counted], covariance)
    cases = [(1.0, scored, Divergence(lifted.norm2))]
    if len(rows.prior):
        cases = []
        for share, prior in priors_of(model, classes, rows):
            assert model.gram is not None
            variance = prior.variance(model.diagonal[counted], model.gram(counted, rows.prior))
            divergence = prior.divergence(lifted.outputs[rows.prior], lifted.norm2)
            cases.append((share, scored._replace(deviation=np.sqrt(variance)), divergence))

    def inequality(share: float) -> Inequality:
        return seeger(n, share) if bound == "kl" else catoni(n, share, settings.temperature)

    def best(threshold: float, share: float) -> Minimum:
        if covariance is not None:
            return _drawn(scored, cases[0][2], inequality((1 - SHARE) * share), threshold, (SHARE * share, settings))
        return min(
            minimized(mean_loss(item), divergence, inequality(share * own), n, threshold)
            for own, item, divergence in cases
        )

    gibbs = best(0.0, delta)
    bounds = [(best(t, delta / len(THRESHOLDS)).bound / float(ndtr(t)), t) for t in THRESHOLDS]
    deterministic, threshold = min(bounds)
    return RiskCertificate(
        gibbs=gibbs.bound, deterministic=min(1.0, deterministic), kl=gibbs.kl, empirical=gibbs.loss,
        train_error=float(np.mean(mistakes(scored))), rows=n, delta=delta,
        scale=gibbs.scale * math.sqrt(lifted.norm2), threshold=threshold, classes=classes.number, bound=bound,
    )  # fmt: skip


def _drawn(
    scored: Scored,
    divergence: Divergence,
    inequality: Inequality,
    threshold: float,
    draws: tuple[float, PacBayesSettings],
) -> Minimum:
    """Chooses the scale by estimates, and evaluates the bound at it from fresh draws."""
    delta, settings = draws
    estimate, upper = drawn_loss(scored, settings.draws, settings.seed or 0, delta)
    found = minimized(estimate, divergence, inequality, len(scored.labels), threshold)
    loss: float = upper(found.scale, threshold)
    return found._replace(bound=inequality(loss, found.kl), loss=loss)


def notes_on(net: Any, x: np.ndarray, labels: np.ndarray, counted: np.ndarray) -> tuple[str, ...]:
    """Describes what weakens or voids the statement on these rows."""
    found: list[str] = []
    largest = float(np.max(np.linalg.norm(x, axis=1)))
    if largest > _FAR * net.input_norm or largest < net.input_norm / _FAR:
        found.append(
            f"The inputs have norms up to {largest:.3g}, the network was drawn for norms up to {net.input_norm:g}: scale the "
            "inputs (by a rule that does not use the counted rows), or no bound below chance is to be expected."
        )
    table = np.column_stack([x[counted], labels[counted]])
    repeated = len(table) - len(np.unique(table, axis=0))
    if repeated:
        found.append(
            f"{repeated:,} of the {len(table):,} counted rows repeat another row: if they are copies and not new observations, "
            "the promise is void. Remove them."
        )
    return tuple(found)
