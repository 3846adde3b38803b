"""The encoding of a text file, and files of other kinds that are mistaken for text."""

import codecs
import gzip
import io
import re
import zlib
from pathlib import Path
from typing import Any

from taylornets import _checks
from taylornets.datafiles._table import LIMITS, Reading, wrong

MIXED = "mixed"  # UTF-8, and Windows-1252 where that is invalid
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_CSV = "Save the table as CSV."
# The beginnings of files that are often mistaken for text tables; more than the first letters, which may be a name.
_OTHERS = tuple(
    (re.compile(start, re.DOTALL | re.IGNORECASE), kind, advice)
    for start, kind, advice in (
        (rb"PK\x03\x04", "a zip archive or an Excel workbook", "Save the sheet as CSV."),
        (rb"\xd0\xcf\x11\xe0", "an Excel workbook in the old format", "Save the sheet as CSV."),
        (rb"PAR1(?=.*\0)", "a Parquet file", "Rename it to end in .parquet."),
        (rb"\x1f\x8b", "compressed with gzip", "Rename it to end in .csv.gz."),
        (rb"BZh[1-9](?:1AY|\x17rE)", "compressed with bzip2", "Decompress it first."),
        (rb"\xfd7zXZ", "compressed with xz", "Decompress it first."),
        (rb"\x28\xb5\x2f\xfd", "compressed with Zstandard", "Decompress it first."),
        (rb"%PDF-\d", "a PDF", _CSV),
        (rb"\x93NUMPY", "a single NumPy array", "Save the columns as NPZ."),
        (rb"\x80[\x04\x05]", "a pickle, which is not supported for security reasons", _CSV),
        (rb"SQLite format 3\0", "a database", "Export the table as CSV."),
        (rb"\s*<(?:!doctype|\?xml|html|table|svg|!--)\b", "HTML or XML", _CSV),
        (rb"\s*<(\w+)(?:\s[^>]*)?>.*</", "HTML or XML", _CSV),
        (rb"\s*\{\s*(?:\"[^\"]*\"\s*:|\}\s*$)|\s*\[\s*[\[{]", "JSON", _CSV),
    )
)  # fmt: skip
_HEAD = 4096
_ZEROS = 0.5


def _fallback(error: UnicodeError) -> tuple[str, int]:
    """Decodes bytes that are not UTF-8 as Windows-1252."""
    assert isinstance(error, UnicodeDecodeError)
    part = error.object[error.start : error.end]
    return part.decode("cp1252", errors="replace"), error.end


codecs.register_error("taylornets.cp1252", _fallback)


def opened(path: Path) -> Any:
    """Opens a file for reading, decompressed if its name ends in .gz."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def as_text(file: Any, encoding: str) -> io.TextIOWrapper:
    """Decodes an open file, without translating the ends of lines."""
    if encoding == MIXED:
        return io.TextIOWrapper(file, encoding="utf-8-sig", errors="taylornets.cp1252", newline="")
    return io.TextIOWrapper(file, encoding=encoding, newline="")


def damaged(path: Path, error: Exception) -> _checks.ArgumentError:
    """The error for a compressed file that cannot be decompressed."""
    return wrong(
        "a file compressed with gzip", f"{path}, which is damaged ({_checks.short(str(error))})", "Save it again."
    )


def encoding_of(path: Path, reading: Reading) -> str:
    """Returns the requested or detected encoding; rejects empty files, binary files, and files of other kinds."""
    with opened(path) as file:
        try:
            head = file.read(_HEAD)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise damaged(path, error) from None
    if not head.strip():
        raise wrong("a file with a table", f"{path}, which is empty")
    for start, kind, advice in _OTHERS:
        if start.match(head):
            raise wrong("a text file with a table", f"{path}, which is {kind}", advice)
    found = reading.encoding or next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
    try:
        as_text(io.BytesIO(), found)
    except (LookupError, ValueError):
        raise _checks.ArgumentError(
            "encoding",
            "the name of an encoding, such as utf-8",
            _checks.short(found),
            "Omit it to detect the encoding.",
        ) from None
    wide = found.lower().replace("_", "-").startswith(("utf-16", "utf-32"))
    if b"\0" in head and not wide:
        name = _wide(head)
        advice = f"If it is text, specify the encoding, such as `encoding={name or 'utf-16-le'!r}`."
        raise wrong("a text file with a table", f"{path}, which is binary", advice, (("encoding", name),) * bool(name))
    return found


def _wide(head: bytes) -> str:
    """The name of UTF-16 if every second byte is zero, as in ASCII text without a mark; else empty."""
    low, high = head[::2].count(0) / (len(head) / 2), head[1::2].count(0) / (len(head) / 2)
    return "utf-16-le" if high > _ZEROS > low else "utf-16-be" if low > _ZEROS > high else ""


def undecodable(path: Path, encoding: str) -> _checks.ArgumentError:
    """The error for a byte that is invalid in the encoding: its line and column, and what the other lines are."""
    first, lines, bad, fine = "", 0, 0, 0
    try:
        with opened(path) as file:
            for line in iter(lambda: file.readline(LIMITS.line), b""):
                lines += 1
                try:
                    fine += not line.decode(encoding).isascii()
                except UnicodeError as error:
                    bad += 1
                    place = getattr(error, "start", 0)
                    first = (
                        first
                        or f"line {lines}, column {place + 1} (byte {line[place : place + 1].hex().upper() or 'missing'})"
                    )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return damaged(path, error)
    got = f"{path}, invalid in {first or 'its last character'}"
    if bad and fine:
        lines = "line beyond ASCII is" if fine == 1 else "lines beyond ASCII are"
        got += f"; {fine:,} other {lines} {encoding}, so the file mixes encodings"
        advice = f"Use `encoding={MIXED!r}`, which reads UTF-8 and, where that is invalid, Windows-1252."
        return wrong(f"text encoded in {encoding}", got, advice, (("encoding", MIXED),))
    advice = "Specify the encoding, such as `encoding='cp1252'`."
    return wrong(f"text encoded in {encoding}", got, advice, (("encoding", "cp1252"),))
