"""The digits data set, models trained on it, and their comparison, for the claim `real_data`."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from sklearn.metrics import confusion_matrix

from taylornets.learning import problems
from taylornets.records import Figure, Gallery, Heatmap, Table

CLASSES = 10


@dataclass(frozen=True)
class Trained:
    """A model trained on the digits: its outputs on the test images and its entries in the table."""

    name: str
    outputs: Array
    setting: str
    training_risk: float
    gap: float | None
    seconds: float

    def accuracy(self, labels: np.ndarray) -> float:
        """Test accuracy: the fraction of test images whose largest output is that of the label."""
        return float(np.mean(self.predictions == labels))

    @property
    def predictions(self) -> np.ndarray:
        """Predicted labels."""
        return np.argmax(np.asarray(self.outputs), axis=1)


@dataclass(frozen=True)
class DigitSplit:
    """Arrays of one split: one-hot targets, and training and validation joined for the final fit."""

    x_train: Array
    t_train: Array
    x_validation: Array
    y_validation: np.ndarray
    x_all: Array
    t_all: Array
    x_test: Array

    def validation_accuracy(self, outputs: Array) -> float:
        """Validation accuracy of the outputs."""
        return float(np.mean(np.argmax(np.asarray(outputs), axis=1) == self.y_validation))


def load(seed: int, images: int | None) -> tuple[dict[str, np.ndarray], DigitSplit]:
    """The digits, at most so many of each part, and the arrays of their split."""
    data = {name: part[:images] for name, part in problems.digits(seed).items()}
    one_hot = np.eye(CLASSES)
    joined = {name: np.concatenate([data[f"{name}_train"], data[f"{name}_validation"]]) for name in ("x", "y")}
    return data, DigitSplit(
        x_train=jnp.asarray(data["x_train"]),
        t_train=jnp.asarray(one_hot[data["y_train"]]),
        x_validation=jnp.asarray(data["x_validation"]),
        y_validation=data["y_validation"],
        x_all=jnp.asarray(joined["x"]),
        t_all=jnp.asarray(one_hot[joined["y"]]),
        x_test=jnp.asarray(data["x_test"]),
    )


def comparison(models: tuple[Trained, ...], labels: np.ndarray) -> Table:
    """One row per model."""
    rows = [
        [model.name, model.setting, 100 * model.accuracy(labels), model.training_risk, model.gap, model.seconds]
        for model in models
    ]
    columns = (
        "model",
        "setting",
        "test accuracy (%)",
        "training risk",
        "certified relative gap",
        "seconds, including selection",
    )
    return Table("models", "Three models of the same network on the same split.", columns, rows)


def confusion(models: tuple[Trained, ...], labels: np.ndarray) -> Figure:
    """Confusion matrices of the first two models."""
    names = [str(digit) for digit in range(CLASSES)]
    counts = [confusion_matrix(labels, model.predictions, labels=range(CLASSES)) for model in models[:2]]
    panels = [
        Heatmap("predicted digit", "true digit", names, names, matrix / matrix.sum(axis=1, keepdims=True), "fraction of row",
                counts=matrix, title=model.name)
        for model, matrix in zip(models, counts, strict=False)
    ]  # fmt: skip
    return Figure(
        "confusion",
        "Confusion matrices",
        panels,
        "Test images. Numbers: counts. Colors: fraction of the row.",
    )


def disagreements(data: dict[str, np.ndarray], ntk: Trained, quadratic: Trained) -> Figure:
    """Test images on which the two models disagree."""
    differ = np.flatnonzero(ntk.predictions != quadratic.predictions)[:15]
    captions = [
        f"true {data['y_test'][i]}\nNTK {ntk.predictions[i]}, quadratic {quadratic.predictions[i]}" for i in differ
    ]
    total = int(np.sum(ntk.predictions != quadratic.predictions))
    return Figure(
        "disagreements",
        "Test images on which the quadratic model and the NTK disagree",
        (Gallery(data["images_test"][differ], captions),),
        f"{len(differ)} of the {total} test images on which the predictions differ ({len(data['y_test'])} test images in "
        "total).",
    )
