"""Handwritten digits: the NTK, the certified quadratic model and the trained network on one split."""

import math
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray
from sklearn.metrics import confusion_matrix

import taylornets as tn
from taylornets import kernels
from taylornets.learning import problems
from taylornets.reproduction.claims import Claim, ClaimContext, Outcome, register
from taylornets.records import Figure, Gallery, Heatmap, Plot, Series, Table

WIDTH, POWER, RANK, CLASSES = 1024, 4, 2, 10
PENALTIES = (6e-5, 2e-5, 6e-6, 2e-6)
RIDGES = tuple(10.0**exponent for exponent in range(-7, -1))
LEARNING_RATES = (1e-3, 3e-3, 1e-2)
EPOCHS, BATCH = 60, 64
TARGET_GAP, TARGET_ACCURACY = 1e-3, 0.985
SELECTION_TOLERANCE = 2e-2  # the gap at which validation accuracies are compared


@dataclass(frozen=True)
class Trained:
    """A model on the digits: its outputs on the test images and what the table says of it."""

    name: str
    outputs: Array
    setting: str
    training_risk: float
    gap: float | None
    seconds: float

    def accuracy(self, labels: np.ndarray) -> float:
        """Share of the test images whose largest output is the label's."""
        return float(np.mean(self.predictions == labels))

    @property
    def predictions(self) -> np.ndarray:
        """Predicted labels."""
        return np.argmax(np.asarray(self.outputs), axis=1)


@dataclass(frozen=True)
class _Split:
    """Arrays of one split: one-hot targets, and training and validation joined for the final fit."""

    x_train: Array
    t_train: Array
    x_validation: Array
    y_validation: np.ndarray
    x_all: Array
    t_all: Array
    x_test: Array

    def validation_accuracy(self, outputs: Array) -> float:
        """Share of validation images that outputs classify right."""
        return float(np.mean(np.argmax(np.asarray(outputs), axis=1) == self.y_validation))


def _risk(outputs: Array, targets: Array) -> float:
    return float(jnp.mean(jnp.sum((outputs - targets) ** 2, axis=1)))


def _ntk_ridge(split: _Split) -> Trained:
    started = time.perf_counter()
    gram, cross = (
        kernels.infinite_width_ntk("cubic_relu", x, split.x_train) for x in (split.x_train, split.x_validation)
    )
    prepared = kernels.kernel_ridge(gram, split.t_train)
    scores = [split.validation_accuracy(cross @ prepared.coefficients(ridge)) for ridge in RIDGES]
    ridge = RIDGES[int(np.argmax(scores))]
    gram, cross = (kernels.infinite_width_ntk("cubic_relu", x, split.x_all) for x in (split.x_all, split.x_test))
    coefficients = kernels.kernel_ridge(gram, split.t_all).coefficients(ridge)
    risk = _risk(gram @ coefficients, split.t_all)
    return Trained("NTK ridge", cross @ coefficients, f"ridge {ridge:.0e}", risk, None, time.perf_counter() - started)


def _quadratic(context: ClaimContext, split: _Split, net: tn.TwoLayerNetwork) -> tuple[Trained, tn.FitResult, list[float]]:
    """A warm-started path of penalties at rank one chooses `λ`; the final fit on all data is of rank two, certified."""
    started = time.perf_counter()
    context.progress(0.1, f"quadratic model, penalties {', '.join(f'{penalty:g}' for penalty in PENALTIES)}")
    results = tn.fit_path(
        net, split.x_train, split.t_train, PENALTIES, power=POWER, tol=SELECTION_TOLERANCE, max_steps=1500, throw=False,
    )  # fmt: skip
    path = [result.w for result in results]
    scores = [split.validation_accuracy(net.term(2, w, split.x_validation)) for w in path]
    chosen = int(np.argmax(scores))
    context.progress(0.5, f"quadratic model, penalty {PENALTIES[chosen]:g}, rank {RANK}, to a certificate")
    # The further copies of a unit start small: they grow only where the optimum has a unit of higher rank.
    noise = jax.random.normal(context.key, (WIDTH, RANK - 1, split.x_all.shape[1]))
    start = jnp.concatenate([path[chosen][:, None], 0.01 * noise * jnp.std(path[chosen])], axis=1)
    result = tn.fit(
        net, split.x_all, split.t_all, penalty=PENALTIES[chosen], power=POWER, rank=RANK, w_init=start, tol=TARGET_GAP,
        throw=False,
    )  # fmt: skip
    assert result.certificate is not None
    seconds = time.perf_counter() - started
    outputs = net.term(2, result.w, split.x_test)
    risk = _risk(net.term(2, result.w, split.x_all), split.t_all)
    gap = float(result.certificate.relative_gap)
    setting = f"width {WIDTH}, λ = {PENALTIES[chosen]:g}, rank {RANK}"
    return Trained("quadratic model", outputs, setting, risk, gap, seconds), result, scores


