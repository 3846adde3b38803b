"""The runner with small test claims: records that are kept or recomputed, and invalid requests."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from taylornets import ArgumentError, records
from taylornets.reproduction import _reproduce as runner
from taylornets.reproduction import claims, reproduce
from taylornets.reproduction.claims import Claim, ClaimContext, Outcome

Calls = list[str]


def draw(context: ClaimContext) -> Outcome:
    context.progress(0.5, "half")
    value = float(jax.random.normal(context.key))
    return Outcome(value, np.isfinite(value), interval=(value - 1, value + 1), explanation="One.\n\nTwo\nlines.")


def crash(context: ClaimContext) -> Outcome:
    raise RuntimeError("no room")


def unusable(context: ClaimContext) -> Outcome:
    return Outcome(object(), True)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """A registry with only the claims of this file; the list records the name of each claim that runs."""
    done: Calls = []
    monkeypatch.setattr(claims, "_registry", {})
    monkeypatch.setattr(claims, "_discover", lambda: None)
    for name, run in {"zeta": draw, "coupling": draw, "alpha": draw, "certificate": draw}.items():

        def counted(context: ClaimContext, name: str = name, run: Any = run) -> Outcome:
            done.append(name)
            return run(context)

        claims.register(Claim(name, name.title(), "It holds.", "section 1", "a number", counted))
    return done


ALL = ["coupling", "certificate", "alpha", "zeta"]


def comparable(out: Path) -> list[dict[str, Any]]:
    return [item | {"seconds": 0} for item in json.loads((out / "claims.json").read_text())]


class Heard:
    """A progress object that records its calls."""

    def __init__(self):
        self.events: list[tuple[Any, ...]] = []

    def started(self, name: str) -> None:
        self.events.append(("started", name))

    def progressed(self, name: str, fraction: float, message: str) -> None:
        self.events.append(("progressed", name, fraction, message))

    def finished(self, name: str, message: str) -> None:
        self.events.append(("finished", name, message))


def test_names_follow_the_order_of_the_theory(calls: Calls):
    assert list(claims.names()) == ALL


def test_registering_a_name_twice_is_refused(calls: Calls):
    with pytest.raises(ArgumentError, match=r"claim\.name: expected an unused name, got 'alpha'"):
        claims.register(claims.get("alpha"))


def test_unknown_claim_offers_the_nearest(calls: Calls):
    with pytest.raises(ArgumentError, match=r"name: expected one of .*got 'couplings'.*Did you mean 'coupling'"):
        claims.get("couplings")


def test_every_claim_of_the_package_is_found():
    folder = Path(claims.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert set(claims.names()) >= modules & set(claims.ORDER)


def test_keys_depend_on_seed_and_name_alone(calls: Calls):
    keys = {(seed, name): claims.claim_key(seed, name) for seed in (0, 1) for name in ALL}
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys.values()}) == len(keys)
    # Pinned: another value would silently change every published number.
    assert jax.random.key_data(claims.claim_key(0, "coupling")).tolist() == [3179438345, 2829388866]


def test_runs_all_in_order_and_keeps_records(calls: Calls, tmp_path: Path):
    heard = Heard()
    found = reproduce(tmp_path / "out", progress=heard)
    assert calls == ALL
    assert [record.claim for record in found] == ALL
    assert found[0].explanation == ("One.", "Two lines.")
    assert heard.events[:3] == [
        ("started", "coupling"),
        ("progressed", "coupling", 0.5, "half"),
        ("finished", "coupling", "✓ holds"),
    ]
    out = tmp_path / "out"
    assert [item["claim"] for item in comparable(out)] == ALL
    assert sorted(path.stem for path in (out / "records").iterdir()) == sorted(ALL)
    run = records.load_run(out)
    assert run is not None
    assert run.status == "finished"
    assert set(run.timings) == set(ALL)
    assert run.versions["jax"] == jax.__version__


def test_alone_or_among_others_gives_the_same(calls: Calls, tmp_path: Path):
    every = reproduce(tmp_path / "all")
    alone = reproduce(tmp_path / "one", ["alpha"])
    assert [record.measured for record in every if record.claim == "alpha"] == [record.measured for record in alone]


def test_another_seed_gives_other_numbers(calls: Calls, tmp_path: Path):
    (first,) = reproduce(tmp_path / "a", ["alpha"])
    (second,) = reproduce(tmp_path / "b", ["alpha"], seed=1)
    assert first.measured != second.measured


def in_parts(done: list[int], stop_at: int) -> Any:
    """A claim of four costly parts, which is interrupted at one of them."""

    def run(context: ClaimContext) -> Outcome:
        def part(i: int) -> dict[str, Any]:
            if i == stop_at:
                raise KeyboardInterrupt
            done.append(i)
            return {"value": float(jax.random.normal(jax.random.fold_in(context.key, i)))}

        return Outcome([context.kept(f"part {i}", lambda i=i: part(i))["value"] for i in range(4)], True)

    return run


def interrupted(done: list[int], out: Path, monkeypatch: pytest.MonkeyPatch, **again: Any) -> Any:
    """What an interrupted claim computes when it is run again, and its measured value."""
    for stop_at in (2, -1):
        monkeypatch.setattr(claims, "_registry", {})
        claims.register(Claim("coupling", "C", "S.", "s", "p", in_parts(done, stop_at)))
        if stop_at == 2:
            with pytest.raises(KeyboardInterrupt):
                reproduce(out)
    return reproduce(out, **again)[0].measured


def test_parts_of_an_interrupted_claim_are_kept(calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done: list[int] = []
    found = interrupted(done, tmp_path / "a", monkeypatch, resume=True)
    assert done == [0, 1, 2, 3]
    assert found == reproduce(tmp_path / "b")[0].measured
    assert not (tmp_path / "a" / "cells").exists()


@pytest.mark.parametrize("again", [{}, {"resume": True, "seed": 1}])
def test_parts_of_another_run_are_not(
    again: dict[str, Any], calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done: list[int] = []
    interrupted(done, tmp_path, monkeypatch, **again)
    assert done == [0, 1, 0, 1, 2, 3]


def test_damaged_parts_are_computed_again(calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done: list[int] = []
    prepared = runner._cells

    def damaged(*args: Any) -> Path:
        folder = prepared(*args)
        for file in folder.rglob("*.sqlite"):
            file.write_text("no database")
        return folder

    monkeypatch.setattr(runner, "_cells", damaged)
    interrupted(done, tmp_path, monkeypatch, resume=True)
    assert done == [0, 1, 0, 1, 2, 3]


def test_parts_are_not_kept_through_a_link(calls: Calls, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "theirs").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cells").symlink_to(elsewhere)
    with pytest.raises(ArgumentError):
        reproduce(tmp_path / "out")
    reproduce(tmp_path / "new")
    (tmp_path / "new" / "cells").symlink_to(elsewhere)
    reproduce(tmp_path / "new")
    assert (elsewhere / "theirs").is_dir()


@pytest.mark.parametrize("run", [crash, unusable])
def test_failure_is_recorded_and_the_others_run(run: Any, calls: Calls, tmp_path: Path):
    claims.register(Claim("broken", "Broken", "S.", "s", "p", run))
    found = {record.claim: record for record in reproduce(tmp_path / "out")}
    assert calls == ["coupling", "certificate", "alpha", "zeta"]
    assert not found["broken"].holds
    assert re.search("RuntimeError: no room|ArgumentError: measured: .*got a object", found["broken"].error)
    assert "Traceback" in found["broken"].detail["traceback"]
    assert all(found[name].holds for name in ALL)


def test_failed_claim_is_computed_again_on_resume(calls: Calls, tmp_path: Path):
    claims.register(Claim("broken", "Broken", "S.", "s", "p", crash))
    reproduce(tmp_path / "out")
    claims._registry["broken"] = Claim("broken", "Broken", "S.", "s", "p", draw)
    calls.clear()
    assert all(record.holds for record in reproduce(tmp_path / "out", resume=True))
    assert calls == []


def test_interrupt_passes_and_keeps_what_is_finished(calls: Calls, tmp_path: Path):
    out = tmp_path / "out"
    reproduce(out)
    whole = comparable(out)
    alpha = claims.get("alpha")

    def interrupted(context: ClaimContext) -> Outcome:
        raise KeyboardInterrupt

    claims._registry["alpha"] = Claim("alpha", alpha.title, alpha.statement, alpha.source, alpha.predicted, interrupted)
    with pytest.raises(KeyboardInterrupt):
        reproduce(out)
    assert sorted(path.stem for path in (out / "records").iterdir()) == ["certificate", "coupling"]
    assert not (out / "claims.json").exists()
    run = records.load_run(out)
    assert run is not None
    assert run.status == "running"
    claims._registry["alpha"] = alpha
    calls.clear()
    heard = Heard()
    reproduce(out, resume=True, progress=heard)
    assert calls == ["alpha", "zeta"]
    assert ("finished", "coupling", "✓ holds (kept from an earlier run)") in heard.events
    assert comparable(out) == whole


@pytest.mark.parametrize("changes", [{"seed": 1}, {"profile": "full"}])
def test_resume_computes_again_under_another_stamp(changes: dict[str, Any], calls: Calls, tmp_path: Path):
    reproduce(tmp_path, ["alpha", "zeta"])
    calls.clear()
    reproduce(tmp_path, ["alpha"], resume=True, **changes)
    assert calls == ["alpha"]
    assert [item["claim"] for item in comparable(tmp_path)] == ["alpha"]


def test_resume_computes_again_under_another_precision(calls: Calls, tmp_path: Path):
    reproduce(tmp_path, ["alpha"])
    with jax.enable_x64(not jax.config.read("jax_enable_x64")):
        reproduce(tmp_path, ["alpha"], resume=True)
    assert calls == ["alpha", "alpha"]


def test_resume_computes_again_under_another_version(calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    reproduce(tmp_path, ["alpha"])
    monkeypatch.setattr(runner.environment, "commit", lambda: "another")
    reproduce(tmp_path, ["alpha"], resume=True)
    assert calls == ["alpha", "alpha"]


def test_resume_adds_claims_to_those_kept(calls: Calls, tmp_path: Path):
    reproduce(tmp_path, ["zeta"])
    reproduce(tmp_path, ["coupling"], resume=True)
    assert calls == ["zeta", "coupling"]
    assert [item["claim"] for item in comparable(tmp_path)] == ["coupling", "zeta"]


def test_resume_recovers_from_damage(calls: Calls, tmp_path: Path):
    reproduce(tmp_path)
    whole = comparable(tmp_path)
    damaged = tmp_path / "records" / "alpha.json"
    damaged.write_text(damaged.read_text()[:100])
    (tmp_path / "records" / ".zeta.json.x.taylornets-tmp").write_text("half a rec")
    calls.clear()
    reproduce(tmp_path, resume=True)
    assert calls == ["alpha"]
    assert comparable(tmp_path) == whole
    assert sorted(path.stem for path in (tmp_path / "records").iterdir()) == sorted(ALL)


def test_fresh_run_replaces_the_old_one(calls: Calls, tmp_path: Path):
    reproduce(tmp_path)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "old.svg").write_text("old")
    (tmp_path / "report.html").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    reproduce(tmp_path, ["zeta"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["claims.json", "notes.txt", "records", "run.json"]
    assert [path.stem for path in (tmp_path / "records").iterdir()] == ["zeta"]


def test_folder_of_something_else_is_refused_and_left_alone(calls: Calls, tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "run.json").write_text('{"schema": "of another program"}')
    with pytest.raises(ArgumentError, match=r"out: expected a new or empty folder.*'run\.json' and 1 more\. Choose"):
        reproduce(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "thesis.tex"]
    assert calls == []


def test_file_is_refused(calls: Calls, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match=r"out: .*file is not a folder"):
        reproduce(tmp_path / "file")
    with pytest.raises(ArgumentError, match=r"out: expected a new or empty folder"):
        reproduce(tmp_path / "file" / "below")


def test_leftover_of_a_kill_before_the_first_record_is_no_obstacle(calls: Calls, tmp_path: Path):
    (tmp_path / ".run.json.abc.taylornets-tmp").write_text("{")
    reproduce(tmp_path, ["alpha"])
    assert not list(tmp_path.glob(".run*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["alpah"]}, r"name: .*got 'alpah'\. Did you mean 'alpha'"),
        ({"profile": "fast"}, r"profile: expected one of 'full', 'quick', got 'fast'"),
        ({"seed": -1}, r"seed: expected an integer ≥ 0, got -1"),
        ({"seed": 2**32}, r"seed: expected an integer ≤ 4294967295, got 4294967296"),
    ],
)
def test_wrong_requests_write_nothing(changes: dict[str, Any], message: str, calls: Calls, tmp_path: Path):
    with pytest.raises(ArgumentError, match=message):
        reproduce(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()
    assert calls == []


# A run in another process, with two claims of which the second waits to be killed.
PLUGIN = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background inherits that it is ignored
import jax
from taylornets.reproduction import claims
from taylornets.reproduction.claims import Claim, Outcome
from taylornets.records import Figure, Plot, Series

def run(context):
    value = jax.random.normal(context.key, (3,))
    return Outcome(value.mean(), True, detail={"draws": value})

def draw(context):
    plot = Plot("x", "y", [Series("s", [1, 2, 3], jax.random.normal(context.key, (3,)))])
    return Outcome(1, True, figures=[Figure("f", "T", [plot], "C.")])

def wait(context):
    if os.environ.get("WAIT"):
        pathlib.Path(os.environ["WAIT"]).touch()
        time.sleep(600)
    return run(context)

claims._discover = lambda: None
for name, function in {"first": run, "second": wait, "third": draw}.items():
    claims.register(Claim(name, name, "S.", "s", "p", function))

from taylornets.cli import main
main(sys.argv[1:])
"""


