"""The command line: exit codes, one-line messages for invalid requests, and output streams."""

import json
import re
import signal
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import jax
import pytest

from taylornets import cli
from taylornets.cli import _app, _reproduce
from taylornets.reproduction import claims
from taylornets.reproduction.claims import Claim, ClaimContext, Outcome

Run = Callable[..., tuple[int, str, str]]


def hold(context: ClaimContext) -> Outcome:
    context.progress(0.5, "half")
    return Outcome({"slope": -0.25}, True, interval=(-0.3, -0.2))


def fail(context: ClaimContext) -> Outcome:
    return Outcome("[bold]0.7[/bold]", False)


def crash(context: ClaimContext) -> Outcome:
    raise RuntimeError("no room")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Registers small claims in place of the package's own."""
    monkeypatch.setattr(claims, "_registry", {})
    monkeypatch.setattr(claims, "_discover", lambda: None)
    monkeypatch.setattr(_reproduce, "_processes", lambda: 1)  # the counters of this process are looked at

    def register(**functions: Callable[[ClaimContext], Outcome]) -> None:
        for name, function in functions.items():
            claims.register(Claim(name, name.title(), "It holds.", "section 1", "slope −1/4", function))

    register(coupling=hold, alpha=hold)
    return register


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the command in this process, in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(words))
        out, err = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return call


def test_all_claims_hold(run: Run, registry: Callable[..., None], tmp_path: Path):
    code, out, err = run("reproduce")
    assert code == 0
    folder = tmp_path / "reproduction"
    assert {path.name for path in folder.iterdir()} >= {"report.html", "claims.json", "run.json", "records"}
    assert "2 of 2 claims hold." in out
    assert f"Report: {folder / 'report.html'}" in out
    assert "slope −0.25 [−0.3, −0.2]" in out
    # Not a terminal: plain lines.
    assert err.splitlines()[0] == "coupling: started"
    assert err.splitlines()[1].startswith("coupling: ✓ holds (")
    assert json.loads((folder / "run.json").read_text())["x64"] is True


def test_claim_that_does_not_hold(run: Run, registry: Callable[..., None]):
    registry(zeta=fail)
    code, out, _ = run("reproduce", "--out", "here")
    assert code == 1
    assert "✗ does not hold" in out
    assert "[bold]0.7[/bold]" in out
    assert "2 of 3 claims hold." in out


def test_claim_that_crashes(run: Run, registry: Callable[..., None]):
    registry(beta=crash)
    code, out, err = run("reproduce", "--out", "here")
    assert code == 1
    assert "beta: ! failed" in err
    assert "RuntimeError: no room" in err
    assert "alpha: ✓ holds" in err
    assert "! failed" in out
    assert "Traceback" not in out + err


def test_chosen_claims(run: Run, registry: Callable[..., None], tmp_path: Path):
    code, _, _ = run("reproduce", "--claim", "alpha", "--out", "here", "--seed", "7", "--profile", "full")
    assert code == 0
    assert [item["claim"] for item in json.loads((tmp_path / "here" / "claims.json").read_text())] == ["alpha"]
    written = json.loads((tmp_path / "here" / "run.json").read_text())
    assert (written["seed"], written["profile"]) == (7, "full")


def test_resume_keeps_and_report_rebuilds(run: Run, registry: Callable[..., None], tmp_path: Path):
    run("reproduce", "--out", "here")
    _, _, err = run("reproduce", "--out", "here", "--resume")
    assert err.count("(kept from an earlier run)") == 2
    page = tmp_path / "here" / "report.html"
    before = page.read_bytes()
    page.unlink()
    code, out, _ = run("report", "here")
    assert code == 0
    assert "2 of 2 claims hold." in out
    assert page.read_bytes() == before


def test_report_of_an_unfinished_run_is_not_a_success(run: Run, registry: Callable[..., None], tmp_path: Path):
    run("reproduce", "--out", "here")
    (tmp_path / "here" / "records" / "alpha.json").unlink()
    code, out, _ = run("report", "here")
    assert code == 1
    assert "1 of 1 claim holds." in out


def test_interrupt(run: Run, registry: Callable[..., None], tmp_path: Path):
    def interrupt(context: ClaimContext) -> Outcome:
        raise KeyboardInterrupt

    registry(zeta=interrupt)
    code, _, err = run("reproduce", "--out", "here now")
    assert code == 130
    assert "Interrupted: 2 of 3 claims are finished and kept in here now." in err
    assert "taylornets reproduce --profile quick --seed 0 --out 'here now' --resume" in err
    assert {path.stem for path in (tmp_path / "here now" / "records").iterdir()} == {"alpha", "coupling"}


