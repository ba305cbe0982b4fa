"""Repeats requests until one succeeds.

A lost answer must not cost the whole time-out of a request, and a slow endpoint must not be cut off before it answers.
So while one request waits for its answer, another one is sent, and the first answer counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..errors import AwmError, RpcError
from ..telemetry import logs

T = TypeVar("T")

EVERY_S = 1.0
"""How long an answer may take before the same is asked again."""
_AT_ONCE = 4
"""Requests under way for one answer. If there would be more, the oldest is cancelled."""
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


async def hedged(
    attempt: Callable[[], Awaitable[T]], what: str, *, total_s: float, every_s: float = EVERY_S, growth: float = 1.0
) -> T:
    """Starts attempts at intervals until the first of them ends.

    Args:
        attempt: makes one request. Several at once must do no harm.
        what: names the request in the error.
        total_s: the longest time for all attempts together, in seconds.
        every_s: the seconds after which another attempt starts.
        growth: the factor by which `every_s` grows after each attempt.

    Raises:
        RpcError: no attempt has ended within `total_s`.
        Exception: what the first attempt that ended has raised.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + total_s
    pending: list[asyncio.Future[T]] = []
    try:
        while True:
            pending.append(asyncio.ensure_future(attempt()))
            if len(pending) > _AT_ONCE:
                pending.pop(0).cancel()
            left = end - loop.time()
            done, _ = await asyncio.wait(pending, timeout=min(every_s, left), return_when=asyncio.FIRST_COMPLETED)
            if done:
                return done.pop().result()
            if loop.time() >= end:
                raise RpcError(f"no answer to {what} in {total_s:g} s", recoverable=True)
            every_s *= growth
    finally:
        for task in pending:
            if task.done() and not task.cancelled():
                # errors of attempts that are no longer needed are ignored
                task.exception()
            task.cancel()


async def persist(
    attempt: Callable[[], Awaitable[T]], what: str, *, fatal: Callable[[AwmError], bool] = lambda _: False
) -> T:
    """Makes attempts until one succeeds, with pauses that grow up to one second.

    Args:
        what: names the attempt in the log.
        fatal: errors that another attempt cannot fix. They are raised.
    """
    pause, logged = _FIRST_PAUSE_S, ""
    while True:
        try:
            return await hedged(attempt, what, total_s=10.0)
        except AwmError as error:
            if fatal(error):
                raise
            if str(error) != logged:
                logged = str(error)
                logs.get().warning("trying again", what=what, problem=logged)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)
