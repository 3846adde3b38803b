"""What a diagnosis found, as the sections of its page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taylornets._regime import Regime
from taylornets.diagnosis import _figures as figures
from taylornets.diagnosis._figures import FULL, label
from taylornets.records import Figure, PageRecord, Section, Table
from taylornets.training import TaylorizedTraining

_LISTED = 12


@dataclass(frozen=True)
class RegimeFindings:
    """All that was computed for the page.

    Attributes:
        title: of the page.
        kind: what the model is, in words.
        loss: its name.
        parameters: number of trained numbers.
        train: number of training examples, or None where it is not known.
        at: the steps (or numbers of the checkpoints) of the regimes, the start left out.
        regimes: one for each.
        checkpoints: their names; empty after training.
        training: the study, or None for checkpoints.
        outputs: on the probe inputs at the end, by order and `"full"`.
        y: probe targets.
        predicted: classes by the same names, or None for regression.
        truth: true classes, or None.
        classes: their names.
        images: probe inputs as images, or None.
        tolerance: of distances.
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

    @property
    def x_label(self) -> str:
        """What the regimes are drawn over."""
        return "checkpoint" if self.checkpoints else "training steps"


def story(findings: RegimeFindings, facts: Mapping[str, Any], command: str) -> PageRecord:
    """The page.

    Args:
        findings: what was computed.
        facts: how it was run.
        command: that gives the same again.
    """
    last = findings.regimes[-1]
    headline: dict[str, Any] = {"verdict": _capital(last.verdict.partition(":")[0])}
    if findings.predicted is not None and findings.truth is not None:
        right = {name: float(np.mean(own == findings.truth)) for name, own in findings.predicted.items()}
        shown = [name for name in (FULL, 1) if name in right]
        headline["right on the probe set"] = ", ".join(f"{label(name)} {100 * right[name]:.1f} %" for name in shown)
    if math.isfinite(last.ntk_drift):
        headline["NTK drift"] = f"{last.ntk_drift:.3g}"
    sections = [_verdict(findings)]
    if findings.training is not None:
        sections.append(_training(findings, findings.training))
    sections += [_regime(findings), _layers(findings), _differences(findings)]
    return PageRecord("diagnosis", findings.title, _lead(findings), headline, sections, facts, command)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def needed(training: TaylorizedTraining, tolerance: float) -> int | None:
    """The smallest order that, trained itself, ended within the tolerance of the network."""
    found = training.history.relative_distance
    return next((int(name) for name in found if name not in training.diverged and found[name][-1] <= tolerance), None)


def _lead(findings: RegimeFindings) -> str:
    text = f"{_capital(findings.regimes[-1].verdict)}."
    training = findings.training
    if training is None or not training.history.relative_distance:
        return text
    order = needed(training, findings.tolerance)
    percent = f"{100 * findings.tolerance:g} %"
    if order is None:
        text += f" None of the Taylor models, trained in its place, ends within {percent} of the network's movement."
    else:
        text += f" Trained in its place, the model of order {order} ends within {percent} of the network's movement."
    if training.diverged:
        text += f" Diverged: {', '.join(label(name) for name in training.diverged)}."
    return text


def _verdict(findings: RegimeFindings) -> Section:
    last = findings.regimes[-1]
    limit = 100 * last.threshold
    paragraphs = [
        f"The network is {findings.kind} with {findings.parameters:,} trained numbers. Its Taylor series around the start, in "
        "the parameters, has an order-k term f^(k); the movement is what training added to the outputs on the probe inputs. An "
        f"order explains the movement when all terms up to it leave at most {100 - limit:g} % of its square "
        f"(threshold {limit:g} %); the verdict names the smallest such order: 1 is lazy, the regime of the neural tangent "
        f"kernel, 2 quadratic, and so on; beyond order {last.max_order} means none.",
        "Two questions are asked. At the network's own parameters: is it still near its Taylor polynomial (the regime)? "
        "And trained in its place: would the Taylor model have learned the same (the learning curves)?"
        if findings.training is not None
        else "The checkpoints were read as they are; nothing was trained.",
    ]
    paragraphs += [f"{_capital(note)}." for note in last.notes]
    rows = [
        (k, *map(_known, (last.share[k - 1], last.explained[k - 1], last.error[k - 1])), _radius(last, k),
         _known(last.agreement[k - 1]) if last.agreement else None)
        for k in range(1, last.max_order + 1)
    ]  # fmt: skip
    columns = ("order", "share", "explained", "error", "radius", "agreement")
    caption = (
        "The end of training, by order: share ⟨f^(k), M⟩/‖M‖^2 in the movement M, the part of ‖M‖^2 that orders up to k "
        "explain, the relative error of the order-k model, the part of the displacement up to which its error stays below "
        f"{last.tolerance:g}, and how often it predicts the network's class."
    )
    return Section("verdict", "The verdict", paragraphs, {}, (), (Table("orders", caption, columns, rows),))


def _known(value: float) -> float | None:
    """A number, or None, which is drawn as a dash, where there is none."""
    return None if math.isnan(value) else value


