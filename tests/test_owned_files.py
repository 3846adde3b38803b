"""Files and folders that others can use: modes, links, one owner, full disks; and folders and models of strangers."""

import contextlib
import errno
import json
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as pack

import taylornets as tn
from taylornets import ArgumentError, _files, records
from taylornets._checkpoints import steps
from taylornets.estimators import _saving
from taylornets.records import Figure, PageRecord, Plot, Section, Series, Table, bare, literal
from taylornets.records.folders import owned, prepare_folder
from taylornets.report import write_report
from taylornets.report._labels import broken, text
from taylornets.report._text import inline
from taylornets.sweeps import load


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_modes_follow_the_umask_and_a_replaced_file_keeps_its_own(mask: int, tmp_path: Path):
    before = os.umask(mask)
    try:
        _files.write_bytes(tmp_path / "new", b"x")
        (tmp_path / "private").write_bytes(b"old")
        (tmp_path / "private").chmod(0o600)
        _files.write_bytes(tmp_path / "private", b"x")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new") == 0o666 & ~mask
    assert mode(tmp_path / "private") == 0o600
    assert (tmp_path / "private").read_bytes() == b"x"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path):
    (tmp_path / "other").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    _files.write_bytes(tmp_path / "link", b"x")
    assert (tmp_path / "other").read_text() == "mine"
    assert not (tmp_path / "link").is_symlink()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _files.write_bytes(tmp_path / "a", b"old")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(_files.WriteError, match="No space left") as found:
        _files.write_bytes(tmp_path / "a", b"new")
    assert found.value.filename == str(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


HOLD = """
import sys, time
from pathlib import Path
from taylornets.records._lock import owned
with owned(Path(sys.argv[1])):
    print("owned", flush=True)
    time.sleep(60)
"""


def test_one_owner_of_a_folder_and_a_dead_one_loses_it(tmp_path: Path):
    out = tmp_path / "new" / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owned\n"
        with (
            pytest.raises(ArgumentError, match=rf"no other process writes, got .*process {process.pid} on"),
            owned(out),
        ):
            pass
        process.kill()
    with owned(out):  # its lock is stale
        assert json.loads((out / ".taylornets-lock").read_text())["pid"] == os.getpid()
        (out / "result").write_text("x")
    assert [path.name for path in out.iterdir()] == ["result"]
    (out / ".taylornets-lock").write_text('{"pid": 1, "host": "elsewhere"}')
    with pytest.raises(ArgumentError, match=r"process 1 on elsewhere.*delete"), owned(out):
        pass


def test_a_folder_in_which_nothing_was_written_is_removed(tmp_path: Path):
    with owned(tmp_path / "a" / "b"):
        pass
    assert [*tmp_path.iterdir()] == []
    with pytest.raises(ValueError, match="stop"), owned(tmp_path / "a"):
        raise ValueError("stop")
    assert [*tmp_path.iterdir()] == []


def test_links_in_an_output_folder_are_removed_not_followed(tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("mine")
    out = tmp_path / "run"
    out.mkdir()
    figure = Figure("f", "F", [Plot("x", "y", [Series("s", [1.0], [1.0])])], "caption")
    record = PageRecord(
        "fit",
        "t",
        "lead",
        {},
        [Section("s", "S", (), {}, (figure,), (Table("t", "T", ("a",), [("b",)]),))],
        {},
        "c",
        (),
    )
    for name in ("records", "figures", "tables"):
        (out / name).symlink_to(elsewhere)
    records.save_page(out, record)
    records.save_page_run(out, "fit", {"status": "computed", "version": "0"})
    write_report(out)
    assert [path.name for path in elsewhere.iterdir()] == ["mine.txt"]
    assert json.loads((out / "run.json").read_text())["status"] == "finished"
    (out / "figures2").symlink_to(elsewhere)
    prepare_folder(out, ("figures2", "records"))
    assert [path.name for path in elsewhere.iterdir()] == ["mine.txt"]


NAMES = [
    "R^2",
    "a_1",
    "dose 6e-5",
    "low `raw` b",
    "$x$",
    "$\\alpha$",
    "<b>bold</b>",
    "f^(2)",
    "m^{-1/2}",
    "[red]",
    "_x",
    "a & b",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_letter_for_letter(name: str):
    shown = str(inline(f"the class {literal(name)} of x^2"))
    assert shown.startswith("the class " + name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    assert shown.endswith(" of x<sup>2</sup>")
    assert bare(literal(name)) == name
    label = text(f"true {literal(name)}")
    assert label.replace(r"\$", "$") == f"true {name}"
    assert "$" not in label.replace(r"\$", "")  # nothing that matplotlib sets as a formula


def test_names_break_at_points_only():
    assert broken("head.weight conv1.bias", 12) == "head.weight\nconv1.bias"
    assert broken("encoder.layers.attention.weight", 18) == "encoder.layers.\nattention.weight"
    assert broken("unbreakablename", 4) == "unbreakablename"


def test_changed_model_files_are_errors(tmp_path: Path):
    """Random changes of a saved model: the checksum finds them, and nothing but one error is raised."""
    x = np.linspace(-1, 1, 20)[:, None]
    tn.save(tn.NTKRegressor().fit(x, x[:, 0]), tmp_path / "m.safetensors")
    source = (tmp_path / "m.safetensors").read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(150):
        changed = bytearray(source)
        for _ in range(int(generator.integers(1, 5))):
            place = int(generator.integers(len(changed)))
            if generator.integers(2):
                changed[place] ^= 1 << int(generator.integers(8))
            else:
                del changed[place : place + int(generator.integers(1, 50))]
        (tmp_path / "m.safetensors").write_bytes(changed)
        if bytes(changed) != source:
            with pytest.raises(ArgumentError, match="path: expected"):
                tn.load(tmp_path / "m.safetensors")


def forged(path: Path, change: Callable[[Any], Any]) -> None:
    """Changes the state in a model file, with a valid checksum."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["taylornets model"])
    tensors = load_tensors(data)
    header["state"] = change(header["state"])
    header.pop("sha256")
    header["sha256"] = _saving._checksum(header, tensors)
    path.write_bytes(pack(tensors, {"taylornets model": json.dumps(header)}))


FORGED: dict[str, Callable[[Any], Any]] = {
    "unknown class": lambda state: state | {"$class": "Popen"},
    "unknown rule": lambda state: {"$eval": "1"},
    "attributes of another type": lambda state: state | {"attributes": 3},
    "array that is not there": lambda state: (
        state | {"attributes": {"a": {"$array": "x", "shape": [1], "scalar": False}}}
    ),
    "array of another shape": lambda state: state | {"attributes": {"a": {"$items": [1], "dtype": "O", "shape": [7]}}},
    "huge strings": lambda state: (
        state | {"attributes": {"a": {"$items": ["x"], "dtype": "<U2000000000", "shape": [1]}}}
    ),
    "no type": lambda state: state | {"attributes": {"a": {"$dtype": "no type"}}},
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_model_files_are_errors_and_run_nothing(name: str, tmp_path: Path):
    x = np.linspace(-1, 1, 20)[:, None]
    path = tn.save(tn.NTKRegressor().fit(x, x[:, 0]), tmp_path / "m.safetensors")
    forged(path, FORGED[name])
    with pytest.raises(
        ArgumentError, match=r"path: expected a model file written by taylornets.save, got .*which is damaged"
    ):
        tn.load(path)
    path = tn.save(tn.NTKRegressor().fit(x, x[:, 0]), tmp_path / "m.safetensors")
    forged(path, lambda state: state)  # the forger's own change is none
    assert tn.load(path).predict(x).shape == (20,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("[grid]\nd = 10\nn_over_d = inf\nseed = 0", "a number > 0"),
        ("[grid]\nd = 10\nn_over_d = nan\nseed = 0", "a number > 0"),
        ("[grid]\nd = 10\nn = 1000000000000\nseed = 0", r"n: expected an integer ≤ 10,000,000, got 1,000,000,000,000"),
        ("[grid]\nd = 100000\nn = 10000000\nseed = 0", "a cell of at most"),
        (f"[grid]\nd = {[*range(2, 402)]}\nn = 10\nseed = {[*range(300)]}", "at most 100,000 cells, got 120,000"),
    ],
)
def test_sizes_of_a_sweep_are_checked_before_a_worker_starts(content: str, message: str, tmp_path: Path):
    (tmp_path / "a.toml").write_text(content)
    with pytest.raises(ArgumentError, match=message):
        load(tmp_path / "a.toml")


def test_changed_records_are_errors(tmp_path: Path):
    records.save_page(tmp_path, PageRecord("fit", "t", "lead", {}, [Section("s", "S", (), {})], {}, "c", ()))
    records.save_page_run(tmp_path, "fit", {"status": "computed", "version": "0"})
    path = tmp_path / "records" / "page.json"
    source = path.read_text()
    for changed in (
        source.replace('"fit"', '"fat"'), source.replace('"sections": [', '"sections": [3, '), source.replace('"lead"', "7"),
        source.replace('"facts": {}', '"facts": ' + '{"a": ' * 900 + "1" + "}" * 900), source[:-30], "[" * 100_000,
    ):  # fmt: skip
        path.write_text(changed)
        with contextlib.suppress(ArgumentError):
            write_report(tmp_path)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["step_0.eqx", "step_10.eqx", "step_200.eqx"], [0, 10, 200]),
        (["model-v2-9.safetensors", "model-v2-10.safetensors"], [9, 10]),
        (["first.eqx", "step_10.eqx"], [1, 2]),  # one has no number
        (["run1_5.eqx", "run2_5.eqx"], [1, 2]),  # they do not increase
    ],
)
def test_the_axis_of_checkpoints_is_their_steps(names: list[str], expected: list[int]):
    assert steps([Path(name) for name in names]) == expected
