"""Serving a kind: the scratch folder, the ready line, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from localnet.kinds.validators import CACHE
from localnet.test_rig import gone

from awm_crank.launch import own_command
from awm_crank.localnet.kinds.plan import Running
from awm_crank.localnet.kinds.serve import ready_line, scratch


def test_scratch(tmp_path: Path) -> None:
    """A folder that is named is created and kept; a temporary one is removed."""
    with scratch(tmp_path / "a" / "b") as named:
        (named / "ledger").touch()
    assert (tmp_path / "a" / "b" / "ledger").exists()
    with scratch(None) as made:
        (made / "ledger").touch()
    assert not made.exists()


def test_ready_line() -> None:
    """The ready line is one line of JSON with both chains' addresses."""
    running = Running()
    running.at(5000)
    running.http = "http://127.0.0.1:6000"
    line = json.loads(ready_line(running))
    assert (line["http"], line["base_http"]) == ("http://127.0.0.1:6000", "http://127.0.0.1:5000")
    assert line["pid"] == os.getpid()
    assert line["validators"] == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals(number: signal.Signals, status: int, tmp_path: Path) -> None:
    """SIGTERM and Ctrl-C end command and validator without an error message, and the status says which it was."""
    command = own_command("awm_crank", "localnet", "--kind", "magicblock", "--bare", "--port", "0")
    with subprocess.Popen(
        [*command, "--cache", str(CACHE), "--folder", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        (pid,) = json.loads(process.stdout.readline())["validators"]
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (status, "")
    assert gone(pid)


def test_host(tmp_path: Path) -> None:
    """Only kinds with our own base chain can listen on another address."""
    command = own_command("awm_crank", "localnet", "--kind", "magicblock", "--host", "0.0.0.0")
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "--host goes with --kind embedded and rollup" in done.stderr
