"""The ports of a sweep: nobody without its certificate can connect, and without TLS no port is opened."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from distributed import Client

from taylornets import ArgumentError
from taylornets.sweeps import _run, security_of


def test_a_client_without_the_certificate_cannot_connect():
    pytest.importorskip("cryptography")
    with ExitStack() as stack:
        client = _run._connect(stack, None, 1, 1, None)
        address = str(client.scheduler_info()["address"])
        assert address.startswith("tls://127.0.0.1:")
        workers = [*client.scheduler_info()["workers"]]
        assert client.submit(abs, -3).result(timeout=30) == 3
        for other in [address, *workers]:
            with pytest.raises((OSError, ValueError, TypeError)):
                Client(str(other).replace("tls://", "tcp://"), timeout="2s")


def test_without_certificates_no_port_is_opened(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_run, "_secret", lambda: None)
    with ExitStack() as stack:
        client = _run._connect(stack, None, 4, 4, None)
        assert str(client.scheduler_info()["address"]).startswith("inproc://")
        assert client.submit(abs, -3).result(timeout=30) == 3


def test_credentials_are_three_files(tmp_path: Path):
    assert security_of(None, None, None) is None
    (tmp_path / "a.pem").write_text("")
    with pytest.raises(ArgumentError, match=r"tls_key: expected a PEM file, as all three for TLS, got None"):
        security_of(str(tmp_path / "a.pem"), None, str(tmp_path / "a.pem"))
