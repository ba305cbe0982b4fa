"""What the daemon's parts hand things to."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from solders.pubkey import Pubkey

from awm_crank.config import Config
from awm_crank.daemon.session import ServedSession, machine_settings
from awm_crank.session import events


def session() -> ServedSession:
    """A session of nobody in particular."""
    return ServedSession(Pubkey.new_unique(), machine_settings(Config(), Pubkey.new_unique()))


class Hands:
    """Takes events and tasks."""

    def __init__(self) -> None:
        self.events: list[tuple[ServedSession, events.Event]] = []
        self.faults: list[tuple[ServedSession, Exception]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def deliver(self, served: ServedSession, event: events.Event) -> None:
        """An event for a session's machine."""
        self.events.append((served, event))

    def failed(self, served: ServedSession, error: Exception) -> None:
        """A session's step raised."""
        self.faults.append((served, error))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """A task."""
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    async def settle(self, seconds: float = 0.0) -> None:
        """Lets everything run that is under way."""
        await asyncio.sleep(seconds)
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.gather(*self.tasks)
