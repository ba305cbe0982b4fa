"""Fakes that stand for the rest of the daemon in tests of its parts."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from solders.pubkey import Pubkey

from awm_crank.config import Config
from awm_crank.daemon.session import ServedSession, machine_settings
from awm_crank.session import events


def session() -> ServedSession:
    """A session with arbitrary keys."""
    return ServedSession(Pubkey.new_unique(), machine_settings(Config(), Pubkey.new_unique()))


class Hands:
    """Collects events and tasks."""

    def __init__(self) -> None:
        self.events: list[tuple[ServedSession, events.Event]] = []
        self.faults: list[tuple[ServedSession, Exception]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def deliver(self, served: ServedSession, event: events.Event) -> None:
        """Takes an event for a session's machine."""
        self.events.append((served, event))

    def failed(self, served: ServedSession, error: Exception) -> None:
        """Notes that a session's step raised."""
        self.faults.append((served, error))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Starts a task."""
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    async def settle(self, seconds: float = 0.0) -> None:
        """Lets every task that is under way run."""
        await asyncio.sleep(seconds)
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.gather(*self.tasks)