def _radius(found: Regime, order: int) -> str | float | None:
    value = found.radius[order - 1]
    return f"≥ {found.radius_limit:g}" if value >= found.radius_limit else _known(value)


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
        "The Taylor models were trained themselves, from the same start, on the same minibatches in the same order, with the "
        "same optimizer, schedule and noise as the network."
    ]
    paragraphs += [
        f"{_capital(label(name))} diverged in step {training.steps[name] + 1}: an update was not finite. Its last finite "
        "state is kept and measured on. A Taylor model of order 2 or more is a polynomial of the displacement, so it can "
        "diverge where the network, whose activations are bounded or grow slowly, does not."
        for name in training.diverged
    ]
    found = [figures.learning(history, f"{findings.loss} loss"), figures.distance(history, findings.tolerance)]
    caption = (
        "All models at the end, on the probe set: distance to the network over its movement, agreement of predictions."
    )
    table = Table("models", caption, columns, rows)
    return Section(
        "training", "Learning curves of all orders", paragraphs, {}, [f for f in found if f is not None], (table,)
    )


def _regime(findings: RegimeFindings) -> Section:
    rows: list[tuple[Any, ...]] = []
    for index, (at, found) in enumerate(zip(findings.at, findings.regimes, strict=True)):
        name = (findings.checkpoints[index],) if findings.checkpoints else ()
        numbers = map(_known, (*found.explained, found.odd, found.even, found.ntk_drift))
        rows.append((at, *name, found.verdict, *numbers))
    top = findings.regimes[0].max_order
    columns = (findings.x_label, *(("file",) if findings.checkpoints else ()), "verdict")
    columns += (*(f"explained up to {k}" for k in range(1, top + 1)), "odd", "even", "NTK drift")
    verdicts = [found.verdict.partition(":")[0] for found in findings.regimes]
    changes = [
        f"{name} from {findings.x_label.removesuffix('s')} {at:g} on"
        for name, before, at in zip(verdicts, ["", *verdicts], findings.at, strict=False)
        if name != before
    ]
    paragraphs = ["Over time the verdict was: " + "; ".join(changes) + "."]
    # Those of the last one stand beside the verdict.
    notes = dict.fromkeys(note for found in findings.regimes[:-1] for note in found.notes)
    paragraphs += [f"{_capital(note)}." for note in notes if note not in findings.regimes[-1].notes]
    caption = "The regime at every measurement. Shares and parts are of the square of the movement since the start."
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
    table = Table("leaves", "The network's leaves at the end.", ("leaf", "‖Δ‖", "‖Δ‖ over the norm at the start"), rows)
    figure = figures.displacements(findings.at, findings.regimes, findings.x_label)
    return Section("layers", "How far each layer moved", (), {}, (figure,), (table,))


def _differences(findings: RegimeFindings) -> Section:
    full = findings.outputs[FULL].reshape(len(findings.outputs[FULL]), -1)
    others = {name: out.reshape(full.shape) for name, out in findings.outputs.items() if name != FULL}
    usable = {name: out for name, out in others.items() if np.all(np.isfinite(out))}
    if not usable or not np.all(np.isfinite(full)):
        return Section("differences", "Where predictions differ", ("No order's outputs are finite at the end.",))
    # First the inputs that most orders class differently; among equals the nearest order says what no order explains.
    apart = {name: np.linalg.norm(out - full, axis=1) for name, out in usable.items()}
    others_say = np.zeros(len(full))
    if findings.predicted is not None:
        for name in usable:
            differs = findings.predicted[name] != findings.predicted[FULL]
            others_say += differs.reshape(len(full), -1).mean(axis=1)
    worst = np.lexsort((-np.min(np.stack(list(apart.values())), axis=0), -others_say))[:_LISTED]
    trained = "trained Taylor models" if findings.training is not None else "Taylor models at the last checkpoint"
    paragraphs = [f"The {trained} against the network on the {len(full):,} probe inputs."]
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
    caption = (
        f"The {len(rows)} probe inputs with the largest differences; distances are norms of differences of outputs."
    )
    table = Table("differences", caption, columns, rows)
    return Section("differences", "Where predictions differ", paragraphs, {}, found, (table,))


def _class(findings: RegimeFindings, own: np.ndarray | None, row: Any) -> str:
    """A class by name; positions of a sequence together."""
    if own is None:
        return "–"
    value = own[row]
    if np.ndim(value):
        return " ".join(str(v) for v in np.ravel(value)[:16])
    index = int(value)
    return findings.classes[index] if index < len(findings.classes) else str(index)


def _caption(columns: Sequence[str], row: Sequence[Any], orders: int) -> str:
    """What is below an image: the true value, the network's, and each order's."""

    def short(value: Any) -> str:
        return value[:8] if isinstance(value, str) else f"{value:.3g}"

    said = [f"true {short(row[1])}", f"network {short(row[2])}"]
    said += [f"{columns[3 + i]}: {short(row[3 + i])}" for i in range(orders)]
    return "\n".join(said)
