"""Serialization of records to strict JSON, and the files of an output folder.

A record is a JSON object whose `"$type"` names its class; see `codec`. Files are replaced atomically by renaming, so that a
reader sees either the old or the new file, never a partial one.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from taylornets import _checks, _files
from taylornets.records import codec
from taylornets.records._panels import Figure, Gallery, Heatmap, Plot, Series, Surface, Table, plain
from taylornets.records._values import PAGES, ClaimRecord, PageRecord, RunRecord, Section, Stamp
from taylornets.records.folders import own_folder

SCHEMA = "taylornets.run/1"
_TAG = "$type"

_TYPES = {
    kind.__name__: kind
    for kind in (
        Series, Plot, Heatmap, Surface, Gallery, Figure, Table, Stamp, ClaimRecord, RunRecord, Section, PageRecord,
    )
}  # fmt: skip


def _encode_record(value: Any, name: str, inner: Callable[[Any, str], Any]) -> dict[str, Any]:
    parts = {item.name: inner(getattr(value, item.name), f"{name}.{item.name}") for item in fields(value)}
    return {_TAG: type(value).__name__} | parts


def _decode_record(written: dict[str, Any], inner: Callable[[Any], Any]) -> Any:
    items = {key: inner(item) for key, item in written.items() if key != _TAG}
    try:
        return _TYPES[written[_TAG]](**items)
    except (KeyError, TypeError) as error:
        raise _checks.ArgumentError("record", "a record of this version", f"{written[_TAG]} ({error})") from error


_RULES = (codec.CodecRule(_TAG, lambda value: type(value) in _TYPES.values(), _encode_record, _decode_record),)


def encode(value: Any) -> Any:
    """Converts `value`, built of records and JSON types, to JSON types only."""
    return codec.encode(value, _RULES)


def decode(value: Any) -> Any:
    """The inverse of `encode`.

    Raises:
        ArgumentError: for an unknown `"$type"`, or unknown or missing fields.
    """
    return codec.decode(value, _RULES)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    _files.write_bytes(path, text.encode())


def dumps(value: Any) -> str:
    """Serializes `value`, built of records and JSON types, as strict JSON text."""
    return json.dumps(encode(value), allow_nan=False, ensure_ascii=False, indent=1) + "\n"


def loads(text: str) -> Any:
    """The inverse of `dumps`."""
    return decode(json.loads(text))


def _read(path: Path, kind: type) -> Any:
    """Reads the record in a file; None if there is no such record."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        record = decode(value["record"]) if value["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None
    return record if isinstance(record, kind) else None


def save_claim(directory: Path, record: ClaimRecord) -> None:
    """Writes `records/<claim>.json`."""
    write_text(
        own_folder(directory, "records") / f"{record.claim}.json", dumps({"schema": SCHEMA, "record": encode(record)})
    )


def load_claim(directory: Path, name: str) -> ClaimRecord | None:
    """Loads the record of one claim; None if it is missing, damaged or in the format of another version."""
    record = _read(directory / "records" / f"{name}.json", ClaimRecord)
    return record if record is not None and record.claim == name else None


def save_run(directory: Path, run: RunRecord) -> None:
    """Writes `run.json`: the record, and its main fields under plain names for other programs."""
    plain = asdict(run.stamp) | {"versions": run.versions, "device": run.device, "timings": run.timings}
    write_text(directory / "run.json", dumps({"schema": SCHEMA, **plain, "record": encode(run)}))


def load_run(directory: Path) -> RunRecord | None:
    """Loads the record of a run; None if `directory` has none."""
    return _read(directory / "run.json", RunRecord)


def save_summary(directory: Path, claims: Iterable[ClaimRecord]) -> None:
    """Writes `claims.json`."""
    write_text(directory / "claims.json", dumps([record.summary() for record in claims]))


def save_page(directory: Path, record: PageRecord) -> None:
    """Writes `records/page.json`."""
    write_text(own_folder(directory, "records") / "page.json", dumps({"schema": SCHEMA, "record": encode(record)}))


def load_page(directory: Path) -> PageRecord | None:
    """Loads the record of a fit or a diagnosis; None if `directory` has none in the format of this version."""
    return _read(directory / "records" / "page.json", PageRecord)


def _page_schema(kind: str) -> str:
    return f"taylornets.{kind}/1"


def save_page_run(directory: Path, kind: str, facts: Mapping[str, Any]) -> None:
    """Writes `run.json` of a fit or a diagnosis, with plain fields for other programs."""
    write_text(directory / "run.json", dumps({"schema": _page_schema(kind), **plain("facts", facts)}))


def load_page_run(directory: Path, kinds: Iterable[str] = PAGES) -> dict[str, Any] | None:
    """Loads the fields written by `save_page_run` for one of the kinds; None if there are none."""
    try:
        found = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    known = [_page_schema(kind) for kind in kinds]
    return found if isinstance(found, dict) and found.get("schema") in known else None


def finish_page_run(directory: Path) -> None:
    """Marks a run as finished once its report is written; until then, its status is `"computed"`."""
    found = load_page_run(directory)
    if found is not None and found.get("status") == "computed":
        write_text(directory / "run.json", dumps(found | {"status": "finished"}))
