"""Only `cli` contains command-line terms: the packages below name Python arguments, which the commands translate."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

import taylornets as tn
from taylornets.cli import _app, _wording
from taylornets.datafiles import Reading, read
from taylornets.diagnosis import DiagnosisRequest
from taylornets.tabular import FitRequest, FitSettings

SOURCE = Path(__file__).parents[2] / "src" / "taylornets"
COMMANDS: dict[str, Any] = dict(typer.main.get_group(_app.app).commands)
PLACEHOLDERS = {
    word for command in COMMANDS.values() for word in _wording.words(command).values() if not word.startswith("-")
}
OPTION = re.compile(r"(?<![\w-])--[a-z]|^--")
# The options of the first are Git's; a page of claims shows the command that repeats its run; variables of CSS look the same.
OTHERS = {"records/environment.py", "report/_claims.py", "report/_style.py"}


def violations(source: Path) -> Iterator[str]:
    """Literals outside `cli` that contain an option or equal a placeholder of the command line."""
    for path in sorted(source.rglob("*.py")):
        where = path.relative_to(source).as_posix()
        if where.startswith("cli/") or where in OTHERS:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
                if OPTION.search(text) or text in PLACEHOLDERS or text == "CONFIG":
                    yield f"{where}:{node.lineno} {text[:60]!r}"


def test_words_of_the_command_line_live_in_its_room():
    assert {"DATA", "MODEL", "DIR", "CONFIG.toml", "FILE.py:FACTORY", "RUN1", "RUN2"} == PLACEHOLDERS
    assert [*violations(SOURCE)] == []


@pytest.mark.parametrize(
    "line",
    ['raise E("--out", "a", "b")', 'E("DATA")', 'E("CONFIG")', 'x = f"--{name}"', 'x = "Leave it out with --drop."'],
)
def test_planted_words_are_found(tmp_path: Path, line: str):
    (tmp_path / "cli").mkdir()
    for place in ("cli", "datafiles"):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "_read.py").write_text(line + "\n")
    assert [found.partition(" ")[0] for found in violations(tmp_path)] == ["datafiles/_read.py:1"]


def error(argument: str, advice: str = "") -> tn.ArgumentError:
    return tn.ArgumentError(argument, "this", "that", advice)


@pytest.mark.parametrize(
    ("command", "argument", "option"),
    [
        ("fit", "source", "DATA"), ("fit", "data", "DATA"), ("fit", "drop_constant", "--drop-constant"),
        ("predict", "model", "MODEL"), ("predict", "out", "--out"), ("report", "directory", "DIR"),
        ("sweep", "path", "CONFIG.toml"), ("diagnose", "path", "--init"), ("diagnose", "source", "--data"),
        ("diagnose", "where", "FILE.py:FACTORY"), ("diagnose", "image_shape", "--images"),
        ("diagnose", "max_order", "--max-order"), ("reproduce", "name", "--claim"),
        ("predict", "width", "width"), ("fit", "y", "y"), ("fit", "--out", "--out"), ("reprod", "out", "out"),
    ],
)  # fmt: skip
def test_arguments_are_named_as_the_command_names_them(command: str, argument: str, option: str):
    assert _wording.translated(error(argument), command, COMMANDS) == f"{option}: expected this, got that."


@pytest.mark.parametrize(
    ("advice", "words"),
    [
        ("Set `drop`.", "Set --drop."),
        ("Set `drop=('a b',)`.", "Set --drop 'a b'."),
        ("Set `decimal=','`.", "Set --decimal ','."),
        ("Set `rank=2`.", "Set --rank 2."),
        ("Correct it. Set `resume=True`.", "Correct it."),  # an option of another command
        ("Set `drop=('St. Mary',)`. Or not.", "Set --drop 'St. Mary'. Or not."),
        ("Run `taylornets fit` on `x`.", "Run `taylornets fit` on `x`."),
        ("Set `drop=('-q`id`',)`. Or not.", "Set --drop '-q`id`'. Or not."),
        ('Set `drop=("it\'s `rank`",)`.', "Set --drop 'it'\"'\"'s `rank`'."),
        ("In 'a `drop=(1,)` b', use the table's `decimal`.", "In 'a `drop=(1,)` b', use the table's --decimal."),
        ("In 'x. `resume=True`', use `decimal`.", "In 'x. `resume=True`', use --decimal."),
    ],
)
def test_advice_names_options(advice: str, words: str):
    assert _wording.translated(error("data", advice), "fit", COMMANDS) == f"DATA: expected this, got that. {words}"


def test_texts_of_the_data_are_no_arguments():
    """Names with backticks, in what was found and in the advice, as in a column called `{x}`drop=('y',)``."""
    name = "{x}`drop=('y',)`"
    found = tn.ArgumentError("data", "numbers", f"'u' in column {name!r}", f"Exclude it with `drop=({name!r},)`.")
    shown = """DATA: expected numbers, got 'u' in column "{x}`drop=('y',)`". Exclude it with --drop """
    assert _wording.translated(found, "fit", COMMANDS) == shown + shlex.quote(name) + "."


def test_a_long_command_to_continue_with_is_on_a_line_of_its_own():
    found = tn.ArgumentError("data", "this", "that", "Set `rare='drop'`.", (("rare", "drop"),))
    line = ["fit", f"{'x' * 700}.csv", "--target", "y"]
    text, again = _wording.translated(found, line, COMMANDS).split("\n")
    assert text == "DATA: expected this, got that. Set --rare 'drop'."
    assert again == f"To continue: taylornets {' '.join(line)} --rare drop"


def test_users_of_python_are_told_about_arguments(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1,2\n" * 9 + "x,2\n")
    with pytest.raises(tn.ArgumentError, match=r"^source: .*column 'a'.* exclude the column with `drop=\('a',\)`"):
        read(str(path))
    with pytest.raises(tn.ArgumentError, match=r"^drop: expected one of 'a', 'b', got 'c'"):
        read(str(path), Reading(drop=("c",)))


def test_defaults_are_those_of_the_requests():
    """The help lists them without importing the packages that define them, which are slow to import."""
    for command, kinds in (("fit", (FitRequest, FitSettings, Reading)), ("diagnose", (DiagnosisRequest,))):
        shown = {parameter.name: parameter.default for parameter in COMMANDS[command].params}
        for field in (field for kind in kinds for field in fields(kind)):
            if isinstance(field.default, str | int | float):
                assert shown.get(field.name, field.default) == field.default, field.name
    assert {"order", "width", "rank", "seed", "task", "decimal"} <= set(shown_of("fit"))
    assert {"steps", "probe", "threshold", "tolerance", "max_order", "learning_rate"} <= set(shown_of("diagnose"))


def shown_of(command: str) -> list[str]:
    return [parameter.name for parameter in COMMANDS[command].params]


def test_python_runs_the_package_as_the_command():
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "taylornets", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("taylornets ")
    done = run("fit", "nothing.csv", "--order", "two")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "--order: expected an integer, got 'two'. See `taylornets --help`.\n"
