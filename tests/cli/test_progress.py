"""Progress: bars on a terminal, a line every few seconds elsewhere."""

import io
import time

import pytest
from rich.console import Console

from taylornets.cli import _progress
from taylornets.cli._progress import Bars, Lines, listener
from taylornets.records import ClaimRecord, Stamp
from taylornets.reproduction.claims import Claim, Outcome

CLAIM = Claim("coupling", "Coupling", "S.", "s", "p", lambda context: Outcome(1, True))
STAMP = Stamp("quick", 0, "0.1.0", None, True)


def record(holds: bool = True, error: str = "") -> ClaimRecord:
    return ClaimRecord("coupling", "Coupling", "S.", "s", "p", 1, None, holds, 12.0, STAMP, error=error)


def screen(terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=160, color_system=None), file


def test_terminals_get_bars_and_logs_get_lines():
    assert isinstance(listener(screen(True)[0]), Bars)
    assert isinstance(listener(screen(False)[0]), Lines)


def test_bars_show_claim_message_and_verdict():
    console, file = screen(True)
    with Bars(console) as shown:
        shown.started(CLAIM)
        shown.progressed(CLAIM, 0.4, "width [8]")
        shown._progress.refresh()
        shown.finished(record(), reused=False)
    text = file.getvalue()
    assert "width [8]" in text
    assert "40%" in text
    assert "✓ holds" in text


def test_bars_show_what_was_kept():
    console, file = screen(True)
    with Bars(console) as shown:
        shown.finished(record(holds=False), reused=True)
    assert "✗ does not hold (kept)" in file.getvalue()


def test_lines_come_every_few_seconds(monkeypatch: pytest.MonkeyPatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    console, file = screen(False)
    with Lines(console) as shown:
        shown.started(CLAIM)
        for fraction in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
            clock[0] += 3.0
            shown.progressed(CLAIM, fraction, "width 8")
        shown.finished(record(), reused=False)
        shown.finished(record(error="RuntimeError: no room", holds=False), reused=False)
        shown.finished(record(), reused=True)
    assert file.getvalue().splitlines() == [
        "coupling: begins",
        "coupling: 10 % after 6.0 s, about 54 s left: width 8",
        "coupling: 30 % after 12 s, about 28 s left: width 8",
        "coupling: 50 % after 18 s, about 18 s left: width 8",
        "coupling: ✓ holds (12 s)",
        "coupling: ! failed (12 s): RuntimeError: no room",
        "coupling: ✓ holds (kept from the earlier run)",
    ]


def test_lines_know_nothing_of_the_rest_at_the_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_progress, "_QUIET_SECONDS", 0.0)
    console, file = screen(False)
    with Lines(console) as shown:
        shown.started(CLAIM)
        shown.progressed(CLAIM, 0.01, "compiling")
    assert file.getvalue().splitlines()[1] == "coupling: 1 % after 0.0 s: compiling"
