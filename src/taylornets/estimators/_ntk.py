"""Ridge regression with neural tangent kernels, of finite or infinite width."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from taylornets import _checks, activations, kernels
from taylornets.certificates import Certificate
from taylornets.estimators._classifier import classes_of, numbers_of, signs_of
from taylornets.estimators._data import Problem, Scaling, center_and_spread, columns_for, filled, merged, rows_for
from taylornets.estimators._solve import decided
from taylornets.estimators._taylor import check_rows, precision_of
from taylornets.two_layer import TwoLayerNetwork

RIDGES = tuple(10.0 ** (-e / 2) for e in range(17))
_DECOMPOSED = 8192  # rows up to which the Gram matrix is formed and decomposed
_PREDICTED = 4096
_CG_TOL = 1e-8


class NTKEstimator(BaseEstimator, abc.ABC):
    """Base of the kernel estimators; its parameters are described there."""

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
        """Checked inputs, targets and weights."""

    @abc.abstractmethod
    def _learn_targets(self, y: Any, weight: np.ndarray) -> np.ndarray:
        """Keeps what encodes targets; gives them as numbers, shape `(n, outputs)`."""

    @abc.abstractmethod
    def _errors(self, residuals: np.ndarray, y: np.ndarray) -> np.ndarray:
        """What counts of the residuals of examples left out, shape `(n,)`."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Solves `min (1/n) Σ ‖f(x_i) - y_i‖² + λ ‖f‖²`; `ridge="cv"` takes the `λ` of least leave-one-out error.

        Args:
            X: examples, shape `(n, d)`.
            y: targets, shape `(n,)`, or `(n, outputs)` for several of a regression.
            sample_weight: weights ≥ 0, shape `(n,)`: 2 is the row twice, 0 a row that is absent.

        Returns:
            The estimator.

        Raises:
            ArgumentError: for parameters that do not fit.
            ValueError: for data that scikit-learn refuses.
        """
        ridges = self._settings()
        x, y, weight = self._rows(X, y, sample_weight)
        with precision_of(x.dtype):
            problem = merged(Problem(x, self._learn_targets(y, weight), weight))
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
            _checks.positive("ridge", self.ridge, "Or 'cv', which chooses it.")
            return (float(self.ridge),)
        _checks.choice("ridge", self.ridge, ("cv",))
        ridges = RIDGES if self.ridges is None else tuple(self.ridges)
        for ridge in ridges:
            _checks.positive("ridges", ridge)
        return tuple(map(float, ridges))

    def _solve(self, problem: Problem, ridges: tuple[float, ...]) -> None:
        """With `D = diag(p_i)^{1/2}` the coefficients are `c = D (D K D + λ I)^{-1} D y`."""
        n = len(problem.x)
        if n > _DECOMPOSED:
            coefficients, ridge, scores, steps = self._iterate(problem, ridges)
        else:
            coefficients, ridge, scores = self._decompose(problem, ridges)
            steps = 1
        fitted = self._kernel_times(problem.x, problem.x, coefficients)
        self.train_inputs_, self.coefficients_, self.ridge_, self.n_iter_ = problem.x, coefficients, ridge, steps
        self.path_ = None if scores is None else {"ridges": list(ridges), "scores": scores}
        self.certificate_ = _certificate(problem, fitted, coefficients, ridge)
        self.objective_ = float(self.certificate_.primal)

    def _decompose(
        self, problem: Problem, ridges: tuple[float, ...]
    ) -> tuple[np.ndarray, float, list[list[float]] | None]:
        n, rows = len(problem.x), rows_for(len(problem.x))
        roots = filled(np.sqrt(problem.weight), rows)[:, None].astype(problem.x.dtype)
        x = np.pad(problem.x, [(0, rows - n), (0, columns_for(problem.x.shape[1]) - problem.x.shape[1])])
        x[n:, 0] = 1.0  # on the sphere, like the others; their weight is 0
        gram = _weighted_gram(self._kernel(problem.x.shape[1]), jnp.asarray(x), jnp.asarray(roots))
        prepared = kernels.kernel_ridge(gram, roots * filled(problem.y, rows).astype(x.dtype))
        scores, ridge = None, ridges[0]
        if len(ridges) > 1:
            if n < 2:
                raise _checks.ArgumentError("ridge", "a number, since n_samples=1 leaves nothing to choose by", "'cv'")
            scores = [
                self._score(problem, np.asarray(prepared.leave_one_out(value / rows))[:n] / roots[:n])
                for value in ridges
            ]
            ridge = ridges[min(range(len(ridges)), key=lambda i: tuple(scores[i]))]
        return np.asarray(roots * prepared.coefficients(ridge / rows))[:n], ridge, scores

    def _score(self, problem: Problem, residuals: np.ndarray) -> list[float]:
        squares = np.sum(residuals**2, axis=1)
        return [float(np.average(e, weights=problem.weight)) for e in (self._errors(residuals, problem.y), squares)]

    def _iterate(self, problem: Problem, ridges: tuple[float, ...]) -> tuple[np.ndarray, float, None, int]:
        """Conjugate gradients, the Gram matrix formed and dropped; the root of the weight is a column of the inputs."""
        if len(ridges) > 1:
            needed = f"a number for more than {_DECOMPOSED} distinct rows"
            raise _checks.ArgumentError("ridge", needed, "'cv'", "Choose it on a part of the rows.")
        kernel, roots = self._kernel(problem.x.shape[1]), np.sqrt(problem.weight)[:, None].astype(problem.x.dtype)
        x = np.concatenate([filled(problem.x, len(roots), columns_for(problem.x.shape[1])), roots], axis=1)
        solution = kernels.kernel_ridge_cg(
            lambda a, b: _weighted(kernel, a, b), x, roots * problem.y.astype(x.dtype), ridges[0] / len(x), tol=_CG_TOL
        )
        return roots * np.asarray(solution.coefficients), ridges[0], None, int(solution.steps)

    def _kernel(self, inputs: int) -> Any:
        if self.initial_weights_ is None:
            return activations.get(self.activation_)
        w0 = filled(self.initial_weights_, len(self.initial_weights_), columns_for(inputs))
        signs = np.repeat([1.0, -1.0], len(w0) // 2)[:, None].astype(w0.dtype)
        return TwoLayerNetwork(jnp.asarray(w0), jnp.asarray(signs), activations.get(self.activation_), symmetric=True)

    def _kernel_times(self, new: np.ndarray, x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """`K(new, x) c`, shapes filled up; some rows at a time."""
        rows, columns, n = rows_for(len(x)), columns_for(x.shape[1]), x.shape[1]
        train, parts = _on_sphere(x, rows, columns), []
        for start in range(0, len(new), _PREDICTED):
            block = new[start : start + _PREDICTED]
            ready = _on_sphere(block, rows_for(len(block)), columns)
            found = kernels.predict(self._kernel(n), ready, train, filled(coefficients, rows))
            parts.append(np.asarray(found)[: len(block)])
        return np.concatenate(parts)

    def _outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        x = validate_data(self, X, reset=False, dtype=[np.float64, np.float32]).astype(self.coefficients_.dtype)
        scaling = Scaling(self.input_offset_, self.input_scale_, self.input_bias_, 0.0)
        with precision_of(x.dtype):
            return self._kernel_times(scaling(x), self.train_inputs_, self.coefficients_)


class NTKRegressor(MultiOutputMixin, RegressorMixin, NTKEstimator):
    """TODO."""

    def predict(self, X: Any) -> np.ndarray:
        """Predicted targets, shape `(n,)`, or `(n, outputs)` where the targets had two axes; `X` has shape `(n, d)`."""
        found = self._outputs(X) * self.target_scale_ + self.target_offset_
        return found if self.target_columns_ else found[:, 0]

    def _rows(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, np.ndarray]:
        return check_rows(self, x, y, sample_weight, multi_output=True)

    def _learn_targets(self, y: Any, weight: np.ndarray) -> np.ndarray:
        y = np.asarray(y, np.float64)
        self.target_columns_ = y.ndim == 2
        y = y if self.target_columns_ else y[:, None]
        self.target_offset_, self.target_scale_ = center_and_spread(y[weight > 0], weight[weight > 0])
        return (y - self.target_offset_) / self.target_scale_

    def _errors(self, residuals: np.ndarray, y: np.ndarray) -> np.ndarray:
        del y
        return np.sum(residuals**2, axis=1)


class NTKClassifier(ClassifierMixin, NTKEstimator):
    """TODO."""

    def predict(self, X: Any) -> np.ndarray:
        """Predicted classes, shape `(n,)`; `X` has shape `(n, d)`."""
        outputs = self._outputs(X)
        return self.classes_[decided(outputs)]

    def decision_function(self, X: Any) -> np.ndarray:
        """Shape `(n,)` for two classes, the second preferred above 0; else `(n, classes)`; `X` has shape `(n, d)`."""
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _rows(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, np.ndarray]:
        return check_rows(self, x, y, sample_weight)

    def _learn_targets(self, y: Any, weight: np.ndarray) -> np.ndarray:
        self.classes_ = classes_of(y, weight)
        return signs_of(numbers_of(y, self.classes_), len(self.classes_))

    def _errors(self, residuals: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (decided(y - residuals) != decided(y)).astype(float)


@eqx.filter_jit
def _weighted_gram(kernel: Any, x: Array, roots: Array) -> Array:
    return roots * _plain(kernel, x, x) * roots.T


def _weighted(kernel: Any, first: Array, second: Array) -> Array:
    return first[:, -1:] * _plain(kernel, first[:, :-1], second[:, :-1]) * second[:, -1]


def _plain(kernel: Any, first: Array, second: Array) -> Array:
    if isinstance(kernel, TwoLayerNetwork):
        return kernels.ntk(kernel, first, second)
    return first @ second.T * kernel.dual(1)(first @ second.T)


def _on_sphere(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Filled up with points of the sphere: an infinite width asks for them."""
    ready = filled(x, rows, columns)
    ready[len(x) :, 0] = 1.0
    return ready


