"""The result of a training run."""

from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from taylornets import _checks
from taylornets._fit._predict import predict_blocks
from taylornets._fit._status import Status
from taylornets.certificates import Certificate
from taylornets.models import Model
from taylornets.optimizers import Stationarity
from taylornets.two_layer import Network, Term, TwoLayerNetwork, is_rows, widened


@dataclass(frozen=True)
class FitHistory:
    """The trajectory of a run, one list entry per check.

    Gradient norms are NaN for the dual Newton method, which has no gradient in `w`.

    Attributes:
        steps: iterations completed.
        objective: penalized objective.
        gradient_norm: Euclidean norm of its gradient.
        scaled_gradient: the scale-free gradient `‖∇P‖ max(‖w‖, m^{1/2 - 1/(2k)}/B_x) / P`.
        relative_gap: relative gap of the certificate; empty for models without a certificate.
        seconds: wall-clock time since the run began, including compilation.
    """

    steps: list[int] = field(default_factory=list)
    objective: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    scaled_gradient: list[float] = field(default_factory=list)
    relative_gap: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(
        self,
        steps: int,
        value: Array,
        gradient: Array,
        size: Array,
        certificate: Certificate | None,
        seconds: float,
    ) -> None:
        """Appends a check; `size` is the length scale of the scale-free gradient."""
        norm = float(jnp.linalg.norm(gradient))
        self.steps.append(steps)
        self.objective.append(float(value))
        self.gradient_norm.append(norm)
        self.scaled_gradient.append(norm * float(size) / abs(float(value)) if norm else 0.0)
        self.seconds.append(seconds)
        if certificate is not None:
            self.relative_gap.append(float(certificate.relative_gap))

    def add_bounds(self, steps: int, objective: float, gap: float, seconds: float) -> None:
        """Appends a check of a method that bounds the optimum itself and computes no gradient in `w`."""
        self.steps.append(steps)
        self.objective.append(objective)
        self.gradient_norm.append(float("nan"))
        self.scaled_gradient.append(float("nan"))
        self.seconds.append(seconds)
        self.relative_gap.append(gap)

    def close(self, certificate: Certificate) -> None:
        """Replaces the last bounds by those of the certificate of the result."""
        self.objective[-1], self.relative_gap[-1] = float(certificate.primal), float(certificate.relative_gap)


