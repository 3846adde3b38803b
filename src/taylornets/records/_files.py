"""Records as strict JSON, and the files of an output folder.

A record is an object whose `"$type"` names its class; see `codec`. Files are replaced by renaming, so that a reader sees the
old file or the new one, never half of one.
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
    """`value`, made of records and JSON's types, as JSON's types alone."""
    return codec.encode(value, _RULES)


def decode(value: Any) -> Any:
    """The inverse of `encode`.

    Raises:
        ArgumentError: for an unknown `"$type"`, or fields that its record does not have or needs.
    """
    return codec.decode(value, _RULES)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    _files.write_bytes(path, text.encode())


def dumps(value: Any) -> str:
    """`value`, made of records and JSON's types, as strict JSON text."""
    return json.dumps(encode(value), allow_nan=False, ensure_ascii=False, indent=1) + "\n"


def loads(text: str) -> Any:
    """The inverse of `dumps`."""
    return decode(json.loads(text))


def _read(path: Path, kind: type) -> Any:
    """The record in a file, or None where there is no such record."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        record = decode(value["record"]) if value["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if isinstance(record, kind) else None


def save_claim(directory: Path, record: ClaimRecord) -> None:
    """Writes `records/<claim>.json`."""
    write_text(directory / "records" / f"{record.claim}.json", dumps({"schema": SCHEMA, "record": encode(record)}))


def load_claim(directory: Path, name: str) -> ClaimRecord | None:
    """The record of one claim, or None where it is missing, damaged or of another version's form."""
    record = _read(directory / "records" / f"{name}.json", ClaimRecord)
    return record if record is not None and record.claim == name else None


def save_run(directory: Path, run: RunRecord) -> None:
    """Writes `run.json`: the record, and for other programs its main fields under plain names."""
    plain = asdict(run.stamp) | {"versions": run.versions, "device": run.device, "timings": run.timings}
    write_text(directory / "run.json", dumps({"schema": SCHEMA, **plain, "record": encode(run)}))


def load_run(directory: Path) -> RunRecord | None:
    """The record of a run, or None where `directory` holds none."""
    return _read(directory / "run.json", RunRecord)


def save_summary(directory: Path, claims: Iterable[ClaimRecord]) -> None:
    """Writes `claims.json`."""
    write_text(directory / "claims.json", dumps([record.summary() for record in claims]))


def save_page(directory: Path, record: PageRecord) -> None:
    """Writes `records/page.json`."""
    write_text(directory / "records" / "page.json", dumps({"schema": SCHEMA, "record": encode(record)}))


def load_page(directory: Path) -> PageRecord | None:
    """The record of a fit or a diagnosis, or None where `directory` holds none of this version's form."""
    return _read(directory / "records" / "page.json", PageRecord)


def _page_schema(kind: str) -> str:
    return f"taylornets.{kind}/1"


def save_page_run(directory: Path, kind: str, facts: Mapping[str, Any]) -> None:
    """Writes `run.json` of a fit or a diagnosis: plain fields, for other programs."""
    write_text(directory / "run.json", dumps({"schema": _page_schema(kind), **plain("facts", facts)}))


def load_page_run(directory: Path, kinds: Iterable[str] = PAGES) -> dict[str, Any] | None:
    """What `save_page_run` has written for one of the kinds, or None."""
    try:
        found = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = [_page_schema(kind) for kind in kinds]
    return found if isinstance(found, dict) and found.get("schema") in known else None
