"""A validator's process: its log, its end, and the errors when it misbehaves."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from awm_crank.errors import RpcError, SetupError
from awm_crank.localnet.kinds.process import Validator, free_ports


def started(tmp_path: Path, script: str, *, terminal: bool = False) -> Validator:
    """A Python script that acts as a validator."""
    return Validator(
        "it", [sys.executable, "-c", script], log=tmp_path / "it.log", folder=tmp_path, environment={"ANSWER": "42"},
        terminal=terminal,
    )  # fmt: skip


def test_life(tmp_path: Path) -> None:
    """It runs in its folder with its environment, prints into its log, and ends with `stop`."""
    script = "import os, time; print(os.getcwd(), os.environ['ANSWER'], flush=True); time.sleep(60)"
    validator = started(tmp_path, script)
    validator.wait_for(lambda: (tmp_path / "it.log").read_text(), "print")
    assert (tmp_path / "it.log").read_text() == f"{tmp_path} 42\n"
    assert validator.status is None
    validator.stop()
    assert validator.status == -15
    validator.stop()


def test_last_words(tmp_path: Path) -> None:
    """A process that ends is not awaited: the error has its status, its last words and the log's name."""
    validator = started(tmp_path, "raise SystemExit('no ports left')")
    began = time.monotonic()

    def refused() -> bool:
        raise RpcError("not yet")

    with pytest.raises(SetupError, match=r"it did not answer \(it ended with status 1\); its .*:\nno ports left"):
        validator.wait_for(refused, "answer")
    assert time.monotonic() - began < 20
    validator.stop()


def test_patience(tmp_path: Path) -> None:
    """A process that runs but does not become ready is given up after the time-out."""
    validator = started(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(SetupError, match=r"it did not answer; its last words"):
        validator.wait_for(lambda: False, "answer", timeout_s=0.2)
    validator.stop()


def test_terminal(tmp_path: Path) -> None:
    """A process that needs a terminal gets a pseudo-terminal, whose output is read all the time.

    Its log holds text without control characters.
    """
    script = (
        "import os, sys, time; assert os.isatty(0) and os.isatty(1) and os.isatty(2)\n"
        "sys.stdout.write('\\x1b[2J\\x1b[1;31mhello\\x1b[0m\\n' + 'x' * 200_000 + '\\n'); sys.stdout.flush()\n"
        "print('written', flush=True); time.sleep(60)"
    )
    validator = started(tmp_path, script, terminal=True)
    validator.wait_for(lambda: b"written" in validator.log.read_bytes(), "write more than a terminal holds")
    assert validator.log.read_bytes().startswith(b"hello\r\n")
    validator.stop()


def test_stubborn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ignores SIGTERM is killed."""
    monkeypatch.setattr("awm_crank.localnet.kinds.process._STOP_S", 0.1)
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    validator = started(tmp_path, script)
    validator.wait_for(lambda: validator.log.read_bytes(), "print")
    validator.stop()
    assert validator.status == -9
    with pytest.raises(ProcessLookupError):
        os.kill(validator.pid, 0)


def test_free_ports() -> None:
    """All ports that are returned are free, and a port in use is not returned."""
    first = free_ports(3)
    opened = [socket.socket() for _ in range(3)]
    for offset, each in enumerate(opened):
        each.bind(("127.0.0.1", first + offset))
        each.listen()
    assert free_ports(2) not in range(first - 1, first + 3)
    for each in opened:
        each.close()