def test_termination_is_an_interrupt(run: Run, registry: Callable[..., None]):
    before = signal.getsignal(signal.SIGTERM)

    def terminate(context: ClaimContext) -> Outcome:
        signal.raise_signal(signal.SIGTERM)
        return hold(context)

    registry(zeta=terminate)
    code, _, err = run("reproduce")
    assert code == 130
    assert "Interrupted: 2 of 3" in err
    assert signal.getsignal(signal.SIGTERM) is before


def test_interrupt_within_a_callback_that_drops_exceptions(run: Run, registry: Callable[..., None]):
    def terminate(context: ClaimContext) -> Outcome:
        kept = threading.Event()
        reference = weakref.ref(kept, lambda _: signal.raise_signal(signal.SIGTERM))
        del kept
        time.sleep(2)
        assert reference() is None
        return hold(context)

    registry(zeta=terminate)
    code, _, err = run("reproduce")
    assert code == 130
    assert "Interrupted: 2 of 3" in err


WRONG = {
    "no command": (
        (),
        r"COMMAND: expected one of fit, predict, certify, export, compare, reproduce, report, sweep, diagnose, doctor, "
        r"got none",
    ),
    "unknown command": (("reprod",), r"No such command 'reprod'\. Did you mean 'reproduce'"),
    "unknown option": (("--bogus",), r"No such option: --bogus"),
    "unknown option of a command": (("reproduce", "--sed", "1"), r"No such option: --sed.*--seed"),
    "option without value": (("reproduce", "--out"), r"'--out' requires an argument"),
    "word for a number": (("reproduce", "--seed", "x"), r"--seed: expected an integer, got 'x'"),
    "fraction for an integer": (("reproduce", "--seed", "1.5"), r"--seed: expected an integer, got '1\.5'"),
    "negative seed": (("reproduce", "--seed", "-1"), r"--seed: expected an integer ≥ 0, got -1"),
    "unknown claim": (("reproduce", "--claim", "couplin"), r"--claim: expected one of .*Did you mean 'coupling'"),
    "unknown profile": (("reproduce", "--profile", "quik"), r"--profile: expected one of .*Did you mean 'quick'"),
    "foreign folder": (
        ("reproduce", "--out", "full"),
        r"--out: expected a new or empty folder.*full, which contains 'a\.txt'",
    ),
    "file": (("reproduce", "--out", "file"), r"--out: expected a new or empty folder.*file is not a folder"),
    "too many words": (("report", "a", "b"), r"Got unexpected extra argument.*b"),
    "report of nothing": (("report",), r"Missing argument 'DIR'"),
    "report of no folder": (("report", "none"), r"DIR: expected an output folder of.*which does not exist"),
    "report of a foreign folder": (("report", "full"), r"DIR: expected an output folder of.*no run\.json"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_request_is_one_line(name: str, run: Run, registry: Callable[..., None], tmp_path: Path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("a")
    (tmp_path / "file").write_text("")
    words, message = WRONG[name]
    code, out, err = run(*words)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert re.search(message, err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


def test_folder_that_cannot_be_written(run: Run, registry: Callable[..., None], monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "here/report.html")

    monkeypatch.setattr(_reproduce, "write_report", refuse)
    code, _, err = run("reproduce", "--out", "here")
    assert code == 2
    assert err.splitlines()[-1] == "here/report.html: Permission denied."


def test_missing_extra_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'typer'", name="typer")

    monkeypatch.setattr(cli, "_module", absent)
    code, out, err = run("doctor")
    assert (code, out) == (2, "")
    assert err == "The command line requires 'typer': pip install 'taylornets[cli]'\n"


def test_missing_module_of_our_own_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'taylornets.x'", name="taylornets.x")

    monkeypatch.setattr(cli, "_module", absent)
    with pytest.raises(ModuleNotFoundError, match=r"taylornets\.x"):
        cli.main(["doctor"])


def test_version_and_help(run: Run):
    code, out, err = run("--version")
    assert (code, err) == (0, "")
    assert out.startswith("taylornets ")
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert all(name in out for name in ("reproduce", "report", "doctor", "Exit codes"))
    code, out, _ = run("reproduce", "--help")
    assert code == 0
    assert all(name in out for name in ("--claim", "--profile", "--out", "--seed", "--resume"))


def test_command_computes_in_64_bits(run: Run, registry: Callable[..., None]):
    jax.config.update("jax_enable_x64", False)
    seen: list[bool] = []

    def look(context: ClaimContext) -> Outcome:
        seen.append(bool(jax.config.read("jax_enable_x64")))
        return hold(context)

    registry(zeta=look)
    run("reproduce", "--claim", "zeta")
    assert seen == [True]


def test_codes_are_those_of_the_contract():
    assert (_app.DONE, _app.BROKEN, _app.WRONG_REQUEST, _app.INTERRUPTED) == (0, 1, 2, 130)
