"""Requests that must succeed in the end, whatever happens to single answers.

An answer that is lost must not cost the whole time-out of a request, and an endpoint that is slow must not be cut off
before it answers. So while an answer is awaited, the request is sent again, and the first answer counts.
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
    """Makes attempts until the first of them ends.

    Args:
        attempt: makes one. It must not matter when several are made.
        what: names it in the error.
        total_s: the longest time for all of them.
        every_s: the time after which another one is made.
        growth: by what that time is multiplied after each attempt.

    Raises:
        RpcError: none has ended in `total_s`.
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
                # its error, if any, is of no interest any more
                task.exception()
            task.cancel()


async def persist(
    attempt: Callable[[], Awaitable[T]], what: str, *, fatal: Callable[[AwmError], bool] = lambda _: False
) -> T:
    """Makes attempts until one succeeds, with pauses that grow to a second.

    Args:
        what: names it in the log.
        fatal: which errors no further attempt can mend; they are raised.
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
