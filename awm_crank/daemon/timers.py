"""Wakes session machines at the times that they asked for: one heap of all times, and one alarm for the earliest."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable

from ..telemetry.stats import Latencies
from .alarm import Alarm
from .session import ServedSession


class Timers:
    """Wakes sessions.

    Args:
        ring: called with each session whose time has come.
        lag: collects by how much each session was woken too late.
    """

    def __init__(self, ring: Callable[[ServedSession], object], lag: Latencies) -> None:
        self._ring_one = ring
        self._lag = lag
        self._heap: list[tuple[int, int, ServedSession]] = []
        self._alarm = Alarm(self._ring)
        self._set_for: int | None = None

    def __len__(self) -> int:
        """How many times are in the heap, including those that were replaced since."""
        return len(self._heap)

    def wake_at(self, served: ServedSession, when: int | None) -> None:
        """Wakes the session at this time (ns, monotonic); it replaces the time set before. None means never."""
        served.wake = when
        if when is not None:
            heapq.heappush(self._heap, (when, id(served), served))
            self._set()

    def close(self) -> None:
        """Stops waking sessions."""
        self._heap.clear()
        self._alarm.close()

    def _set(self) -> None:
        heap = self._heap
        while heap and heap[0][2].wake != heap[0][0]:
            heapq.heappop(heap)
        first = heap[0][0] if heap else None
        if first == self._set_for:
            return
        self._set_for = first
        if first is None:
            self._alarm.cancel()
        else:
            self._alarm.set(first)

    def _ring(self) -> None:
        self._set_for = None
        now = time.monotonic_ns()
        while self._heap and self._heap[0][0] <= now:
            when, _, served = heapq.heappop(self._heap)
            if served.wake == when:
                served.wake = None
                self._lag.add(time.monotonic_ns() - when)
                self._ring_one(served)
        self._set()
