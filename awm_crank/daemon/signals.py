"""Handles signals: some end the crank cleanly; others, which would end it without a checkpoint, are ignored."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from functools import partial

from ..telemetry import logs

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
IGNORED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
"""Operators send some of these to other programs to have them open their log again."""


def listen(end: Callable[[signal.Signals], object]) -> None:
    """Calls `end` with each signal of `ENDING`, and logs each of `IGNORED`. Call it inside the running loop."""
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, end, number)
    for number in IGNORED:
        loop.add_signal_handler(number, partial(logs.get().warning, "signal ignored", signal=number.name))
