"""CPU and memory of processes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from awm_crank.bench.processes import machine, scheduling, usage


def test_own() -> None:
    """This process uses memory, and its CPU time rises when it computes."""
    before = usage([os.getpid()])
    assert before.rss > 10_000_000
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert 0.05 <= usage([os.getpid()]).cpu_s - before.cpu_s < 5


def test_gone() -> None:
    """A process that has ended counts as nothing."""
    assert usage([2**22 + 1]) == (0.0, 0)


def test_machine() -> None:
    """All processes together use at least as much as this one, and the machine's total includes its computing."""
    before, mine = machine(), time.process_time()
    until = mine + 0.2
    while time.process_time() < until:
        pass
    if before.cpu_s:
        assert machine().cpu_s - before.cpu_s >= 0.1


def test_scheduling(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary process shows its nice value; a real-time one its priority, and when the kernel throttles it."""
    monkeypatch.setattr(os, "sched_getscheduler", lambda _: 0, raising=False)
    assert scheduling() == f"ordinary, nice {os.nice(0)}"
    monkeypatch.setattr(os, "sched_getscheduler", lambda _: 2, raising=False)
    monkeypatch.setattr(os, "sched_getparam", lambda _: SimpleNamespace(sched_priority=1), raising=False)
    for held, says in (("-1", "never held back"), ("950000", "held back after 0.95 s of each second")):
        monkeypatch.setattr(Path, "read_text", lambda _, held=held: held + "\n")
        assert scheduling().startswith("RR 1, ")
        assert says in scheduling()
