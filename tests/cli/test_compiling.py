"""`reproduce` compiles with less optimization, unless the user's `XLA_FLAGS` say otherwise."""

import os

import pytest

from taylornets.cli import _compiled


def test_flags_are_those_that_xla_has(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_compiled.metadata, "entry_points", lambda group: ())
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    _compiled.compile_quickly()
    assert "--xla_backend_optimization_level=1" in os.environ["XLA_FLAGS"].split()
    assert _compiled._known(("--xla_no_such_flag=1", "--xla_backend_optimization_level=0")) == (
        "--xla_backend_optimization_level=0"
    )


def test_flags_of_the_user_and_of_accelerators_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/nowhere")
    _compiled.compile_quickly()
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=/nowhere"
    monkeypatch.delenv("XLA_FLAGS")
    monkeypatch.setattr(_compiled.metadata, "entry_points", lambda group: ("cuda",))
    _compiled.compile_quickly()
    assert "XLA_FLAGS" not in os.environ
