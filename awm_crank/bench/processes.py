"""Measures CPU time and memory of processes, from /proc (Linux) or `ps`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from awm_crank.bench.localnet import cpu_seconds

_REAL_TIME = {getattr(os, f"SCHED_{name}", -1): name for name in ("RR", "FIFO")}
_PAGE = os.sysconf("SC_PAGESIZE")


class Usage(NamedTuple):
    """CPU seconds used so far, and bytes of resident memory now."""

    cpu_s: float
    rss: int


def usage(pids: Iterable[int]) -> Usage:
    """The usage of several processes together. A process that has ended counts as nothing."""
    total_cpu, total_rss = 0.0, 0
    for pid in pids:
        try:
            total_cpu += cpu_seconds(pid)
            total_rss += _rss(pid)
        except (OSError, subprocess.CalledProcessError, IndexError, ValueError):
            continue
    return Usage(total_cpu, total_rss)


def scheduling() -> str:
    """The scheduling policy of this process and its children, and how the kernel limits real-time processes."""
    if not hasattr(os, "sched_getscheduler"):
        return "ordinary"
    policy = _REAL_TIME.get(os.sched_getscheduler(0))
    if policy is None:
        return f"ordinary, nice {os.nice(0)}"
    budget = Path("/proc/sys/kernel/sched_rt_runtime_us")
    held = int(budget.read_text()) if budget.exists() else -1
    words = f"{policy} {os.sched_getparam(0).sched_priority}"
    if held < 0:
        return f"{words}, never held back (kernel.sched_rt_runtime_us = -1)"
    return f"{words}, a core held back after {held / 1e6:.2f} s of each second (kernel.sched_rt_runtime_us = {held})"


def machine() -> Usage:
    """CPU time that all processes, and the hypervisor's other guests, have used so far; 0 if it is not known."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return Usage(0.0, 0)
    # user, nice, system, idle, iowait, irq, softirq, steal; user includes the time of guests
    fields = [int(word) for word in stat.read_text().split("\n", 1)[0].split()[1:9]]
    return Usage((sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK"), 0)


def _rss(pid: int) -> int:
    statm = Path(f"/proc/{pid}/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * _PAGE
    text = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True, text=True).stdout
    return int(text) * 1024
