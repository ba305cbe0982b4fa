"""sd_notify, against a socket like the service manager's."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from awm_crank.telemetry import systemd


@pytest.mark.parametrize("abstract", [False, True])
def test_notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    """One datagram carries one assignment on each line, to a path or an abstract address."""
    name = f"awm-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name if abstract else name)
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        assert systemd.notify("READY=1", "STATUS=two\nlines")
        assert manager.recv(1000) == b"READY=1\nSTATUS=two lines"


@pytest.mark.parametrize("address", [None, "", "relative", "/does/not/exist"])
def test_nobody_to_notify(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    """Without a manager nothing happens."""
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not systemd.notify("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("3000000", "", 3), ("3000000", str(os.getpid()), 3), ("3000000", "1", None), ("0", "", None), ("x", "", None)],
)
def test_watchdog(monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, seconds: float | None) -> None:
    """The watchdog time counts only for this process, and is absent without a watchdog."""
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert systemd.watchdog_s() == seconds
