"""The daemon's tasks: requests that end, jobs that never do, and the fault that ends the service."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ..errors import AwmError
from ..telemetry import logs


class Tasks:
    """Runs coroutines as tasks.

    An exception in one of them is a fault of ours, or something that makes serving impossible. Going on would hide it,
    so `stopping` is set and `broken` holds the exception.
    """

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.broken: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        """How many tasks are under way that will end by themselves."""
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs something that ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def keep(self, *jobs: Coroutine[Any, Any, None]) -> None:
        """Runs jobs that go on until `cancel`."""
        for job in jobs:
            task = asyncio.get_running_loop().create_task(job)
            self._jobs.append(task)
            task.add_done_callback(self._check)

    async def cancel(self) -> None:
        """Ends all of them."""
        tasks = [*self._jobs, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._check(task)

    def _check(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, AwmError):
            logs.get().error("cannot serve", problem=str(error))
        else:
            logs.get().error("internal error", exc_info=error)
        self.broken = self.broken or error
        self.stopping.set()