def _certificate(problem: Problem, fitted: np.ndarray, coefficients: np.ndarray, ridge: float) -> Certificate:
    """Primal and dual of the ridge problem, whatever found the coefficients.

    With `ν_i = 2 p_i (f_i - y_i)` and any `f = K c` the dual is `-Σ p_i ⟨s_i, s_i/4 + y_i⟩ - ⟨ν, K ν⟩/(4λ)`, `s_i = ν_i/p_i`.
    It is `ν = -2λ c` at the optimum; that one is taken, so that no further product with `K` is needed.
    """
    weight, y = problem.weight[:, None], problem.y
    squared = float(np.sum(coefficients * fitted, dtype=np.float64))
    primal = float(np.sum(weight * (fitted - y) ** 2)) + ridge * squared
    slopes = -2 * ridge * coefficients.astype(np.float64) / weight
    dual = -float(np.sum(weight * slopes * (slopes / 4 + y))) - ridge * squared
    # Lowered by an allowance for rounding, as the other certificates are; products with K have n terms.
    sizes = float(np.sum(weight * np.abs(slopes) * (np.abs(slopes) / 4 + np.abs(y)))) + ridge * float(
        np.sum(np.abs(coefficients * fitted), dtype=np.float64)
    )
    dual -= 16 * float(np.finfo(coefficients.dtype).eps) * len(y) ** 0.5 * sizes
    empty: Any = Certificate.__new__(Certificate)
    for name, value in (("primal", primal), ("dual", min(dual, primal)), ("dual_vector", -2 * ridge * coefficients)):
        object.__setattr__(empty, name, np.asarray(value))
    return empty
