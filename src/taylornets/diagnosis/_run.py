"""The runner of `taylornets diagnose`: calls the user's factory, runs the study, and saves the records of the page."""

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets import _checkpoints, _checks, records
from taylornets._measures import classes, true_classes
from taylornets._regime import Regime, RegimeEvaluator, RegimeSettings
from taylornets._trees import Line, refuse_not_finite, refuse_outputs
from taylornets.diagnosis._beyond import (
    SHARPNESS,
    Meter,
    deepened,
    load_leaves,
    path_of,
    restored,
    save_leaves,
    written,
)
from taylornets.diagnosis._data import Data, images, named, settled
from taylornets.diagnosis._figures import FULL
from taylornets.diagnosis._pytorch import diagnose_torch, folders
from taylornets.diagnosis._request import DiagnosisRequest, check_settings, of_factory, refuse_other_settings
from taylornets.diagnosis._sections import RegimeFindings, page_record
from taylornets.diagnosis._user_model import (
    WHERE,
    FrameworkModel,
    TorchModel,
    UserModel,
    as_called,
    build,
    check_runs,
    opened,
    said,
)
from taylornets.losses import Loss
from taylornets.records import environment
from taylornets.records.folders import check_folder, prepare_folder
from taylornets.records.progress import Progress, Tell, stage
from taylornets.training import Checkpointing, Probe, Snapshot, Task, TaylorizedTraining, task_of, taylorized_training

_OWN = ("records", "figures", "tables", "report.html", "training.checkpoint", "regimes", "parameters")
_MEASUREMENTS = 16
_SAVED, _PARAMETERS = "training.checkpoint", "parameters"  # the study, and the network at every evaluation


@dataclass(frozen=True)
class Diagnosed:
    """The result of a diagnosis.

    Attributes:
        record: the page.
        regime: the regime at the end.
        training: the study, or None for checkpoints.
    """

    record: records.PageRecord
    regime: Regime
    training: TaylorizedTraining | None


def diagnose(request: DiagnosisRequest, progress: Progress) -> Diagnosed:
    """Calls the factory, trains the network and its Taylor models or reads checkpoints, and saves the records of the page.

    Args:
        request: the request.
        progress: receives the stages `reading`, `preparing`, and `training` or `reading checkpoints`.

    Returns:
        The records, from which `taylornets.report.write_report` builds the page.

    Raises:
        ArgumentError: for an invalid factory, data, checkpoints or settings, or a folder with other contents.
    """
    start, begin = environment.now(), time.perf_counter()
    check_settings(request)
    check_folder(request.out, "diagnose", lambda out: records.load_page_run(out, ("diagnosis",)))
    with stage(progress, "reading"):
        built = folders(request) if request.before is not None else build(request.where, request.learning_rate)
    if isinstance(built, TorchModel):
        record, found = diagnose_torch(request, built, progress, start)
        return Diagnosed(record, found, None)
    with stage(progress, "reading"):
        subject, data, target = _prepared(request, built)
        paths = _checkpoints.series(request.checkpoints)
        trees = [as_called(subject, _checkpoints.read(path, subject.params)) for path in paths]
    if trees and request.start == "first":
        if len(trees) < 2:
            raise _checks.ArgumentError("start", "'factory' with a single checkpoint", "'first'")
        subject, trees, paths = dataclasses.replace(subject, params=trees[0]), trees[1:], paths[1:]
    if request.fixed is None:
        refuse_other_settings(subject, paths, trees)
    with stage(progress, "preparing"):
        settings = RegimeSettings(
            request.max_order, request.threshold, request.tolerance,
            "classification" if target.classification else "regression",
        )  # fmt: skip
        evaluator = RegimeEvaluator(subject.f, subject.params, data.x, settings, fixed=request.fixed)
    facts = _facts(request, data, start)
    if not request.resume or records.load_page_run(request.out, ("diagnosis",)) is None:
        prepare_folder(request.out, _OWN)
    records.save_page_run(request.out, "diagnosis", {"status": "running"} | facts)
    training, sharp = None, ()
    if trees:
        with stage(progress, "reading checkpoints") as tell:
            at, found, ends = _checkpoints.steps(paths), _read_series(evaluator, paths, trees, tell), trees
        outputs = dict(zip([*range(request.max_order + 1), FULL], evaluator.models(trees[-1]), strict=True))
    else:
        with stage(progress, "training") as tell:
            training, at, found, ends, sharp = _train(request, subject, data, target, evaluator, tell)
        outputs = {name: np.asarray(out) for name, out in training.outputs.items()}
    del outputs[0]  # the initialization is not reported as a model
    end = trees[-1] if training is None else training.params[FULL]
    found[-1] = deepened(found[-1], subject.f, subject.params, end, data.x, settings, request.fixed)
    findings = _findings(request, subject, data, target, at, found, [path.name for path in paths], training, outputs)
    path = path_of(request, subject.f, subject.params, at, ends, data.x)
    findings = dataclasses.replace(findings, path=path, sharpness=sharp)
    timings = {"all": time.perf_counter() - begin}
    record = page_record(findings, _shown(facts, timings), request.command)
    records.save_page(request.out, record)
    last = written(found[-1]) | {"verdict": found[-1].verdict, "order": found[-1].order}
    facts |= {"status": "finished", "end": environment.now(), "timings": timings, "regime": last}
    records.save_page_run(request.out, "diagnosis", facts)
    return Diagnosed(record, found[-1], training)