def start(script: Path, *words: str, wait: Path | None = None) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key != "WAIT"}
    environment |= {"JAX_PLATFORMS": "cpu"} | ({"WAIT": str(wait)} if wait else {})
    command = [sys.executable, str(script), "reproduce", "--workers", "1", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 180
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_killed_run_resumes_to_the_undisturbed_result(tmp_path: Path):
    script = tmp_path / "plugin.py"
    script.write_text(PLUGIN)
    out, whole, sign = tmp_path / "out", tmp_path / "whole", tmp_path / "waiting"
    process = start(script, "--out", str(out), wait=sign)
    undisturbed = start(script, "--out", str(whole))  # beside it, to save time
    wait_for(sign, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=180)
    assert process.returncode == -signal.SIGKILL
    assert [path.stem for path in (out / "records").iterdir()] == ["first"]

    again = start(script, "--out", str(out), "--resume")
    printed, error = again.communicate(timeout=180)
    undisturbed.communicate(timeout=180)
    assert (again.returncode, undisturbed.returncode) == (0, 0)
    assert "first: ✓ holds (kept from an earlier run)" in error
    assert "3 of 3 claims hold" in printed
    assert comparable(out) == comparable(whole)
    drawn = [sorted((path.name, path.read_bytes()) for path in (end / "figures").iterdir()) for end in (out, whole)]
    assert len(drawn[0]) == 1
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_run_says_how_to_go_on(how: signal.Signals, tmp_path: Path):
    script = tmp_path / "plugin.py"
    script.write_text(PLUGIN)
    out, sign = tmp_path / "out", tmp_path / "waiting"
    process = start(script, "--out", str(out), "--claim", "second", "--claim", "first", wait=sign)
    wait_for(sign, process)
    process.send_signal(how)
    _, error = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert f"Interrupted: 1 of 2 claims is finished and kept in {out}." in error
    words = f"--claim second --claim first --profile quick --seed 0 --out {out} --resume"
    assert f"Resume with: taylornets reproduce {words}" in error
    assert [path.stem for path in (out / "records").iterdir()] == ["first"]
