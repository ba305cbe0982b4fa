"""A localnet starts, serves, and never outlives the process that started it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from awm_crank.errors import AwmError, RpcError
from awm_crank.localnet.rig import EmbeddedLocalnet


def gone(pid: int, within_s: float = 5) -> bool:
    """Whether a process ends."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


async def test_life(tmp_path: Path) -> None:
    """It serves inside the `with` block, logs to its file, funds keys, raises an endpoint's errors, and ends with the
    block.
    """
    log = tmp_path / "net.log"
    async with EmbeddedLocalnet("--bare", log=log) as net:
        pid = net.pid
        assert net.call("getHealth") == "ok"
        assert net.call("getBalance", str(net.faucet.pubkey()))["value"] == 1000 * 10**9
        assert net.faucet == net.faucet
        with pytest.raises(RpcError) as caught:
            net.call("getNothing")
        assert caught.value.code == -32601
    assert gone(pid)
    assert b'"http"' in log.read_bytes()


def test_failed_start_shows_the_last_words() -> None:
    """The error of a failed start contains what the process printed last."""
    with pytest.raises(AwmError, match="--slot-ms"):
        EmbeddedLocalnet("--slot-ms", "0").start()


def test_parent_that_is_killed_leaves_nothing_behind() -> None:
    """SIGKILL of the parent ends the localnet too."""
    program = (
        "import time; from awm_crank.localnet.rig import EmbeddedLocalnet\n"
        "print(EmbeddedLocalnet('--bare').start().pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
    assert gone(pid)