def _adam(
    net: tn.TwoLayerNetwork, key: PRNGKeyArray, x: Array, t: Array, rate: float, x_check: Array
) -> tuple[Array, Array]:
    """The full network from zero displacement by Adam on minibatches: `x_check`'s outputs after every epoch, and `w`."""
    optimizer = optax.adam(rate)
    batches = x.shape[0] // BATCH

    def loss(w: Array, rows: Array) -> Array:
        return jnp.mean(jnp.sum((net(w, x[rows]) - t[rows]) ** 2, axis=1))

    def step(carry: tuple[Array, Any], rows: Array) -> tuple[tuple[Array, Any], None]:
        w, state = carry
        updates, state = optimizer.update(jax.grad(loss)(w, rows), state)
        return (jnp.asarray(optax.apply_updates(w, updates)), state), None

    def epoch(carry: tuple[Array, Any], key: PRNGKeyArray) -> tuple[tuple[Array, Any], Array]:
        rows = jax.random.permutation(key, x.shape[0])[: batches * BATCH].reshape(batches, BATCH)
        carry, _ = jax.lax.scan(step, carry, rows)
        return carry, net(carry[0], x_check)

    w = jnp.zeros_like(net.w0)
    (w, _), outputs = jax.lax.scan(epoch, (w, optimizer.init(w)), jax.random.split(key, EPOCHS))
    return outputs, w


def _full_network(context: ClaimContext, split: _Split, net: tn.TwoLayerNetwork) -> Trained:
    """Learning rate and number of epochs by validation, then once more on all training data."""
    started = time.perf_counter()
    run = jax.jit(_adam, static_argnames=("rate",))
    best = (-1.0, 0, LEARNING_RATES[0])
    for i, rate in enumerate(LEARNING_RATES):
        context.progress(0.75 + 0.06 * i, f"full network, Adam, learning rate {rate:g}")
        outputs, _ = run(net, context.key, split.x_train, split.t_train, rate=rate, x_check=split.x_validation)
        scores = [split.validation_accuracy(output) for output in outputs]
        best = max(best, (max(scores), int(np.argmax(scores)), rate))
    _, epoch, rate = best
    outputs, w = run(net, context.key, split.x_all, split.t_all, rate=rate, x_check=split.x_test)
    risk = _risk(net(w, split.x_all), split.t_all)
    setting = f"width {WIDTH}, Adam, learning rate {rate:g}, {epoch + 1} epochs"
    return Trained("full network", outputs[epoch], setting, risk, None, time.perf_counter() - started)


