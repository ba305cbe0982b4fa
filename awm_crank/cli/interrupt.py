"""Ctrl-C ends every command within a second, with status 130, and nothing is printed as a result after it.

Three things together keep that promise:

- The signal raises KeyboardInterrupt in plain code, and cancels the main task where an event loop runs, so that
  sockets and child processes are closed in order.
- A timer ends the process where closing takes too long. Child processes do not outlive it: the demo's have a guard that
  kills them, a validator's is killed by the kernel when its parent dies.
- `check` raises again in code that swallowed the interruption; `output` calls it before it prints a result.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
STATUS = 128 + signal.SIGINT
LIMIT_S = 0.8
"""How long a command may take to close what it opened."""


class _Watch:
    """What the signal handler knows about the running command."""

    def __init__(self) -> None:
        self.pressed = False
        self.task: asyncio.Task[Any] | None = None
        self.stop: Callable[[], None] | None = None

    def press(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of SIGINT."""
        if self.pressed:
            end_now()
        self.pressed = True
        timer = threading.Timer(LIMIT_S, end_now)
        timer.daemon = True
        timer.start()
        ask = self.stop or (self.task.cancel if self.task is not None and not self.task.done() else None)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            ask = None
        if ask is None:
            raise KeyboardInterrupt
        # the return of a handler does not wake the loop, but this call does
        loop.call_soon_threadsafe(ask)


_watch = _Watch()


def end_now() -> None:
    """Ends the process at once with status 130, without closing anything."""
    if sys.stderr.isatty():
        # a progress line hides the cursor
        os.write(2, b"\r\x1b[K\x1b[?25h")
    os._exit(STATUS)


@contextlib.contextmanager
def watching() -> Iterator[None]:
    """Handles Ctrl-C for one command. Outside the main thread, where Python allows no handler, it does nothing."""
    global _watch
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _watch = _Watch()
    before = signal.signal(signal.SIGINT, _watch.press)
    try:
        yield
    finally:
        if not _watch.pressed:
            signal.signal(signal.SIGINT, before)


def finish() -> None:
    """After Ctrl-C, ends the process as soon as the command has closed what it opened.

    Python takes longer than a second to end a process with PyTorch in it. Functions that are registered to run at exit,
    such as writing out the log, still run.
    """
    if _watch.pressed:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        end_now()


def check() -> None:
    """Raises KeyboardInterrupt after Ctrl-C."""
    if _watch.pressed:
        raise KeyboardInterrupt


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine; Ctrl-C cancels it.

    Raises:
        KeyboardInterrupt: Ctrl-C, after the coroutine has ended.
    """

    async def watched() -> T:
        _watch.task = asyncio.current_task()
        try:
            return await main
        finally:
            _watch.task = None

    try:
        result = asyncio.run(watched())
    except asyncio.CancelledError:
        check()
        raise
    check()
    return result


@contextlib.contextmanager
def stopping_by(stop: Callable[[], None]) -> Iterator[None]:
    """While a service runs, Ctrl-C calls `stop` in its event loop instead of cancelling it."""
    _watch.stop = stop
    try:
        yield
    finally:
        _watch.stop = None