def _prepared(request: DiagnosisRequest, built: UserModel | FrameworkModel) -> tuple[UserModel, Data, Task]:
    """Loads model, data and loss, and checks that they fit together before anything is written."""
    path = Path(request.where.rpartition(":")[0])
    given = named(request.data, request.target, request.task) if request.data is not None else built.data
    try:
        data = settled(
            given, batch_size=request.batch_size, steps=request.steps, probe=request.probe, seed=request.seed
        )
    except _checks.ArgumentError:
        raise
    except Exception as error:  # raised by the user's batch generator
        raise _checks.ArgumentError(WHERE, "readable data", said(error, path)) from None
    few = jax.tree.map(lambda a: jnp.asarray(a[:2]), data.x)
    if isinstance(built, UserModel):
        subject = built
    else:
        try:
            subject = opened(built, few, request.seed)
        except Exception as error:
            shapes = ", ".join(str(a.shape) for a in jax.tree.leaves(few))
            raise _checks.ArgumentError(
                WHERE, f"a model that takes inputs of shape {shapes}", said(error, path)
            ) from None
    line = Line.through(subject.f, subject.params, None)
    refuse_not_finite(WHERE, line.leaves, line.paths)
    if not any(line.movable):
        raise _checks.ArgumentError(
            WHERE, "parameters with floating-point arrays", f"{len(line.leaves)} leaves without any"
        )
    outputs = check_runs(subject, data.x, path)
    count = len(jax.tree.leaves(data.y)[0])
    refuse_outputs("f", outputs, count)
    loss: Any = request.loss or subject.loss or _loss(data.y, outputs, request.task)
    try:
        target = task_of(loss, request.task, data.y)
        target.check(outputs, data.y)
        jax.eval_shape(target.value, outputs, data.y)
    except _checks.ArgumentError as error:
        raise of_factory(error, request) from None
    except Exception as error:
        raise _checks.ArgumentError(
            WHERE, "a loss(outputs, y) for these outputs and targets", said(error, path)
        ) from None
    images(data.x, request.image_shape or None)  # rejects an incompatible shape
    return dataclasses.replace(subject, loss=loss), data, target


def _loss(y: Any, outputs: Any, task: str) -> str:
    """The default loss of the targets: that of integer labels, or the squared loss."""
    if task == "regression" or np.asarray(jax.tree.leaves(y)[0]).dtype.kind not in "iub":
        return "squared"
    return "softmax" if outputs.ndim > 1 and outputs.shape[-1] > 1 else "logistic"


def _read_series(evaluator: RegimeEvaluator, paths: Sequence[Path], trees: Sequence[Any], tell: Tell) -> list[Regime]:
    found: list[Regime] = []
    for path, tree in zip(paths, trees, strict=True):
        tell(len(found) / len(trees), path.name)
        found.append(evaluator(tree, str(path)))
    return found


