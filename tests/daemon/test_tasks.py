"""The daemon's tasks: which kinds of end stop the service."""

from __future__ import annotations

import asyncio

from awm_crank.daemon.tasks import Tasks
from awm_crank.errors import RpcError


async def fails(error: Exception) -> None:
    """Raises an error."""
    raise error


async def test_first_failure_ends_the_service() -> None:
    """The first exception of any task is kept and sets `stopping`; later exceptions do not replace it."""
    tasks = Tasks()
    first = ValueError("first")
    tasks.spawn(fails(first))
    await asyncio.wait_for(tasks.stopping.wait(), 1)
    tasks.keep(fails(RpcError("second")))
    await asyncio.sleep(0)
    assert tasks.broken is first
    await tasks.cancel()


async def test_ends_and_cancellations_are_no_failures() -> None:
    """A task that returns or is cancelled does not stop the service, and only running tasks are counted."""
    tasks = Tasks()
    tasks.spawn(asyncio.sleep(0))
    tasks.spawn(asyncio.sleep(60))
    tasks.keep(asyncio.sleep(60))
    assert len(tasks) == 2
    await asyncio.sleep(0.01)
    assert len(tasks) == 1
    await tasks.cancel()
    assert len(tasks) == 0
    assert not tasks.stopping.is_set()
