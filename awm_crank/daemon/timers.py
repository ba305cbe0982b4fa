"""The one timer: a heap of moments at which machines want to be woken, and a single timer of the loop for the first."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable

from ..telemetry.stats import Latencies
from .served import Served


class Timers:
    """Wakes sessions.

    Args:
        ring: called with each session whose moment has come.
        lag: how much later than wanted each was woken goes there.
    """

    def __init__(self, ring: Callable[[Served], object], lag: Latencies) -> None:
        self._ring_one = ring
        self._lag = lag
        self._heap: list[tuple[int, int, Served]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._set_for = 0

    def __len__(self) -> int:
        """Moments waited for, those given up meanwhile included."""
        return len(self._heap)

    def wake_at(self, served: Served, when: int | None) -> None:
        """Wakes the session at that time (ns, monotonic), and not at the time wanted before; None: no more."""
        served.wake = when
        if when is not None:
            heapq.heappush(self._heap, (when, id(served), served))
            self._set()

    def _set(self) -> None:
        heap = self._heap
        while heap and heap[0][2].wake != heap[0][0]:
            heapq.heappop(heap)
        first = heap[0][0] if heap else 0
        if self._timer is not None:
            if first == self._set_for:
                return
            self._timer.cancel()
            self._timer = None
        if heap:
            self._set_for = first
            delay = max(0, first - time.monotonic_ns()) / 1e9
            self._timer = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        self._timer = None
        # the loop's clock has a coarser grain: a millisecond early is on time for it, but not for a tick
        now = time.monotonic_ns()
        while self._heap and self._heap[0][0] <= now:
            when, _, served = heapq.heappop(self._heap)
            if served.wake == when:
                served.wake = None
                self._lag.add(time.monotonic_ns() - when)
                self._ring_one(served)
        self._set()
