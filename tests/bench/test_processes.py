"""CPU and memory of processes."""

from __future__ import annotations

import os
import time

from awm_crank.bench.processes import machine, usage


def test_own() -> None:
    """This process has memory, and its CPU time rises when it computes."""
    before = usage([os.getpid()])
    assert before.rss > 10_000_000
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert 0.05 <= usage([os.getpid()]).cpu_s - before.cpu_s < 5


def test_gone() -> None:
    """A process that is gone counts for nothing."""
    assert usage([2**22 + 1]) == (0.0, 0)


def test_machine() -> None:
    """All processes together use no less than this one, whose computing the machine's total shows."""
    before, mine = machine(), time.process_time()
    until = mine + 0.2
    while time.process_time() < until:
        pass
    if before.cpu_s:
        assert machine().cpu_s - before.cpu_s >= 0.1
