"""One timer serves all sessions."""

from __future__ import annotations

import asyncio
import time

from daemon.fakes import session

from awm_crank.daemon.session import ServedSession
from awm_crank.daemon.timers import Timers
from awm_crank.telemetry.stats import Latencies

MS = 1_000_000


async def test_in_order() -> None:
    """Each session is woken once, in the order of its moment, and never early."""
    rung: list[tuple[ServedSession, int]] = []
    timers = Timers(lambda served: rung.append((served, time.monotonic_ns())), Latencies())
    first, second = session(), session()
    now = time.monotonic_ns()
    timers.wake_at(second, now + 30 * MS)
    timers.wake_at(first, now + 10 * MS)
    await asyncio.sleep(0.06)
    assert [served for served, _ in rung] == [first, second]
    assert rung[0][1] >= now + 10 * MS
    assert rung[1][1] >= now + 30 * MS
    assert len(timers) == 0
    timers.close()


async def test_changed_mind() -> None:
    """A new time replaces the time set before, even if it is earlier, and None cancels it."""
    rung: list[tuple[ServedSession, int]] = []
    timers = Timers(lambda served: rung.append((served, time.monotonic_ns())), Latencies())
    later, sooner, never = session(), session(), session()
    now = time.monotonic_ns()
    timers.wake_at(later, now + 5 * MS)
    timers.wake_at(later, now + 40 * MS)
    timers.wake_at(sooner, now + 500 * MS)
    timers.wake_at(sooner, now + 10 * MS)
    timers.wake_at(never, now + 5 * MS)
    timers.wake_at(never, None)
    await asyncio.sleep(0.08)
    assert [served for served, _ in rung] == [sooner, later]
    assert rung[1][1] >= now + 40 * MS
    timers.close()


async def test_past() -> None:
    """A moment in the past rings at once, but not from inside the call; a ring may set the next moment."""
    rung: list[ServedSession] = []

    def ring(served: ServedSession) -> None:
        rung.append(served)
        if len(rung) < 3:
            timers.wake_at(served, time.monotonic_ns())

    timers = Timers(ring, Latencies())
    timers.wake_at(session(), 0)
    assert not rung
    await asyncio.sleep(0.02)
    assert len(rung) == 3
    timers.close()
