"""Our figures next to others: as a table for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec

_MIN_S = 0.2
_MAX_CALLS = 20_000


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One figure in `unit`, ours and the other way's. `other` is None if it was NOT RUN; then `other_how` says why."""

    name: str
    unit: str
    ours: float
    ours_how: str
    other: float | None
    other_how: str

    @property
    def ratio(self) -> float | None:
        """How many times longer the other way takes; None if it was not run."""
        return None if self.other is None or self.ours <= 0 else self.other / self.ours


def median_us(call: Callable[[], object], min_s: float = _MIN_S) -> float:
    """The median time of one call in microseconds, over `min_s` seconds or 20,000 calls, after a short warm-up."""
    for _ in range(3):
        call()
    times: list[int] = []
    end = time.perf_counter_ns() + int(min_s * 1e9)
    while len(times) < _MAX_CALLS:
        before = time.perf_counter_ns()
        call()
        after = time.perf_counter_ns()
        times.append(after - before)
        if after > end:
            break
    return statistics.median(times) / 1e3


def table(rows: list[Comparison]) -> str:
    """The rows as aligned text: name, ours, the other way's, ratio. What each figure is follows below."""
    cells = [("", "awm-crank", "off the shelf", "ratio")]
    for row in rows:
        other = "NOT RUN" if row.other is None else f"{row.other:,.2f} {row.unit}"
        ratio = "" if row.ratio is None else f"{row.ratio:.1f}x"
        cells.append((row.name, f"{row.ours:,.2f} {row.unit}", other, ratio))
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    lines = [
        "  ".join([line[0].ljust(widths[0]), *(line[n].rjust(widths[n]) for n in (1, 2, 3))]).rstrip() for line in cells
    ]
    notes = [f"{row.name}: {row.ours_how}; against {row.other_how}" for row in rows]
    return "\n".join([*lines, "", *notes])


def as_json(rows: list[Comparison], reports: dict[str, Any] | None = None) -> bytes:
    """The rows as a JSON object: `machine`, `rows`, each with its ratio, and further reports under their names."""
    machine: dict[str, Any] = {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }
    shown = [{**msgspec.to_builtins(row), "ratio": row.ratio} for row in rows]
    return msgspec.json.format(msgspec.json.encode({"machine": machine, "rows": shown, **(reports or {})}))
