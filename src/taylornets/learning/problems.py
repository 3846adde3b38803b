"""Data sets shared by several claims."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def sphere(key: PRNGKeyArray, n: int, d: int) -> Array:
    """Draws `n` points uniformly from the unit sphere of `R^d`, shape `(n, d)`."""
    x = jax.random.normal(key, (n, d))
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def noisy_product(key: PRNGKeyArray, n: int, d: int) -> tuple[Array, Array]:
    """Draws inputs on the sphere and targets `y = d x_1 x_2 + 0.1 ε` (theory 5); shapes `(n, d)` and `(n,)`."""
    key_x, key_noise = jax.random.split(key)
    x = sphere(key_x, n, d)
    return x, d * x[:, 0] * x[:, 1] + 0.1 * jax.random.normal(key_noise, (n,))


def digits(seed: int) -> dict[str, np.ndarray]:
    """Loads scikit-learn's digits, scaled to the unit sphere: 962 training, 241 validation and 594 test examples.

    Returns:
        `x_train, y_train, x_validation, y_validation, x_test, y_test` and `images_test`; inputs of shape `(n, 64)`,
        labels of shape `(n,)`.
    """
    images, labels = map(np.asarray, load_digits(return_X_y=True))
    rest, test, y_rest, y_test = _split(images, labels, 594, seed)
    train, validation, y_train, y_validation = _split(rest, y_rest, 241, seed)

    def on_sphere(x: np.ndarray) -> np.ndarray:
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    return {
        "x_train": on_sphere(train),
        "y_train": y_train,
        "x_validation": on_sphere(validation),
        "y_validation": y_validation,
        "x_test": on_sphere(test),
        "y_test": y_test,
        "images_test": test.reshape(-1, 8, 8),
    }


def _split(x: np.ndarray, y: np.ndarray, held_out: int, seed: int) -> list[np.ndarray]:
    """Makes a random stratified split; returns the two parts of `x` and the two parts of `y`."""
    return [np.asarray(part) for part in train_test_split(x, y, test_size=held_out, random_state=seed, stratify=y)]