def _wilson(successes: float, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share."""
    z = 1.959964
    center = (successes + z * z / 2) / (count + z * z)
    half = z / (count + z * z) * math.sqrt(successes * (count - successes) / count + z * z / 4)
    return center - half, center + half


def _run(context: ClaimContext) -> Outcome:
    data = problems.digits(context.seed)
    one_hot = np.eye(CLASSES)
    joined = {name: np.concatenate([data[f"{name}_train"], data[f"{name}_validation"]]) for name in ("x", "y")}
    split = _Split(
        x_train=jnp.asarray(data["x_train"]),
        t_train=jnp.asarray(one_hot[data["y_train"]]),
        x_validation=jnp.asarray(data["x_validation"]),
        y_validation=data["y_validation"],
        x_all=jnp.asarray(joined["x"]),
        t_all=jnp.asarray(one_hot[joined["y"]]),
        x_test=jnp.asarray(data["x_test"]),
    )
    net = tn.TwoLayerNetwork.init(context.key, split.x_all.shape[1], WIDTH, CLASSES)
    context.progress(0.0, "NTK ridge")
    ntk = _ntk_ridge(split)
    quadratic, result, scores = _quadratic(context, split, net)
    full = _full_network(context, split, net)
    models = (ntk, quadratic, full)
    labels = data["y_test"]
    accuracy = quadratic.accuracy(labels)
    assert quadratic.gap is not None
    return Outcome(
        measured={"test accuracy": accuracy, "certified relative gap": quadratic.gap, "seconds": quadratic.seconds},
        interval=_wilson(accuracy * len(labels), len(labels)),
        holds=quadratic.gap <= TARGET_GAP and accuracy >= TARGET_ACCURACY,
        detail={
            "training_examples": int(split.x_all.shape[0]),
            "test_examples": len(labels),
            "validation_accuracy_by_penalty": {f"{p:g}": s for p, s in zip(PENALTIES, scores, strict=True)},
            "status": result.status.name,
            "steps": result.steps,
        },
        figures=(_confusion(models, labels), _disagreements(data, ntk, quadratic), _course(result)),
        tables=(_comparison(models, labels),),
        explanation=(
            "Three models of the same two-layer network classify 8 by 8 images of handwritten digits, scaled to the unit "
            "sphere, with one-hot targets and the squared loss. Ridge, penalty, learning rate and epochs were chosen by "
            "validation accuracy on a fifth of the training images; then each model was trained once more on all of them.",
            "The width and the range of penalties were settled during development, when test accuracies of this split (seed "
            "0) had been seen: read the test accuracy as slightly optimistic, or run another --seed, which splits anew.",
            f"The certificate says that no weight matrix of any rank has an objective more than {quadratic.gap:.1e} (relative) "
            "below that of the quadratic model found. For the network trained by Adam nothing of the kind can be said.",
        ),
    )


def _comparison(models: tuple[Trained, ...], labels: np.ndarray) -> Table:
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
        "seconds with selection",
    )
    return Table("models", "Three models of one network on the same split.", columns, rows)


def _confusion(models: tuple[Trained, ...], labels: np.ndarray) -> Figure:
    names = [str(digit) for digit in range(CLASSES)]
    counts = [confusion_matrix(labels, model.predictions, labels=range(CLASSES)) for model in models[:2]]
    panels = [
        Heatmap("predicted digit", "true digit", names, names, matrix / matrix.sum(axis=1, keepdims=True), "share of the row",
                counts=matrix, title=model.name)
        for model, matrix in zip(models, counts, strict=False)
    ]  # fmt: skip
    return Figure(
        "confusion",
        "Which digits are taken for which",
        panels,
        "Test images; numbers are counts, colors shares of a row.",
    )


def _disagreements(data: dict[str, np.ndarray], ntk: Trained, quadratic: Trained) -> Figure:
    differ = np.flatnonzero(ntk.predictions != quadratic.predictions)[:15]
    captions = [
        f"true {data['y_test'][i]}\nNTK {ntk.predictions[i]}, quadratic {quadratic.predictions[i]}" for i in differ
    ]
    total = int(np.sum(ntk.predictions != quadratic.predictions))
    return Figure(
        "disagreements",
        "Where the quadratic model and the NTK disagree",
        (Gallery(data["images_test"][differ], captions),),
        f"{len(differ)} of the {total} test images, of {len(data['y_test'])}, on which the two predict different digits.",
    )


def _course(result: tn.FitResult) -> Figure:
    history = result.history
    return Figure(
        "training",
        "The proof during training",
        (
            Plot(
                "iteration",
                "certified relative gap",
                (
                    Series("quadratic model, final fit", history.steps, history.relative_gap, kind="line"),
                    Series("target $10^{-3}$", history.steps, [TARGET_GAP] * len(history.steps), kind="theory"),
                ),
                y_scale="log",
            ),
        ),
        "The relative gap that the dual certificate proves, at the checks of the final fit on all training images.",
    )


register(
    Claim(
        name="real_data",
        title="Handwritten digits",
        statement="On real data with ten outputs the quadratic model is trained to a proof of global optimality and classifies "
        "handwritten digits about as well as the NTK and the full network do.",
        source="the library's theory, section 5; data: scikit-learn's digits (UCI)",
        predicted=f"certified relative gap ≤ {TARGET_GAP:g} and test accuracy ≥ {100 * TARGET_ACCURACY:g} %",
        run=_run,
    )
)
