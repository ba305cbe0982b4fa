"""Child processes start, report, stop in order and never outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from awm_crank.errors import AwmError
from awm_crank.rig.processes import Children, LogTail

SLEEPER = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
]


def alive(pid: int) -> bool:
    """Whether a process with this id runs. A zombie child of ours does not count, since it was waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_log_tail_returns_whole_lines_once(tmp_path: Path) -> None:
    """Half-written lines wait for their end, and no line comes twice."""
    log = tmp_path / "a.log"
    log.write_text("one\ntw")
    tail = LogTail(log)
    assert tail.lines() == ["one"]
    with log.open("a") as file:
        file.write("o\nthree\n")
    assert tail.lines() == ["two", "three"]
    assert tail.lines() == []


async def test_children_end_with_the_block(tmp_path: Path) -> None:
    """Leaving the block ends every child, by SIGTERM where that is enough."""
    async with Children(tmp_path) as children:
        child = children.start("sleeper", SLEEPER)
        assert await child.wait_for_line(lambda line: line == "ready", 20) == "ready"
        assert child.running
    assert child.process.returncode == -signal.SIGTERM


async def test_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """A child that does not stop in time is killed, which its exit status shows."""
    async with Children(tmp_path) as children:
        child = children.start("stubborn", STUBBORN)
        await child.wait_for_line(lambda line: line == "ready", 20)
        assert await child.stop(timeout_s=0.2) == -signal.SIGKILL


async def test_child_that_ends_by_itself_is_told_with_its_last_words(tmp_path: Path) -> None:
    """The error shows what the process printed last, and its status."""
    async with Children(tmp_path) as children:
        child = children.start("broken", [sys.executable, "-c", "print('no such file'); raise SystemExit(3)"])
        with pytest.raises(AwmError, match=r"(?s)broken process ended.*status 3.*no such file"):
            await child.wait_for_line(lambda _: False, 20)


async def test_child_that_never_gets_ready_is_told(tmp_path: Path) -> None:
    """Waiting ends after a time-out, and the error says how long it took."""
    async with Children(tmp_path) as children:
        child = children.start("sleeper", SLEEPER)
        with pytest.raises(AwmError, match=r"not ready within 0.1 s"):
            await child.wait_for_line(lambda _: False, 0.1)


async def test_restarted_child_reads_only_its_own_lines(tmp_path: Path) -> None:
    """A second start appends to the log and ignores the first one's readiness."""
    async with Children(tmp_path) as children:
        first = children.start("sleeper", SLEEPER)
        await first.wait_for_line(lambda line: line == "ready", 20)
        await first.stop()
        second = children.start("sleeper", ["/bin/sh", "-c", "echo again; sleep 600"])
        assert await second.wait_for_line(lambda _: True, 20) == "again"
    assert (tmp_path / "sleeper.log").read_text() == "ready\nagain\n"


def test_nothing_outlives_a_killed_demo(tmp_path: Path) -> None:
    """When the demo itself is killed without a chance to clean up, its guard ends the children."""
    script = (
        "import asyncio, sys; from pathlib import Path; from awm_crank.rig.processes import Children\n"
        "async def main():\n"
        f"    async with Children(Path({str(tmp_path)!r})) as children:\n"
        f"        child = children.start('stubborn', {STUBBORN!r})\n"
        "        await child.wait_for_line(lambda line: line == 'ready', 20)\n"
        "        print(child.process.pid, flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as demo:
        assert demo.stdout
        pid = int(demo.stdout.readline())
        demo.kill()
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)
