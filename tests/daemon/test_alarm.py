"""Both alarms (precise, and by the loop's own timers) ring once, never early, and for the last moment that was set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from awm_crank.daemon.alarm import Alarm

MS = 1_000_000


class Rung:
    """The moments at which an alarm rang."""

    def __init__(self, *, precise: bool) -> None:
        self.at: list[int] = []
        self.alarm = Alarm(lambda: self.at.append(time.monotonic_ns()), precise=precise)


@pytest.fixture(params=[True, False], ids=["precise", "loop"])
def rung(request: pytest.FixtureRequest) -> Iterator[Rung]:
    """One alarm of each kind."""
    made = Rung(precise=request.param)
    yield made
    made.alarm.close()


async def test_once(rung: Rung) -> None:
    """An alarm rings once, not before its moment, and can be set again."""
    for _ in range(3):
        when = time.monotonic_ns() + 5 * MS
        rung.alarm.set(when)
        await asyncio.sleep(0.03)
        assert len(rung.at) == 1
        assert rung.at.pop() >= when


async def test_last_one_counts(rung: Rung) -> None:
    """A new time replaces the time set before, whether it is earlier or later."""
    now = time.monotonic_ns()
    rung.alarm.set(now + 500 * MS)
    rung.alarm.set(now + 5 * MS)
    rung.alarm.set(now + 30 * MS)
    await asyncio.sleep(0.06)
    assert len(rung.at) == 1
    assert rung.at[0] >= now + 30 * MS


async def test_past(rung: Rung) -> None:
    """A moment in the past (zero included) rings soon, but not from inside the call."""
    rung.alarm.set(0)
    assert not rung.at
    await asyncio.sleep(0.02)
    assert len(rung.at) == 1


async def test_cancelled(rung: Rung) -> None:
    """Neither a cancelled nor a closed alarm rings; a closed alarm can be set again."""
    rung.alarm.set(time.monotonic_ns() + 5 * MS)
    rung.alarm.cancel()
    await asyncio.sleep(0.02)
    rung.alarm.set(time.monotonic_ns() + 5 * MS)
    rung.alarm.close()
    await asyncio.sleep(0.02)
    assert not rung.at
    rung.alarm.set(time.monotonic_ns() + MS)
    await asyncio.sleep(0.02)
    assert len(rung.at) == 1


async def test_expired_and_set_anew(rung: Rung) -> None:
    """If the alarm's time passes while the loop is busy, and a later time is set before the loop looks, the alarm does
    not ring for the first one.
    """
    rung.alarm.set(time.monotonic_ns() + MS)
    busy_until = time.monotonic_ns() + 5 * MS
    while time.monotonic_ns() < busy_until:
        pass
    later = time.monotonic_ns() + 20 * MS
    rung.alarm.set(later)
    await asyncio.sleep(0.05)
    assert len(rung.at) == 1
    assert rung.at[0] >= later
