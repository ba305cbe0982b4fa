"""The daemon's tasks: requests, which end by themselves, and jobs, which run until the service ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ..errors import AwmError
from ..telemetry import logs


class Tasks:
    """Runs coroutines as tasks.

    An exception in a task is a bug of ours, or a problem that makes serving impossible. The service must not hide it
    and go on, so `stopping` is set and `broken` holds the exception.
    """

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.broken: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        """How many requests (tasks that end by themselves) are running."""
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a coroutine that ends by itself."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def keep(self, *jobs: Coroutine[Any, Any, None]) -> None:
        """Runs coroutines that go on until `cancel`."""
        for job in jobs:
            task = asyncio.get_running_loop().create_task(job)
            self._jobs.append(task)
            task.add_done_callback(self._check)

    async def cancel(self) -> None:
        """Cancels all tasks."""
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
