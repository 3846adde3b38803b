"""Progress: bars on a terminal, a line every few seconds elsewhere."""

import io
import time

import pytest
from rich.console import Console

from taylornets.cli import _progress
from taylornets.cli._progress import Bars, Lines, shown
from taylornets.records.progress import NoProgress, Progress


def screen(terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=160, color_system=None), file


def test_terminals_get_bars_and_logs_get_lines():
    assert isinstance(shown(screen(True)[0]), Bars)
    assert isinstance(shown(screen(False)[0]), Lines)


def test_all_follow_the_protocol():
    for progress in (shown(screen(True)[0]), shown(screen(False)[0]), NoProgress()):
        assert isinstance(progress, Progress)


def test_bars_show_name_message_and_result():
    console, file = screen(True)
    with Bars(console) as bars:
        bars.started("coupling")
        bars.progressed("coupling", 0.4, "width [8]")
        bars._progress.refresh()
        bars.finished("coupling", "✓ holds")
    text = file.getvalue()
    assert "coupling" in text
    assert "width [8]" in text
    assert "40%" in text
    assert "✓ holds" in text


def test_bars_show_what_was_kept():
    console, file = screen(True)
    with Bars(console) as bars:
        bars.finished("coupling", "✗ does not hold (kept from an earlier run)")
    assert "✗ does not hold (kept" in file.getvalue()


def test_lines_come_every_few_seconds(monkeypatch: pytest.MonkeyPatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    console, file = screen(False)
    with Lines(console, silent=("reading",)) as lines:
        lines.started("reading")
        lines.progressed("reading", 0.5, "data.csv")
        lines.finished("reading", "100 rows")
        lines.started("coupling")
        for fraction in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
            clock[0] += 3.0
            lines.progressed("coupling", fraction, "width 8")
        lines.finished("coupling", "✓ holds")
        lines.finished("escape", "✓ holds (kept from an earlier run)")
        lines.started("training")
        lines.finished("training", "")
    assert file.getvalue().splitlines() == [
        "coupling: started",
        "coupling: 10 % after 6.0 s, about 54 s left: width 8",
        "coupling: 30 % after 12 s, about 28 s left: width 8",
        "coupling: 50 % after 18 s, about 18 s left: width 8",
        "coupling: ✓ holds (18 s)",
        "escape: ✓ holds (kept from an earlier run)",
        "training: started",
    ]


def test_lines_estimate_no_time_left_at_the_beginning(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_progress, "_QUIET_SECONDS", 0.0)
    console, file = screen(False)
    with Lines(console) as lines:
        lines.started("coupling")
        lines.progressed("coupling", 0.01, "compiling")
    assert file.getvalue().splitlines()[1] == "coupling: 1 % after 0.0 s: compiling"
