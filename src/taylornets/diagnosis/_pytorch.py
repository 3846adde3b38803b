"""Diagnosis of PyTorch modules: two states from a factory or from folders of Hugging Face, and the page about them."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taylornets import _checks, records, torch
from taylornets._regime import Regime
from taylornets.datafiles import Reading, read
from taylornets.diagnosis import _figures
from taylornets.diagnosis._beyond import written
from taylornets.diagnosis._beyond_sections import beyond, short
from taylornets.diagnosis._request import DiagnosisRequest
from taylornets.diagnosis._user_model import WHERE, TorchModel
from taylornets.records import PageRecord, Section, Table, environment
from taylornets.records.folders import prepare_folder
from taylornets.records.progress import Progress, Tell, stage

_OWN = ("records", "figures", "tables", "report.html", "evaluations")
_TYPICAL = 80  # evaluations of a smooth model, for the progress bar


def folders(request: DiagnosisRequest) -> TorchModel:
    """Loads both folders and the probe inputs.

    Args:
        request: with `before`, `after` and `data`.
    """
    assert request.before is not None
    assert request.after is not None
    try:
        before = torch.load(request.before, pickle=request.pickle)
    except _checks.ArgumentError as error:
        raise error.renamed("before") from None
    try:
        after = torch.load(request.after, base=request.before, pickle=request.pickle)
    except _checks.ArgumentError as error:
        raise error.renamed("after") from None
    inputs = _inputs(request, before)
    return TorchModel(before, after, inputs, f"a model of Hugging Face ({type(before).__name__})")


def _inputs(request: DiagnosisRequest, module: Any) -> dict[str, Any]:
    """Probe inputs: arrays of an NPZ file under the names of the arguments (`x` is the main one), or texts of a table."""
    source = str(request.data)
    tensor = torch.library("torch").as_tensor
    if source.lower().endswith(".npz"):
        try:
            with np.load(source, allow_pickle=False) as file:
                arrays = {name: file[name][: request.probe] for name in file.files if name != "y"}
        except (OSError, ValueError, EOFError, KeyError) as error:
            got = f"{_checks.short(source)} ({' '.join(str(error).split())[:120]})"
            raise _checks.ArgumentError(
                "data", "an NPZ file with arrays named like the model's arguments", got
            ) from None
        if "x" in arrays:
            arrays[getattr(module, "main_input_name", "input_ids")] = arrays.pop("x")
        return {name: tensor(a.astype(np.int64) if a.dtype.kind in "iu" else a) for name, a in arrays.items()}
    frame = read(source, Reading()).frame
    names = [str(name) for name in frame.columns]
    words = [name for name in names if not pd.api.types.is_numeric_dtype(frame[name])]
    if request.text is None and len(words) != 1:
        raise _checks.ArgumentError(
            "text", "the column with the texts", f"none; {source} has the columns {', '.join(map(repr, names[:6]))}"
        )
    column = _checks.choice("text", request.text if request.text is not None else words[0], names)
    texts = frame[column].dropna().astype(str).tolist()[: request.probe]
    where = request.after if _has_tokenizer(request.after) else request.before
    return torch.tokenize(Path(str(where)), texts)


def _has_tokenizer(folder: Path | None) -> bool:
    return folder is not None and any((folder / name).exists() for name in ("tokenizer.json", "tokenizer_config.json"))


def diagnose_torch(
    request: DiagnosisRequest, model: TorchModel, progress: Progress, start: str
) -> tuple[PageRecord, Regime]:
    """Computes the regime of a PyTorch model and saves the records of the page.

    Args:
        request: the request.
        model: both states and the inputs.
        progress: receives the stage `evaluating`.
        start: time of the start.

    Returns:
        The page, and the regime from the first state to the last.
    """
    begin = time.perf_counter()
    settings: dict[str, Any] = {
        "max_order": request.max_order, "threshold": request.threshold, "tolerance": request.tolerance, "task": request.task,
    }  # fmt: skip
    series = isinstance(model.after, str | Path | list)
    try:
        with stage(progress, "reading"):
            torch.check(model.before, model.before if series else model.after, model.inputs)
    except _checks.ArgumentError as error:
        raise _of_source(error, request) from None
    if not request.resume:
        prepare_folder(request.out, _OWN)
    title = request.where or f"{request.before} to {request.after}"
    facts = {"command": request.command, "factory": title, "groups": request.groups, "max_order": request.max_order,
             "seed": request.seed, "threshold": request.threshold,
             "tolerance": request.tolerance} | environment.facts(start)  # fmt: skip
    records.save_page_run(request.out, "diagnosis", {"status": "running"} | facts)
    path = None
    with stage(progress, "evaluating") as tell:
        settings |= {"folder": request.out / "evaluations", "progress": _told(tell), "groups": request.groups}
        try:
            if series:
                path = torch.regime_path(model.before, model.after, model.inputs, **settings)
                found = path.to_end[0]
            else:
                found = torch.regime(model.before, model.after, model.inputs, **settings)
        except _checks.ArgumentError as error:
            raise _of_source(error, request) from None
    seconds = time.perf_counter() - begin
    record = _page(request, model, title, found, path, facts, seconds)
    records.save_page(request.out, record)
    last = written(found) | {"verdict": found.verdict, "order": found.order}
    records.save_page_run(
        request.out,
        "diagnosis",
        {"status": "finished", "end": environment.now(), "timings": {"all": seconds}, "regime": last} | facts,
    )
    return record, found


def _of_source(error: _checks.ArgumentError, request: DiagnosisRequest) -> _checks.ArgumentError:
    """Attributes an error about the modules or the inputs to where they came from."""
    if request.where:
        return error.renamed(WHERE) if error.argument in ("module0", "module1", "inputs", "checkpoints") else error
    names = {"module0": "before", "module1": "after", "inputs": "data"}
    return error.renamed(names[error.argument]) if error.argument in names else error


def _told(tell: Tell) -> Any:
    def count(evaluations: int) -> None:
        left = max(_TYPICAL - evaluations, 0)
        tell(min(evaluations / _TYPICAL, 0.99), f"evaluation {evaluations}, about {left} left")

    return count


def _page(
    request: DiagnosisRequest,
    model: TorchModel,
    title: str,
    found: Regime,
    path: Any,
    facts: Mapping[str, Any],
    seconds: float,
) -> PageRecord:
    count = sum(value.numel() for value in model.before.parameters())
    sections = [_verdict(found, model, count), *beyond(found, None, ""), _computed(found), _leaves(found)]
    if path is not None:
        rows = [
            (name, end.verdict, *map(_known, end.explained[:2]), *map(_known, step.explained[:2]))
            for name, end, step in zip(path.names, path.to_end, path.steps, strict=False)
        ]
        columns = (
            "checkpoint",
            "verdict up to the end",
            "order 1",
            "orders up to 2",
            "next: order 1",
            "next: orders up to 2",
        )
        columns = columns[: 2 + 2 * len(found.explained[:2])] if len(found.explained) < 2 else columns
        caption = (
            "Fractions of the output change explained from each checkpoint to the end, and to the next checkpoint."
        )
        sections.insert(
            1,
            Section(
                "path",
                "The regime over time",
                (_sentence(path.verdict),),
                {},
                (),
                (Table("path", caption, columns, rows),),
            ),
        )
    if found.by_group:
        sections.insert(1, _groups(found))
    headline = {"verdict": _begun(short(found)), "evaluations": found.evaluations}
    shown = {"model": title} | environment.shown(facts, data=request.data or "the factory", seconds=seconds)
    return PageRecord("diagnosis", title, _sentence(found.verdict), headline, sections, shown, request.command)


def _sentence(text: str) -> str:
    return f"{_begun(text)}."


def _begun(text: str) -> str:
    """The text with a capital letter; not `capitalize`, which makes the others small."""
    return text[:1].upper() + text[1:]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _verdict(found: Regime, model: TorchModel, count: int) -> Section:
    limit = 100 * found.threshold
    paragraphs = [
        f"The network is {model.kind} with {count:,} parameters. Let f^(k) be the order-k term of its Taylor expansion "
        "along the line from the initial to the final weights, and M the change of the outputs on the probe inputs. "
        f"Orders up to k explain the change if the squared norm of the remainder is at most {100 - limit:g} % "
        "of ‖M‖^2. The verdict names the smallest such order: 1 is lazy, the regime of the neural tangent kernel, 2 "
        "quadratic, and so on.",
        *(_sentence(note) for note in found.notes if note and not (found.computed and note.startswith(found.computed))),
    ]
    errors = found.term_error or (math.nan,) * found.max_order
    rows = [
        (k, *map(_known, (found.share[k - 1], found.explained[k - 1], found.error[k - 1], found.radius[k - 1])),
         _known(found.agreement[k - 1]) if found.agreement else None, _known(errors[k - 1]))
        for k in range(1, found.max_order + 1)
    ]  # fmt: skip
    columns = ("order", "contribution", "explained", "error", "radius", "agreement", "estimated error of the term")
    caption = (
        "By order k: the contribution ⟨f^(k), M⟩/‖M‖^2, the fraction of ‖M‖^2 explained by orders up to k, the relative "
        f"error of the order-k model, the radius (at most {found.radius_limit:g}), and the agreement of predicted classes."
    )
    drawn = _figures.one_end(found)
    tables = (Table("orders", caption, columns, rows),)
    return Section("verdict", "Interpreting the verdict", paragraphs, {}, (drawn,) if drawn else (), tables)


def _computed(found: Regime) -> Section:
    text = "The terms are exact up to rounding." if not found.term_error else (
        "The terms are estimates from evaluations; the last column of the first table has the estimated relative error of "
        "each. Orders whose error exceeds 0.05 have no value and do not enter the verdict."
    )  # fmt: skip
    return Section("computed", "How it was computed", (_sentence(found.computed), text))


def _groups(found: Regime) -> Section:
    ranked = sorted(found.by_group.items(), key=lambda item: (math.isnan(r := item[1].radius[0]), r))
    rows = [
        (name, _known(part.movement), _known(part.radius[0]), _known(part.explained[0]), part.verdict)
        for name, part in ranked
    ]
    columns = ("group", "output change", "radius of order 1", "explained by order 1", "verdict")
    caption = (
        "One group moves, all others stay at the initial weights; the group that leaves its radius first is at the top."
    )
    return Section("groups", "Groups of layers", (), {}, (), (Table("groups", caption, columns, rows),))


def _leaves(found: Regime) -> Section:
    ranked = sorted(found.displacement.items(), key=lambda item: -item[1][0])
    rows = [(name, way, relative if math.isfinite(relative) else None) for name, (way, relative) in ranked]
    table = Table("leaves", "Final displacement of the tensors.", ("tensor", "‖Δ‖", "‖Δ‖ / initial norm"), rows)
    return Section("layers", "Displacement by layer", (), {}, (), (table,))
