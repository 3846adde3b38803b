"""Ridge regression with neural tangent kernels, of finite or infinite width."""

import abc
from typing import Any

import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from taylornets import _checks, activations, kernels
from taylornets.estimators._data import Scaling, TrainingData, columns_for, filled, merged, rows_for
from taylornets.estimators._entry import check_new_rows, precision_of
from taylornets.estimators._kernel import (
    filled_on_sphere,
    posterior_deviations,
    ridge_certificate,
    weighted_gram,
    weighted_kernel,
)
from taylornets.two_layer import TwoLayerNetwork

RIDGES = tuple(10.0 ** (-e / 2) for e in range(17))
_DECOMPOSED = 8192  # maximum number of rows for which the Gram matrix is formed and decomposed
_PREDICTED = 4096
_CG_TOL = 1e-8


class NTKEstimator(BaseEstimator, abc.ABC):
    """Base class of the kernel estimators; see `NTKRegressor` for the parameters."""

    def __init__(
        self,
        *,
        width: Any = None,
        activation: Any = "cubic_relu",
        ridge: Any = 1e-3,
        bias: Any = 1.0,
        ridges: Any = None,
        random_state: Any = None,
    ):
        self.width = width
        self.activation = activation
        self.ridge = ridge
        self.bias = bias
        self.ridges = ridges
        self.random_state = random_state

    @abc.abstractmethod
    def _rows(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, np.ndarray]:
        """Returns checked inputs, targets and weights."""

    @abc.abstractmethod
    def _numbers(self, y: Any, weight: np.ndarray) -> np.ndarray:
        """Returns numeric targets, shape `(n, c)`: class indices in one column, or regression targets."""

    @abc.abstractmethod
    def _encode(self, problem: TrainingData) -> np.ndarray:
        """Encodes targets for the fit, shape `(n, outputs)`; stores the inverse transformation."""

    @abc.abstractmethod
    def _errors(self, residuals: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Returns the leave-one-out error of each example from its residual, shape `(n,)`."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Solves `min (1/n) Σ ‖f(x_i) - y_i‖² + λ ‖f‖²`; `ridge="cv"` selects `λ` by the leave-one-out error.

        Args:
            X: examples, shape `(n, d)`.
            y: targets, shape `(n,)`, or `(n, outputs)` for multi-output regression.
            sample_weight: weights ≥ 0, shape `(n,)`; a weight of 2 repeats the row, a weight of 0 removes it.

        Returns:
            The estimator.

        Raises:
            ArgumentError: for invalid parameters.
            ValueError: for data that scikit-learn rejects.
        """
        ridges = self._settings()
        x, y, weight = self._rows(X, y, sample_weight)
        with precision_of(x.dtype):
            problem = merged(TrainingData(x, self._numbers(y, weight), weight))
            problem = problem._replace(y=self._encode(problem))
            scaling = Scaling.of(problem, "sphere", self.bias)
            self.input_offset_, self.input_scale_, self.input_bias_, _ = scaling
            problem = problem._replace(x=scaling(problem.x), weight=problem.weight / problem.weight.sum())
            inputs, dtype = problem.x.shape[1], x.dtype
            seed = check_random_state(self.random_state).randint(2**31)
            half = np.random.default_rng(seed).standard_normal(((self.width or 0) // 2, inputs)).astype(dtype)
            self.initial_weights_ = None if self.width is None else np.concatenate([half, half])
            self.activation_ = activations.get(self.activation).name
            self._solve(problem, ridges)
        return self

    def __repr__(self, N_CHAR_MAX: Any = 700) -> str:
        text = BaseEstimator.__repr__(self, N_CHAR_MAX)
        certificate = getattr(self, "certificate_", None)
        return text if certificate is None else f"{text}  # {certificate}"

    def _settings(self) -> tuple[float, ...]:
        if self.width is not None:
            _checks.integer("width", self.width, 2, "Or None for infinite width.")
            if self.width % 2:
                raise _checks.ArgumentError("width", "an even number, since units come in pairs", str(self.width))
        _checks.positive("bias", self.bias)
        if not isinstance(self.ridge, str):
            _checks.positive("ridge", self.ridge, "Or use 'cv' to select it.")
            return (float(self.ridge),)
        _checks.choice("ridge", self.ridge, ("cv",))
        ridges = RIDGES if self.ridges is None else tuple(self.ridges)
        for ridge in ridges:
            _checks.positive("ridges", ridge)
        return tuple(map(float, ridges))

    def _solve(self, problem: TrainingData, ridges: tuple[float, ...]) -> None:
        """Computes the coefficients `c = D (D K D + λ I)^{-1} D y` with `D = diag(p_i)^{1/2}`."""
        n = len(problem.x)
        if n > _DECOMPOSED:
            coefficients, ridge, scores, steps = self._iterate(problem, ridges)
        else:
            coefficients, ridge, scores = self._decompose(problem, ridges)
            steps = 1
        fitted = self._kernel_times(problem.x, problem.x, coefficients)
        self.train_inputs_, self.coefficients_, self.ridge_, self.n_iter_ = problem.x, coefficients, ridge, steps
        self.weights_ = problem.weight
        self.path_ = None if scores is None else {"ridges": list(ridges), "scores": scores}
        self.certificate_ = ridge_certificate(problem, fitted, coefficients, ridge)
        self.objective_ = float(self.certificate_.primal)

    def _decompose(
        self, problem: TrainingData, ridges: tuple[float, ...]
    ) -> tuple[np.ndarray, float, list[list[float]] | None]:
        n, rows = len(problem.x), rows_for(len(problem.x))
        roots: Any = filled(np.sqrt(problem.weight), rows)[:, None].astype(problem.x.dtype)
        x = np.pad(problem.x, [(0, rows - n), (0, columns_for(problem.x.shape[1]) - problem.x.shape[1])])
        x[n:, 0] = 1.0  # padding must lie on the sphere; its weight is 0
        gram = weighted_gram(self._kernel(problem.x.shape[1]), jnp.asarray(x), jnp.asarray(roots))
        prepared = kernels.kernel_ridge(gram, roots * filled(problem.y, rows).astype(x.dtype))
        scores: list[list[float]] | None = None
        ridge = ridges[0]
        if len(ridges) > 1:
            if n < 2:
                raise _checks.ArgumentError(
                    "ridge", "a number, since n_samples=1 does not allow cross-validation", "'cv'"
                )
            left_out: Any = prepared.leave_one_out
            scores = [self._score(problem, np.asarray(left_out(value / rows))[:n] / roots[:n]) for value in ridges]
            ridge = ridges[min(range(len(ridges)), key=lambda i: tuple(scores[i]))]
        return np.asarray(roots * prepared.coefficients(ridge / rows))[:n], ridge, scores

    def _score(self, problem: TrainingData, residuals: np.ndarray) -> list[float]:
        squares = np.sum(residuals**2, axis=1)
        return [float(np.average(e, weights=problem.weight)) for e in (self._errors(residuals, problem.y), squares)]

    def _iterate(self, problem: TrainingData, ridges: tuple[float, ...]) -> tuple[np.ndarray, float, None, int]:
        """Solves by conjugate gradients with the Gram matrix formed in blocks; inputs carry a column of root weights."""
        if len(ridges) > 1:
            needed = f"a number for more than {_DECOMPOSED} distinct rows"
            raise _checks.ArgumentError("ridge", needed, "'cv'", "Select it on a subset of the rows.")
        ridge = min(ridges)
        kernel, roots = self._kernel(problem.x.shape[1]), np.sqrt(problem.weight)[:, None].astype(problem.x.dtype)
        x = np.concatenate([filled(problem.x, len(roots), columns_for(problem.x.shape[1])), roots], axis=1)
        solution = kernels.kernel_ridge_cg(
            lambda a, b: weighted_kernel(kernel, a, b),
            x,
            roots * problem.y.astype(x.dtype),
            ridge / len(x),
            tol=_CG_TOL,
        )
        return roots * np.asarray(solution.coefficients), ridge, None, int(solution.steps)

    def _kernel(self, inputs: int) -> Any:
        if self.initial_weights_ is None:
            return activations.get(self.activation_)
        w0 = filled(self.initial_weights_, len(self.initial_weights_), columns_for(inputs))
        signs = np.repeat([1.0, -1.0], len(w0) // 2)[:, None].astype(w0.dtype)
        return TwoLayerNetwork(jnp.asarray(w0), jnp.asarray(signs), activations.get(self.activation_), symmetric=True)

    def _kernel_times(self, new: np.ndarray, x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Computes `K(new, x) c` in blocks of rows, with padded shapes."""
        rows, columns, n = rows_for(len(x)), columns_for(x.shape[1]), x.shape[1]
        train, parts = filled_on_sphere(x, rows, columns), []
        for start in range(0, len(new), _PREDICTED):
            block = new[start : start + _PREDICTED]
            ready = filled_on_sphere(block, rows_for(len(block)), columns)
            found = kernels.predict(self._kernel(n), ready, train, filled(coefficients, rows))
            parts.append(np.asarray(found)[: len(block)])
        return np.concatenate(parts)

    def _outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        x = check_new_rows(self, X, self.coefficients_.dtype)
        scaling = Scaling(self.input_offset_, self.input_scale_, self.input_bias_, 0.0)
        with precision_of(x.dtype):
            return self._kernel_times(scaling(x), self.train_inputs_, self.coefficients_)

    def _deviations(self, X: Any) -> np.ndarray:
        """Posterior standard deviations in units of the scaled targets, shape `(n, outputs)`."""
        check_is_fitted(self)
        if len(self.train_inputs_) > _DECOMPOSED:
            got = f"True after a fit of {len(self.train_inputs_)} distinct rows"
            raise _checks.ArgumentError("return_std", f"False for more than {_DECOMPOSED} distinct rows", got)
        x = check_new_rows(self, X, self.coefficients_.dtype)
        scaling = Scaling(self.input_offset_, self.input_scale_, self.input_bias_, 0.0)
        with precision_of(x.dtype):
            columns = columns_for(self.train_inputs_.shape[1])
            train, new = (filled(rows, len(rows), columns) for rows in (self.train_inputs_, scaling(x)))
            known = (self.weights_, self.coefficients_, self.ridge_)
            return posterior_deviations(self._kernel(train.shape[1]), train, new, *known).astype(x.dtype)
