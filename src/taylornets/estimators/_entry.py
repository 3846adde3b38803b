"""Input checks of scikit-learn, and the precision of the computation."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from sklearn.utils.validation import _check_sample_weight, validate_data


@contextmanager
def precision_of(dtype: Any) -> Generator[None]:
    """Computes in the precision of the data, float64 or float32, without changing the global JAX option."""
    with jax.enable_x64(np.dtype(dtype) == np.float64):
        yield


def check_rows(estimator: Any, x: Any, y: Any, sample_weight: Any, **options: Any) -> tuple[Any, Any, np.ndarray]:
    """Applies scikit-learn's checks of training data; weights become float64."""
    x, y = validate_data(estimator, x, y, dtype=[np.float64, np.float32], y_numeric=False, **options)
    return x, y, _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)


def check_new_rows(estimator: Any, x: Any, dtype: Any) -> np.ndarray:
    """Applies scikit-learn's checks of rows to predict; the result has the dtype of the model."""
    checked: Any = validate_data(estimator, x, reset=False, dtype=[np.float64, np.float32])
    return checked.astype(dtype)
