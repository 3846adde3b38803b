"""The training entry `fit` (theory 3 to 5): an initialization, a method, and a certificate as the stopping rule."""

from functools import partial
from typing import Any

from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray

from taylornets import _checks, losses
from taylornets._fit._memory import within_memory
from taylornets._fit._result import FitError, FitResult
from taylornets._fit._sum import sum_results
from taylornets._fit._train import Rank, train
from taylornets.models import ModelLike
from taylornets.objectives import Objective, orders_of, single_objective
from taylornets.optimizers import Method
from taylornets.two_layer import TwoLayerNetwork, failures_raised


def fit(
    net: TwoLayerNetwork,
    x: Any,
    y: Any,
    *,
    model: ModelLike | tuple[int, ...] = "quadratic",
    loss: str | losses.Loss = "squared",
    penalty: Any,
    power: Any = 8,
    method: str | Method = "auto",
    w_init: Any = None,
    key: PRNGKeyArray | None = None,
    rank: Rank = "auto",
    tol: float | None = None,
    max_steps: int = 5000,
    throw: bool = True,
    chunk_size: int | None = None,
    sample_weight: ArrayLike | None = None,
    linear_kernel: ArrayLike | None = None,
) -> FitResult:
    """Trains a displacement and certifies its optimality gap.

    Args:
        net: the network.
        x: examples, shape `(n, d)`; of data that do not fit into memory, a memory-mapped array, or an iterable of blocks
            `(x, y)`; see `taylornets.objective`.
        y: targets in the form the loss expects; None for an iterable of blocks.
        model: `"quadratic"`, `"randomized"`, `"linear"`, `"full"`, an integer `k ≥ 1` for the single term of order `k`, or
            a randomization such as `SignedMoments(3)`; see `taylornets.objective`. `"linear+quadratic"` or `(1, 2)` is the sum
            of both terms, each with its own displacement; other sets of orders, ascending, such as `(1, 3)`, have no
            certificate.
        loss: a name of `taylornets.losses`, or a loss.
        penalty: `λ > 0`; of a sum, one for each order, `(λ1, λ2)`, or a number for all orders above 1, with `λ1 = 100 λ`.
        power: `p ≥ 2k`; of a sum, one for each order, `(2, p)`, or a number for all orders above 1.
        method: `"auto"` (default): for the quadratic model the dual Newton method, on large problems after L-BFGS; for the
            linear model Newton's method on the ridge dual; L-BFGS for all others. `"dual_newton"` (linear and quadratic
            models and their sum), `"lbfgs"` (sums of other orders: the default, with the linear block eliminated for
            quadratic losses), `"negative_curvature"` (escapes saddles and stops at second-order stationary points),
            `"perturbed_gradient_descent"`, `"noisy_sgd"` (minibatches, fresh signs at every step for randomized models,
            and a learning rate that decays to 0 at `max_steps`), `"gradient_descent"`, or a method object from
            `taylornets.optimizers`.
        w_init: initial displacement, shape `(m, d)` or `(m, R, d)`, of a sum one for each order; by default none for the dual
            Newton method, zero for the full network, and small and random otherwise, since `w = 0` is a saddle of every
            term of order ≥ 2.
        key: JAX random key for the noise of the method, the random initialization, and up to three restarts if a gap
            remains at a fixed rank (the best result is returned); by default `jax.random.key(0)`.
        rank: `"auto"` (default) finds the number of copies `R` of each unit that the optimum of the quadratic model requires
            and is 1 for all other models; an integer fixes it. Copies share `w0_r` and are penalized jointly; `R > 1` only
            for single terms of order ≥ 2. First-order methods add copies at stationary points, along directions of negative
            curvature of the lifted problem.
        tol: relative gap at which a certified run stops; by default 1e-8 in float64, and in float32 the larger of 1e-4 and
            four times the rounding allowance of the certificate, `64 ε (√n + d)`. For other models, the threshold on
            the scale-free gradient `‖∇P‖ max(‖w‖, m^{1/2 - 1/(2k)}/B_x) / P`.
        max_steps: maximum number of iterations, of all methods and ranks together.
        throw: whether a failed run raises; otherwise `status` reports the failure.
        chunk_size: examples processed at a time, see `TwoLayerNetwork.prepare`.
        sample_weight: weights of the examples, shape `(n,)`, see `taylornets.objective`; objective and certificate
            refer to the weighted problem.
        linear_kernel: for a sum, the Gram matrix of a kernel on `x`, shape `(n, n)`, that replaces the network's linear block,
            for example `tn.kernels.infinite_width_ntk("gelu", x)`; `V` then holds dual coefficients.

    Returns:
        The result with displacement, certificate and status; `w` has shape `(m, d)` whenever rank one suffices, otherwise
        `(m, R, d)` with the least `R`. Of a sum, `w` has one displacement for each order, `(V, W)`, and
        `predict(x, parts=True)` separates its parts.

    Raises:
        ArgumentError: for invalid arguments.
        FitError: if `max_steps` is reached or the objective is not finite, unless `throw=False`.

    Source: theory 3, 5, 11.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=16)
        >>> x = jax.random.normal(jax.random.key(1), (20, 3))
        >>> result = tn.fit(net, x, x[:, 0] * x[:, 1], penalty=1e-2, tol=1e-3)
        >>> result.status.name
        'CERTIFIED'
    """
    rank, max_steps = check_settings(rank, max_steps, tol)
    orders = orders_of(model)
    if orders is not None:
        (result,) = sum_results(
            net, x, y, [penalty], orders, w_init, tol=tol, max_steps=max_steps, method=method, key=key, rank=rank, loss=loss,
            power=power, kernel=linear_kernel, chunk_size=chunk_size, sample_weight=sample_weight,
        )  # fmt: skip
        if throw and result.status.is_failure:
            raise FitError(result)
        return result
    if linear_kernel is not None:
        raise _checks.ArgumentError("linear_kernel", "None except for sums of orders", f"model={model!r}")
    single: Any = model  # a sum has returned above
    risk = single_objective(
        net, x, y, model=single, loss=loss, penalty=penalty, power=power, chunk_size=chunk_size,
        sample_weight=sample_weight,
    )  # fmt: skip
    check_copies(risk, rank, model)
    with failures_raised(risk.features.blocks.x):
        solve = partial(train, method=method, key=key, rank=rank, tol=tol, max_steps=max_steps)
        result, _ = within_memory(solve, risk, w_init)
    if throw and result.status.is_failure:
        raise FitError(result)
    return result


def check_settings(rank: Any, max_steps: Any, tol: Any) -> tuple[Rank, int]:
    """Checks the arguments that do not depend on the data; returns `rank` and `max_steps`."""
    if isinstance(rank, str) and rank != "auto":
        raise _checks.ArgumentError("rank", "'auto' or an integer ≥ 1", repr(rank))
    found: Rank = "auto" if isinstance(rank, str) else _checks.integer("rank", rank, 1)
    if tol is not None:
        _checks.positive("tol", tol)
    return found, _checks.integer("max_steps", max_steps, 1)


def check_copies(risk: Objective, rank: Rank, model: Any) -> None:
    """Rejects a rank above one for models without copies of units."""
    if rank != "auto" and int(rank) > 1 and not risk.model.copies:
        advice = "Only single terms of order ≥ 2 support copies."
        raise _checks.ArgumentError("rank", f"1 for model={model!r}", str(rank), advice)
