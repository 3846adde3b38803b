"""The sections of the page of a diagnosis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taylornets._checks import counted
from taylornets._measures import percent_of
from taylornets._regime import Regime, RegimePath
from taylornets.diagnosis import _figures as figures
from taylornets.diagnosis._beyond_sections import beyond, known, sharpness, short
from taylornets.diagnosis._figures import FULL, label
from taylornets.records import Figure, PageRecord, Section, Table
from taylornets.training import TaylorizedTraining

_LISTED = 12
_MODELS = (
    "All models at the end of training, on the probe set. Distance: relative to the output change of the network. "
    "Agreement: fraction of predictions equal to those of the network."
)
_NOT_FINITE = "No order has finite outputs at the end of training."


@dataclass(frozen=True)
class RegimeFindings:
    """The results shown on the page.

    Attributes:
        title: title of the page.
        kind: description of the model.
        loss: name of the loss.
        parameters: number of trainable parameters.
        train: number of training examples, or None if unknown.
        at: steps (or indices of checkpoints) of the regimes, without the initialization.
        regimes: one regime per entry of `at`.
        checkpoints: names of the checkpoints; empty after training.
        training: the study, or None for checkpoints.
        outputs: final outputs on the probe inputs, by order and `"full"`.
        y: probe targets.
        predicted: predicted classes by the same keys, or None for regression.
        truth: true classes, or None.
        classes: class names.
        images: probe inputs as images, or None.
        tolerance: tolerance for distances.
        path: the regimes from checkpoint to checkpoint, why they failed, or None.
        sharpness: `2/η`, NaN if unknown, then the sharpness at every entry of `at` or why it is missing; empty if not measured.
    """

    title: str
    kind: str
    loss: str
    parameters: int
    train: int | None
    at: Sequence[float]
    regimes: Sequence[Regime]
    checkpoints: Sequence[str]
    training: TaylorizedTraining | None
    outputs: Mapping[Any, np.ndarray]
    y: Any
    predicted: Mapping[Any, np.ndarray] | None
    truth: np.ndarray | None
    classes: Sequence[str]
    images: np.ndarray | None
    tolerance: float
    path: RegimePath | str | None = None
    sharpness: Sequence[float | str] = ()

    @property
    def x_label(self) -> str:
        """Label of the horizontal axis of the regimes."""
        return "checkpoint" if self.checkpoints else "training steps"


def page_record(findings: RegimeFindings, facts: Mapping[str, Any], command: str) -> PageRecord:
    """Builds the page.

    Args:
        findings: the results.
        facts: settings and environment of the run.
        command: command that reproduces the results.
    """
    last = findings.regimes[-1]
    headline: dict[str, Any] = {"verdict": _capital(short(last))}
    if findings.predicted is not None and findings.truth is not None:
        right = {name: float(np.mean(own == findings.truth)) for name, own in findings.predicted.items()}
        shown = [name for name in (FULL, 1) if name in right]
        headline["accuracy on the probe set"] = ", ".join(f"{label(name)} {percent_of(right[name])}" for name in shown)
    if math.isfinite(last.ntk_drift):
        headline["NTK drift"] = f"{last.ntk_drift:.3g}"
    sections = [_verdict(findings)]
    if findings.training is not None:
        sections.append(_training(findings, findings.training))
    sections += [*beyond(last, findings.path, findings.x_label), *sharpness(findings.at, findings.sharpness)]
    sections += [_regime(findings), _layers(findings), _differences(findings)]
    return PageRecord("diagnosis", findings.title, _lead(findings), headline, sections, facts, command)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def needed(training: TaylorizedTraining, tolerance: float) -> int | None:
    """The smallest order whose trained Taylor model ends within the tolerance of the network."""
    found = training.history.relative_distance
    return next((int(name) for name in found if name not in training.diverged and found[name][-1] <= tolerance), None)


def _lead(findings: RegimeFindings) -> str:
    text = f"{_capital(findings.regimes[-1].verdict)}."
    if isinstance(findings.path, RegimePath):
        text += f" Over training: {findings.path.verdict}."
    training = findings.training
    if training is None or not training.history.relative_distance:
        return text
    order = needed(training, findings.tolerance)
    percent = f"{100 * findings.tolerance:g} %"
    if order is None:
        text += f" No trained Taylor model ends within {percent} of the network, relative to its output change."
    else:
        text += (
            f" The Taylor model of order {order}, trained the same way, ends within {percent} of the network, relative to "
            "its output change."
        )
    if training.diverged:
        text += f" Diverged: {', '.join(label(name) for name in training.diverged)}."
    return text


def _verdict(findings: RegimeFindings) -> Section:
    last = findings.regimes[-1]
    limit = 100 * last.threshold
    paragraphs = [
        f"The network is {findings.kind} with {counted(findings.parameters, 'trainable parameter')}. Let f^(k) be the order-k "
        "term of its Taylor expansion in the parameters around the initialization, and M the change in function space: the "
        "change of the outputs on the probe inputs due to training. Orders up to k explain the output change if the "
        f"squared norm of the remainder is at most {100 - limit:g} % of ‖M‖^2 (threshold {limit:g} %). The verdict names "
        "the smallest such order: 1 is lazy, the regime of the neural tangent kernel, 2 quadratic, and so on. If no order up "
        f"to {last.max_order} suffices, it states what does.",
        "The diagnosis answers two questions. Regime: is the trained network close to its Taylor polynomial at the same "
        "parameters? Learning curves: does the Taylor model learn the same function when it is trained in place of the "
        "network?"
        if findings.training is not None
        else "Parameters were read from checkpoints; nothing was trained.",
    ]
    paragraphs += [f"{_capital(note)}." for note in last.notes]
    rows = [
        (k, *map(known, (last.share[k - 1], last.explained[k - 1], last.error[k - 1])), _radius(last, k),
         known(last.agreement[k - 1]) if last.agreement else None)
        for k in range(1, last.max_order + 1)
    ]  # fmt: skip
    columns = ("order", "contribution", "explained", "error", "radius", "agreement")
    caption = (
        "End of training, by order k: the contribution ⟨f^(k), M⟩/‖M‖^2 to the output change M, the fraction of ‖M‖^2 "
        "explained by orders up to k, the relative error of the order-k model, the radius (the fraction of the "
        f"displacement up to which this error stays below {last.tolerance:g}), and the agreement with the class "
        "predictions of the network."
    )
    return Section(
        "verdict", "Interpreting the verdict", paragraphs, {}, (), (Table("orders", caption, columns, rows),)
    )


def _radius(found: Regime, order: int) -> str | float | None:
    value = found.radius[order - 1]
    return f"≥ {found.radius_limit:g}" if value >= found.radius_limit else known(value)


def _training(findings: RegimeFindings, training: TaylorizedTraining) -> Section:
    history = training.history
    rows: list[tuple[Any, ...]] = []
    for name in training.params:
        numbers = (
            by_name[name][-1] if by_name.get(name) else None
            for by_name in (history.loss, history.accuracy, history.relative_distance, history.agreement)
        )
        rows.append((label(name), *numbers, training.status[name]))
    columns = ("model", "loss", "accuracy", "distance", "agreement", "status")
    paragraphs = [
        "Each Taylor model was trained from the initialization of the network, with the same minibatches in the same order "
        "and the same optimizer, learning-rate schedule and noise."
    ]
    paragraphs += [
        f"{_capital(label(name))} diverged in step {training.steps[name] + 1}: an update was not finite. All later "
        "evaluations use its last finite state. A Taylor model of order 2 or higher is a polynomial in the displacement "
        "and can therefore diverge where the network, whose activations are bounded or grow slowly, does not."
        for name in training.diverged
    ]
    found = [figures.learning(history, f"{findings.loss} loss"), figures.distance(history, findings.tolerance)]
    table = Table("models", _MODELS, columns, rows)
    return Section(
        "training", "Learning curves of all orders", paragraphs, {}, [f for f in found if f is not None], (table,)
    )


def _regime(findings: RegimeFindings) -> Section:
    rows: list[tuple[Any, ...]] = []
    for index, (at, found) in enumerate(zip(findings.at, findings.regimes, strict=True)):
        name = (findings.checkpoints[index],) if findings.checkpoints else ()
        numbers = map(known, (*found.explained, found.odd, found.even, found.ntk_drift))
        rows.append((at, *name, found.verdict, *numbers))
    top = findings.regimes[0].max_order
    columns = (findings.x_label, *(("file",) if findings.checkpoints else ()), "verdict")
    columns += (*(f"explained up to {k}" for k in range(1, top + 1)), "odd", "even", "NTK drift")
    verdicts = [short(found) if found.order is not None else f"no order up to {top}" for found in findings.regimes]
    changes = [
        f"{name} from {findings.x_label.removesuffix('s')} {at:g}"
        for name, before, at in zip(verdicts, ["", *verdicts], findings.at, strict=False)
        if name != before
    ]
    paragraphs = ["Verdict over time: " + "; ".join(changes) + "."]
    # The notes of the last regime appear with the verdict.
    notes = dict.fromkeys(note for found in findings.regimes[:-1] for note in found.notes)
    paragraphs += [f"{_capital(note)}." for note in notes if note not in findings.regimes[-1].notes]
    caption = "The regime at every evaluation. Fractions refer to the squared norm of the output change."
    return Section(
        "regime", "The regime over time" if not findings.checkpoints else "The regime of the checkpoints", paragraphs, {},
        figures.regimes(findings.at, findings.regimes, findings.x_label), (Table("regimes", caption, columns, rows),),
    )  # fmt: skip


def _layers(findings: RegimeFindings) -> Section:
    last = findings.regimes[-1].displacement
    rows = [
        (name, way, relative if math.isfinite(relative) else None)
        for name, (way, relative) in sorted(last.items(), key=lambda item: -item[1][0])
    ]
    table = Table("leaves", "Final displacement of the leaves.", ("leaf", "‖Δ‖", "‖Δ‖ / initial norm"), rows)
    figure = figures.displacements(findings.at, findings.regimes, findings.x_label)
    return Section("layers", "Displacement by layer", (), {}, (figure,), (table,))


def _differences(findings: RegimeFindings) -> Section:
    full = findings.outputs[FULL].reshape(len(findings.outputs[FULL]), -1)
    others = {name: out.reshape(full.shape) for name, out in findings.outputs.items() if name != FULL}
    usable = {name: out for name, out in others.items() if np.all(np.isfinite(out))}
    if not usable or not np.all(np.isfinite(full)):
        return Section("differences", "Where predictions differ", (_NOT_FINITE,))
    # Sort by the number of orders that disagree; ties by the distance of the closest order, which no order explains.
    apart = {name: np.linalg.norm(out - full, axis=1) for name, out in usable.items()}
    others_say = np.zeros(len(full))
    if findings.predicted is not None:
        for name in usable:
            differs = findings.predicted[name] != findings.predicted[FULL]
            others_say += differs.reshape(len(full), -1).mean(axis=1)
    worst = np.lexsort((-np.min(np.stack(list(apart.values())), axis=0), -others_say))[:_LISTED]
    trained = "trained Taylor models" if findings.training is not None else "Taylor models at the last checkpoint"
    lead = f"Comparison of the {trained} with the network on the {counted(len(full), 'probe input')}."
    found: list[Figure] = []
    rows: list[tuple[Any, ...]]
    if findings.predicted is not None:
        predicted = {name: own for name, own in findings.predicted.items() if name == FULL or name in usable}
        extra = figures.disagreement(predicted, findings.classes)
        found += [extra] if extra is not None else []
        names = [name for name in predicted if name != FULL]
        rows = [
            (int(i), *(_class(findings, own, i) for own in (findings.truth, predicted[FULL], *(predicted[k] for k in names))),
             *(float(apart[name][i]) for name in names))
            for i in worst
        ]  # fmt: skip
        columns = ("probe input", "true", "the network", *map(label, names), *(f"distance, {label(k)}" for k in names))
    else:
        names = list(usable)
        rows = [
            (int(i), float(np.ravel(findings.y[i])[0]), float(full[i, 0]), *(float(usable[k][i, 0]) for k in names))
            for i in worst
        ]
        columns = ("probe input", "target", "the network", *map(label, names))
    if findings.images is not None:
        captions = [_caption(columns, row, len(names)) for row in rows]
        found.append(figures.pictures(findings.images, [row[0] for row in rows], captions))
    which = counted(len(rows), "probe input")
    caption = f"The {which} with the largest differences. Distance: Euclidean norm of the difference between outputs."
    table = Table("differences", caption, columns, rows)
    return Section("differences", "Where predictions differ", (lead,), {}, found, (table,))


def _class(findings: RegimeFindings, own: np.ndarray | None, row: Any) -> str:
    """Formats a class by name; the positions of a sequence are joined."""
    if own is None:
        return "–"
    value = own[row]
    if np.ndim(value):
        return " ".join(str(v) for v in np.ravel(value)[:16])
    index = int(value)
    return findings.classes[index] if index < len(findings.classes) else str(index)


def _caption(columns: Sequence[str], row: Sequence[Any], orders: int) -> str:
    """Formats the caption of an image: the true value and the predictions of the network and each order."""

    def short(value: Any) -> str:
        return value[:8] if isinstance(value, str) else f"{value:.3g}"

    said = [f"true {short(row[1])}", f"network {short(row[2])}"]
    said += [f"{columns[3 + i]}: {short(row[3 + i])}" for i in range(orders)]
    return "\n".join(said)
