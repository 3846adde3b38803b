"""The command line in everyday use: refusals with a way out, sentences for every number, and foreign terminals."""

import contextlib
import io
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer

from taylornets import ArgumentError, _checks, _files, cli
from taylornets.cli import _app, _fit, _wording
from taylornets.cli._streams import prepared
from taylornets.tabular import _wording as sentences

COMMANDS: dict[str, Any] = dict(typer.main.get_group(_app.app).commands)
PLACES = np.arange(40)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(words))
        out, err = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return call


def save(folder: Path, **columns: Any) -> None:
    generator = np.random.default_rng(0)
    pd.DataFrame({"a": generator.normal(size=40), "y": generator.normal(size=40)} | columns).to_csv(
        folder / "t.csv", index=False
    )


def test_dry_run_shows_the_table_and_writes_nothing(run: Run, tmp_path: Path):
    save(tmp_path, price=[f"{i},50 €" for i in PLACES], one=1, kind=["None", "[red]u[/red]"] * 20)
    code, out, err = run("fit", "t.csv", "--target", "y", "--dry-run")
    assert (code, err) == (0, "")
    for words in (
        "whole number|number",
        "decimal comma",
        "left out: constant value 1",
        "--missing 'None'",
        r"\[red\]u",
    ):
        assert re.search(words, " ".join(out.split())) or words == r"\[red\]u"
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_all_problems_are_one_message_whose_last_line_goes_on(run: Run, tmp_path: Path):
    save(tmp_path, b=["1"] * 30 + ["x y"] * 10, c=["5 €", "6 $"] * 20, y=["u", "v"] * 19 + ["u", "w"])
    code, out, err = run("fit", "t.csv", "--target", "y", "--out", "o")
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert lines[0] == "3 problems:"
    assert [line[:3] for line in lines[1:4]] == ["1. ", "2. ", "3. "]
    again = lines[4].removeprefix("To continue: taylornets ")
    assert again == "fit t.csv --target y --out o --missing 'x y' --drop c --rare drop"
    code, _, err = run(*[word.strip("'") for word in re.findall(r"'[^']*'|\S+", again)], "--dry-run")
    assert code == 0, err


@pytest.mark.parametrize("command", COMMANDS)
def test_advice_names_only_options_of_the_command(command: str):
    """Every argument of every command, in the advice of an error, with every command."""
    options = {option for parameter in COMMANDS[command].params for option in parameter.opts}
    arguments = {parameter.name for other in COMMANDS.values() for parameter in other.params}
    for argument in sorted(filter(None, arguments)):
        error = ArgumentError("data", "this", "that", f"Correct it. Set `{argument}=('x',)`.", ((argument, "x"),))
        line = _wording.translated(error, [command, "t.csv"], COMMANDS)
        assert set(re.findall(r"(?<!\S)--[a-z0-9-]+", line)) <= options, line
        assert "Correct it." in line


def test_an_option_that_caused_the_problem_is_removed():
    error = ArgumentError("source", "this", "that", "Omit `decimal`.", (("decimal", None),))
    line = ["fit", "t.csv", "--decimal", ",", "--target", "y"]
    assert _wording.translated(error, line, COMMANDS).endswith("To continue: taylornets fit t.csv --target y")


def test_an_option_that_takes_one_value_is_replaced():
    error = ArgumentError("target", "this", "that", "For example, use `target='b'`.", (("target", "b"), ("drop", "c")))
    line = ["fit", "t.csv", "--target", "a", "--drop", "d"]
    again = "To continue: taylornets fit t.csv --drop d --target b --drop c"
    assert _wording.translated(error, line, COMMANDS).endswith(again)