@dataclass(frozen=True)
class FitResult:
    """A trained displacement.

    Attributes:
        w: displacement, shape `(m, d)`, or `(m, R, d)` with `R > 1` copies of each unit (zero where fewer suffice); for the
            sum of orders, the tuple of its displacements, `(V, W)` for orders 1 and 2.
        objective: penalized objective at `w`.
        certificate: certified bound on the optimality gap of `w`; `None` for models without a certificate.
        status: the outcome; `status.value` describes it in a sentence.
        steps: iterations completed.
        history: the trajectory of the run.
        stationarity: the second-order test that ended the run (`"negative_curvature"` only), otherwise `None`.
        net: the network.
        model: the model; of a sum, that of its highest order.
        orders: for a sum, its orders, otherwise `None`.
        own_kernel: for a sum, whether `V` is a displacement of the network, shape `(m, d)`; otherwise it holds the dual
            coefficients of `linear_kernel`, shape `(n, outputs)`.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jnp.eye(3)
        >>> y = jnp.array([[1.0], [-1.0], [0.5]])
        >>> found = tn.fit(net, x, y, penalty=0.01)
        >>> found.status.is_failure, found.w.shape, bool(found.certificate.relative_gap < 1e-4)
        (False, (8, 2, 3), True)
    """

    w: Any
    objective: float
    certificate: Certificate | None
    status: Status
    steps: int
    history: FitHistory
    stationarity: Stationarity | None = None
    net: Network | None = field(default=None, repr=False, compare=False)
    model: Model | None = field(default=None, repr=False, compare=False)
    orders: tuple[int, ...] | None = None
    own_kernel: bool = True

    def predict(self, x: Any, *, linear_kernel: ArrayLike | None = None, parts: bool = False, out: Any = None) -> Any:
        """Evaluates the trained model, including `f^(0)`; the mean over the signs for randomized models.

        Args:
            x: examples, shape `(n, d)`; a memory-mapped array, or an iterable of blocks `x` or `(x, y)`, is evaluated block by
                block.
            linear_kernel: for a sum trained with `linear_kernel=`, the kernel between `x` and the training examples, shape
                `(n, n_train)`.
            parts: for a sum, whether to return the tuple of its parts, one for each order, instead of their sum; `f^(0)` is
                added to the last.
            out: for row blocks, a NumPy array or memory-mapped array of shape `(n, outputs)` that the predictions are written
                to.

        Returns:
            Predictions, shape `(n, outputs)`; of row blocks, a NumPy array, `out` if given.

        Raises:
            ArgumentError: for a wrong shape, a missing kernel, `parts` of a single model, or `out` without row blocks.

        Example:
            >>> import jax, jax.numpy as jnp, taylornets as tn
            >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
            >>> y = jnp.array([1.0, -1.0, 0.5])
            >>> tn.fit(net, jnp.eye(3), y, penalty=0.01).predict(jnp.eye(3)).shape
            (3, 1)
        """
        net, model = self._trained()
        if is_rows(x):
            evaluate = partial(self.predict, linear_kernel=linear_kernel, parts=parts)
            return predict_blocks(evaluate, x, net, out)
        if out is not None:
            advice = "The predictions of an array are returned."
            raise _checks.ArgumentError("out", "None for an array x", _checks.shown(out), advice)
        if isinstance(self.w, tuple):
            found = self._parts(x, linear_kernel)
            return found if parts else sum(found[1:], found[0])
        if parts or linear_kernel is not None:
            raise _checks.ArgumentError("parts", "a sum of orders", f"a result of model={model.name!r}")
        outputs = model.mean_output(model.outputs(net, self.w, x))
        single = isinstance(model.response, Term) and not net.symmetric
        return outputs + net.term(0, jnp.zeros_like(net.w0), x) if single else outputs

    def _parts(self, x: ArrayLike, kernel: ArrayLike | None) -> tuple[Array, ...]:
        """Returns the terms; the last one includes `f^(0)`."""
        net, _ = self._trained()
        orders = self.orders or ()
        prepared = net.prepare(x, (0, *orders))
        own = zip(orders if self.own_kernel else orders[1:], self.w if self.own_kernel else self.w[1:], strict=True)
        parts = [prepared.term(k, block) for k, block in own]
        if not net.symmetric:
            parts[-1] = parts[-1] + prepared.term(0, jnp.zeros_like(net.w0))
        if self.own_kernel:
            if kernel is not None:
                raise _checks.ArgumentError("linear_kernel", "None for the network's own linear block", "a matrix")
            return tuple(parts)
        if kernel is None:
            advice = "Pass the kernel between the new and the training examples."
            raise _checks.ArgumentError("linear_kernel", "the kernel that the fit used", "None", advice)
        linear = _checks.array("linear_kernel", kernel, (len(parts[-1]), len(self.w[0]))) @ self.w[0]
        return linear, *parts

    def as_network(self) -> tuple[TwoLayerNetwork, Array]:
        """Returns a network of width `R m` and a displacement of shape `(R m, d)` with the same term of the trained order.

        Units are repeated `R` times and the displacement is scaled by `R^{1/(2k)}`, so that `net.term(k, w, x)` is the same.

        Returns:
            The network and the displacement; those of the result if `R = 1`.

        Example:
            >>> import jax, jax.numpy as jnp, taylornets as tn
            >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
            >>> result = tn.fit(net, jnp.eye(3), jnp.array([1.0, -1.0, 0.5]), penalty=0.01, rank=2, method="lbfgs")
            >>> wide, w = result.as_network()
            >>> wide.width, w.shape
            (16, (16, 3))
        """
        net, model = self._trained()
        if isinstance(self.w, tuple):
            raise _checks.ArgumentError(
                "self", "a result of a single order", "a sum of orders", "Use its parts in `w`."
            )
        return widened(net, self.w, model.order)

    def _trained(self) -> tuple[Any, Model]:
        if self.net is None or self.model is None:
            needed = "a result of taylornets.fit"
            raise _checks.ArgumentError("self", needed, "a FitResult without network and model")
        return self.net, self.model

    def followed_by(self, later: "FitResult") -> "FitResult":
        """Returns a later stage with the steps, the time and the history of this stage added."""
        before, after = self.history, later.history
        history = FitHistory(*(getattr(before, one.name) + getattr(after, one.name) for one in fields(FitHistory)))
        history.steps[len(before.steps) :] = [self.steps + steps for steps in after.steps]
        elapsed = before.seconds[-1] if before.seconds else 0.0
        history.seconds[len(before.seconds) :] = [elapsed + seconds for seconds in after.seconds]
        return replace(later, steps=self.steps + later.steps, history=history)

    def certified_by(self, certificate: Certificate, tol: float) -> "FitResult":
        """Returns the result with a certificate for the same displacement, if it is tighter."""
        if self.certificate is not None and float(certificate.gap) >= float(self.certificate.gap):
            return self
        closed = float(certificate.relative_gap) <= tol
        return replace(self, certificate=certificate, status=Status.CERTIFIED if closed else self.status)

    def explained(self, rank: int | str, rounding: float) -> "FitResult":
        """Returns the result with the cause of a remaining gap as its status: a fixed rank, or the precision.

        Args:
            rank: the rank that was asked for.
            rounding: relative gap that rounding can cause in the precision of the data.
        """
        if self.status is not Status.GAP_REMAINS or self.certificate is None:
            return self
        blocks = self.w if isinstance(self.w, tuple) else (self.w,)
        if rank != "auto" and self._trained()[1].copies and float(self.certificate.relative_gap) > rounding:
            return replace(self, status=Status.RANK_LIMITS)
        rounded = any(jnp.finfo(block.dtype).eps > jnp.finfo(jnp.float64).eps for block in blocks)
        return replace(self, status=Status.PRECISION_LIMITS) if rounded else self

    def with_displacement(self, w: Array, certificate: Certificate) -> "FitResult":
        """Returns the result at another displacement with its certificate."""
        return replace(self, w=w, objective=float(certificate.primal), certificate=certificate)

    def __str__(self) -> str:
        return "\n".join(
            [f"{self.steps} steps, objective {self.objective:.9g}. {self.status.value}"]
            + ([f"Certificate: {self.certificate}."] if self.certificate is not None else [])
            + ([f"Second-order test: {self.stationarity}."] if self.stationarity is not None else [])
        )


class FitError(RuntimeError):
    """Raised when a run fails; `result` holds the best displacement. With `throw=False`, it is returned instead.

    Example:
        >>> import jax, jax.numpy as jnp, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> x = jnp.eye(3)
        >>> y = jnp.array([[1.0], [-1.0], [0.5]])
        >>> try:
        ...     tn.fit(net, x, y, penalty=0.01, max_steps=1)
        ... except tn.FitError as error:
        ...     print(error.result.status.name, error.result.steps)
        MAX_STEPS 1
    """

    def __init__(self, result: FitResult):
        self.result = result
        super().__init__(f"{result}\nPass throw=False to return this result instead of raising.")
