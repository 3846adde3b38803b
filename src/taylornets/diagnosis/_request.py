"""The request of `taylornets diagnose`, and its validation before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from taylornets import _checks
from taylornets._measures import TASKS
from taylornets._trees import Line
from taylornets.diagnosis._user_model import WHERE, UserModel


@dataclass(frozen=True)
class DiagnosisRequest:
    """A request for a diagnosis.

    Attributes:
        where: `FILE.py:FACTORY`.
        out: output folder.
        command: the request as a shell command.
        data: replaces the factory's data, or None.
        target: the target column of a table.
        task: `"auto"`, `"classification"` or `"regression"`.
        loss: replaces the factory's loss, or None.
        orders: orders of the Taylor models to train.
        max_order: largest order of the regime.
        steps: number of training steps.
        batch_size: examples per batch.
        probe: maximum number of probe examples.
        learning_rate: learning rate for a model without an optimizer.
        fixed: source of non-trainable leaves that differ between initialization and checkpoint, `"start"` or `"end"`.
        threshold: threshold of the verdict.
        tolerance: tolerance for distances and radii.
        checkpoints: saved parameters to read instead of training.
        start: `"factory"`, or `"first"` for the first checkpoint.
        image_shape: image shape of an input; None to infer it, empty for no images.
        seed: random seed of splits and batches.
        resume: continue an interrupted run.
        before: folder of a model of Hugging Face before fine-tuning; then there is no factory.
        after: folder of the model after fine-tuning, or of an adapter.
        text: column of the table with texts to tokenize.
        groups: for PyTorch: "kind" or "block" to move one group of layers at a time.
        pickle: whether folders may hold pickles.
    """

    where: str
    out: Path
    command: str
    data: str | None = None
    target: str | None = None
    task: str = "auto"
    loss: str | None = None
    orders: tuple[int, ...] = (1, 2, 3)
    max_order: int = 4
    steps: int = 300
    batch_size: int = 64
    probe: int = 500
    learning_rate: float = 0.05
    threshold: float = 0.9
    tolerance: float = 0.1
    checkpoints: tuple[Path, ...] = ()
    start: str = "factory"
    fixed: str | None = None
    image_shape: tuple[int, ...] | None = None
    seed: int = 0
    resume: bool = False
    before: Path | None = None
    after: Path | None = None
    text: str | None = None
    groups: str | None = None
    pickle: bool = False


def check_settings(request: DiagnosisRequest) -> None:
    """Rejects invalid settings before the user's file is executed."""
    for argument, value, minimum in (
        ("steps", request.steps, 1), ("batch_size", request.batch_size, 1),
        ("probe", request.probe, 2), ("seed", request.seed, 0),
    ):  # fmt: skip
        _checks.integer(argument, value, minimum)
    _checks.order_of("max_order", request.max_order, 1)
    for order in request.orders:
        _checks.order_of("orders", order, 1)
    if len(set(request.orders)) < len(request.orders):
        raise _checks.ArgumentError("orders", "distinct orders", ",".join(map(str, request.orders)))
    for argument, value in (("threshold", request.threshold), ("tolerance", request.tolerance)):
        _checks.positive(argument, value)
        if value >= 1:
            raise _checks.ArgumentError(argument, "a number between 0 and 1", str(value))
    _checks.positive("learning_rate", request.learning_rate)
    _checks.choice("task", request.task, TASKS)
    _checks.choice("start", request.start, ("factory", "first"))
    if request.fixed is not None:
        _checks.choice("fixed", request.fixed, ("start", "end"))
    if request.start == "first" and not request.checkpoints:
        raise _checks.ArgumentError("start", "'factory' without `checkpoints`", "'first'")
    check_folders(request)
    if request.target is not None and request.data is None:
        raise _checks.ArgumentError("target", "a table in `data`", "none")


def refuse_other_settings(subject: UserModel, paths: Sequence[Path], trees: Sequence[Any]) -> None:
    """Rejects checkpoints whose non-trainable leaves differ from those of the initialization."""
    line = Line.through(subject.f, subject.params, None)
    for path, tree in zip(paths, trees, strict=True):
        _, settings = line.differing(jax.tree.leaves(tree))
        if settings:
            expected = "non-trainable leaves (integers, masks, keys, Python numbers) as in the initialization"
            advice = (
                "Pass `fixed='start'` to keep those of the initialization, or `fixed='end'` to use the checkpoint's."
            )
            raise _checks.ArgumentError(str(path), expected, f"different values at {', '.join(settings[:5])}", advice)


def check_folders(request: DiagnosisRequest) -> None:
    """Rejects incomplete requests for two folders, and options that apply to others."""
    folders = {"before": request.before, "after": request.after}
    if not any(folders.values()):
        for name in ("text", "pickle"):
            if getattr(request, name):
                raise _checks.ArgumentError(name, "two folders, `before` and `after`", "none")
        return
    missing = next((name for name, folder in folders.items() if folder is None), None)
    if missing is not None:
        raise _checks.ArgumentError(missing, "a folder of Hugging Face", "none", "Pass both `before` and `after`.")
    if request.where:
        raise _checks.ArgumentError("where", "either a factory or two folders", "both", "Drop one of them.")
    if request.data is None:
        raise _checks.ArgumentError("data", "the probe inputs: a table with texts, or an NPZ file", "none")


def of_factory(error: _checks.ArgumentError, request: DiagnosisRequest) -> _checks.ArgumentError:
    """Attributes an error about the loss to the factory if the loss came from there."""
    return error.renamed(WHERE) if error.argument == "loss" and request.loss is None else error