def test_the_folder_of_results_is_tried_first(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def read_only(*_: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(_files, "try_folder", read_only)
    code, _, err = run("predict", "nothing", "nothing.csv", "--out", "p.csv")
    assert (code, err) == (2, "--out: expected a file that can be written, got p.csv (Read-only file system).\n")
    code, _, err = run("fit", "nothing.csv", "--target", "y", "--out", "o")
    assert code == 2
    assert err.startswith("--out: expected a writable folder, got o (Read-only file system)")
    assert [*tmp_path.iterdir()] == []


def test_a_full_disk_is_exit_code_3_and_says_what_is_whole(tmp_path: Path):
    full = _files.WriteError(28, "No space left on device", str(tmp_path / "report.html"))
    said = _fit._unwritten(tmp_path, [], full)
    assert said.startswith(f"{tmp_path}/report.html: No space left on device. The model could not be saved")
    assert "is complete and can be used" in _fit._unwritten(tmp_path, [tmp_path / "model.safetensors"], full)


GAPS = [0.0, 1e-300, 1e-7, 1e-5, 9.99e-6, 0.001, 0.01, 0.0999, 0.1, 0.5, 1.0, 7.0, 1e9, math.inf, math.nan]
SCORES = [-math.inf, -1e6, -1.0, -0.01, -1e-9, -0.0, 0.0, 1e-9, 0.004, 0.005, 0.5, 0.994, 0.995, 0.9999, 1.0, math.nan]


def test_sentences_are_true_for_every_number():
    random = np.random.default_rng(0)
    for gap in [*GAPS, *10.0 ** random.uniform(-12, 3, 300)]:
        said = [sentences.at_most(gap), sentences.more_than(gap), sentences.share(gap)]
        for text in said:
            assert not re.search(r"(more|less|most) than (less|more)|most less|-|nan|inf", text), (gap, text)
        found = re.fullmatch(r"at most (\d[\d.]*(?:e\+\d+)?) %", said[0])
        if found and gap < 1:
            assert float(found[1]) / 100 == pytest.approx(gap, rel=0.05)
    for score in [*SCORES, *random.uniform(-3, 1, 300)]:
        for rows, repeated in ((1, 0), (1, 1), (2, 1), (2, 2), (1200, 7)):
            said = sentences.score_sentence("regression", score, rows, repeated)
            percent = re.search(r"explains ([\d.]+) %", said)
            assert (percent is not None) == (round(100 * score) >= 1 if math.isfinite(score) else False), (score, said)
            if percent:
                assert abs(float(percent[1]) / 100 - score) <= 0.0051
                assert (percent[1] == "100") == (score == 1)
            assert ("predicts better" in said) == (score < 0 and math.isfinite(score))
            assert "1 held-out test rows" not in said
            assert not re.search(r"explains −|nan|1 of which equal |\d\d\d\d\d of", said)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "cp437", "shift-jis"])
def test_output_can_be_written_in_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", stream)
    with prepared():
        sys.stdout.write("R² −0.5 ≤ λ … “é” ✓ 日本 €\n")
        stream.flush()
    shown = stream.buffer.getvalue().decode(encoding)  # pyright: ignore[reportAttributeAccessIssue]
    if encoding == "ascii":
        assert shown == 'R2 -0.5 <= lambda ... "e" ok \\u65e5\\u672c \\u20ac\n'
    if encoding == "utf-8":
        assert shown == "R² −0.5 ≤ λ … “é” ✓ 日本 €\n"


def test_40_columns_and_no_color(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save(tmp_path, long_name_of_a_column_with_more_words=PLACES % 5)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    code, out, _ = run("fit", "t.csv", "--target", "y", "--dry-run")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 40
    assert "\x1b" not in out
    assert "long_name_of_a_column_with_more_words:wholenumber;standardized" in "".join(out.split())


def test_errors_of_several_arguments_keep_their_parts():
    first, second = ArgumentError("a", "1", "2"), ArgumentError("b", "3", "4", "Do.", (("x", 5),))
    joined = _checks.joined([first, second])
    assert str(joined) == "a: expected 1, got 2.\nb: expected 3, got 4. Do."
    assert joined.others == (second,)
    with contextlib.suppress(ArgumentError):
        raise joined


@pytest.mark.parametrize("columns", [40, 80, 100])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_fits_a_screen(command: str, columns: int, run: Run, monkeypatch: pytest.MonkeyPatch):
    """Every option is at the start of a line of its own; `fit` needs 41 lines of 80 columns at most."""
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(len(line) for line in lines) <= columns
    for parameter in COMMANDS[command].params:
        written = parameter.opts[-1] if parameter.param_type_name == "option" else parameter.metavar
        if not getattr(parameter, "hidden", False):
            assert sum(re.match(rf" +(-h, )?{re.escape(written)}\b", line) is not None for line in lines) == 1, written
    if command == "fit":
        assert columns < 80 or len(lines) <= 41
        assert {"Columns", "Rows and task", "Model", "Reading the file"} <= set(lines)