def _train(
    request: DiagnosisRequest,
    subject: UserModel,
    data: Data,
    target: Task,
    evaluator: RegimeEvaluator,
    tell: Tell,
) -> tuple[TaylorizedTraining, list[int], list[Regime], list[Any], tuple[float | str, ...]]:
    """Trains in lockstep and evaluates the regime at every snapshot; regimes are saved, so that a resumed run reuses them."""
    steps = len(data.batches)
    folder = request.out / "regimes"
    x, y = (jax.tree.map(jnp.asarray, part) for part in (data.x, data.y))
    meter = Meter(lambda params: target.value(subject.f(params, x), y), steps)

    def measured(snapshot: Snapshot) -> None:
        history = snapshot.history
        loss = history.loss[FULL][-1]
        tell(snapshot.step / steps, f"step {snapshot.step} of {steps}, loss {loss:.4g}")
        if snapshot.step:
            params = snapshot.params(FULL)
            found = written(evaluator(params, "parameters"))
            save_leaves(request.out / _PARAMETERS / f"{snapshot.step}.npz", params)
            found[SHARPNESS] = meter.told(snapshot.step, params)
            records.write_text(folder / f"{snapshot.step}.json", records.dumps(found))

    probe = Probe(
        data.x, data.y, every=max(1, steps // _MEASUREMENTS), callbacks=(measured,),
        task="classification" if target.classification else "regression",
    )  # fmt: skip
    try:
        training = taylorized_training(
            subject.f, subject.params, data.batches, orders=request.orders, loss=target.loss, optimizer=subject.optimizer,
            probe=probe, checkpointing=Checkpointing(request.out / _SAVED, resume=request.resume),
        )  # fmt: skip
    except _checks.ArgumentError as error:
        if error.argument == "checkpointing":
            advice = "The factory or the settings differ from those of the interrupted run. Start a new run, without `resume`."
            raise _checks.ArgumentError("resume", "the interrupted run", error.got, advice) from None
        raise of_factory(error, request) from None
    at = [step for step in training.history.steps if step]
    ends = [partial(load_leaves, request.out / _PARAMETERS / f"{step}.npz", subject.params) for step in at]
    rows = [records.loads((folder / f"{step}.json").read_text()) for step in at]
    sharp = (meter.limit(subject.optimizer, subject.params), *(row.get(SHARPNESS, math.nan) for row in rows))
    return training, at, [restored(row) for row in rows], ends, sharp


def _findings(
    request: DiagnosisRequest, subject: UserModel, data: Data, target: Task, at: Sequence[float], found: Sequence[Regime],
    checkpoints: Sequence[str], training: TaylorizedTraining | None, outputs: Mapping[Any, np.ndarray],
) -> RegimeFindings:  # fmt: skip
    predicted = truth = None
    names: tuple[str, ...] = ()
    if target.classification:
        predicted = {name: np.asarray(classes(jnp.asarray(out))) for name, out in outputs.items()}
        truth = np.asarray(true_classes(jnp.asarray(data.y), jnp.asarray(outputs[FULL])))
        several = outputs[FULL].ndim > 1 and outputs[FULL].shape[-1] > 1
        count = outputs[FULL].shape[-1] if several else 2
        names = tuple(data.classes) if len(data.classes) == count else tuple(map(str, range(count)))
    loss = target.loss.name if isinstance(target.loss, Loss) else getattr(target.loss, "__name__", "custom")
    # An empty shape means that the inputs are not images.
    shape = data.image_shape if request.image_shape is None else request.image_shape or None
    line = Line.through(subject.f, subject.params, None)
    count = sum(np.size(leaf) for leaf, movable in zip(line.leaves, line.movable, strict=True) if movable)
    return RegimeFindings(
        request.where, subject.kind, loss, count, data.train, at, found, checkpoints, training, outputs, np.asarray(data.y),
        predicted, truth, names, images(data.x, shape), request.tolerance,
    )  # fmt: skip


def _facts(request: DiagnosisRequest, data: Data, start: str) -> dict[str, Any]:
    """The fields of run.json that are known before anything is computed."""
    examples = {"train": data.train, "probe": len(jax.tree.leaves(data.y)[0])}
    return {
        "command": request.command,
        "factory": request.where,
        "data": {"source": request.data or "the factory", "examples": examples},
        "orders": request.orders, "max_order": request.max_order, "steps": request.steps, "batch_size": request.batch_size,
        "threshold": request.threshold, "tolerance": request.tolerance, "seed": request.seed,
        "checkpoints": [str(path) for path in request.checkpoints], "start_of_series": request.start,
        "fixed": request.fixed,
    } | environment.facts(start)  # fmt: skip


def _shown(facts: Mapping[str, Any], timings: Mapping[str, float]) -> dict[str, Any]:
    """Settings and environment of the run, for the end of the page."""
    examples = facts["data"]["examples"]
    own = {
        "data": facts["data"]["source"],
        "training examples": examples["train"],
        "probe examples": examples["probe"],
        "threshold of the verdict": facts["threshold"],
        "tolerance": facts["tolerance"],
        "seconds": timings["all"],
    }
    return {"factory": facts["factory"]} | environment.shown(facts, **own)
