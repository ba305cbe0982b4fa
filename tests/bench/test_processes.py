"""CPU and memory of processes."""

from __future__ import annotations

import os
import time

from awm_crank.bench.processes import usage


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
